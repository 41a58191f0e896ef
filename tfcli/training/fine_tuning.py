"""What training on from another model's weights asks for, other than training from scratch.

The figures come from the experiments in `docs/lab-notes.md`, "Fine-tuning".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.model.cost import count_parameters

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig
    from tfcli.runtime.dtype import DType
    from tfcli.training.options import OptimizerKind


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The model that another one is initialized from.

    Attributes:
        config: its shape.
        optimizer: what trained its weights: those of published models, AdamW.
        saved_dtype: the number format of its weights on disk.

    """

    config: ModelConfig
    optimizer: OptimizerKind = "muon"
    saved_dtype: DType = "float32"


MUON_SHARE = 0.3  # of the learning rates from scratch, for weights that Muon has trained
# AdamW's rate falls with the width, as its best one from scratch does (Yang et al., "Tensor
# Programs V", 2022). A text much like what the weights have learned wants half of it, a very
# different one twice as much.
ADAMW_RATE, ADAMW_FROM_SCRATCH = 0.07, 0.3  # times 1 / d_model
FINE_TUNING_WARM_UP = (
    5  # steps: no warm-up is as good; of many steps, a short training has not enough
)


def adamw_learning_rate(config: ModelConfig, *, fine_tuning: bool) -> float:
    """The peak learning rate of AdamW."""
    return (ADAMW_RATE if fine_tuning else ADAMW_FROM_SCRATCH) / config.d_model


# What fine-tuning on a CPU takes at most, where one row at a time is not more: 16 bytes are a
# weight, its gradient and its two moments. So 135 M parameters need less than 3 GB in all, 600 M
# less than 12 GB, however much is free: others work on a personal machine, too.
BYTES_PER_PARAMETER, SPARE_BYTES, LEAST_BYTES = 19, 100_000_000, 1_500_000_000


def preferred_bytes(model: ModelConfig) -> int:
    """What fine-tuning a model on a CPU takes at most, where one row is not more."""
    return max(LEAST_BYTES, BYTES_PER_PARAMETER * count_parameters(model) + SPARE_BYTES)


FINE_TUNING_HINT = "use a shorter --context-length, a smaller model, or a machine with more memory"
