"""Which number format a device multiplies fastest.

Decided from what was measured per kind of processor, never by a trial of a few milliseconds: on a
busy machine two equal commands would then choose differently, and give different bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

DType = Literal["float32", "bfloat16", "float16"]


class CPUKind(NamedTuple):
    """A kind of processor, told by what it can do, and the format it trains fastest in.

    Attributes:
        capability: as `torch.cpu.get_capabilities()` calls it; the first row that fits decides.
        product, step: how many times as fast as float32 bfloat16 is there, in a large matrix
            product and in a whole training step.

    """

    capability: str
    dtype: DType
    product: float
    step: float
    measured_on: str


# Details in docs/lab-notes.md, "bfloat16 products on a CPU".
CPU_KINDS = (
    CPUKind("amx_bf16", "bfloat16", 9.0, 1.3, "Intel Xeon with AMX, 2 cores"),
    CPUKind("avx512_bf16", "bfloat16", 4.0, 2.0, "AMD Zen 5, 2 cores"),
    CPUKind("", "float32", 0.02, 0.25, "AMD Zen 3 (AVX2), 2 cores"),  # bfloat16 is emulated
)


class CUDAKind(NamedTuple):
    """GPUs from a compute capability on, and the format that their matrix units multiply."""

    capability: tuple[int, int]
    dtype: DType


# Nvidia, "CUDA C++ Programming Guide", table "Tensor Core input data types": float16 since Volta
# (V100; Turing: T4, RTX 20xx), bfloat16 since Ampere (A100, RTX 30xx). Earlier GPUs run bfloat16
# too, but emulate it, and `torch.cuda.is_bf16_supported()` does not tell the two apart.
CUDA_KINDS = (
    CUDAKind((8, 0), "bfloat16"),
    CUDAKind((7, 0), "float16"),
    CUDAKind((0, 0), "float32"),
)


def choose_dtype(device: torch.device) -> DType:
    """The format for the matrix products of training; the same on every run on one machine.

    On MPS autocast has not shown a gain.
    """
    import torch

    if device.type == "cuda":
        return cuda_dtype(torch.cuda.get_device_capability(device))
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        return cpu_dtype(torch.cpu.get_capabilities())
    return "float32"


def cuda_dtype(capability: tuple[int, int]) -> DType:
    """The format for a GPU of some compute capability."""
    return next(kind.dtype for kind in CUDA_KINDS if capability >= kind.capability)


def cpu_dtype(capabilities: Mapping[str, object]) -> DType:
    """The format for a CPU with some capabilities."""
    return next(k.dtype for k in CPU_KINDS if not k.capability or capabilities.get(k.capability))
