"""Which sampler a plan calls for: of windows, of packed documents, or of pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.training.examples import Sampler, WindowSampler
from tfcli.training.packing import PackedSampler
from tfcli.training.pairs import PairSampler, PairTokens

if TYPE_CHECKING:
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import SpecialTokens
    from tfcli.training.plan import Plan


def make_sampler(
    corpus: TokenizedCorpus, plan: Plan, *, context: int, special: SpecialTokens, seed: int
) -> Sampler:
    """What chooses the examples of each step."""
    rows = plan.batch_size
    if (pairs := PairTokens.to_train_on(corpus, special)) is not None:
        return PairSampler(
            pairs, context=context, rows=rows, special=special, seed=seed,
            prompt_loss=plan.prompt_loss or 0.0,
        )  # fmt: skip
    if plan.document_mask:
        return PackedSampler(
            corpus.training, context=context, rows=rows, special=special, seed=seed
        )
    return WindowSampler(
        corpus.training,
        context=context,
        rows=rows,
        special=special,
        seed=seed,
        ends=corpus.ends,
        weights=corpus.weights,
    )
