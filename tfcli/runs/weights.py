"""The weights of a saved step: as a file, as arrays, and in a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tfcli.model.parameters import check_shapes
from tfcli.model.safetensors_file import SafetensorsFile, to_float32
from tfcli.runs.step import MODEL, map_arrays

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tfcli.model.config import ModelConfig
    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.runtime.dtype import DType


def open_weights(run: Run, step: ValidStep) -> SafetensorsFile:
    """The weights of a step, not yet read, their names and shapes checked against `run.json`.

    Raises:
        DamagedError: they differ.

    """
    file = SafetensorsFile(step.path / MODEL)
    check_shapes(run.model_config, file.shapes, file.path)
    return file


def map_weights(config: ModelConfig, step: Path) -> dict[str, np.ndarray]:
    """The weights of a step as memory-mapped arrays, which must not be changed.

    Each is in the number format it was saved in: see `safetensors_file.to_float32`.

    Raises:
        DamagedError: a weight is missing, has another shape, or is one too many.

    """
    arrays = map_arrays(step / MODEL)
    check_shapes(config, {name: array.shape for name, array in arrays.items()}, step / MODEL)
    return arrays


def weights_dtype(step: Path) -> DType:
    """The number format of most of the weights of a step."""
    names: dict[str, DType] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    sizes = dict.fromkeys(names, 0)
    for tensor in SafetensorsFile(step / MODEL).tensors.values():
        sizes[tensor.format] = sizes.get(tensor.format, 0) + math.prod(tensor.shape)
    return names.get(max(sizes, key=lambda name: sizes[name]), "float32")


def load_weights(model: Transformer, step: Path) -> None:
    """Fills a model with the weights of a step, one after the other.

    Each process of a sharded model keeps its part. No more than one weight is in memory beside
    the model.

    Raises:
        DamagedError: as for `map_weights`.

    """
    import numpy as np
    import torch

    from tfcli.runtime.distributed import copy_full_tensor

    arrays = map_weights(model.config, step)
    for name, parameter in model.named_parameters():
        copy_full_tensor(parameter, torch.from_numpy(np.array(to_float32(arrays[name]))))
