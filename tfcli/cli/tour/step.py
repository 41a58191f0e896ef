"""A step of the tour, and what it may show; the terminal, the page and the JSON are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.insight.inspection import token_name
from tfcli.text.vocabulary import visible_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tfcli.insight.code_lines import Code
    from tfcli.insight.tour import Tour
    from tfcli.text.tokenizer import Tokenizer

# Around a word where it is explained. No text that is shown contains them: they are control
# characters, which `make_visible` and `visible_pieces` have spelled out.
TERM, END = "\x0e", "\x0f"
WORDS = {"token", "came", "would say"}  # headings of columns that are not numbers
SHOWN = 4  # numbers of a vector in a table


@dataclass(frozen=True)
class Table:
    """Some rows of text and numbers.

    Attributes:
        marked: rows to point out.

    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: tuple[int, ...] = ()

    @property
    def words(self) -> set[int]:
        """Columns that are aligned left: the first, and those of tokens."""
        return {0} | {place for place, name in enumerate(self.headings) if name in WORDS}


@dataclass(frozen=True)
class Picture:
    """A matrix as a picture: a pixel for each number.

    Attributes:
        rows: what each row is; empty: nothing is written beside them.
        shares: whether the numbers are from 0 to 1; otherwise they have signs.

    """

    caption: str
    values: Any
    rows: tuple[str, ...] = ()
    shares: bool = False


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        said: paragraphs; terms that they explain stand between `TERM` and `END`.
        formula: some lines.
        code: where it is computed.

    """

    title: str
    said: tuple[str, ...]
    formula: str
    code: tuple[Code, ...]
    figures: tuple[Table | Picture, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`; of pictures, the numbers."""
        plain = str.maketrans("", "", TERM + END)
        tables = [each for each in self.figures if isinstance(each, Table)]
        pictures = [each for each in self.figures if isinstance(each, Picture)]
        return {
            "title": self.title,
            "said": [paragraph.translate(plain) for paragraph in self.said],
            "formula": self.formula,
            "code": [
                {"file": code.file, "line": number, "text": text}
                for code in self.code
                for number, text in code.lines
            ],
            "tables": [
                {"caption": each.caption, "headings": each.headings, "rows": each.rows}
                for each in tables
            ],
            "pictures": [
                {"caption": each.caption, "values": np.round(each.values, 6).tolist()}
                for each in pictures
            ],
        }


def term(word: str) -> str:
    """A word where it is explained."""
    return f"{TERM}{word}{END}"


def shown_token(tokenizer: Tokenizer, token: int) -> str:
    """A token in its form to read; one without text by its name."""
    if token >= tokenizer.vocab_size or not tokenizer.token_bytes[token]:
        return token_name(tokenizer, token)
    return visible_pieces(tokenizer, [token])[0]


def at(tour: Tour, place: int) -> str:
    """A position with its token: `3 "▁fox"`."""
    return f"{place} “{shown_token(tour.tokenizer, tour.ids[place])}”"


def labels(tour: Tour) -> tuple[str, ...]:
    """That of each position."""
    return tuple(at(tour, place) for place in range(len(tour.ids)))


def number(value: float) -> str:
    """With three decimals, and a minus that is as wide as a digit."""
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", "−")


def components(vector: Iterable[float]) -> tuple[str, ...]:
    """The first numbers of a vector, for a row of a table."""
    return tuple(number(float(x)) for x, _ in zip(vector, range(SHOWN), strict=False))


def component_names(width: int) -> tuple[str, ...]:
    """The headings of those."""
    return tuple(f"[{place}]" for place in range(min(width, SHOWN)))


def added(caption: str, part: str, before: Any, output: Any, after: Any) -> Table:
    """What a part adds to the residual stream of a position, (E,) each."""
    named = {"before": before, f"+ {part}": output, "= after": after}
    return Table(
        caption,
        ("", *component_names(len(before)), "length"),
        tuple((name, *components(row), length(row)) for name, row in named.items()),
        marked=(2,),
    )


def length(vector: Sequence[float] | Any) -> str:
    """The length of a vector: the root of the sum of squares."""
    return number(float(np.linalg.norm(vector)))
