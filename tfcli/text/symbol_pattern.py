"""A pattern that finds any of many strings, the longest first."""

from __future__ import annotations

import re
from itertools import groupby
from os.path import commonprefix
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DEEPEST = 50  # strings within one another; `re` is recursive, and does not go much deeper


def symbol_pattern(symbols: Iterable[str]) -> re.Pattern[str]:
    """Matches any of these strings as a group; where several begin, the longest.

    Common beginnings are written once, so that thousands of symbols are found as fast as one.
    """
    return re.compile(f"({_alternatives(sorted({*symbols}), DEEPEST)})")


def _alternatives(symbols: list[str], depth: int) -> str:
    """A regular expression for strings in order."""
    if depth == 0:
        return f"(?:{'|'.join(map(re.escape, reversed(symbols)))})"
    groups = (list(group) for _, group in groupby(symbols, key=lambda symbol: symbol[0]))
    return f"(?:{'|'.join(_with_common_beginning(group, depth) for group in groups)})"


def _with_common_beginning(symbols: list[str], depth: int) -> str:
    beginning = commonprefix(symbols)  # noqa: RUF071 (of any strings, not of paths)
    rest = [symbol[len(beginning) :] for symbol in symbols if symbol != beginning]
    optional = "?" if len(rest) < len(symbols) else ""  # tried with the rest first
    more = f"{_alternatives(rest, depth - 1)}{optional}" if rest else ""
    return re.escape(beginning) + more
