"""Objectives: what a model is trained to predict; they turn examples into batches.

An objective decides the inputs, the targets and the attention of each example; the loop and the
evaluation see only its batches. Another objective is another class here, chosen in
`make_objective` by a field of the plan; generation and the bigram initialization assume the next
token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tfcli.errors import UsageError
from tfcli.training.batches import IGNORE_INDEX, Batch, collapse_flags
from tfcli.training.infilling import Infilling
from tfcli.training.masking import counts_to_mask, mask_tokens, no_mask

if TYPE_CHECKING:
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.tokenizer import SpecialTokens, Tokenizer
    from tfcli.training.batches import Ids
    from tfcli.training.examples import Examples
    from tfcli.training.plan import Plan


class Objective(Protocol):
    """Turns examples into batches."""

    def training_batch(self, examples: Examples, *, seed: int, step: int) -> Batch:
        """The batch to train on; anything random in it is a function of (seed, step)."""

    def evaluation_batch(self, examples: Examples) -> Batch:
        """The batch to evaluate on; deterministic."""


def make_objective(
    plan: Plan, tokenizer: Tokenizer, infill_tokens: InfillTokens | None = None
) -> Objective:
    """The objective that a plan trains for.

    Args:
        infill_tokens: of a run that is trained to fill gaps.

    Raises:
        UsageError: the tokenizer lacks a token that it needs.

    """
    causal = NextToken(
        tokenizer.special,
        token_dropout=plan.token_dropout,
        document_mask=plan.document_mask,
        infilling=Infilling(tokenizer, infill_tokens, share=plan.infill) if infill_tokens else None,
    )
    return BothWays(causal, tokenizer.special, plan.masked) if plan.masked else causal


class NextToken:
    """Predict each token from those before it: the causal language model.

        ids      <s> t0  t1  t2
        inputs   <s> t0  t1
        targets  t0  t1  t2

    Args:
        special: the tokenizer's special tokens.
        token_dropout: fraction of the input tokens replaced by the unknown token in training, so
            that no target can be memorized from the token before it alone. Xie et al., "Data
            Noising as Smoothing in Neural Network Language Models", 2017, section 3.2 (blank
            noising).
        document_mask: whether attention is masked across documents.
        infilling: rearranges the rows of training.

    Raises:
        UsageError: token dropout with a tokenizer that has no unknown token.

    """

    def __init__(
        self,
        special: SpecialTokens,
        *,
        token_dropout: float = 0.0,
        document_mask: bool = False,
        infilling: Infilling | None = None,
    ) -> None:
        if token_dropout and special.unk is None:
            raise UsageError(
                "token dropout needs an unknown token, which this tokenizer lacks",
                hint="--token-dropout 0",
            )
        self._special = special
        self._infilling = infilling
        infill_tokens = infilling.tokens if infilling else ()
        self._kept = {special.bos, special.eos, *infill_tokens} - {None}  # by token dropout
        self._token_dropout = token_dropout
        self._document_mask = document_mask

    def training_batch(self, examples: Examples, *, seed: int, step: int) -> Batch:
        """See `Objective`."""
        if self._infilling:
            examples = self._infilling.rearrange(examples, seed=seed, step=step)
        inputs = examples.ids[:, :-1]
        if not self._token_dropout:
            return self._batch(inputs, examples)
        dropped = self._drop_tokens(inputs, seed=seed, step=step)
        return replace(self._batch(dropped, examples), inputs_before_dropout=inputs)

    def evaluation_batch(self, examples: Examples) -> Batch:
        """See `Objective`."""
        return self._batch(examples.ids[:, :-1], examples)

    def _batch(self, inputs: Ids, examples: Examples) -> Batch:
        targets = np.where(examples.is_target, examples.ids, IGNORE_INDEX)[:, 1:]
        apart = self._document_mask or examples.positions is not None
        positions, weights = examples.positions, examples.weights
        return Batch(
            inputs=np.ascontiguousarray(inputs),
            targets=np.ascontiguousarray(targets),
            segments=np.ascontiguousarray(examples.segments[:, :-1]) if apart else None,
            positions=None if positions is None else np.ascontiguousarray(positions[:, :-1]),
            weights=None if weights is None else np.ascontiguousarray(weights[:, 1:]),
        )

    def _drop_tokens(self, inputs: Ids, *, seed: int, step: int) -> Ids:
        """Replaces random inputs, the same however the rows are split among processes."""
        random = np.random.Generator(np.random.Philox(key=[seed, step]))
        dropped = random.random(inputs.shape, np.float32) < self._token_dropout
        for token in self._kept:
            dropped &= inputs != token
        assert self._special.unk is not None, "checked by the constructor"
        return np.where(dropped, self._special.unk, inputs)


class BothWays:
    """Predict masked tokens from all others in a share of the rows, the next token in the rest.

        ids      <s> t0  t1  t2  t3
        inputs   <s> t0  [m] t2            [m]: masked
        targets   -  t1   -   -            of the position before

    A token is predicted at the position before it, as the next token is: so one model with one head
    reads both ways (Charpentier & Samuel, "GPT or BERT: why not both?", 2024, section 2). The last
    token of a row is not read, hence neither masked nor predicted.

    Of the n tokens of a row that can be, k are masked, k being uniform from 1 to n, and each counts
    n / k times. The expectation is the bound on -log p of masked diffusion, where each token is
    masked with probability t and counts 1 / t times (Sahoo et al., "Simple and Effective Masked
    Diffusion Language Models", 2024, equation 10): it is also that of Hoogeboom et al.,
    "Autoregressive Diffusion Models", 2022, equation 3, and LLaDA's, Nie et al. 2025, equation 6.
    With exact counts every row weighs n, as many as a causal row of n targets does, and the sum
    that the loop divides by does not depend on chance. The counts of a step are spread evenly.

    Args:
        causal: the objective of the other rows, the first of a batch.
        special: the tokenizer's special tokens; a masked token is read as the unknown one.
        share: of the rows.

    Raises:
        UsageError: the tokenizer has no unknown token.

    """

    def __init__(self, causal: NextToken, special: SpecialTokens, share: float) -> None:
        if special.unk is None:
            raise no_mask()
        self._causal, self._mask, self._share = causal, special.unk, share

    def training_batch(self, examples: Examples, *, seed: int, step: int) -> Batch:
        """See `Objective`."""
        causal = self._causal.training_batch(examples, seed=seed, step=step)
        count = len(examples.ids)
        first = count - self._rows(count, step)
        if first == count:
            return causal
        # other numbers than those of token dropout
        random = np.random.Generator(np.random.Philox(key=[seed, step]).jumped())
        both = self._masked_batch(examples, first, random)
        return _joined(causal, both, first)

    def _masked_batch(self, examples: Examples, first: int, random: np.random.Generator) -> Batch:
        """The batch with rows masked from `first` on."""
        plain = self._causal.evaluation_batch(examples)
        maskable = examples.is_target.copy()
        maskable[:, -1] = False  # it is not read
        maskable[:first] = False
        counts = np.zeros(len(maskable), np.int64)
        counts[first:] = counts_to_mask(maskable[first:], random)
        masked, weights = mask_tokens(maskable, counts, random)
        own = np.ones(plain.inputs.shape, np.float32) if plain.weights is None else plain.weights
        return replace(
            plain,
            inputs=np.where(masked, self._mask, examples.ids)[:, :-1],
            targets=np.where(masked, examples.ids, IGNORE_INDEX)[:, 1:],
            weights=own * weights[:, None],
            causal=False,
        )

    def evaluation_batch(self, examples: Examples) -> Batch:
        """See `Objective`: causal, as texts are generated."""
        return self._causal.evaluation_batch(examples)

    def _rows(self, count: int, step: int) -> int:
        """How many rows of a step: over many steps exactly the share."""
        before, after = (int(count * at * self._share) for at in (step, step + 1))
        return after - before


def _joined(one: Batch, other: Batch, first: int) -> Batch:
    """The rows of `one` up to `first`, then those of `other`; both are of the same examples."""
    ones = np.ones(one.inputs.shape, np.float32)

    def rows(mine: Any, others: Any) -> Any:
        return np.concatenate((mine[:first], others[first:]))

    return Batch(
        inputs=rows(one.inputs, other.inputs),
        targets=rows(one.targets, other.targets),
        causal=collapse_flags(np.arange(len(ones)) < first),
        segments=None if one.segments is None else rows(one.segments, other.segments),
        positions=one.positions,
        weights=rows(ones if one.weights is None else one.weights, other.weights),
    )
