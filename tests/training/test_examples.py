"""Examples are a pure function of seed and step, and cover the text."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.training.helpers import BEGIN, END, SPECIAL, batch_of, next_token_batches
from tfcli.training.batches import IGNORE_INDEX
from tfcli.training.examples import WindowSampler, document_rows, sliding_windows

FIRST = 10  # texts count upwards from here, so that each token tells its position


def text(length: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    return np.arange(FIRST, FIRST + length, dtype=np.uint16)


@given(st.integers(1, 400), st.integers(1, 16), st.integers(1, 8), st.integers(0, 2**40))
def test_rows_are_contiguous_and_disjoint_within_an_epoch(
    length: int, context: int, rows: int, seed: int
) -> None:
    length = max(length, context)
    batches = WindowSampler(text(length), special=SPECIAL, context=context, rows=rows, seed=seed)
    taken: list[int] = []
    steps = batches.epoch_rows // rows
    for step in range(steps):
        targets = batch_of(batches, step).targets
        assert (np.diff(targets, axis=1) == 1).all()
        taken += targets.ravel().tolist()
    assert len(set(taken)) == len(taken)
    assert all(FIRST <= token < FIRST + length for token in taken)


@given(st.integers(0, 2**40), st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_batch_depends_on_its_step_alone(seed: int, steps: list[int]) -> None:
    asked = WindowSampler(text(200), special=SPECIAL, context=8, rows=4, seed=seed)
    for step in steps:
        fresh = WindowSampler(text(200), special=SPECIAL, context=8, rows=4, seed=seed)
        assert (batch_of(asked, step).targets == batch_of(fresh, step).targets).all()


def test_epochs_differ_in_offset_and_order() -> None:
    batches = WindowSampler(text(1000), special=SPECIAL, context=10, rows=batches_rows, seed=1)
    epochs = [batch_of(batches, epoch).targets[:, 0].tolist() for epoch in range(4)]
    assert len({tuple(starts) for starts in epochs}) == 4
    assert len({starts[0] % 10 for starts in epochs}) > 1


batches_rows = 99  # one batch is one epoch: 1,000 tokens in rows of 10, less one row


def test_seeds_give_different_batches() -> None:
    first, second = (
        WindowSampler(text(500), special=SPECIAL, context=8, rows=8, seed=seed) for seed in (1, 2)
    )
    assert (batch_of(first, 0).targets != batch_of(second, 0).targets).any()


@given(st.integers(1, 200), st.integers(1, 16), st.integers(1, 16), st.integers(1, 8))
def test_evaluation_predicts_every_token_once_with_the_context_of_the_stride(
    length: int, context: int, stride: int, rows: int
) -> None:
    stride = min(stride, context)
    tokens = text(length)
    windows = sliding_windows(tokens, context=context, stride=stride, rows=rows, special=SPECIAL)
    batches = list(next_token_batches(windows))
    for batch in batches:
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            for place in np.flatnonzero(targets != IGNORE_INDEX):
                before = tokens[: int(np.flatnonzero(tokens == targets[place])[0])]
                assert place >= min(context - stride, len(before))
                assert inputs[1 : place + 1].tolist() == before[len(before) - place :].tolist()
    seen = np.concatenate([b.targets[b.targets != IGNORE_INDEX] for b in batches])
    assert seen.tolist() == text(length).tolist()
    assert all(b.targets.shape[0] <= rows and (b.inputs[:, 0] == BEGIN).all() for b in batches)


@given(st.integers(50, 300), st.integers(1, 16), st.integers(1, 300))
def test_limited_evaluation_is_spread_over_the_text(length: int, context: int, limit: int) -> None:
    windows = sliding_windows(
        text(length), context=context, stride=context, rows=4, special=SPECIAL, limit=limit
    )
    seen = np.concatenate(
        [b.targets[b.targets != IGNORE_INDEX] for b in next_token_batches(windows)]
    )
    assert 0 < len(seen) <= max(limit, context)
    assert (np.diff(seen) > 0).all()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(2, 12))
def test_each_document_gets_its_own_rows_after_eos(lengths: list[int], context: int) -> None:
    documents = [[*range(FIRST, FIRST + n), END] for n in lengths]
    tokens = np.array([t for document in documents for t in document], np.uint16)
    rows = [
        (inputs, targets)
        for batch in next_token_batches(
            document_rows(tokens, context=context, rows=3, special=SPECIAL)
        )
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True)
    ]
    seen = [targets[targets != IGNORE_INDEX].tolist() for _, targets in rows]
    assert [t for part in seen for t in part] == tokens.tolist()
    assert all(END not in part[:-1] for part in seen)
    for (inputs, _), part in zip(rows, seen, strict=True):
        assert inputs[: len(part) + 1].tolist() == [BEGIN, END, *part[:-1]][: len(part) + 1]


def test_unweighted_rows_follow_the_formula() -> None:
    """Restated here, since runs of earlier versions must resume to the same bits."""
    batches = WindowSampler(
        text(1000), special=SPECIAL, context=16, rows=4, seed=7, ends=(1000,), weights=(1.0,)
    )
    count = 1000 // 16 - 1
    for epoch in range(3):
        random = np.random.Generator(np.random.Philox(key=[7, epoch]))
        phase = random.integers(1000 - count * 16 + 1)
        starts = phase + random.permutation(count) * 16
        for place in range(count):
            row = epoch * count + place
            targets = batch_of(batches, row // 4).targets[row % 4]
            assert targets[0] == FIRST + starts[place]


parts = st.lists(
    st.tuples(st.integers(20, 400), st.sampled_from([0.1, 0.5, 1.0, 1.5, 2.0, 3.0])),
    min_size=1, max_size=4,
)  # fmt: skip


@given(parts, st.integers(1, 10), st.integers(0, 2**40))
def test_weight_is_how_often_a_part_occurs_per_epoch(
    parts: list[tuple[int, float]], context: int, seed: int
) -> None:
    ends = np.cumsum([length for length, _ in parts])
    weights = [weight for _, weight in parts]
    batches = WindowSampler(
        text(int(ends[-1])),
        special=SPECIAL,
        context=context,
        rows=1,
        seed=seed,
        ends=ends.tolist(),
        weights=weights,
    )
    counts = np.zeros(len(parts), int)
    seen = np.zeros(int(ends[-1]), int)
    for step in range(batches.epoch_rows, 2 * batches.epoch_rows):
        places = batch_of(batches, step).targets[0] - FIRST
        part = np.searchsorted(ends, places, side="right")
        assert (part == part[0]).all(), "a row must not cross parts"
        counts[part[0]] += 1
        seen[places] += 1
    for i, (length, weight) in enumerate(parts):
        rows = max(1, length // context - 1)
        assert counts[i] == max(1, round(rows * weight))
        assert seen[ends[i] - length : ends[i]].max() <= max(1, np.ceil(weight))


def test_rows_sampled_at_weight_one_half_change_with_the_epoch() -> None:
    batches = WindowSampler(
        text(400), special=SPECIAL, context=10, rows=1, seed=1, ends=(200, 400), weights=(0.5, 1.0)
    )
    drawn = []
    for epoch in range(8):
        steps = range(epoch * batches.epoch_rows, (epoch + 1) * batches.epoch_rows)
        firsts = [int(batch_of(batches, step).targets[0, 0]) - FIRST for step in steps]
        drawn.append({first // 10 for first in firsts if first < 200})
    assert len(set.union(*drawn)) >= 18
    assert len({frozenset(rows) for rows in drawn}) > 1


def test_row_of_a_short_part_extends_past_it_within_the_text() -> None:
    batches = WindowSampler(
        text(30), special=SPECIAL, context=20, rows=1, seed=1, ends=(3, 25, 30), weights=(2, 1, 3)
    )
    assert batches.epoch_rows == 2 + 1 + 3
    for step in range(30):
        targets = batch_of(batches, step).targets[0]
        assert (np.diff(targets) == 1).all()
        assert targets[0] >= FIRST
        assert targets[-1] < FIRST + 30
