"""The compiled part of the numpy engine, `decoder.c`: loading it, and calling it through ctypes."""

from __future__ import annotations

import copy
import ctypes
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_float,
    c_int,
    c_size_t,
    c_void_p,
    sizeof,
)
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.files.shared_library import load_shared_library
from tfcli.model.safetensors_file import is_bfloat16
from tfcli.runtime.threads import num_threads

if TYPE_CHECKING:
    from tfcli.generation.engines.numpy_layers import Linear, Matrix, ModelWeights, Norm

    Array = np.ndarray[Any, np.dtype[Any]]

FOLDER = Path(__file__).parent
# as hatch_build.py calls them, the fastest first; on x86-64 the last one is missing
LIBRARIES = ("_decoder_amx.so", "_decoder_avx512.so", "_decoder_avx2.so", "_decoder.so")
REASON = "_decoder_missing.txt"  # written by hatch_build.py
VERSION = 7  # of the functions of decoder.c
PARALLEL_BYTES = 8 << 20  # weights from which one token is faster with several threads
PARALLEL_TOKENS = 8  # tokens at once from which that is so whatever the weights
MAX_THREADS = 16  # more only wait for each other
FEED_FORWARD = {"swiglu": 0, "gelu": 1, "relu": 2}
FLOAT32, BFLOAT16, FLOAT16, INT8 = range(4)


class _Part(Structure):
    _fields_ = [
        ("weight", c_void_p),
        ("scales", c_void_p),
        ("rows", c_int),
        ("format", c_int),
    ]


class _Linear(Structure):
    _fields_ = [
        ("parts", _Part * 3),
        ("bias", c_void_p),
        ("inputs", c_int),
        ("outputs", c_int),
    ]


class _Norm(Structure):
    _fields_ = [("weight", c_void_p), ("bias", c_void_p)]


class _Layer(Structure):
    _fields_ = [
        ("attention_norm", _Norm),
        ("feed_forward_norm", _Norm),
        ("qkv", _Linear),
        ("out_proj", _Linear),
        ("up", _Linear),
        ("down", _Linear),
        ("qk_scale", c_void_p),
    ]


class _Model(Structure):
    _fields_ = [
        ("num_layers", c_int),
        ("d_model", c_int),
        ("num_heads", c_int),
        ("num_kv_heads", c_int),
        ("head_dim", c_int),
        ("d_ff", c_int),
        ("window", c_int),
        ("layer_norm", c_int),
        ("qk_norm", c_int),
        ("feed_forward", c_int),
        ("epsilon", c_float),
        ("cosines", c_void_p),
        ("sines", c_void_p),
        ("final_norm", _Norm),
        ("head", _Linear),
        ("layers", POINTER(_Layer)),
    ]


class _UnavailableError(Exception):
    """There is no compiled decoder; the message says why."""


def _open(path: Path) -> ctypes.CDLL:
    """The library in a file, if this version of tfcli and this processor can use it."""
    try:
        library = load_shared_library(path)
        library.layout.restype = c_size_t
        layout = library.layout()
    except (OSError, AttributeError) as error:
        raise _UnavailableError(f"the compiled decoder cannot be loaded: {error}") from error
    if layout != sizeof(_Model) << 32 | sizeof(_Layer) << 16 | VERSION:
        raise _UnavailableError("the compiled decoder belongs to another version of tfcli")
    if not library.usable():
        raise _UnavailableError("this processor lacks AVX2 or FMA")
    library.features.restype = c_char_p
    library.scratch_size.restype = c_size_t
    library.scratch_size.argtypes = [POINTER(_Model), c_int, c_int, c_int]
    library.forward.restype = None
    library.forward.argtypes = [
        POINTER(_Model), c_void_p, c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p, c_int,
        c_void_p, c_int, c_void_p,
    ]  # fmt: skip
    return library


@cache
def find(folder: Path) -> tuple[ctypes.CDLL | None, str]:
    """The fastest library that this processor can use, or None; and its features, or why."""
    reason = folder / REASON
    why = (
        reason.read_text(encoding="utf-8", errors="replace")
        if reason.exists()
        else "it was not compiled"
    )
    for path in (folder / name for name in LIBRARIES):
        if path.exists():
            try:
                library = _open(path)
            except _UnavailableError as error:
                why = str(error)
            else:
                return library, library.features().decode()
    return None, why


def load_library() -> ctypes.CDLL | None:
    """The fastest library that this processor can use, or None if there is none; see `status`."""
    return find(FOLDER)[0]


def status(threads: int | None = None) -> str:
    """Which engine generates on a CPU, and if it is not the compiled one, why.

    Args:
        threads: how many it uses; by default as many as it would for a large model.

    """
    library, features = find(FOLDER)
    if library is None:
        return f"numpy ({features})"
    threads = threads or default_threads()
    return f"compiled ({features}, {threads} {'thread' if threads == 1 else 'threads'})"


def default_threads() -> int:
    """The number of usable cores, or what OMP_NUM_THREADS says."""
    return min(num_threads(), MAX_THREADS)


class NativeDecoder:
    """Runs the forward pass of a model with the compiled library.

    Attributes:
        threads: how many it uses for a few tokens.

    """

    def __init__(self, library: ctypes.CDLL, weights: ModelWeights) -> None:
        config = weights.config
        self._library, self._rotary = library, weights.rotary
        self._referenced: list[Array] = []  # what C points to must stay alive
        self._layers = (_Layer * config.num_layers)()
        for target, block in zip(self._layers, weights.blocks, strict=True):
            target.attention_norm = self._norm(block.attention_norm)
            target.feed_forward_norm = self._norm(block.feed_forward_norm)
            target.qkv, target.out_proj = self._linear(block.qkv), self._linear(block.out_proj)
            target.up, target.down = self._linear(block.up), self._linear(block.down)
            target.qk_scale = self._pointer(block.qk_scale)
        self._model = _Model(
            num_layers=config.num_layers,
            d_model=config.d_model,
            num_heads=config.num_heads,
            num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            d_ff=config.d_ff,
            window=config.sliding_window or 0,
            layer_norm=config.norm == "layer_norm",
            qk_norm=config.qk_norm,
            feed_forward=FEED_FORWARD[config.feed_forward],
            epsilon=config.norm_epsilon,
            final_norm=self._norm(weights.final_norm),
            head=self._linear(weights.head),
            layers=self._layers,
        )
        self.threads = 1 if weights.nbytes < PARALLEL_BYTES else default_threads()
        self._scratch = np.empty(0, np.float32)

    def _pointer(self, array: Array | None) -> int | None:
        if array is None:
            return None
        assert array.flags.c_contiguous, "C reads it without strides"
        self._referenced.append(array)
        return array.ctypes.data

    def _norm(self, norm: Norm) -> _Norm:
        return _Norm(self._pointer(norm.weight), self._pointer(norm.bias))

    def _linear(self, linear: Linear) -> _Linear:
        made = _Linear(bias=self._pointer(linear.bias), inputs=linear.matrices[0].weight.shape[1])
        for part, matrix in zip(made.parts, linear.matrices, strict=False):
            part.weight, part.scales = self._pointer(matrix.weight), self._pointer(matrix.scales)
            part.rows, part.format = len(matrix.weight), _format(matrix)
            made.outputs += part.rows
        return made

    def with_own_scratch(self) -> NativeDecoder:
        """A decoder of the same weights that can be in use at the same time."""
        other = copy.copy(self)
        other._model = _Model.from_buffer_copy(self._model)
        other._scratch = np.empty(0, np.float32)
        return other

    def forward(
        self,
        x: Array,
        caches: Array,
        rows: Array,
        positions: Array,
        length: int,
        wanted: Array,
        logits: Array,
    ) -> None:
        """Runs tokens through the model and stores their keys and values.

        Args:
            x: (N, E), their embeddings; overwritten.
            caches: the table of `RowCaches`.
            rows, positions: (N,), int64, of each token; those of one row in order.
            length: S, above every position.
            wanted: int64, ascending, indices of the tokens after which logits are wanted.
            logits: (wanted, V), where they are put.

        """
        threads = self.threads if len(x) < PARALLEL_TOKENS else default_threads()
        if self._rotary:
            self._tables = self._rotary.up_to(length)  # alive while C reads it
            self._model.cosines, self._model.sines = (each.ctypes.data for each in self._tables)
        size = self._library.scratch_size(byref(self._model), len(x), length, threads)
        if size > len(self._scratch):
            self._scratch = np.empty(size, np.float32)
        assert logits.flags.c_contiguous, "C writes it without strides"
        self._library.forward(
            byref(self._model), x.ctypes.data, len(x), caches.ctypes.data, rows.ctypes.data,
            positions.ctypes.data, length, wanted.ctypes.data, len(wanted),
            self._scratch.ctypes.data, threads, logits.ctypes.data,
        )  # fmt: skip


def _format(matrix: Matrix) -> int:
    """As products.h numbers them."""
    if is_bfloat16(matrix.weight):
        return BFLOAT16
    return {"float32": FLOAT32, "float16": FLOAT16, "int8": INT8}[matrix.weight.dtype.name]
