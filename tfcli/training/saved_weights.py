"""What a saved step holds of a model that is trained in float32 and saved in fewer bits.

A model that came in bfloat16 or float16 is saved so again: its step is as large as its file was,
and `generate` reads no more than before. An optimizer step is often smaller than such a format can
resolve, so training goes on with float32 weights, the master weights of Micikevicius et al.,
"Mixed Precision Training", 2018, section 3.1, which are saved beside the optimizer's state. Losses
on held-out text are those of the weights as they are saved.

Vectors (norms, biases) stay in float32: they are few, and engines compute with them in float32.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tfcli.model.parameters import parameters
from tfcli.model.safetensors_file import BFLOAT16, SupportsArray, to_bfloat16
from tfcli.runtime.distributed import GatheredTensor, copy_full_tensor, local_tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from tfcli.model.transformer import Transformer
    from tfcli.runtime.dtype import DType

MASTER = "weights"  # before the name of a weight in the optimizer's file


def saved_weights(model: Transformer, dtype: DType) -> dict[str, SupportsArray]:
    """The weights as a step holds them, by name."""
    rounded = _rounded(model, dtype)
    weights = {name: GatheredTensor(p, p) for name, p in model.named_parameters()}
    return {
        name: RoundedArray(weight, dtype) if name in rounded else weight
        for name, weight in weights.items()
    }


def master_weights(model: Transformer, dtype: DType) -> dict[str, SupportsArray]:
    """The float32 weights of those that a step holds rounded, by name."""
    return {f"{MASTER}/{name}": GatheredTensor(p, p) for name, p in _rounded(model, dtype).items()}


def load_masters(model: Transformer, dtype: DType, arrays: Mapping[str, SupportsArray]) -> None:
    """Fills a model with the weights of `master_weights`.

    Raises:
        ValueError: one is missing, or has another shape.

    """
    for name, parameter in _rounded(model, dtype).items():
        array = arrays.get(f"{MASTER}/{name}")
        if array is None or array.shape != tuple(parameter.shape):
            raise ValueError(f"the optimizer state has no {MASTER}/{name} of the weight's shape")
        copy_full_tensor(parameter, torch.from_numpy(np.array(array)))


@contextmanager
def as_saved(model: Transformer, dtype: DType) -> Iterator[None]:
    """In it, the model has the weights that a step would hold of it; after it, its own again.

    The copies take the memory that gradients take in a step.
    """
    kept: dict[str, Tensor] = {}
    rounded = {name: local_tensor(p.detach()) for name, p in _rounded(model, dtype).items()}
    for name, weight in rounded.items():
        kept[name] = weight.clone()
        weight.copy_(weight.to(getattr(torch, dtype)))
    try:
        yield
    finally:
        for name, weight in rounded.items():
            weight.copy_(kept.pop(name))


def _rounded(model: Transformer, dtype: DType) -> dict[str, torch.nn.Parameter]:
    """The weights that are saved in fewer bits than they have."""
    if dtype == "float32":
        return {}
    weights = dict(model.named_parameters())
    rows = parameters(model.config)
    return {row.name: weights[row.name] for row in rows if row.role != "vector"}


class RoundedArray:
    """An array in fewer bits, made when numpy asks for it, and not kept."""

    def __init__(self, array: SupportsArray, dtype: DType) -> None:
        self._array = array
        self.shape = array.shape
        self.dtype = np.dtype([BFLOAT16] if dtype == "bfloat16" else np.float16)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = np.asarray(self._array)
        return array.astype(np.float16) if self.dtype == np.float16 else to_bfloat16(array)
