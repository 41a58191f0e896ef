"""Objectives turn examples into batches; `NextToken` gives those of every release, to the bit."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.helpers import BEGIN, END, SPECIAL, UNKNOWN
from tfcli.errors import UsageError
from tfcli.training.batches import IGNORE_INDEX, Batch
from tfcli.training.examples import (
    Examples,
    Sampler,
    WindowSampler,
    document_rows,
    make_examples,
    sliding_windows,
)
from tfcli.training.objectives import NextToken
from tfcli.training.packing import PackedSampler


def examples(*rows: list[int]) -> Examples:
    ids = np.array([[BEGIN, *row] for row in rows], np.int64)
    return make_examples(ids, np.tile(np.arange(ids.shape[1]) > 0, (len(ids), 1)), SPECIAL)


def test_inputs_are_targets_shifted_right_after_bos() -> None:
    batch = NextToken(SPECIAL).training_batch(examples([7, 8, 9], [4, 5, 6]), seed=1, step=2)
    assert batch.inputs.tolist() == [[BEGIN, 7, 8], [BEGIN, 4, 5]]
    assert batch.targets.tolist() == [[7, 8, 9], [4, 5, 6]]
    assert batch.causal
    assert batch.segments is batch.positions is None
    assert (batch.num_targets, batch.num_tokens) == (6, 6)


def test_non_targets_are_inputs_only() -> None:
    some = examples([7, 8, 9])
    some.is_target[:, 2] = False
    batch = NextToken(SPECIAL).evaluation_batch(some)
    assert batch.inputs.tolist() == [[BEGIN, 7, 8]]
    assert batch.targets.tolist() == [[7, IGNORE_INDEX, 9]]
    assert batch.num_targets == 2


def test_document_mask_numbers_the_documents_of_a_row() -> None:
    batch = NextToken(SPECIAL, document_mask=True).evaluation_batch(examples([END, 7, 8, END, 9]))
    assert batch.segments is not None
    assert batch.segments.tolist() == [[0, 1, 1, 1, 2]]


@given(st.integers(0, 2**40), st.integers(0, 1000))
def test_token_dropout_replaces_its_share_and_depends_on_seed_and_step(
    seed: int, step: int
) -> None:
    text = np.random.default_rng(1).integers(10, 99, (60, 50))
    text[:, ::7] = END
    some = examples(*text.tolist())
    objective = NextToken(SPECIAL, token_dropout=0.2)
    whole = objective.evaluation_batch(some)
    batch = objective.training_batch(some, seed=seed, step=step)
    dropped = batch.inputs != whole.inputs
    assert (batch.inputs[dropped] == UNKNOWN).all()
    assert 0.12 < dropped.mean() < 0.22
    assert (batch.targets == whole.targets).all()
    assert (batch.inputs[(whole.inputs == BEGIN) | (whole.inputs == END)] != UNKNOWN).all()
    again = objective.training_batch(some, seed=seed, step=step)
    later = objective.training_batch(some, seed=seed, step=step + 1)
    assert (again.inputs == batch.inputs).all()
    assert (later.inputs != batch.inputs).any()


def test_token_dropout_requires_unk() -> None:
    without = dataclasses.replace(SPECIAL, unk=None)
    NextToken(without)
    with pytest.raises(UsageError, match="unknown token"):
        NextToken(without, token_dropout=0.1)


def test_rows_start_with_eos_if_there_is_no_bos() -> None:
    without = dataclasses.replace(SPECIAL, bos=None)
    text = np.arange(10, 60, dtype=np.uint16)
    sampler = WindowSampler(text, context=8, rows=2, special=without, seed=1)
    batch = NextToken(without).training_batch(sampler.examples(0), seed=1, step=0)
    assert (batch.inputs[:, 0] == END).all()
    assert (batch.inputs[:, 1:] == batch.targets[:, :-1]).all()


# --- batches of an earlier build, recorded at its time --------------------------------------------


def text(length: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Ids of a linear congruential generator, the same everywhere; two in a hundred are eos."""
    x, ids = seed, []
    for _ in range(length):
        x = (x * 1103515245 + 12345) % 2**31
        ids.append(END if (x >> 8) % 1000 < 20 else 259 + (x >> 8) % 700)
    return np.array(ids, np.uint16)


TEXT = text(20_000, 7)
WINDOWS = WindowSampler(TEXT, context=48, rows=7, special=SPECIAL, seed=11)
WEIGHTED = WindowSampler(
    TEXT, context=48, rows=7, special=SPECIAL, seed=12, ends=[4000, 4000, 15000, 20000],
    weights=[2.5, 1.0, 0.3, 1.0],
)  # fmt: skip
PACKED = PackedSampler(TEXT, context=48, rows=7, special=SPECIAL, seed=13)


def digest(*batches: Batch) -> str:
    digest = hashlib.sha256()
    for batch in batches:
        digest.update(batch.inputs.tobytes() + batch.targets.tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize(
    ("sampler", "step", "expected"),
    [
        (WINDOWS, 0, "3e276cb2dea2758b"),
        (WINDOWS, 33, "70b8aa45bc8ba192"),
        (WINDOWS, 500, "ebd2cb7003890eb8"),
        (WEIGHTED, 0, "52929f2458673543"),
        (WEIGHTED, 333, "3005de66dfcc1b4f"),
        (PACKED, 0, "c703ab9fb3da38fc"),
        (PACKED, 61, "4930300f1a652a69"),
    ],
)
def test_batches_equal_those_of_earlier_releases(
    sampler: Sampler, step: int, expected: str
) -> None:
    batch = NextToken(SPECIAL).training_batch(sampler.examples(step), seed=1, step=step)
    assert digest(batch) == expected


@pytest.mark.parametrize(("step", "expected"), [(0, "7c0e419d3e07051f"), (61, "5ea802d0d9a81f0d")])
def test_segments_equal_those_of_earlier_releases(step: int, expected: str) -> None:
    batch = NextToken(SPECIAL, document_mask=True).evaluation_batch(PACKED.examples(step))
    assert batch.segments is not None
    assert hashlib.sha256(batch.segments.tobytes()).hexdigest()[:16] == expected


def test_token_dropout_equals_that_of_earlier_releases() -> None:
    objective = NextToken(SPECIAL, token_dropout=0.15)
    assert digest(objective.training_batch(PACKED.examples(3), seed=14, step=3)) == (
        "8f06a1aef0fc5dcb"
    )


def padded(batch: Batch) -> Batch:
    """The batch with bos after the last target of each row, where the inputs do not matter."""
    positions = np.arange(batch.inputs.shape[1])
    last = np.where(batch.targets != IGNORE_INDEX, positions, 0).max(1)
    return dataclasses.replace(
        batch, inputs=np.where(positions > last[:, None], BEGIN, batch.inputs)
    )


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, "5f3b432f4704fe0c"), (500, "a16fa2922f6374a8")]
)
def test_evaluation_windows_equal_those_of_earlier_releases(
    limit: int | None, expected: str
) -> None:
    windows = sliding_windows(
        TEXT[:3000], context=48, stride=24, rows=32, special=SPECIAL, limit=limit
    )
    assert digest(*map(padded, map(NextToken(SPECIAL).evaluation_batch, windows))) == expected


def test_evaluation_documents_equal_those_of_earlier_releases() -> None:
    rows = document_rows(TEXT[:3000], context=48, rows=32, special=SPECIAL)
    assert digest(*map(NextToken(SPECIAL).evaluation_batch, rows)) == "d28ade265d2ab59b"


def test_attended_positions_are_those_of_the_stated_attention() -> None:
    causal = NextToken(SPECIAL).evaluation_batch(examples([7] * 8))
    assert causal.mean_attended == 4
    assert dataclasses.replace(causal, causal=False).mean_attended == 8
    documents = NextToken(SPECIAL, document_mask=True).evaluation_batch(
        examples([7, 7, 7, END, 7, 7, 7, END])
    )
    assert documents.segments is not None
    assert documents.segments.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert documents.mean_attended == 2
