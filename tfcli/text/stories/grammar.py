"""A probabilistic grammar: it tells stories and knows the exact probability of each.

The notation is a list of *choices*. A choice has a name and options; the signs are

    colour = red | blue | 2: green          a choice of three options, the last with weight 2
    walk = [ran|went] to the {place}        a choice in passing, and a slot for another choice
    child (name / he) = Ann / she | ...     each option has several fields
    child (name / he) as hero, friend = ... variables, cast from this choice
    ¶                                       a blank line between two paragraphs
    # ...                                   a comment

A slot such as `{colour}` draws anew each time. A variable is drawn once per story, when the story
first mentions it, and stays: `{hero}` is the first field of a child, `{hero.he}` the pronoun of
the same child; and the friend is another child. Fields may contain slots themselves. A capital
letter (`{Colour}`, `{Hero.he}`) begins a sentence.

Every draw has a known probability, and the probability of a telling is their product. It is the
probability of the *text* if no text can be told in two ways. For that it suffices that every
choice is a prefix code (no text of one option begins a text of another) and that the first mention
of a variable tells which option was drawn. The tests check both.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import log
from typing import NamedTuple

Uniform = Callable[[], float]
"""A source of random numbers, uniform between 0 and 1, such as `random.Random(0).random`."""

_DEFINITION = re.compile(r"^(\w+)(?: \(([^()]*)\))?(?: as ([\w, ]+))? =", re.MULTILINE)
_COMMENT = re.compile(r"^#.*\n", re.MULTILINE)
_INNERMOST_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_WEIGHT = re.compile(r"\s*(\d+): ")


@dataclass(frozen=True)
class Story:
    """A story and its negative log-probability in nats, -ln P(text)."""

    text: str
    nats: float


class Slot(NamedTuple):
    """A gap in a template, to be filled with a field of a choice's option or of a variable."""

    name: str
    field: str


Template = tuple[str | Slot, ...]


@dataclass(frozen=True, eq=False)
class Option:
    """One of the options of a choice: its weight, and a template for each of its fields."""

    weight: int
    fields: dict[str, Template]


class Choice:
    """Weighted options, of which one is drawn at a time."""

    def __init__(self, options: list[Option]) -> None:
        self.options = options
        self._cumulative = list(accumulate(option.weight for option in options))
        self._total = self._cumulative[-1]
        self._nats = [log(self._total / option.weight) for option in options]

    def draw(self, uniform: Uniform) -> tuple[Option, float]:
        """Draw an option, and return it with its negative log-probability."""
        index = bisect_right(self._cumulative, uniform() * self._total)
        return self.options[index], self._nats[index]

    def draw_except(self, taken: list[Option], uniform: Uniform) -> tuple[Option, float]:
        """Draw again and again until the option is free, so the odds of the free ones stay."""
        option, nats = self.draw(uniform)
        while option in taken:
            option, nats = self.draw(uniform)
        probability_of_free = 1 - sum(other.weight for other in taken) / self._total
        return option, nats + log(probability_of_free)


class Grammar:
    """The choices of one language, compiled from their notation; the story is the choice `story`.

    `choices` holds the choices by name, those in passing too, and `cast` says from which choice
    each variable is drawn.
    """

    def __init__(self, notation: str) -> None:
        self.choices: dict[str, Choice] = {}
        self.cast: dict[str, str] = {}
        self._fields: dict[str, list[str]] = {}
        _, *parts = _DEFINITION.split(_COMMENT.sub("", notation))
        for name, fields, variables in zip(parts[0::4], parts[1::4], parts[2::4], strict=True):
            self._fields[name] = re.split(r"\s*/\s*", fields) if fields else ["text"]
            self.cast |= dict.fromkeys(re.findall(r"\w+", variables or ""), name)
        for name, body in zip(parts[0::4], parts[3::4], strict=True):
            if name in self.choices or name in self.cast:
                raise ValueError(f"the name {name} is given twice")
            self._define(name, body)
        self._check_slots()
        self._rivals = {
            variable: [other for other in self.cast if self.cast[other] == choice]
            for variable, choice in self.cast.items()
        }

    def tell(self, uniform: Uniform) -> Story:
        """Tell one story."""
        pieces: list[str] = []
        nats = self._fill((Slot("story", "text"),), {}, uniform, pieces)
        return Story("".join(pieces), nats)

    def tell_all(self, uniform: Uniform) -> Iterator[Story]:
        """Tell one story after the other, without end."""
        while True:
            yield self.tell(uniform)

    def _fill(
        self, template: Template, cast: dict[str, Option], uniform: Uniform, pieces: list[str]
    ) -> float:
        """Append the text of a template to `pieces`; return the nats of all draws it takes."""
        nats = 0.0
        for part in template:
            if isinstance(part, str):
                pieces.append(part)
                continue
            name, field = part
            option = cast.get(name)
            if option is None:
                if name in self.cast:
                    taken = [cast[rival] for rival in self._rivals[name] if rival in cast]
                    option, surprise = self.choices[self.cast[name]].draw_except(taken, uniform)
                    cast[name] = option
                else:
                    option, surprise = self.choices[name].draw(uniform)
                nats += surprise
            nats += self._fill(option.fields[field], cast, uniform, pieces)
        return nats

    def _define(self, name: str, body: str) -> None:
        """Compile a named choice: first the choices in passing within it, inside out."""
        body = " ".join(re.sub(r"\|\s*\n\s*", "|", body).split())
        count = 1
        while count:
            body, count = _INNERMOST_BRACKETS.subn(self._define_in_passing, body)
        rows = [[cell.strip() for cell in option.split("/")] for option in body.split("|")]
        self.choices[name] = self._choice(name, self._fields[name], rows)

    def _define_in_passing(self, brackets: re.Match[str]) -> str:
        """Compile a choice in brackets, and return the slot that takes their place."""
        name = f"#{len(self.choices)}"
        self._fields[name] = ["text"]
        rows = [[text] for text in brackets[1].split("|")]
        self.choices[name] = self._choice(brackets[0], ["text"], rows)
        return f"{{{name}}}"

    def _choice(self, name: str, fields: list[str], rows: list[list[str]]) -> Choice:
        """Compile the options of a choice, given as one row of cells each."""
        options = []
        for first, *others in rows:
            weight = _WEIGHT.match(first)
            cells = [first[weight.end() :] if weight else first, *others]
            if len(cells) != len(fields):
                raise ValueError(f"{name}: {len(cells)} fields, not {len(fields)}: {cells}")
            templates = dict(zip(fields, map(self._template, cells), strict=True))
            templates |= {field.capitalize(): _capitalised(templates[field]) for field in fields}
            options.append(Option(int(weight[1]) if weight else 1, templates))
        return Choice(options)

    def _template(self, text: str) -> Template:
        """Split a text at its slots."""
        text = text.replace(" ¶ ", "\n\n")
        parts = enumerate(re.split(r"\{([^{}]*)\}", text))
        return tuple(
            self._slot(part) if index % 2 else part for index, part in parts if part or index % 2
        )

    def _slot(self, text: str) -> Slot:
        """Read what stands between two braces; without a field, the first field is meant."""
        name, _, field = text.partition(".")
        small = name[:1].lower() + name[1:]
        if not field:
            field = self._fields.get(self.cast.get(small, small), ["?"])[0]
        return Slot(small, field if small == name else field.capitalize())

    def _check_slots(self) -> None:
        """Raise ValueError if a slot names something that does not exist."""
        for choice in self.choices.values():
            for option in choice.options:
                for part in (part for template in option.fields.values() for part in template):
                    if isinstance(part, Slot):
                        source = self.choices.get(self.cast.get(part.name, part.name))
                        if source is None or part.field not in source.options[0].fields:
                            raise ValueError(f"nothing fills the slot {part.name}.{part.field}")


def _capitalised(template: Template) -> Template:
    """The same template with a capital letter at its beginning."""
    if not template:
        return template
    first, *rest = template
    if isinstance(first, str):
        return (first[:1].upper() + first[1:], *rest)
    return (Slot(first.name, first.field.capitalize()), *rest)
