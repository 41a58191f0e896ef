"""Helpers for the tests of examples, objectives and batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tfcli.text.tokenizer import SpecialTokens
from tfcli.training.batches import Batch
from tfcli.training.examples import Examples, Sampler
from tfcli.training.objectives import NextToken

UNKNOWN, BEGIN, END = 0, 1, 2
SPECIAL = SpecialTokens(BEGIN, END, UNKNOWN, frozenset({UNKNOWN, BEGIN, END}))


def next_token_batch(examples: Examples) -> Batch:
    return NextToken(SPECIAL).evaluation_batch(examples)


def batch_of(sampler: Sampler, step: int) -> Batch:
    return next_token_batch(sampler.examples(step))


def next_token_batches(examples: Iterable[Examples]) -> Iterator[Batch]:
    return map(next_token_batch, examples)
