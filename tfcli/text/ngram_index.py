"""An index of a training text: where each sequence of tokens occurs, and what followed it.

All places of the text are sorted by the tokens before them, the nearest first. So the places after
any context are neighbours, those after a longer one lie within those after its end, and one binary
search finds them all; what followed there is a slice. It is a suffix array (Manber & Myers, 1993)
of the text read backwards, cut off after as many tokens as 64 bits hold.

It knows nothing of models: `tfcli.text.kneser_ney` counts with it, and whoever asks where a text
comes from finds the places themselves in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files import new_folder, read_json, require_space, to_json, verify_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Ids = np.ndarray[Any, np.dtype[Any]]  # (tokens,), unsigned integers

SCHEMA = 1
INDEX_JSON = "index.json"
KEY_BITS = 64
MAX_ORDER = 5  # tokens in the longest n-gram that is marked; longer ones gain nothing


@dataclass(frozen=True)
class NgramIndex:
    """The places of a text of N tokens, sorted by what is before them; see the module.

    A document begins where another ended: whatever is before its end counts as `eos` again.

    Attributes:
        contexts: (N,), uint64, ascending: the tokens before each place, the nearest in the highest
            bits; see `key_of`.
        followers: (N,), the token at each place; among equal contexts they ascend.
        places: (N,), where in the text each place is.
        marks: (N,), uint8: bit n - 1 is set at the first place of each n-gram's context of n tokens
            and follower, so that in a slice those with the bit are the different n + 1-grams.
        vocab_size: V; all tokens are below it.
        text: names the text and its tokens: the key of their cache.

    """

    contexts: NDArray[np.uint64]
    followers: Ids
    places: Ids
    marks: NDArray[np.uint8]
    vocab_size: int
    eos: int
    text: str

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def nbytes(self) -> int:
        """Its size in memory or on disk."""
        return sum(getattr(self, name).nbytes for name in ARRAYS)

    @cached_property
    def token_bits(self) -> int:
        """How many bits a token takes in a key."""
        return token_bits(self.vocab_size)

    @cached_property
    def depth(self) -> int:
        """How many tokens of context it holds."""
        return KEY_BITS // self.token_bits

    @cached_property
    def order(self) -> int:
        """The longest n-gram that is marked, the follower included."""
        return min(MAX_ORDER, self.depth + 1)

    @cached_property
    def masks(self) -> NDArray[np.uint64]:
        """For each length of context, 0 to `depth`: the bits that its key leaves open."""
        left = [KEY_BITS - length * self.token_bits for length in range(self.depth + 1)]
        return np.array([(1 << bits) - 1 for bits in left], np.uint64)

    def known(self, history: Sequence[int], length: int) -> list[int]:
        """The last tokens of a history, the nearest first: `length`, or all there are.

        What is before the last `eos` of a history counts as `eos`.
        """
        nearest = list(history[: -length - 1 : -1])
        if self.eos in nearest:
            first = nearest.index(self.eos)
            nearest[first:] = [self.eos] * (length - first)
        return nearest

    def key_of(self, nearest: Sequence[int]) -> int:
        """The key of a context, whose tokens are given from the nearest on."""
        key = 0
        for token in nearest:
            key = key << self.token_bits | token
        return key << (KEY_BITS - len(nearest) * self.token_bits)

    def slices(self, nearest: Sequence[int]) -> list[tuple[int, int]]:
        """The places after the last 1, 2, ... of some tokens, as begin and end in the arrays."""
        key, open_bits = np.uint64(self.key_of(nearest)), self.masks[1 : len(nearest) + 1]
        begins = self.contexts.searchsorted(key & ~open_bits).tolist()
        ends = self.contexts.searchsorted(key | open_bits, "right").tolist()
        return list(zip(begins, ends, strict=True))


def token_bits(vocab_size: int) -> int:
    """How many bits a token takes in a key."""
    return max(1, (vocab_size - 1).bit_length())


# --- making one ---------------------------------------------------------------------------------


def build_index(
    tokens: Ids,
    *,
    vocab_size: int,
    eos: int,
    text: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> NgramIndex:
    """Indexes a text, in which each document ends with `eos`.

    For N tokens it takes about 40 N bytes of memory, and half a second a million.

    Args:
        progress: told how many of the `MAX_ORDER` sorts are done.

    Raises:
        DataError: there are no tokens.

    """
    if not len(tokens):
        raise DataError("there is no text to index")
    dtype = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    followers = np.asarray(tokens, dtype)
    contexts = context_keys(followers, vocab_size=vocab_size, eos=eos)
    order = np.lexsort((followers, contexts))
    progress(1)
    contexts, followers = contexts[order], followers[order]
    places = order.astype(np.uint32 if len(order) < 1 << 32 else np.uint64)
    del order
    index = NgramIndex(
        contexts, followers, places, np.zeros(len(contexts), np.uint8), vocab_size, eos, text
    )
    for length in range(1, index.order):
        index.marks[_first_of_each(index, length)] |= 1 << (length - 1)
        progress(length + 1)
    return index


def context_keys(tokens: Ids, *, vocab_size: int, eos: int) -> NDArray[np.uint64]:
    """The key of the context of each token, (tokens,); before the first is the end of another."""
    bits = token_bits(vocab_size)
    keys = np.zeros(len(tokens), np.uint64)
    before = tokens.astype(np.uint64)
    for number in range(1, KEY_BITS // bits + 1):
        moved = np.concatenate([np.array([eos], np.uint64), before[:-1]])
        if number > 1:  # what is before an `eos` is `eos` again
            moved[before == eos] = eos
        keys |= moved << np.uint64(KEY_BITS - number * bits)
        before = moved
    return keys


def _first_of_each(index: NgramIndex, length: int) -> NDArray[np.intp]:
    """Where each pair of a context of that length and a follower comes first."""
    contexts = index.contexts >> np.uint64(KEY_BITS - length * token_bits(index.vocab_size))
    number = np.cumsum(np.diff(contexts, prepend=contexts[:1]) != 0)
    pairs = number * index.vocab_size + index.followers
    order = pairs.argsort(kind="stable")
    pairs = pairs[order]
    firsts: NDArray[np.intp] = order[np.diff(pairs, prepend=pairs[:1] - 1) != 0]
    return firsts


# --- on the disk --------------------------------------------------------------------------------

ARRAYS = ("contexts", "followers", "places", "marks")


def write_index(path: Path, index: NgramIndex) -> None:
    """Writes an index into a folder of its own, whole or not at all; an older one is replaced.

    Raises:
        InputOutputError: it cannot be written, or there is no space for it.

    """
    require_space(path, index.nbytes)
    with new_folder(path) as folder:
        for name in ARRAYS:
            array = getattr(index, name)
            with folder.new_file(f"{name}.bin") as file:
                little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
                file.write(little.view(np.uint8).data)
        about = {
            "schema": SCHEMA,
            "text": index.text,
            "tokens": len(index),
            "vocab_size": index.vocab_size,
            "eos": index.eos,
            "dtypes": {name: getattr(index, name).dtype.name for name in ARRAYS},
        }
        folder.write(INDEX_JSON, to_json(about))


def read_index(path: Path) -> NgramIndex:
    """Opens an index, memory-mapped; all but the places, which counting does not need, is verified.

    Raises:
        NotFoundError: there is none.
        DamagedError: it is not as it was written, or another version of tfcli wrote it.

    """
    if not path.is_dir():
        raise NotFoundError(f"{path} does not exist")
    verify_folder(path, only_size_of="places.bin")
    about = read_json(path / INDEX_JSON)
    if about["schema"] != SCHEMA:
        raise DamagedError(f"{path} was written by another version of tfcli")
    arrays: dict[str, Any] = {
        name: np.asarray(np.memmap(path / f"{name}.bin", about["dtypes"][name], mode="r"))
        for name in ARRAYS
    }
    if any(len(array) != about["tokens"] for array in arrays.values()):
        raise DamagedError(f"the arrays in {path} have different lengths")
    return NgramIndex(
        **arrays, vocab_size=about["vocab_size"], eos=about["eos"], text=about["text"]
    )
