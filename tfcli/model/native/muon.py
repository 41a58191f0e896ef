"""Muon's step in C: what is done to each element, and with AMX the products between.

`tfcli.training.optimizers` has the same in torch, whose products are used without AMX.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import torch

from tfcli.model.native.functions import NUMBER_FORMATS, call
from tfcli.model.native.library import load_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

UNIT = 32  # sizes of blocks have to be multiples of it for `muon_iterate`


def muon_direction(
    gradients: Sequence[Tensor], momenta: Tensor, momentum: float, count: int, dtype: torch.dtype
) -> Tensor:
    """Updates the momenta, and returns their Nesterov directions in blocks of norm 1.

    Args:
        gradients: n matrices, (rows, columns) each.
        momenta: (n, rows, columns); updated in place.
        count: of blocks along the longer side of a matrix.
        dtype: of the blocks.

    Returns:
        (n count, longer side / count, shorter side).

    """
    n, rows, columns = momenta.shape
    longer, shorter = max(rows, columns), min(rows, columns)
    blocks = momenta.new_empty(n * count, longer // count, shorter, dtype=dtype)
    contiguous = [gradient.contiguous() for gradient in gradients]
    call(
        "muon_direction", NUMBER_FORMATS[dtype], n, rows, columns, count, _pointers(contiguous),
        momenta, momentum, blocks,
    )  # fmt: skip
    return blocks


def muon_iterate(blocks: Tensor, coefficients: tuple[float, float, float], iterations: int) -> bool:
    """Makes blocks of norm 1 orthogonal in place, (n, N, M); see `training.optimizers`.

    Returns:
        Whether it did: not all processors have the units, nor all blocks the sizes, for it.

    """
    n, height, width = blocks.shape
    library = load_library()
    assert library is not None, "callers ask `library_for` first"
    fitting = height % UNIT == 0 == width % UNIT and blocks.dtype == torch.bfloat16
    each = library.muon_memory(height, width) if fitting else 0
    if not each:
        return False
    memory = torch.empty(each * torch.get_num_threads())
    call("muon_iterate", n, height, width, blocks, *coefficients, iterations, memory)
    return True


def muon_update(
    weights: Sequence[Tensor], blocks: Tensor, count: int, *, keep: float, rate: float
) -> None:
    """Each weight w becomes keep w - rate u, with u in blocks as `muon_direction` returns them."""
    rows, columns = weights[0].shape
    blocks = blocks.contiguous()
    call(
        "muon_update", NUMBER_FORMATS[blocks.dtype], len(weights), rows, columns, count, blocks,
        keep, rate, _pointers(weights),
    )  # fmt: skip


def _pointers(tensors: Sequence[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))
