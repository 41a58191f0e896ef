"""A probabilistic grammar: it tells stories and knows the exact probability of each.

A *choice* has options, each with a weight, and an option has fields, which are templates: texts
with slots. To tell a story is to fill the slots of the choice `story`, and the slots within. A
slot usually draws an option anew. A *variable* is drawn once per story, when the story first
mentions it, and stays: `{hero}` is the text of a child, `{hero.he}` the pronoun of the same child;
and the friend, drawn from the same choice, is another child.

Every draw has a known probability, and the probability of a telling is their product. It is the
probability of the *text* if no text can be told in two ways. For that it suffices that every
choice is a prefix code (no text of one option begins a text of another) and that the first mention
of a variable tells which option was drawn. The tests check both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import log
from typing import NamedTuple

Uniform = Callable[[], float]
"""A source of random numbers, uniform between 0 and 1, such as `random.Random(0).random`."""


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
    """The choices of one language by name, and from which of them each variable is drawn (`cast`).

    Raises ValueError if something fills no slot, or is never told.
    """

    def __init__(self, choices: dict[str, Choice], cast: dict[str, str]) -> None:
        self.choices = choices
        self.cast = cast
        self._rivals = {
            variable: [other for other in cast if cast[other] == choice]
            for variable, choice in cast.items()
        }
        self._check_slots()

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

    def _check_slots(self) -> None:
        """Raise ValueError if a slot names something that does not exist."""
        slots = {
            part: name
            for name, choice in self.choices.items()
            for option in choice.options
            for template in option.fields.values()
            for part in template
            if isinstance(part, Slot)
        }
        for slot, name in slots.items():
            source = self.choices.get(self.cast.get(slot.name, slot.name))
            if source is None or any(slot.field not in each.fields for each in source.options):
                raise ValueError(f"{name}: nothing fills the slot {slot.name}.{slot.field}")
