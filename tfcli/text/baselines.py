"""What methods without a neural network reach on the same held-out text, in nats a byte.

A figure such as 1.48 says little by itself. Beside it can stand what gzip makes of the same bytes,
and what counting n-grams of bytes does: a model that beats neither has learnt nothing that is not
on the surface of the text.

Documents end as they do for a model: with a symbol (here a byte that no UTF-8 text holds) that has
to be predicted too, but counts as no byte of text.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfcli.text.corpus import DOCUMENT_BORDER
from tfcli.text.readers import Chunk
from tfcli.text.tokenizer import END

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from tfcli.text.checked_tokens import Tokens
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer

    Grams = NDArray[np.uint64]  # each n-gram as a number, its last byte the lowest
    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

ORDER = 6  # bytes in an n-gram: the one predicted and the five before it
TRAINING_LIMIT = 4 << 20  # bytes; counting them takes about a second and 0.2 GB
PIECE_TOKENS = 1 << 16
HELD_OUT_LIMIT = 1 << 20  # bytes
GZIP_WINDOW = 1 << 15  # bytes that deflate looks back
BYTES = 256


@dataclass(frozen=True)
class Baselines:
    """What simple methods reach on a held-out text.

    Attributes:
        gzip: nats a byte; see `gzip_nats`.
        ngram: nats a byte; see `ngram_probabilities`.
        ngram_order: bytes in an n-gram, the predicted one included.
        training_bytes: of the training text, the last ones, as many as the n-grams were counted on.
        held_out_bytes: of the held-out text, the first ones, as many as were measured.

    """

    gzip: float
    ngram: float
    ngram_order: int
    training_bytes: int
    held_out_bytes: int


def measure_baselines(corpus: TokenizedCorpus, tokenizer: Tokenizer) -> Baselines | None:
    """Measures on a corpus that is tokenised already: only the part that counts is read.

    Returns:
        The measurement, or None where nothing is held out.

    """
    if not len(corpus.held_out):
        return None
    first = max(0, len(corpus.training) - TRAINING_LIMIT)  # a token is a byte at least
    return compare_texts(
        _pieces(corpus.training[first:], tokenizer), _pieces(corpus.held_out, tokenizer)
    )


def _pieces(ids: Tokens, tokenizer: Tokenizer) -> Iterator[Chunk]:
    ends = np.flatnonzero(ids == END)
    for document in np.split(ids, ends + 1):
        for start in range(0, len(document), PIECE_TOKENS):
            part = document[start : start + PIECE_TOKENS].tolist()
            last = part[-1] == END
            yield Chunk(tokenizer.decode(part[:-1] if last else part), last=last)


def compare_texts(
    training: Iterable[Chunk],
    held_out: Iterable[Chunk],
    *,
    training_limit: int = TRAINING_LIMIT,
    held_out_limit: int = HELD_OUT_LIMIT,
) -> Baselines | None:
    """Measures both methods on the beginning of the held-out text, after the end of the training.

    Args:
        training: what to count; there must be some.
        held_out: what to predict.
        training_limit, held_out_limit: how many bytes to take at most, ends of documents included.

    Returns:
        The measurement, or None for a held-out text without a byte.

    """
    seen = _last(_with_borders(training), training_limit)
    text = _first(_with_borders(held_out), held_out_limit)
    text_bytes = _count_text(text)
    if text_bytes == 0:
        return None
    ngram_nats = -float(np.log(ngram_probabilities(seen, text, order=ORDER)).sum())
    return Baselines(
        gzip=gzip_nats(seen, text) / text_bytes,
        ngram=ngram_nats / text_bytes,
        ngram_order=ORDER,
        training_bytes=_count_text(seen),
        held_out_bytes=text_bytes,
    )


def _with_borders(pieces: Iterable[Chunk]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece.data + DOCUMENT_BORDER if piece.last else piece.data


def _first(blocks: Iterable[bytes], limit: int) -> bytes:
    """The first `limit` bytes, read no further than that."""
    taken: list[bytes] = []
    size = 0
    for block in blocks:
        taken.append(block)
        size += len(block)
        if size >= limit:
            break
    return b"".join(taken)[:limit]


def _last(blocks: Iterable[bytes], limit: int) -> bytes:
    """The last `limit` bytes, with little more than that in memory."""
    kept: deque[bytes] = deque()
    size = 0
    for block in blocks:
        kept.append(block)
        size += len(block)
        while size - len(kept[0]) >= limit:
            size -= len(kept.popleft())
    return b"".join(kept)[-limit:]


def _count_text(data: bytes) -> int:
    return len(data) - data.count(DOCUMENT_BORDER)


# --- gzip ---------------------------------------------------------------------------------------


def gzip_nats(training: bytes, text: bytes) -> float:
    """What `gzip -9` needs more for the training text and `text` together than for the first alone.

    That is: deflate (RFC 1951) at level 9 with the end of the training text, as much as its window
    holds, for a dictionary; no header. So gzip too comes to `text` with what it has read before,
    and a short text is not judged by how it begins.

    Returns:
        The length of the result, in nats.

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

    where left(h) is the sum of all discounts D after h, over c(h); after an h never seen, p is
    p(w | h'). Below the longest n-grams c(hw) is the number of different bytes seen before hw
    (Kneser & Ney, 1995). The probabilities of all 256 bytes after any h sum to 1, and none is 0.

    Both texts are taken to stand after the end of a document.

    Args:
        training: at least one byte.
        order: from 1 to 8.

    Returns:
        Shape (bytes of `text`,).

    """
    grams, counts = _count(_read_grams(training, order))
    wanted = _read_grams(text, order)
    probability = np.zeros(len(text))
    weight = np.ones(len(text))  # of all the orders still to come
    # From the longest down, so that only one order's counts are in memory at a time.
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
    """The different n-grams in ascending order, and how often each is there."""
    grams = np.sort(grams)
    starts = _starts(grams)
    return grams[starts], np.diff(starts, append=len(grams))


def _starts(ascending: Grams) -> NDArray[np.intp]:
    """Where each run of equal values begins."""
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
    """Where each wanted value stands, and whether it is there at all."""
    places = np.searchsorted(ascending, wanted).clip(max=len(ascending) - 1)
    return places, ascending[places] == wanted


def choose_discounts(counts: Counts) -> Floats:
    """What to take off a count of 0, 1, 2, and 3 or more; shape (4,).

    Chen & Goodman's estimates from n1 to n4, the numbers of n-grams that occur so many times:
    D(i) = i - (i + 1) Y n(i+1) / n(i), where Y = n1 / (n1 + 2 n2). Where that is undefined or not
    between 0 and i, as for single bytes (few follow less than five others) and in a text that was
    pasted twice (nothing occurs three times), it is i / 2, the fallback of Heafield's KenLM.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    i = np.arange(1, 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = n[1] / (n[1] + 2 * n[2])
        estimates = i - (i + 1) * y * n[2:5] / n[1:4]
    usable = (estimates > 0) & (estimates < i)  # false for no number at all
    return np.concatenate([[0.0], np.where(usable, estimates, i / 2)])
