"""Objectives: what a model is trained to predict; they turn examples into batches.

An objective decides the inputs, the targets and the attention of each example; the loop and the
evaluation see only its batches. Another objective is another class here, chosen in
`make_objective` by a field of the plan; generation and the bigram initialization assume the next
token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from tfcli.errors import UsageError
from tfcli.training.batches import IGNORE_INDEX, Batch
from tfcli.training.infilling import Infilling

if TYPE_CHECKING:
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


def make_objective(plan: Plan, tokenizer: Tokenizer) -> Objective:
    """The objective that a plan trains for.

    Raises:
        UsageError: the tokenizer lacks a token that it needs.

    """
    return NextToken(
        tokenizer.special,
        token_dropout=plan.token_dropout,
        document_mask=plan.document_mask,
        infilling=Infilling(tokenizer, share=plan.infill) if plan.infill else None,
    )


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
        markers = infilling.tokens if infilling else ()
        self._kept = {special.bos, special.eos, *markers} - {None}  # by token dropout
        self._token_dropout = token_dropout
        self._document_mask = document_mask

    def training_batch(self, examples: Examples, *, seed: int, step: int) -> Batch:
        """See `Objective`."""
        if self._infilling:
            examples = self._infilling.rearrange(examples, seed=seed, step=step)
        inputs = examples.ids[:, :-1]
        if self._token_dropout:
            inputs = self._drop_tokens(inputs, seed=seed, step=step)
        return self._batch(inputs, examples)

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
