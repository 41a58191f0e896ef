"""From the weights of a saved step to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.model.parameters import check_shapes
from tfcli.runs.step import MODEL, map_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.model.transformer import Transformer


def load_weights(model: Transformer, step: Path) -> None:
    """Fills a model with the weights of a step, one after the other.

    Each process of a sharded model keeps its part. No more than one weight is in memory beside
    the model.

    Raises:
        DamagedError: a weight is missing, has another shape, or is one too many.

    """
    import numpy as np
    import torch

    from tfcli.runtime.distributed import copy_full_tensor

    path = step / MODEL
    arrays = map_arrays(path)
    check_shapes(model.config, {name: array.shape for name, array in arrays.items()}, path)
    for name, parameter in model.named_parameters():
        copy_full_tensor(parameter, torch.from_numpy(np.array(arrays[name])))
