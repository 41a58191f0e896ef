r"""A text with gaps to fill, such as `Once [] a time` and `The [2] sat on the [1] there`.

`[]` is a gap, and `[3]` one of at most three tokens. Every other bracket is text, such as `a[i]`. A
backslash right before a gap makes it text, too: `\[]` is `[]`; and `\\[]` a backslash and a gap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tfcli.errors import UsageError

GAP = re.compile(r"(\\*)\[([0-9]*)\]")
EXAMPLE = 'tfcli fill "Once [] a time"'


@dataclass(frozen=True)
class GappedText:
    """A text with gaps.

    Attributes:
        parts: what stands before, between and after the gaps; one more than there are gaps.
        tokens: the number in each gap; None where there is none.

    """

    parts: tuple[str, ...]
    tokens: tuple[int | None, ...]


def parse_gaps(text: str) -> GappedText:
    """Finds the gaps of a text.

    Raises:
        UsageError: there is none, two have nothing in between, or one is of 0 tokens.

    """
    parts, place = [""], 0
    tokens: list[int | None] = []
    for found in GAP.finditer(text):
        parts[-1] += text[place : found.start()] + found[1][: len(found[1]) // 2]
        place = found.end()
        if len(found[1]) % 2:
            parts[-1] += f"[{found[2]}]"
        else:
            tokens.append(int(found[2]) if found[2] else None)
            parts.append("")
    parts[-1] += text[place:]
    if not tokens:
        raise UsageError("the text has no gap", why="a gap is written [], or [3]", hint=EXAMPLE)
    if 0 in tokens:
        raise UsageError("a gap has at least one token", why=r"[0] as text is written \[0]")
    if "" in parts[1:-1]:
        raise UsageError("adjacent gaps", hint="merge them into one")
    return GappedText(tuple(parts), tuple(tokens))
