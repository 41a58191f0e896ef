"""A probabilistic grammar: it tells stories and knows the exact probability of each.

The notation is a list of *choices*. A choice has a name and options; the signs are

    colour = red | blue | 2: green        a choice of three options, the last with weight 2
    walk = [ran|went] to the {place}      a choice in passing, and a slot for another choice
    child (name / he) = Ann / she | ...   each option has several fields
    tree as oak, elm = ...                cast variables, drawn from this choice
    ¶                                     a blank line between two paragraphs
    # ...                                 a comment line

A slot `{colour}` draws anew each time. A *cast variable* is drawn once per story, when the story
first mentions it, and stays: if `hero` and `friend` are cast from `child`, `{hero}` is the first
field of one child, `{hero.he}` the pronoun of the same child, and the friend is another child.
A field may itself contain slots. A capital letter (`{Colour}`, `{Hero.he}`) begins a sentence.

Every draw has a known probability, and the probability of a telling is the product of its draws.
It is the probability of the *text* if each text can be told in one way only. For that it suffices
that every choice is a prefix code (no text of one option begins a text of another) and that the
first mention of a cast variable tells which option was drawn; the tests check both.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from math import log
from typing import NamedTuple

_DEFINITION = re.compile(r"^(\w+)(?: \(([^()]*)\))?(?: as ([\w, ]+))? =", re.MULTILINE)
_INNERMOST_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_WEIGHT = re.compile(r"\s*(\d+): ")


@dataclass(frozen=True)
class Story:
    """A story and its negative log-probability in nats, -ln P(text)."""

    text: str
    nats: float


class Slot(NamedTuple):
    """A gap in a template, to be filled with one field of a choice or of a cast variable."""

    name: str
    field: str


Template = tuple[str | Slot, ...]


@dataclass(frozen=True, eq=False)
class Option:
    """One of the options of a choice: its weight, and a template for each of its fields."""

    weight: int
    fields: dict[str, Template]


class Choice:
    """Weighted options, of which one is drawn."""

    def __init__(self, options: list[Option]) -> None:
        self.options = options
        self._cumulative = list(accumulate(option.weight for option in options))
        self.total = self._cumulative[-1]

    def draw(self, draw: Callable[[], float]) -> Option:
        """Turn a uniform random number into an option."""
        return self.options[bisect_right(self._cumulative, draw() * self.total)]


def _capitalised(template: Template) -> Template:
    """The same template with a capital letter at its beginning."""
    if not template:
        return template
    first, *rest = template
    if isinstance(first, str):
        return (first[:1].upper() + first[1:], *rest)
    return (Slot(first.name, first.field.capitalize()), *rest)


class Grammar:
    """The choices of one language, compiled from their notation, and its teller.

    The story is the choice called `story`.
    """

    def __init__(self, notation: str) -> None:
        self.choices: dict[str, Choice] = {}
        self.cast: dict[str, str] = {}
        self._fields: dict[str, list[str]] = {}
        notation = re.sub(r"^#.*\n", "", notation, flags=re.MULTILINE)
        _, *parts = _DEFINITION.split(notation)
        for name, fields, variables in zip(parts[0::4], parts[1::4], parts[2::4], strict=True):
            self._fields[name] = re.split(r"\s*/\s*", fields) if fields else ["text"]
            self.cast |= dict.fromkeys(re.findall(r"\w+", variables or ""), name)
        for name, body in zip(parts[0::4], parts[3::4], strict=True):
            if name in self.choices or name in self.cast:
                raise ValueError(f"the name {name} is given twice")
            self._define(name, body)
        self._check()

    def tell(self, draw: Callable[[], float]) -> Story:
        """Tell a story with the uniform random numbers that `draw` returns."""
        pieces: list[str] = []
        nats = self._fill((Slot("story", "text"),), {}, draw, pieces)
        return Story("".join(pieces), nats)

    def _fill(
        self,
        template: Template,
        cast: dict[str, Option],
        draw: Callable[[], float],
        pieces: list[str],
    ) -> float:
        """Append the text of a template to `pieces` and return the nats of its draws."""
        nats = 0.0
        for part in template:
            if isinstance(part, str):
                pieces.append(part)
                continue
            name, field = part
            option = cast.get(name)
            if option is None:
                if name in self.cast:
                    option, surprise = self._cast(name, cast, draw)
                else:
                    choice = self.choices[name]
                    option = choice.draw(draw)
                    surprise = log(choice.total / option.weight)
                nats += surprise
            nats += self._fill(option.fields[field], cast, draw, pieces)
        return nats

    def _cast(
        self, variable: str, cast: dict[str, Option], draw: Callable[[], float]
    ) -> tuple[Option, float]:
        """Draw a cast variable among the options that no other variable has taken."""
        choice = self.choices[self.cast[variable]]
        taken = [option for option in cast.values() if option in choice.options]
        option = choice.draw(draw)
        while option in taken:
            option = choice.draw(draw)
        cast[variable] = option
        free = choice.total - sum(other.weight for other in taken)
        return option, log(free / option.weight)

    def _define(self, name: str, body: str) -> None:
        """Compile the options of a named choice."""
        body = " ".join(re.sub(r"\|\s*\n\s*", "|", body).split())
        count = 1
        while count:
            body, count = _INNERMOST_BRACKETS.subn(self._define_in_passing, body)
        cells = [[cell.strip() for cell in option.split("/")] for option in body.split("|")]
        self._add(name, cells)

    def _define_in_passing(self, brackets: re.Match[str]) -> str:
        """Compile a choice in brackets and return the slot that takes their place."""
        name = f"#{len(self.choices)}"
        self._fields[name] = ["text"]
        self._add(name, [[text] for text in brackets[1].split("|")])
        return f"{{{name}}}"

    def _add(self, name: str, rows: list[list[str]]) -> None:
        options = []
        for row in rows:
            weight = _WEIGHT.match(row[0])
            if weight:
                row[0] = row[0][weight.end() :]
            try:
                cells = zip(self._fields[name], map(self._template, row), strict=True)
                fields = dict(cells)
            except ValueError as error:
                raise ValueError(f"choice {name}: {' / '.join(row)}: {error}") from error
            fields |= {field.capitalize(): _capitalised(fields[field]) for field in fields}
            options.append(Option(int(weight[1]) if weight else 1, fields))
        self.choices[name] = Choice(options)

    def _template(self, text: str) -> Template:
        """Split a text at its slots."""
        parts: list[str | Slot] = []
        text = re.sub(r" ?¶ ?", "\n\n", text)
        for index, part in enumerate(re.split(r"\{([^{}]*)\}", text)):
            if index % 2:
                parts.append(self._slot(part))
            elif part:
                parts.append(part)
        return tuple(parts)

    def _slot(self, text: str) -> Slot:
        """Read what stands between two braces; without a field, the first field is meant."""
        name, _, field = text.partition(".")
        small = name[:1].lower() + name[1:]
        if not field:
            field = self._fields.get(self.cast.get(small, small), ["?"])[0]
        return Slot(small, field if small == name else field.capitalize())

    def _check(self) -> None:
        """Raise ValueError if a slot names something that does not exist."""
        for choice in self.choices.values():
            for option in choice.options:
                for template in option.fields.values():
                    for part in template:
                        if isinstance(part, str):
                            continue
                        source = self.choices.get(self.cast.get(part.name, part.name))
                        if source is None or part.field not in source.options[0].fields:
                            raise ValueError(f"nothing fills the slot {part.name}.{part.field}")
