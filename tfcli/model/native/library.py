"""The compiled kernels: loading them through ctypes, and where they are used."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tfcli.files.shared_library import load_shared_library

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
# as hatch_build.py calls them, the fastest first; on x86-64 the last one is missing
LIBRARIES = ("_kernels_amx.so", "_kernels_avx512.so", "_kernels_avx2.so", "_kernels.so")
REASON = "_kernels_missing.txt"  # written by hatch_build.py
VERSION = 3  # of the functions; library.c has the same

INT, FLOAT, ID, POINTER = c_int, c_float, c_int64, c_void_p
ROWS = (INT, INT, INT)  # number format, rows, width
SIGNATURES = {
    "add_norm": (*ROWS, *[POINTER] * 3, FLOAT, POINTER, FLOAT, *[POINTER] * 2, INT),
    "add_norm_backward": (*ROWS, *[POINTER] * 2, FLOAT, POINTER, FLOAT, *[POINTER] * 6, INT),
    "swiglu": (*ROWS, *[POINTER] * 2, INT),
    "swiglu_backward": (*ROWS, *[POINTER] * 3, INT),
    "cross_entropy": (*ROWS, *[POINTER] * 2, ID, *[POINTER] * 4, INT),
    "cross_entropy_backward": (*ROWS, *[POINTER] * 2, ID, *[POINTER] * 4, INT),
    "muon_direction": (*[INT] * 5, *[POINTER] * 2, FLOAT, POINTER, INT),
    "muon_update": (*[INT] * 5, POINTER, *[FLOAT] * 2, POINTER, INT),
    "muon_iterate": (INT, INT, INT, POINTER, *[FLOAT] * 3, INT, POINTER, INT),
    "attention": (*[POINTER] * 4, INT),
    "attention_backward": (*[POINTER] * 8, INT),
}


class _UnavailableError(Exception):
    """A library that cannot be used; the message says why."""


def _open(path: Path) -> ctypes.CDLL:
    """The library in a file, if this version of tfcli and this processor can use it."""
    try:
        library = load_shared_library(path)
        version = library.version()
    except (OSError, AttributeError) as error:
        raise _UnavailableError(f"the compiled kernels cannot be loaded: {error}") from error
    if version != VERSION:
        raise _UnavailableError("the compiled kernels belong to another version of tfcli")
    if not library.usable():
        raise _UnavailableError("this processor lacks AVX2 or FMA")
    library.features.restype = c_char_p
    library.attention_memory.argtypes, library.attention_memory.restype = [POINTER], c_size_t
    library.muon_memory.argtypes, library.muon_memory.restype = [INT, INT], c_size_t
    for name, arguments in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    return library


@cache
def _find(folder: Path) -> tuple[ctypes.CDLL | None, str]:
    """The fastest library that this processor can use, or None; and what there is to say of it."""
    reason = folder / REASON
    why = (
        reason.read_text(encoding="utf-8", errors="replace")
        if reason.exists()
        else "they were not compiled"
    )
    for path in (folder / name for name in LIBRARIES):
        if path.exists():
            try:
                library = _open(path)
            except _UnavailableError as error:
                why = str(error)
            else:
                threads = "" if library.shares_threads() else ", for one thread"
                return library, f"compiled ({library.features().decode()}{threads})"
    return None, f"torch's own ({why})"


def load_library() -> ctypes.CDLL | None:
    """The fastest library that this processor can use, or None if there is none; see `status`."""
    return _find(FOLDER)[0]


def status() -> str:
    """Whose kernels train on a CPU, and if not ours, why."""
    return _find(FOLDER)[1]


def library_for(x: Tensor, *weights: Tensor) -> ctypes.CDLL | None:
    """The library, if its kernels can compute this; None leaves it to torch.

    Args:
        x: of float32 or bfloat16, on a CPU.
        weights: of float32.

    """
    if torch.compiler.is_compiling():  # the compiler fuses torch's own with what is around them
        return None
    library = load_library()
    if library is None:
        return None
    plain = type(x) in {torch.Tensor, torch.nn.Parameter}  # not sharded, not made up for tracing
    if not plain or x.device.type != "cpu" or x.dtype not in {torch.float32, torch.bfloat16}:
        return None
    if any(weight.dtype != torch.float32 for weight in weights):
        return None
    if torch.get_num_threads() > 1 and not library.shares_threads():
        return None
    return library
