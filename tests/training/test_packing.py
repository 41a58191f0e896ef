"""Packed rows hold each token once, and split no document that fits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.helpers import BEGIN, END, SPECIAL, batch_of
from tfcli.training.batches import IGNORE_INDEX
from tfcli.training.packing import PackedSampler

FIRST = 10

document_lengths = st.lists(st.integers(0, 40), min_size=1, max_size=30)


def texts(
    lengths: list[int], *, final_eos: bool = True
) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Documents whose tokens count upwards through all of them, so that each is unique."""
    tokens: list[int] = []
    for length in lengths:
        start = FIRST + len(tokens)
        tokens += [*range(start, start + length), END]
    return np.array(tokens if final_eos or len(tokens) == 1 else tokens[:-1], np.uint16)


def epoch(batches: PackedSampler) -> list[tuple[list[int], list[int]]]:
    """The inputs and targets of all rows of the first epoch; the batches hold one row each."""
    rows = []
    for step in range(batches.epoch_rows):
        batch = batch_of(batches, step)
        rows.append((batch.inputs[0].tolist(), batch.targets[0].tolist()))
    return rows


@given(document_lengths, st.integers(2, 20), st.booleans(), st.integers(0, 2**40))
def test_epoch_has_every_token_once(
    lengths: list[int], context: int, final_eos: bool, seed: int
) -> None:
    tokens = texts(lengths, final_eos=final_eos)
    rows = epoch(PackedSampler(tokens, special=SPECIAL, context=context, rows=1, seed=seed))
    seen = [t for _, targets in rows for t in targets if t != IGNORE_INDEX]
    assert sorted(seen) == sorted(tokens.tolist())


@given(document_lengths, st.integers(2, 20), st.booleans())
def test_document_that_fits_is_whole_and_follows_eos(
    lengths: list[int], context: int, final_eos: bool
) -> None:
    tokens = texts(lengths, final_eos=final_eos)
    rows = epoch(PackedSampler(tokens, special=SPECIAL, context=context, rows=1, seed=1))
    place = {
        token: (number, i)
        for number, (_, targets) in enumerate(rows)
        for i, token in enumerate(targets)
        if token >= FIRST
    }
    start = 0
    for length in lengths:
        own = list(range(FIRST + start, FIRST + start + length))
        own = [token for token in own if token in tokens]
        start += length + 1
        if own:
            row, i = place[own[0]]
            assert rows[row][0][i] == END
        if length + 1 < context:
            assert [place[t] for t in own] == [(row, i + n) for n in range(len(own))]


@given(document_lengths, st.integers(3, 20))
def test_inputs_are_the_preceding_tokens(lengths: list[int], context: int) -> None:
    for inputs, targets in epoch(
        PackedSampler(texts(lengths), special=SPECIAL, context=context, rows=1, seed=1)
    ):
        assert (inputs[0], targets[0]) == (BEGIN, IGNORE_INDEX)
        for i in range(2, context):
            if targets[i] != IGNORE_INDEX:
                assert inputs[i] == targets[i - 1]
        if targets[1] >= FIRST:
            assert inputs[1] in {END, targets[1] - 1}


def test_rows_are_nearly_full() -> None:
    lengths = np.random.default_rng(1).integers(2, 60, 2000).tolist()
    tokens = texts(lengths)
    batches = PackedSampler(tokens, special=SPECIAL, context=65, rows=1, seed=1)
    assert len(tokens) / 64 <= batches.epoch_rows < 1.03 * len(tokens) / 64


@pytest.mark.parametrize("rows", [1, 7])
def test_batch_depends_on_its_step_alone(rows: int) -> None:
    tokens = texts([5, 9, 2, 30, 7, 1] * 6)
    asked = PackedSampler(tokens, special=SPECIAL, context=12, rows=rows, seed=3)
    for step in (9, 0, 40, 9, 1):
        fresh = PackedSampler(tokens, special=SPECIAL, context=12, rows=rows, seed=3)
        assert (batch_of(asked, step).targets == batch_of(fresh, step).targets).all()


def test_order_changes_with_epoch_and_seed() -> None:
    tokens = texts([5] * 60)
    orders = []
    for seed, number in itertools.product((1, 2), (0, 1)):
        batches = PackedSampler(tokens, special=SPECIAL, context=13, rows=30, seed=seed)
        assert batches.epoch_rows == 30
        orders.append(tuple(batch_of(batches, number).targets[:, 1].tolist()))
    assert len(set(orders)) == 4
    assert len({tuple(sorted(order)) for order in orders}) == 1
