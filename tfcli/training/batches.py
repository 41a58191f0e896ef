"""A batch: the inputs, targets and attention of a training or evaluation step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    Ids = np.ndarray[tuple[int, int], np.dtype[np.int64]]
    Weights = np.ndarray[tuple[int, int], np.dtype[np.float32]]
    Places = np.ndarray[tuple[int], np.dtype[np.int64]]
    RowFlags = np.ndarray[tuple[int], np.dtype[np.bool_]]

IGNORE_INDEX = -1  # the target of a position that is not predicted


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows for a forward pass, made by an objective; all arrays of shape (B, T).

    Attributes:
        inputs: token ids.
        targets: the id to predict at each position, or `IGNORE_INDEX`.
        causal: whether a position attends only to itself and earlier ones; else to all. (B,) where
            some rows are read so and others both ways.
        segments: positions attend only within their own segment and to the first position of the
            row; None: each row is one segment.
        positions: the position of each token, from 0; None: 0, 1, 2, ...
        weights: how much each target counts; None: 1 each.
        inputs_before_dropout: the inputs before token dropout; None: there was none.

    A sliding window, if any, belongs to the model.

    """

    inputs: Ids
    targets: Ids
    causal: bool | RowFlags = True
    segments: Ids | None = None
    positions: Ids | None = None
    weights: Weights | None = None
    inputs_before_dropout: Ids | None = None

    @property
    def num_targets(self) -> int:
        """Number of tokens that are predicted."""
        return int(np.count_nonzero(self.targets != IGNORE_INDEX))

    @property
    def target_weight(self) -> float:
        """What its summed loss is divided by for its mean: how much all targets count."""
        if self.weights is None:
            return self.num_targets
        return float(self.weights[self.targets != IGNORE_INDEX].sum())

    @property
    def mean_attended(self) -> float:
        """Positions that a position attends to, on average; a causal row counts as half of it."""
        length = float(self.inputs.shape[1])
        if self.segments is not None:
            counts = (np.unique_counts(row).counts for row in self.segments)
            length = sum(float((own**2).sum()) for own in counts) / self.num_tokens
        return length * (1 - float(np.mean(self.causal)) / 2)

    @property
    def num_tokens(self) -> int:
        """Number of positions computed, padding included."""
        return self.inputs.size

    def rows(self, rows: range | slice | Places) -> Batch:
        """Some of its rows; a copy where these are an array of places."""
        chosen = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        return Batch(
            inputs=self.inputs[chosen],
            targets=self.targets[chosen],
            causal=self.causal
            if isinstance(self.causal, bool)
            else collapse_flags(self.causal, chosen),
            segments=None if self.segments is None else self.segments[chosen],
            positions=None if self.positions is None else self.positions[chosen],
            weights=None if self.weights is None else self.weights[chosen],
            inputs_before_dropout=None
            if self.inputs_before_dropout is None
            else self.inputs_before_dropout[chosen],
        )

    def padded_rows(self, rows: range, size: int) -> Batch:
        """Some of its rows, padded to `size` by rows without targets, which change no gradient."""
        padding = [rows[0] if rows else 0] * (size - len(rows))
        padded = self.rows(np.array([*rows, *padding], np.int64))
        padded.targets[len(rows) :] = IGNORE_INDEX
        return padded

    def loss_arguments(self, device: torch.device) -> dict[str, Any]:
        """The arguments of `Transformer.loss`, as tensors on a device."""
        import torch

        def tensor(array: Ids | Weights | RowFlags | None) -> torch.Tensor | None:
            return None if array is None else torch.from_numpy(array).to(device)

        return {
            "ids": tensor(self.inputs),
            "targets": tensor(self.targets),
            "segments": tensor(self.segments),
            "positions": tensor(self.positions),
            "weights": tensor(self.weights),
            "causal": self.causal if isinstance(self.causal, bool) else tensor(self.causal),
        }


def collapse_flags(causal: RowFlags, rows: slice | Places = slice(None)) -> bool | RowFlags:
    """The flags of some rows; one for all that are read in the same way, as kernels are faster."""
    some = causal[rows]
    return some if some.any() and not some.all() else bool(some.any())
