"""The stories are well told, and their probabilities are exact.

A story's probability is the probability of its telling, which is right only if no text can be told
in two ways. That is shown twice: `find_ambiguities` checks a condition on the grammar that
suffices, and `derivations` finds every way to tell a given text, independently of the teller.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import islice
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.text.stories import LANGUAGES, Story, load_grammar, tell_stories
from tfcli.text.stories.grammar import Choice, Grammar, Option, Slot, Template
from tfcli.text.stories.inflection import after_a, after_de, feminine_plural, table

STORY = Slot("story", "text")
TOY = """
# Two friends meet: their order, colours and a weighted greeting are drawn.
story = {Hero}[ and {friend}|, {hero.he},] wore {paint}[.| and {paint}: {greeting}!]
greeting = 3: hello | good [day|night], {hero.he} said
child (name / he) as hero, friend = ann / she | 2: bob / he | tom[my|as] / he
paint = red | blue
"""
STORIES = 2_000
PINNED = [
    "Tommy and ann wore red.",
    "Bob, he, wore red and blue: hello!",
    "Bob, he, wore blue.",
]


# Independent of the teller: all derivations of a text, or of all texts.


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


@cache
def many_stories(language: str) -> list[Story]:
    return list(islice(tell_stories(language, 0), STORIES))


# The engine, with grammars so small that everything can be enumerated.


def test_the_probabilities_of_all_texts_sum_to_one() -> None:
    texts = list(derivations(Grammar(TOY)))
    assert math.fsum(probability for _, probability in texts) == pytest.approx(1, abs=1e-12)
    assert max(Counter(text for text, _ in texts).values()) == 1
    assert "Ann and bob wore red." in dict(texts)


def test_a_story_knows_its_probability_and_is_told_as_often() -> None:
    grammar = Grammar(TOY)
    assert not find_ambiguities(grammar)
    probabilities = dict(derivations(grammar))
    told = list(islice(grammar.tell_all(Random(1).random), 20_000))
    for story in told:
        assert math.exp(-story.nats) == pytest.approx(probabilities[story.text], rel=1e-12)
    frequencies = Counter(story.text for story in told)
    for text, probability in probabilities.items():
        deviation = math.sqrt(probability * (1 - probability) / len(told))
        assert abs(frequencies[text] / len(told) - probability) < 5 * deviation


def test_the_stories_of_a_seed_never_change() -> None:
    stories = Grammar(TOY).tell_all(Random("toy:1").random)
    assert [story.text for story in islice(stories, 3)] == PINNED


@pytest.mark.parametrize(
    ("notation", "texts"),
    [
        ("story = [a|ab][bc|c]", 3),
        ("story = {x}{x}\nx = a | aa", 3),
        ("story = the {hero.he} {hero}\nchild (name / he) as hero = ann / she | an / she", 2),
    ],
)
def test_ambiguity_and_overlap_are_noticed(notation: str, texts: int) -> None:
    grammar = Grammar(notation)
    assert find_ambiguities(grammar)
    assert len({text for text, _ in derivations(grammar)}) == texts


def test_all_derivations_of_an_ambiguous_text_are_found() -> None:
    grammar = Grammar("story = [a|ab][bc|c]")
    assert [probability for _, probability in derivations(grammar, "abc")] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        ("story = {nobody}", "nothing fills the slot nobody"),
        ("story = {a.b}\na = c", "nothing fills the slot a.b"),
        ("story = {}", "nothing fills the slot"),
        ("story = a\nstory = b", "given twice"),
        ("story as story = a", "given twice"),
        ("story = {x}\nx (a / b) = 1 / 2 | 3", "x: 1 fields, not 2"),
    ],
)
def test_mistakes_in_the_notation_are_reported(notation: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Grammar(notation)


def test_spanish_forms() -> None:
    assert table("rojo, azul, a rayas", str, feminine_plural) == (
        "rojo / rojas | azul / azules | a rayas / a rayas"
    )
    assert table("glotón, bailarín, pastor", feminine_plural) == "glotonas | bailarinas | pastoras"
    assert table("el pozo, la torre", after_a, after_de) == (
        "al pozo / del pozo | a la torre / de la torre"
    )


# The grammars of the two languages.


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_can_be_told_in_two_ways(language: str) -> None:
    assert find_ambiguities(load_grammar(language)) == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_independent_parser_finds_one_derivation_with_the_same_probability(
    language: str,
) -> None:
    grammar = load_grammar(language)
    for story in islice(tell_stories(language, 7), 200):
        found = [-math.log(probability) for _, probability in derivations(grammar, story.text)]
        assert found == [pytest.approx(story.nats, rel=1e-12)]


@settings(max_examples=20, deadline=None)
@given(language=st.sampled_from(LANGUAGES), seed=st.integers(), other=st.integers())
def test_a_seed_decides_on_the_stories(language: str, seed: int, other: int) -> None:
    stories = list(islice(tell_stories(language, seed), 5))
    assert stories == list(islice(tell_stories(language, seed), 5))
    assert (stories == list(islice(tell_stories(language, other), 5))) == (seed == other)


def test_unknown_languages_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="'xx': choose one of en, es"):
        tell_stories("xx", 1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_stories_are_short_diverse_and_rich(language: str) -> None:
    stories = many_stories(language)
    sizes = [len(story.text.encode()) for story in stories]
    assert min(sizes) > 550
    assert max(sizes) < 1_100
    assert fmean(sizes) < 850
    assert fmean(400 <= size <= 900 for size in sizes) > 0.85
    assert 0.2 < sum(story.nats for story in stories) / sum(sizes) < 0.45
    assert len({story.text for story in stories}) == STORIES


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_more_than_two_to_the_80_stories(language: str) -> None:
    """Even the most probable stories are rare, and the entropy bounds the number from below.

    The entropy of a distribution is at most the logarithm of the number of its outcomes.
    """
    nats = [story.nats for story in many_stories(language)]
    assert min(nats) > 80 * math.log(2)
    assert fmean(nats) > 200 * math.log(2)


MARKS = re.compile(r"  | \n|\n | [,.;:!?»]|[¿¡«] |[,.;:]{2}|[.!?»][^\W\d_]|[][{}|/¶#*_]|\n{3}")
DOUBLED_WORD = re.compile(r"\b(\w+) \1\b")


@pytest.mark.parametrize("language", LANGUAGES)
def test_spacing_and_punctuation(language: str) -> None:
    for story in many_stories(language):
        assert not MARKS.search(story.text), story.text
        assert not DOUBLED_WORD.search(story.text), story.text
        assert 3 <= story.text.count("\n\n") <= 12
        for paragraph in story.text.split("\n\n"):
            assert re.match(r'["«—]?[¿¡]?[A-ZÁÉÍÓÚ]', paragraph), story.text
            assert re.search(r'[.!?]"?$', paragraph), story.text
        assert story.text.count('"') % 2 == 0
        assert story.text.count("¿") <= story.text.count("?")
        assert story.text.count("«") == story.text.count("»")


def test_english_articles() -> None:
    wrong = re.compile(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]")
    for story in many_stories("en"):
        assert not wrong.search(story.text), story.text


def test_spanish_contractions_conjunctions_and_dashes() -> None:
    wrong = re.compile(r"\b(?:de|a) el\b|\by h?i(?!e)|\b[¿¡]?o h?o")
    dialogue = re.compile(r"—[^—]+( —[^—]+(—[.,:]? [^—]+)?)?")
    for story in many_stories("es"):
        assert not wrong.search(story.text), story.text
        assert story.text.count("¿") == story.text.count("?")
        assert story.text.count("¡") == story.text.count("!")
        for paragraph in story.text.split("\n\n"):
            if "—" in paragraph:
                assert dialogue.fullmatch(paragraph), paragraph


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_story_carries_its_hero_to_the_end(language: str) -> None:
    """The first name in a story comes back: later text depends on earlier text."""
    pattern = {"en": r"called (\w+)|named (\w+)", "es": r"\b(\w+), (?:hij|niet|sobrin)[oa] "}
    heroes = 0
    for story in many_stories(language):
        beginning, _, rest = story.text.partition("\n\n")
        hero = re.search(pattern[language], beginning)
        if hero:
            heroes += 1
            assert next(name for name in hero.groups() if name) in rest
    assert heroes > 200
