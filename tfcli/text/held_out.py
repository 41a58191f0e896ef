"""What of a text is held out: chosen from where its documents end, and cut out of its chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.text.chunks import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Ranges = tuple[tuple[int, int], ...]

LARGE = 1 / 2  # of all that is held out: a document that is larger gives only its own end
STRETCH = 1 / 16  # of all that is held out: how much of it comes from one place at least


def choose_held_out(ends: Sequence[int], fraction: float) -> Ranges:
    """What to hold out, so that every part of a corpus has its share of it.

    A large document gives its own end. Of the smaller ones some are held out as a whole: whenever
    what is missing makes a stretch worth reading, and at least half of the next document, the next
    ones are, until no more is missing than half of one.

    Args:
        ends: the byte where each document ends, in order; the last is the size of the corpus.
        fraction: the share to hold out, from 0 (nothing) to below 1.

    Returns:
        Stretches of bytes, each from its first to before its last, in order. Something is always
        left to train on.

    """
    total = ends[-1]
    large, stretch = LARGE * fraction * total, STRETCH * fraction * total
    ranges: list[tuple[int, int]] = []
    start = held = 0
    holding = False
    for end in ends:
        size, missing = end - start, fraction * end - held
        if size > large:
            first, holding = start + max(1, int(size * (1 - fraction))), False
        else:
            holding = missing >= size / 2 and (holding or missing >= stretch)
            first = start if holding else end
        if first < end:
            joined = ranges.pop()[0] if ranges and ranges[-1][1] == first else first
            ranges.append((joined, end))
            held += end - first
        start = end
    if held == total:
        return ((ends[0], total),) if len(ends) > 1 else ()
    return tuple(ranges)


def held_out_whole(ends: Sequence[int], held_out: Ranges) -> list[int]:
    """Which documents are held out from their beginning to their end."""
    starts = [0, *ends[:-1]]
    return [
        number
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
        if any(first <= start and end <= last for first, last in held_out)
    ]


def split(chunks: Iterable[Chunk], held_out: Ranges) -> Iterator[tuple[Chunk, bool]]:
    """Marks with True what is held out; cuts a chunk across a border."""
    borders = [border for stretch in held_out for border in stretch]
    position = 0
    passed = 0  # borders before what comes next; behind an odd number of them, it is held out
    for chunk in chunks:
        start = 0
        while passed < len(borders) and borders[passed] - position <= len(chunk.data):
            cut = _next_character(chunk.data, max(0, borders[passed] - position))
            if cut == len(chunk.data):
                break  # the border is where the chunk ends
            if cut > start:
                yield Chunk(chunk.data[start:cut], last=False), passed % 2 == 1
            start, passed = cut, passed + 1
        if start < len(chunk.data):
            yield Chunk(chunk.data[start:], chunk.last), passed % 2 == 1
        position += len(chunk.data)


def _next_character(data: bytes, index: int) -> int:
    """The first position at or after `index` where a character starts, at most the end."""
    index = min(index, len(data))
    while index < len(data) and data[index] & 0xC0 == 0x80:
        index += 1
    return index
