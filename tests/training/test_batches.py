"""Batches are a pure function of the seed and the step, and cover the text."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfcli.text.tokenizer import BEGIN, END, UNKNOWN
from tfcli.training.batches import (
    IGNORE_INDEX,
    Batch,
    Batches,
    document_batches,
    drop_tokens,
    evaluation_batches,
    shift_right,
)

FIRST = 10  # the test's texts count upwards from here, so that each token says where it stands


def text(length: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    return np.arange(FIRST, FIRST + length, dtype=np.uint16)


def test_inputs_are_the_targets_shifted_right_behind_begin() -> None:
    batch = shift_right(np.array([[7, 8, 9], [4, 5, IGNORE_INDEX]]))
    assert batch.inputs.tolist() == [[BEGIN, 7, 8], [BEGIN, 4, 5]]
    assert batch.targets.tolist() == [[7, 8, 9], [4, 5, IGNORE_INDEX]]


@given(st.integers(1, 400), st.integers(1, 16), st.integers(1, 8), st.integers(0, 2**40))
def test_rows_are_runs_of_the_text_and_no_place_comes_twice_in_an_epoch(
    length: int, context: int, rows: int, seed: int
) -> None:
    length = max(length, context)
    batches = Batches(text(length), context=context, rows=rows, seed=seed)
    taken: list[int] = []
    steps = batches.epoch_rows // rows
    for step in range(steps):
        targets = batches.batch(step).targets
        assert (np.diff(targets, axis=1) == 1).all()
        taken += targets.ravel().tolist()
    assert len(set(taken)) == len(taken)
    assert all(FIRST <= token < FIRST + length for token in taken)


@given(st.integers(0, 2**40), st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_a_batch_depends_on_its_step_alone_whatever_came_before(
    seed: int, steps: list[int]
) -> None:
    asked = Batches(text(200), context=8, rows=4, seed=seed)
    for step in steps:
        fresh = Batches(text(200), context=8, rows=4, seed=seed)
        assert (asked.batch(step).targets == fresh.batch(step).targets).all()


def test_each_epoch_has_other_cuts_and_another_order() -> None:
    batches = Batches(text(1000), context=10, rows=batches_rows, seed=1)
    epochs = [batches.batch(epoch).targets[:, 0].tolist() for epoch in range(4)]
    assert len({tuple(starts) for starts in epochs}) == 4
    assert len({starts[0] % 10 for starts in epochs}) > 1


batches_rows = 99  # one batch is one epoch of 1,000 tokens in rows of 10, less one


def test_seeds_differ() -> None:
    first, second = (Batches(text(500), context=8, rows=8, seed=seed) for seed in (1, 2))
    assert (first.batch(0).targets != second.batch(0).targets).any()


@given(st.integers(1, 200), st.integers(1, 16), st.integers(1, 16), st.integers(1, 8))
def test_evaluation_predicts_every_token_once_from_what_the_stride_promises(
    length: int, context: int, stride: int, rows: int
) -> None:
    stride = min(stride, context)
    tokens = text(length)
    batches = list(evaluation_batches(tokens, context=context, stride=stride, rows=rows))
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
def test_a_limited_evaluation_is_spread_over_the_text(
    length: int, context: int, limit: int
) -> None:
    batches = evaluation_batches(text(length), context=context, stride=context, rows=4, limit=limit)
    seen = np.concatenate([b.targets[b.targets != IGNORE_INDEX] for b in batches])
    assert 0 < len(seen) <= max(limit, context)
    assert (np.diff(seen) > 0).all()


def test_blanks_are_a_share_of_the_inputs_a_function_of_seed_and_step() -> None:
    batch = Batches(text(5000), context=50, rows=60, seed=1).batch(0)
    blanked = drop_tokens(batch, 0.2, seed=3, step=4)
    blank = blanked.inputs != batch.inputs
    assert (blanked.inputs[blank] == UNKNOWN).all()
    assert 0.17 < blank.mean() < 0.22
    assert not blank[:, 0].any()
    ends = Batch(np.full((2, 9), END), batch.targets[:2, :9])
    assert (drop_tokens(ends, 0.9, seed=3, step=4).inputs == END).all()
    assert (blanked.targets == batch.targets).all()
    again, later = drop_tokens(batch, 0.2, seed=3, step=4), drop_tokens(batch, 0.2, seed=3, step=5)
    assert (again.inputs == blanked.inputs).all()
    assert (later.inputs != blanked.inputs).any()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(2, 12))
def test_documents_are_read_apart_each_after_an_end(lengths: list[int], context: int) -> None:
    documents = [[*range(FIRST, FIRST + n), END] for n in lengths]
    tokens = np.array([t for document in documents for t in document], np.uint16)
    rows = [
        (inputs, targets)
        for batch in document_batches(tokens, context=context, rows=3)
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True)
    ]
    seen = [targets[targets != IGNORE_INDEX].tolist() for _, targets in rows]
    assert [t for part in seen for t in part] == tokens.tolist()
    assert all(END not in part[:-1] for part in seen)
    for (inputs, _), part in zip(rows, seen, strict=True):
        assert inputs[: len(part) + 1].tolist() == [BEGIN, END, *part[:-1]][: len(part) + 1]


def test_without_weights_the_rows_are_those_of_the_formula() -> None:
    """Written out again, since runs of earlier versions are to go on bit for bit."""
    batches = Batches(text(1000), context=16, rows=4, seed=7, ends=(1000,), weights=(1.0,))
    count = 1000 // 16 - 1
    for epoch in range(3):
        random = np.random.Generator(np.random.Philox(key=[7, epoch]))
        phase = random.integers(1000 - count * 16 + 1)
        starts = phase + random.permutation(count) * 16
        for place in range(count):
            row = epoch * count + place
            targets = batches.batch(row // 4).targets[row % 4]
            assert targets[0] == FIRST + starts[place]


parts = st.lists(
    st.tuples(st.integers(20, 400), st.sampled_from([0.1, 0.5, 1.0, 1.5, 2.0, 3.0])),
    min_size=1, max_size=4,
)  # fmt: skip


@given(parts, st.integers(1, 10), st.integers(0, 2**40))
def test_a_weight_is_how_often_a_part_comes_in_an_epoch(
    parts: list[tuple[int, float]], context: int, seed: int
) -> None:
    ends = np.cumsum([length for length, _ in parts])
    weights = [weight for _, weight in parts]
    batches = Batches(
        text(int(ends[-1])), context=context, rows=1, seed=seed, ends=ends.tolist(), weights=weights
    )
    counts = np.zeros(len(parts), int)
    seen = np.zeros(int(ends[-1]), int)
    for step in range(batches.epoch_rows, 2 * batches.epoch_rows):
        places = batches.batch(step).targets[0] - FIRST
        part = np.searchsorted(ends, places, side="right")
        assert (part == part[0]).all(), "a row stays in its part"
        counts[part[0]] += 1
        seen[places] += 1
    for i, (length, weight) in enumerate(parts):
        rows = max(1, length // context - 1)
        assert counts[i] == max(1, round(rows * weight))
        assert seen[ends[i] - length : ends[i]].max() <= max(1, np.ceil(weight))


def test_which_rows_of_a_half_come_changes_with_the_epoch() -> None:
    batches = Batches(text(400), context=10, rows=1, seed=1, ends=(200, 400), weights=(0.5, 1.0))
    drawn = []
    for epoch in range(8):
        steps = range(epoch * batches.epoch_rows, (epoch + 1) * batches.epoch_rows)
        firsts = [int(batches.batch(step).targets[0, 0]) - FIRST for step in steps]
        drawn.append({first // 10 for first in firsts if first < 200})
    assert len(set.union(*drawn)) >= 18
    assert len({frozenset(rows) for rows in drawn}) > 1


def test_a_part_shorter_than_a_row_runs_on_and_stays_inside_the_text() -> None:
    batches = Batches(text(30), context=20, rows=1, seed=1, ends=(3, 25, 30), weights=(2, 1, 3))
    assert batches.epoch_rows == 2 + 1 + 3
    for step in range(30):
        targets = batches.batch(step).targets[0]
        assert (np.diff(targets) == 1).all()
        assert targets[0] >= FIRST
        assert targets[-1] < FIRST + 30
