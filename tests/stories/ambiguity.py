"""Two ways to show that no text can be told in two ways, both independent of the teller.

`derivations` finds every way to tell a given text; `find_ambiguities` checks a condition on the
grammar that suffices.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tfcli.stories.grammar import Choice, Grammar, Option, Slot, Template

STORY = Slot("story", "text")


def source(grammar: Grammar, slot: Slot) -> Choice:
    """The choice that a slot draws from, be it at once or when a variable is cast."""
    return grammar.choices[grammar.cast.get(slot.name, slot.name)]


Left = tuple["str | Slot", "Left"] | tuple[()]
"""What is left to tell: the next part and the rest, or nothing."""


def prepend(template: Template, left: Left) -> Left:
    for part in reversed(template):
        left = (part, left)
    return left


def derivations(grammar: Grammar, text: str | None = None) -> Iterator[tuple[str, float]]:
    """Every way to tell `text` (or any text), with its probability.

    The agenda holds partial derivations: what is told, what is left, who is cast, and the
    probability so far.
    """
    agenda: list[tuple[str, Left, dict[str, Option], float]] = [("", (STORY, ()), {}, 1.0)]
    while agenda:
        told, left, cast, probability = agenda.pop()
        if not left:
            if text is None or told == text:
                yield told, probability
            continue
        part, rest = left
        if isinstance(part, str):
            if text is None or text.startswith(part, len(told)):
                agenda.append((told + part, rest, cast, probability))
            continue
        options = source(grammar, part).options
        if part.name in cast:
            options = [cast[part.name]]
        elif part.name in grammar.cast:
            options = [option for option in options if option not in cast.values()]
        total = sum(option.weight for option in options)
        for option in options:
            after = {**cast, part.name: option} if part.name in grammar.cast else cast
            left = prepend(option.fields[part.field], rest)
            agenda.append((told, left, after, probability * option.weight / total))


# A sufficient condition on the grammar: every choice is a prefix code, and whoever is mentioned
# for the first time is mentioned by a field that tells which option was drawn.


def find_clash(grammar: Grammar, templates: list[Template]) -> str | None:
    """A text of one template that is also a text of another, or begins one, if there is any.

    All texts are read at once, letter by letter, as by a finite automaton; a state is the number
    of a template and what is left of it. A variable may be anybody at every mention here, which
    can only find more clashes.
    """

    def fill_slots(states: set[tuple[int, Left]]) -> frozenset[tuple[int, Left]]:
        filled, agenda = set(), list(states)
        while agenda:
            number, left = agenda.pop()
            if left and isinstance(left[0], Slot):
                for option in source(grammar, left[0]).options:
                    agenda.append((number, prepend(option.fields[left[0].field], left[1])))
            else:
                filled.add((number, left))
        return frozenset(filled)

    start = {(number, prepend(template, ())) for number, template in enumerate(templates)}
    groups = [("", fill_slots(start))]
    seen = set()
    while groups:
        text, group = groups.pop()
        if group in seen or len({number for number, _ in group}) < 2:
            continue
        seen.add(group)
        by_letter: dict[str, set[tuple[int, Left]]] = {}
        for number, left in group:
            if not left:
                return text
            letters, rest = left
            assert isinstance(letters, str)
            tail: Left = (letters[1:], rest) if letters[1:] else rest
            by_letter.setdefault(letters[0], set()).add((number, tail))
        groups += [(text + letter, fill_slots(states)) for letter, states in by_letter.items()]
    return None


def first_mentions(grammar: Grammar) -> set[Slot]:
    """The slots at which some variable is, or may be, mentioned for the first time."""
    found = set()

    @cache
    def cast_after(slot: Slot, cast: frozenset[str]) -> frozenset[str]:
        """Who is surely cast after this slot, however it is filled, if `cast` are before it."""
        if slot.name in grammar.cast and slot.name not in cast:
            found.add(slot)
            cast |= {slot.name}
        results = []
        for option in source(grammar, slot).options:
            after = cast
            for part in option.fields[slot.field]:
                if isinstance(part, Slot):
                    after = cast_after(part, after)
            results.append(after)
        return frozenset.intersection(*results)

    cast_after(STORY, frozenset())
    return found


def find_ambiguities(grammar: Grammar) -> dict[Slot, str]:
    """Where the sufficient condition fails, with a text that shows it."""
    slots = {
        part
        for choice in grammar.choices.values()
        for option in choice.options
        for template in option.fields.values()
        for part in template
        if isinstance(part, Slot)
    }
    drawn_anew = {slot for slot in slots | {STORY} if slot.name not in grammar.cast}
    ambiguities = {}
    for slot in drawn_anew | first_mentions(grammar):
        options = source(grammar, slot).options
        clash = find_clash(grammar, [option.fields[slot.field] for option in options])
        if clash is not None:
            ambiguities[slot] = clash
    return ambiguities
