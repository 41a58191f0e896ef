"""Baselines without a neural network on the same held-out text, in nats per byte.

A figure such as 1.48 says little by itself. For comparison: how well gzip compresses the same
bytes, and how well a byte n-gram model predicts them. A model that beats neither has learned
nothing beyond the surface of the text.

Documents end as they do for a model: with a symbol (here a byte that does not occur in UTF-8) that
has to be predicted too, but does not count as a byte of text.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfcli.text.chunks import Chunk
from tfcli.text.scan import DOCUMENT_BORDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from tfcli.text.checked_tokens import Tokens
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer

    Grams = NDArray[np.uint64]  # each n-gram as a number, its last byte the least significant
    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

# Bytes in an n-gram, the predicted one included. Six bytes would be only two or three characters of
# two or three bytes each.
ORDER, LONG_ORDER = 6, 8
LONG_CHARACTERS = 1.5  # bytes per character
TRAINING_LIMIT = 4 << 20  # bytes; counting them takes about a second and 0.2 GB
CHUNK_TOKENS = 1 << 16
HELD_OUT_LIMIT = 1 << 20  # bytes
GZIP_WINDOW = 1 << 15  # bytes that deflate looks back
BYTES = 256


@dataclass(frozen=True)
class Baselines:
    """The loss of simple methods on a held-out text.

    Attributes:
        gzip: nats per byte; see `gzip_nats`.
        ngram: nats per byte; see `ngram_probabilities`.
        ngram_order: bytes in an n-gram, the predicted one included.
        training_bytes: how many of the last bytes of the training text the n-grams were counted on.
        held_out_bytes: how many of the first bytes of the held-out text were measured.

    """

    gzip: float
    ngram: float
    ngram_order: int
    training_bytes: int
    held_out_bytes: int


def measure_baselines(corpus: TokenizedCorpus, tokenizer: Tokenizer) -> Baselines | None:
    """Measures on a tokenized corpus, of which only the needed part is read.

    Returns:
        The baselines, or None where nothing is held out.

    """
    if not len(corpus.held_out):
        return None
    first = max(0, len(corpus.training) - TRAINING_LIMIT)  # a token is a byte at least
    return compare_texts(
        _chunks(corpus.training[first:], tokenizer), _chunks(corpus.held_out, tokenizer)
    )


def _chunks(ids: Tokens, tokenizer: Tokenizer) -> Iterator[Chunk]:
    """The text of a stream of ids in which every document ends with `eos`."""
    eos = tokenizer.special.eos
    ends = np.flatnonzero(ids == eos)
    for document in np.split(ids, ends + 1):
        for start in range(0, len(document), CHUNK_TOKENS):
            part = document[start : start + CHUNK_TOKENS].tolist()
            last = part[-1] == eos
            yield Chunk(tokenizer.decode_continuation(part), last=last)


def compare_texts(
    training: Iterable[Chunk],
    held_out: Iterable[Chunk],
    *,
    training_limit: int = TRAINING_LIMIT,
    held_out_limit: int = HELD_OUT_LIMIT,
) -> Baselines | None:
    """Measures both methods on the start of the held-out text, after the end of the training text.

    Args:
        training: what to count; must not be empty.
        held_out: what to predict.
        training_limit, held_out_limit: how many bytes to use at most, ends of documents included.

    Returns:
        The baselines, or None for an empty held-out text.

    """
    seen = _last(_with_borders(training), training_limit)
    text = _first(_with_borders(held_out), held_out_limit)
    text_bytes = _count_text(text)
    if text_bytes == 0:
        return None
    order = ORDER if _bytes_per_character(seen) < LONG_CHARACTERS else LONG_ORDER
    ngram_nats = -float(np.log(ngram_probabilities(seen, text, order=order)).sum())
    return Baselines(
        gzip=gzip_nats(seen, text) / text_bytes,
        ngram=ngram_nats / text_bytes,
        ngram_order=order,
        training_bytes=_count_text(seen),
        held_out_bytes=text_bytes,
    )


def _with_borders(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk.data + DOCUMENT_BORDER if chunk.last else chunk.data


def _first(blocks: Iterable[bytes], limit: int) -> bytes:
    """The first `limit` bytes; little more than that is read."""
    taken: list[bytes] = []
    size = 0
    for block in blocks:
        taken.append(block)
        size += len(block)
        if size >= limit:
            break
    return b"".join(taken)[:limit]


def _last(blocks: Iterable[bytes], limit: int) -> bytes:
    """The last `limit` bytes; little more than that is in memory at a time."""
    kept: deque[bytes] = deque()
    size = 0
    for block in blocks:
        kept.append(block)
        size += len(block)
        while size - len(kept[0]) >= limit:
            size -= len(kept.popleft())
    return b"".join(kept)[-limit:]


def _bytes_per_character(data: bytes) -> float:
    # all bytes of a character but its first
    continuing = np.frombuffer(data, np.uint8) & 0xC0 == 0x80
    return len(data) / max(1, len(data) - int(continuing.sum()))


def _count_text(data: bytes) -> int:
    return len(data) - data.count(DOCUMENT_BORDER)


# --- gzip ---------------------------------------------------------------------------------------


def gzip_nats(training: bytes, text: bytes) -> float:
    """How many nats more `gzip -9` needs for both texts in a row than for the training text alone.

    That is: deflate (RFC 1951) at level 9, without a header, with the end of the training text as
    its dictionary, as much as fits its window. So gzip, too, knows the training text, and a short
    text is not judged by its start alone.

    Returns:
        The compressed length, in nats.

    """
    dictionary = training[-GZIP_WINDOW:]
    compress = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS, zdict=dictionary)
    size = len(compress.compress(text)) + len(compress.flush())
    return size * 8 * math.log(2)


# --- n-grams ------------------------------------------------------------------------------------


def ngram_probabilities(training: bytes, text: bytes, *, order: int) -> Floats:
    """The probability of each byte of `text`, given the `order - 1` bytes before it.

    Interpolated modified Kneser-Ney smoothing (Chen & Goodman, "An Empirical Study of Smoothing
    Techniques for Language Modeling", 1999, section 3), down to the uniform distribution. With
    c(hw) how often byte w follows the bytes h, and h' being h without its first byte,

        p(w | h) = max(0, c(hw) - D(c(hw))) / c(h)  +  left(h) p(w | h')

    where left(h) is the sum of all discounts D after h, over c(h); after an unseen h, p is
    p(w | h'). Below the longest n-grams c(hw) is the number of different bytes seen before hw
    (Kneser & Ney, 1995). The probabilities of all 256 bytes after any h sum to 1, and none is 0.

    Both texts are taken to follow the end of a document.

    Args:
        training: at least one byte.
        order: from 1 to 8.

    Returns:
        Shape (bytes of `text`,).

    """
    grams, counts = _count(_read_grams(training, order))
    wanted = _read_grams(text, order)
    probability = np.zeros(len(text))
    weight = np.ones(len(text))  # of all lower orders together
    # From the highest order down, so that only one order's counts are in memory at a time.
    for length in range(order, 0, -1):
        if length < order:
            grams, counts = _count(_endings(grams, length))
        share, left = _discounted(grams, counts, _endings(wanted, length))
        probability += weight * share
        weight *= left
    return probability + weight / BYTES


def _read_grams(text: bytes, order: int) -> Grams:
    """The n-gram that ends with each byte of `text`, shape (bytes,)."""
    data = np.frombuffer(DOCUMENT_BORDER * (order - 1) + text, np.uint8)
    grams = np.zeros(len(text), np.uint64)
    for i in range(order):
        grams = (grams << np.uint64(8)) | data[i : i + len(text)]
    return grams


def _endings(grams: Grams, length: int) -> Grams:
    """The last `length` bytes of each n-gram."""
    return grams & np.uint64((1 << 8 * length) - 1)


def _count(grams: Grams) -> tuple[Grams, Counts]:
    """The distinct n-grams in ascending order, and how often each occurs."""
    grams = np.sort(grams)
    starts = _starts(grams)
    return grams[starts], np.diff(starts, append=len(grams))


def _starts(ascending: Grams) -> NDArray[np.intp]:
    """Where each run of equal values starts."""
    return np.flatnonzero(np.diff(ascending, prepend=~ascending[:1]))


def _discounted(grams: Grams, counts: Counts, wanted: Grams) -> tuple[Floats, Floats]:
    """One order of the formula for each n-gram in `wanted`: its own share, and left(h)."""
    histories = grams >> np.uint64(8)
    starts = _starts(histories)  # ascending n-grams have their histories side by side
    discounts = choose_discounts(counts)[np.minimum(counts, 3)]
    totals = np.add.reduceat(counts, starts)
    left = np.add.reduceat(discounts, starts) / totals

    history, history_seen = _find(histories[starts], wanted >> np.uint64(8))
    gram, gram_seen = _find(grams, wanted)
    share = np.where(gram_seen, (counts - discounts)[gram] / totals[history], 0.0)
    return share, np.where(history_seen, left[history], 1.0)


def _find(ascending: Grams, wanted: Grams) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The position of each wanted value, and whether it is there at all."""
    positions = np.searchsorted(ascending, wanted).clip(max=len(ascending) - 1)
    return positions, ascending[positions] == wanted


def choose_discounts(counts: Counts) -> Floats:
    """The discount for a count of 0, 1, 2, and 3 or more; shape (4,).

    Chen & Goodman's estimates from n1 to n4, the numbers of n-grams that occur 1 to 4 times:
    D(i) = i - (i + 1) Y n(i+1) / n(i), where Y = n1 / (n1 + 2 n2). Where that is undefined or not
    between 0 and i, as for single bytes (few follow less than five others) and in a text that was
    pasted twice (nothing occurs three times), it is i / 2, the fallback of Heafield's KenLM.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    i = np.arange(1, 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = n[1] / (n[1] + 2 * n[2])
        estimates = i - (i + 1) * y * n[2:5] / n[1:4]
    usable = (estimates > 0) & (estimates < i)  # false for NaN
    return np.concatenate([[0.0], np.where(usable, estimates, i / 2)])
