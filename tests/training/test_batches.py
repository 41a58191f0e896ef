"""Parts of a batch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfcli.training.batches import IGNORE_INDEX, Batch


@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 3))
def test_padding_adds_rows_that_predict_nothing(
    count: int, first: int, last: int, padding: int
) -> None:
    ids = np.arange(3 * count, dtype=np.int64).reshape(count, 3)
    batch = Batch(inputs=ids, targets=ids.copy(), segments=ids)
    rows = range(min(first, count), min(max(first, last), count))
    padded = batch.padded_rows(rows, len(rows) + padding)
    assert padded.inputs.shape == padded.targets.shape == (len(rows) + padding, 3)
    assert padded.segments is not None
    assert padded.segments.shape == padded.inputs.shape
    assert (padded.inputs[: len(rows)] == ids[rows.start : rows.stop]).all()
    assert (padded.targets[: len(rows)] == ids[rows.start : rows.stop]).all()
    assert (padded.targets[len(rows) :] == IGNORE_INDEX).all()
    assert batch.num_targets == ids.size  # the batch itself stays as it is
