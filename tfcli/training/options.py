"""What a user may want of a training; the plan decides the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfcli.model.config import Family, Size
    from tfcli.runtime.dtype import DType


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What the user asked for; None leaves it to the plan."""

    seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None
    tokens: int | None = None
    size: Size | None = None
    family: Family | None = None
    context_length: int | None = None
    num_layers: int | None = None
    d_model: int | None = None
    num_heads: int | None = None
    num_kv_heads: int | None = None
    tied_head: bool | None = None
    batch_tokens: int | None = None
    dropout: float | None = None
    token_dropout: float | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    dtype: DType | None = None
    eval_every: int | None = None
    save_every: int | None = None
    compile: bool | None = None
    patience: int | None = None
    sharded: bool | None = None
    documents_apart: bool = False

    @property
    def timed(self) -> bool:
        """Whether the budget is a time, and no number of updates."""
        return self.steps is self.epochs is self.tokens is None
