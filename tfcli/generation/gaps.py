r"""A text with gaps to fill, such as `Once [] a time` and `The [2] sat on the [1] there`.

`[]` is a gap, and `[3]` one of at most three tokens. Every other bracket is text, such as `a[i]`. A
backslash right before a gap makes it text, too: `\[]` is `[]`; and `\\[]` a backslash and a gap.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from tfcli.errors import UsageError

# the lookbehind keeps a run of backslashes from being tried from each of them
GAP = re.compile(r"(?<!\\)(\\*)\[([0-9]*)\]")
# what else is written for a gap, the clearest first
LIKE_GAPS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\\)\[ *(?:\.{2,}|…|_+|\?+|mask|gap|blank)? *\]", r"<(?:mask|gap|blank)>", r"_{2,}",
        r"\{ *\}", r"\( *(?:\.{2,}|…)? *\)", r"\.{3,}|…",
    )
)  # fmt: skip
MOST_SHOWN = 12  # words of a text in a hint
MOST_TOKENS = 1_000_000  # of a gap; a model's context is far less
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
        UsageError: there is none, two have nothing in between, or one is of 0 or too many tokens.

    """
    parts, place = [""], 0
    tokens: list[int | None] = []
    for found in GAP.finditer(text):
        parts[-1] += text[place : found.start()] + found[1][: len(found[1]) // 2]
        place = found.end()
        if len(found[1]) % 2:
            parts[-1] += f"[{found[2]}]"
        else:
            tokens.append(_number(found[2]) if found[2] else None)
            parts.append("")
    parts[-1] += text[place:]
    if not tokens:
        raise UsageError(
            "the text has no gap", why="a gap is written [], or [3]", hint=_with_gap(text)
        )
    if 0 in tokens:
        raise UsageError("a gap has at least one token", why=r"[0] as text is written \[0]")
    if "" in parts[1:-1]:
        raise UsageError("adjacent gaps", hint="merge them into one")
    return GappedText(tuple(parts), tuple(tokens))


def _with_gap(text: str) -> str:
    """A command that fills a text without a gap: where one seems to be meant, or in its middle."""
    half = MOST_SHOWN // 2
    found = next((each for like in LIKE_GAPS if (each := like.search(text))), None)
    if found:
        around = text[: found.start()], text[found.end() :]
        before, after = around[0].split()[-half:], around[1].split()[:half]
        spaces = [" " * (side[-1:].isspace() or not side) for side in (around[0], around[1][::-1])]
    else:
        words = text.split()[:MOST_SHOWN]
        before, after = words[: len(words) // 2], words[len(words) // 2 :]
        spaces = [" ", " "]
    gapped = f"{' '.join(before)}{spaces[0]}[]{spaces[1]}{' '.join(after)}".strip()
    if not (before or after) or not gapped.isprintable() or len(gapped) > 200:
        return EXAMPLE
    return f"tfcli fill {shlex.quote(gapped)}"


def _number(digits: str) -> int:
    """How many tokens a gap has; Python itself refuses numbers of thousands of digits."""
    digits = digits.lstrip("0") or "0"
    if len(digits) > len(str(MOST_TOKENS)) or int(digits) > MOST_TOKENS:
        shown = digits if len(digits) <= 20 else f"{digits[:20]}…"
        raise UsageError(
            f"a gap has at most {MOST_TOKENS:,} tokens, not {shown}",
            why=rf"[{shown}] as text is written \[{shown}]",
        )
    return int(digits)
