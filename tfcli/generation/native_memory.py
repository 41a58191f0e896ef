"""What a memory adds to each token, computed by `engines/memory.c`: calling it through ctypes."""

from __future__ import annotations

import copy
import ctypes
from ctypes import Structure, byref, c_int, c_size_t, c_void_p, sizeof
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.engines.native import load_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.generation.engines.engine import Logits
    from tfcli.generation.mixing import Weights
    from tfcli.text.kneser_ney import KneserNey


class _Index(Structure):
    _fields_ = [
        ("contexts", c_void_p),
        ("followers", c_void_p),
        ("marks", c_void_p),
        ("places", c_size_t),
        ("wide", c_int),
        ("vocab_size", c_int),
        ("token_bits", c_int),
        ("longest", c_int),
        ("discounts", c_void_p),
    ]


CONTEXT = np.dtype(
    [("key", "u8"), ("chances", "u8"), ("bigrams", "u8"), ("length", "i4"), ("left", "f4")]
)


@cache
def memory_library() -> ctypes.CDLL | None:
    """The compiled library, or None if there is none that can be used."""
    library = load_library()
    if library is None or not hasattr(library, "memory_layout"):
        return None
    library.memory_layout.restype = c_size_t
    if library.memory_layout() != sizeof(_Index) << 32 | CONTEXT.itemsize:
        return None
    library.next_tokens.restype = library.mix.restype = None
    library.next_tokens.argtypes = [c_void_p, c_int, *[c_void_p] * 6]
    library.mix.argtypes = [c_int, c_int, *[c_void_p] * 5]
    return library


class NativeMixture:
    """See `memory_engine.Mixture`.

    Args:
        weights: (3, FEATURES), see `mixing`.

    """

    def __init__(self, library: ctypes.CDLL, ngrams: KneserNey, weights: Weights) -> None:
        self._library, self._ngrams = library, ngrams
        index = ngrams.index
        self._weights = np.ascontiguousarray(weights, np.float32)
        # what C points to must stay alive
        self._discounts = np.ascontiguousarray(ngrams.discounts, np.float64)
        self._arrays = [
            np.ascontiguousarray(array) for array in (index.contexts, index.followers, index.marks)
        ]
        self._index = _Index(
            *(array.ctypes.data for array in self._arrays),
            places=len(index),
            wide=index.followers.dtype.itemsize == 4,
            vocab_size=index.vocab_size,
            token_bits=index.token_bits,
            longest=index.order - 1,
            discounts=self._discounts.ctypes.data,
        )
        self._make_scratch()

    def _make_scratch(self) -> None:
        shape = self._ngrams.index.order - 1, self._ngrams.index.vocab_size
        self._counts = np.zeros(shape[1], np.int32)
        self._found = np.empty(shape, np.int32)
        self._chances = np.empty(shape, np.float64)

    def with_own_scratch(self) -> NativeMixture:
        """See `Mixture`."""
        other = copy.copy(self)
        other._make_scratch()
        return other

    def mix(self, logits: Logits, histories: Sequence[Sequence[int]]) -> Logits:
        """See `Mixture`; `logits` may be overwritten."""
        logits = np.ascontiguousarray(logits, np.float32)
        contexts, kept = self._contexts(histories)
        rows = np.empty_like(logits)
        left = np.empty(len(rows), np.float32)
        self._library.next_tokens(
            byref(self._index), len(rows), contexts.ctypes.data, self._counts.ctypes.data,
            self._found.ctypes.data, self._chances.ctypes.data, rows.ctypes.data, left.ctypes.data,
        )  # fmt: skip
        self._library.mix(
            *logits.shape, contexts.ctypes.data, rows.ctypes.data, left.ctypes.data,
            self._weights.ctypes.data, logits.ctypes.data,
        )  # fmt: skip
        del kept
        return logits

    def _contexts(self, histories: Sequence[Sequence[int]]) -> tuple[np.ndarray[Any, Any], object]:
        """The contexts for C, and what they point to."""
        index, longest = self._ngrams.index, self._index.longest
        contexts = np.empty(len(histories), CONTEXT)
        kept = []
        for row, history in enumerate(histories):
            nearest = index.known(history, longest)
            bigrams = self._ngrams.bigrams_after(nearest[0] if nearest else None)
            kept.append(bigrams)
            contexts[row] = (
                index.key_of(nearest), *bigrams.addresses,
                len(nearest) if bigrams.seen else 0, bigrams.left,
            )  # fmt: skip
        return contexts, kept
