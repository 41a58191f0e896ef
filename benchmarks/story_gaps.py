"""How likely the grammar of `tfcli demo` finds a text in the gap of a story: its exact posterior.

P(middle | prefix, suffix) is P(story), which the grammar knows, by the sum of P over all stories
that begin and end in the same way. That sum is over the ways to tell a story, which follow the
prefix, say anything, and from some place on follow the suffix to the end.

Whom a story mentions first in the gap is left open until the suffix mentions it again. Who else of
the same kind is open then counts as nobody: exact where all are equally likely, and nearly else.
"""

from __future__ import annotations

from functools import cached_property
from math import log
from typing import TYPE_CHECKING

from tfcli.stories.grammar import Slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.stories.grammar import Grammar, Option, Template

    Left = tuple[str | Slot, "Left"] | tuple[()]  # the next part to be told, and the rest
    Cast = frozenset[tuple[str, Option | None]]  # None: mentioned in the gap, and open

STATES = 50_000  # places in the telling of a story that are looked at for a gap


class TooManyWaysError(Exception):
    """A gap can be filled in more ways than can be added up."""


class StoryGap:
    """The gap between two texts of a story.

    Args:
        most: how many states of a telling are looked at.

    """

    def __init__(self, grammar: Grammar, prefix: str, suffix: str, *, most: int = STATES) -> None:
        self._grammar, self._prefix, self._suffix = grammar, prefix, suffix
        self._sums: dict[tuple[Left, Cast], float] = {}
        self._matches: dict[tuple[Left, Cast, int], float] = {}
        self._most = most

    def nats(self, story_nats: float) -> float:
        """-ln P(middle | prefix, suffix) of the middle that makes a story of that -ln P."""
        return story_nats + log(self.total)

    @cached_property
    def total(self) -> float:
        """The probability of all stories that begin and end in this way.

        Raises:
            TooManyWaysError: there are more ways to tell them than `most` allows.

        """
        total = 0.0
        agenda: list[tuple[int, Left, Cast, float]] = [
            (0, (Slot("story", "text"), ()), frozenset(), 1.0)
        ]
        while agenda:
            place, left, cast, chance = agenda.pop()
            if place == len(self._prefix):
                total += chance * self._in_gap(left, cast)
                continue
            if not left:
                continue
            part, rest = left
            if isinstance(part, str):
                size = min(len(part), len(self._prefix) - place)
                if part[:size] == self._prefix[place : place + size]:
                    agenda.append((place + size, _prepend((part[size:],), rest), cast, chance))
                continue
            for option, own, after in self._drawn(part, cast):
                told = _prepend(option.fields[part.field], rest)
                agenda.append((place, told, after, chance * own))
        return total

    def _in_gap(self, left: Left, cast: Cast) -> float:
        """The probability that the rest, from some place on, is the suffix."""
        if not left:
            return float(not self._suffix)
        found = self._sums.get((left, cast))
        if found is not None:
            return found
        if len(self._sums) + len(self._matches) > self._most:
            raise TooManyWaysError
        part, rest = left
        if isinstance(part, str):
            first = self._suffix[:1]
            chance = self._in_gap(rest, cast) + sum(
                self._match(_prepend((part[place:],), rest), cast, 0)
                for place in range(len(part))
                if part[place] == first
            )
        elif self._can_be_open(part, cast):
            chance = self._in_gap(rest, cast | {(part.name, None)}) + sum(
                own * self._match(_prepend((text[place:],), rest), after, 0)
                for option, own, after in self._drawn(part, cast)
                for text in option.fields[part.field]
                if isinstance(text, str)
                for place in range(len(text))
                if text[place] == self._suffix[:1]
            )
        else:
            chance = sum(
                own * self._in_gap(_prepend(option.fields[part.field], rest), after)
                for option, own, after in self._drawn(part, cast)
            )
        self._sums[left, cast] = chance
        return chance

    def _match(self, left: Left, cast: Cast, place: int) -> float:
        """The probability that the rest is exactly the suffix from a place on."""
        while left and isinstance(left[0], str):
            if not self._suffix.startswith(left[0], place):
                return 0.0
            place, left = place + len(left[0]), left[1]
        if not left:
            return float(place == len(self._suffix))
        if (left, cast, place) not in self._matches:
            part, rest = left
            assert isinstance(part, Slot)
            self._matches[left, cast, place] = sum(
                own * self._match(_prepend(option.fields[part.field], rest), after, place)
                for option, own, after in self._drawn(part, cast)
            )
        return self._matches[left, cast, place]

    def _can_be_open(self, slot: Slot, cast: Cast) -> bool:
        """Whether it does not matter yet what fills a slot: a plain text, new or open."""
        source = self._grammar.cast.get(slot.name)
        if source is None or dict(cast).get(slot.name) is not None:
            return False
        templates = [option.fields[slot.field] for option in self._grammar.choices[source].options]
        return all(
            len(template) <= 1 and all(isinstance(part, str) for part in template)
            for template in templates
        )

    def _drawn(self, slot: Slot, cast: Cast) -> Iterator[tuple[Option, float, Cast]]:
        """What may fill a slot, how likely, and who is known afterwards."""
        known = dict(cast).get(slot.name)
        if known is not None:
            yield known, 1.0, cast
            return
        source = self._grammar.cast.get(slot.name)
        options = self._grammar.choices[source or slot.name].options
        rivals = {name for name, choice in self._grammar.cast.items() if choice == source}
        taken = [option for name, option in cast if source and name in rivals]
        free = [option for option in options if option not in taken]
        total = sum(option.weight for option in free)
        for option in free:
            after = (cast - {(slot.name, None)}) | {(slot.name, option)} if source else cast
            yield option, option.weight / total, after


def _prepend(template: Template, left: Left) -> Left:
    for part in reversed(template):
        left = left if part == "" else (part, left)
    return left


def is_story(grammar: Grammar, text: str) -> bool:
    """Whether the grammar could tell a text."""
    return StoryGap(grammar, text[:-1], text[-1:]).total > 0
