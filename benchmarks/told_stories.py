"""How far a text is one that the grammar of `tfcli demo` could have told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.stories.grammar import Slot

if TYPE_CHECKING:
    from tfcli.stories.grammar import Grammar, Option, Template

    Left = tuple[str | Slot, "Left"] | tuple[()]  # the next part to be told, and the rest


def told_length(grammar: Grammar, text: str) -> int:
    """How many characters the beginning of some story has in common with a text, at most.

    Who was mentioned is remembered: another hero's name is no part of the story.
    """
    furthest = 0
    agenda: list[tuple[int, Left, dict[str, Option]]] = [(0, (Slot("story", "text"), ()), {})]
    while agenda:
        place, left, cast = agenda.pop()
        if not left:
            continue
        part, rest = left
        if isinstance(part, str):
            same = _common_length(part, text[place : place + len(part)])
            furthest = max(furthest, place + same)
            if same == len(part):
                agenda.append((place + same, rest, cast))
            continue
        options = [cast[part.name]] if part.name in cast else _drawn(grammar, part, cast)
        for option in options:
            after = {**cast, part.name: option} if part.name in grammar.cast else cast
            agenda.append((place, _prepend(option.fields[part.field], rest), after))
    return furthest


def _drawn(grammar: Grammar, slot: Slot, cast: dict[str, Option]) -> list[Option]:
    """What may fill a slot for the first time."""
    if slot.name not in grammar.cast:
        return grammar.choices[slot.name].options
    taken = list(cast.values())
    return [one for one in grammar.choices[grammar.cast[slot.name]].options if one not in taken]


def _prepend(template: Template, left: Left) -> Left:
    for part in reversed(template):
        left = (part, left)
    return left


def _common_length(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
