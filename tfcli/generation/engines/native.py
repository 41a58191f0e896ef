"""The compiled part of the numpy engine, `decoder.c`, where there is one: tokens in one call."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_float, c_int, c_size_t, c_void_p, sizeof
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.runtime import threads

if TYPE_CHECKING:
    from tfcli.generation.engines.engine import Logits
    from tfcli.generation.engines.numpy_engine import NumpyEngine

    Array = np.ndarray[Any, np.dtype[Any]]

LIBRARY = Path(__file__).with_name("_decoder.so")
VERSION = 4  # of the functions of decoder.c
SHARED_BYTES = 8 << 20  # weights above which more than one thread is faster
MANY = 8  # tokens at once for which that is so whatever the weights
MOST_THREADS = 16  # more only wait for each other
FEED_FORWARD = {"swiglu": 0, "gelu": 1, "relu": 2}


class _Matrix(Structure):
    _fields_ = [
        ("weights", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("inputs", c_int),
        ("outputs", c_int),
    ]


class _Layer(Structure):
    _fields_ = [
        ("inward", _Matrix),
        ("outward", _Matrix),
        ("up", _Matrix),
        ("down", _Matrix),
        ("head_scale", c_void_p),
        ("keys", c_void_p),
        ("values", c_void_p),
    ]


class _Model(Structure):
    _fields_ = [
        ("layers", c_int),
        ("width", c_int),
        ("heads", c_int),
        ("kv_heads", c_int),
        ("head_dim", c_int),
        ("hidden", c_int),
        ("context", c_int),
        ("window", c_int),
        ("centred", c_int),
        ("qk_norm", c_int),
        ("feed_forward", c_int),
        ("epsilon", c_float),
        ("cosines", c_void_p),
        ("sines", c_void_p),
        ("final_weight", c_void_p),
        ("final_bias", c_void_p),
        ("head", _Matrix),
        ("layer", POINTER(_Layer)),
    ]


@cache
def load_library() -> ctypes.CDLL | None:
    """The compiled library, or None where it was not made or is not for this processor."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.layout.restype = c_size_t
        if library.layout() != sizeof(_Model) << 32 | sizeof(_Layer) << 16 | VERSION:
            return None  # of another version of tfcli
    except (OSError, AttributeError):
        return None
    if not library.usable():
        return None
    library.working_space.restype = c_size_t
    library.working_space.argtypes = [POINTER(_Model), c_int, c_int]
    library.read_tokens.restype = None
    library.read_tokens.argtypes = [
        POINTER(_Model), c_void_p, c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p, c_int,
        c_void_p,
    ]  # fmt: skip
    return library


def usual_threads() -> int:
    """As many as there are cores to use, or as OMP_NUM_THREADS asks for."""
    return min(threads.usual_threads(), MOST_THREADS)


class NativeDecoder:
    """Reads tokens for an engine, whose weights and cache it points to."""

    def __init__(self, library: ctypes.CDLL, engine: NumpyEngine) -> None:
        config = engine.config
        self._library = library
        self._config = config
        self._kept: list[Array] = []  # what is pointed to must not go
        layers = (_Layer * config.num_layers)()
        for own, layer, keys, values in zip(
            layers, engine.layers, engine.keys, engine.values, strict=True
        ):
            own.inward, own.outward = self._matrix(layer.inward), self._matrix(layer.outward)
            own.up, own.down = self._matrix(layer.up), self._matrix(layer.down)
            own.head_scale = self._pointer(layer.head_scale)
            own.keys, own.values = self._pointer(keys), self._pointer(values)
        norm = engine.final_norm
        rotary = config.positions == "rotary"
        self._model = _Model(
            layers=config.num_layers,
            width=config.d_model,
            heads=config.num_heads,
            kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            hidden=config.d_ff,
            context=engine.keys.shape[3],  # as many positions as the cache has room for now
            window=config.sliding_window or 0,
            centred=config.norm == "layer_norm",
            qk_norm=config.qk_norm,
            feed_forward=FEED_FORWARD[config.feed_forward],
            epsilon=config.norm_epsilon,
            cosines=self._pointer(engine.cosines) if rotary else None,
            sines=self._pointer(engine.sines) if rotary else None,
            final_weight=self._pointer(norm.weight),
            final_bias=None if norm.bias is None else self._pointer(norm.bias),
            head=self._matrix(engine.head),
            layer=layers,
        )
        self.threads = 1 if engine.weight_bytes < SHARED_BYTES else usual_threads()
        self._space = np.empty(0, np.float32)

    def _pointer(self, array: Array) -> int:
        assert array.flags.c_contiguous, "it is read as it lies"
        self._kept.append(array)
        return array.ctypes.data

    def _matrix(self, linear: Any) -> _Matrix:
        outputs, inputs = linear.matrix.shape
        return _Matrix(
            weights=self._pointer(linear.matrix),
            scales=None if linear.scales is None else self._pointer(linear.scales),
            bias=None if linear.bias is None else self._pointer(linear.bias),
            inputs=inputs,
            outputs=outputs,
        )

    def read(self, x: Array, rows: Array, positions: Array, wanted: Array) -> Logits:
        """Reads tokens, and returns the logits after some of them: (wanted, V).

        Args:
            x: (N, E), their embeddings, used up.
            rows, positions: (N,), int64, where each stands; those of a row in order.
            wanted: int64, ascending, the places in x after which logits are wanted.

        """
        threads = self.threads if len(x) < MANY else usual_threads()
        size = self._library.working_space(byref(self._model), len(x), threads)
        if size > len(self._space):
            self._space = np.empty(size, np.float32)
        logits = np.empty((len(wanted), self._config.vocab_size), np.float32)
        self._library.read_tokens(
            byref(self._model), x.ctypes.data, len(x), rows.ctypes.data, positions.ctypes.data,
            wanted.ctypes.data, len(wanted), self._space.ctypes.data, threads, logits.ctypes.data,
        )  # fmt: skip
        return logits
