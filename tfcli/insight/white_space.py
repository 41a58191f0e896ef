"""Texts in which every run of white space is one space, and where each byte of them was.

Where a line ends says nothing of where words come from: a sentence of a book that is wrapped at 70
columns is the same sentence on one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcli.insight.training_text import Block, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

SPACE = ord(" ")
IS_SPACE = np.zeros(256, bool)
IS_SPACE[list(b" \t\n\r\f\v")] = True


def collapse(data: bytes, *, after_space: bool = False) -> tuple[bytes, Integers]:
    """The text with one space for each run of white space, and where its bytes come from.

    Args:
        after_space: whether it goes on a text that ends with white space.

    Returns:
        The text, T bytes; and the place of each in `data`, then the length of `data`: (T + 1,).

    """
    given = np.frombuffer(data, np.uint8)
    is_space = IS_SPACE[given]
    kept = ~is_space
    kept[1:] |= ~is_space[:-1]
    if len(kept) and not after_space:
        kept[0] = True
    found = np.where(is_space, SPACE, given)[kept].astype(np.uint8)
    return found.tobytes(), np.append(np.flatnonzero(kept), len(given))


class CollapsedBlock(Block):
    """A block with one space for each run of white space, whose places are those of the text."""

    def __init__(self, whole: Block, *, after_space: bool) -> None:
        data, self._origin = collapse(whole.data, after_space=after_space)
        super().__init__(data)
        self._whole = whole

    def place(self, position: int) -> Place:
        """Where a byte of the block stands."""
        return self._whole.place(int(self._origin[position]))


def collapse_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks of a text, with one space for each run of white space, over their ends too."""
    after_space = False
    for block in blocks:
        yield CollapsedBlock(block, after_space=after_space)
        after_space = bool(IS_SPACE[block.data[-1]]) if block.data else after_space
