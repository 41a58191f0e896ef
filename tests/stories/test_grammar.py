"""The engine and its notation, with grammars so small that everything can be enumerated."""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from tests.stories.ambiguity import derivations, find_ambiguities
from tfcli import stories
from tfcli.stories import spanish
from tfcli.stories.grammar import Grammar
from tfcli.stories.notation import parse_grammar

TOY = """
[cast]
child = ["hero", "friend"]

# Two friends meet: their order, colors and a weighted greeting are drawn.
[toy]
story = "{Hero}[ and {friend}|, {hero.he},] wore {paint}[.| and {paint}: {greeting}!]"
greeting = [{ text = "hello", weight = 3 }, "good [day|night], {hero.he} said"]
paint = ["red", "blue"]
child = [
    { text = "ann", he = "she" },
    { text = "bob", he = "he", weight = 2 },
    { text = "tom[my|as]", he = "he" },
]
"""
FIRST_THREE = [
    "Tommy and ann wore red.",
    "Bob, he, wore red and blue: hello!",
    "Bob, he, wore blue.",
]


def compile_toml(*files: str) -> Grammar:
    return parse_grammar([tomllib.loads(file) for file in files], spanish.FORMS)


def texts_of(grammar: Grammar) -> set[str]:
    return {text for text, _ in derivations(grammar)}


def test_the_probabilities_of_all_texts_sum_to_one() -> None:
    texts = list(derivations(compile_toml(TOY)))
    assert math.fsum(probability for _, probability in texts) == pytest.approx(1, abs=1e-12)
    assert max(Counter(text for text, _ in texts).values()) == 1
    assert "Ann and bob wore red." in dict(texts)


def test_a_story_knows_its_probability_and_is_told_as_often() -> None:
    grammar = compile_toml(TOY)
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
    stories = compile_toml(TOY).tell_all(Random("toy:1").random)
    assert [story.text for story in islice(stories, 3)] == FIRST_THREE


@pytest.mark.parametrize(
    ("rules", "texts"),
    [
        ('story = "[a|ab][bc|c]"', 3),
        ('story = "{x}{x}"\nx = ["a", "aa"]', 3),
        (
            'story = "the {hero.he} {hero}"\n'
            'child = [{ text = "ann", he = "she" }, { text = "an", he = "she" }]\n'
            '[cast]\nchild = ["hero"]',
            2,
        ),
    ],
)
def test_ambiguity_and_overlap_are_noticed(rules: str, texts: int) -> None:
    grammar = compile_toml("[rules]\n" + rules)
    assert find_ambiguities(grammar)
    assert len(texts_of(grammar)) == texts


def test_all_derivations_of_an_ambiguous_text_are_found() -> None:
    grammar = compile_toml('[rules]\nstory = "[a|ab][bc|c]"')
    assert [probability for _, probability in derivations(grammar, "abc")] == [0.25, 0.25]


def test_long_form_of_an_entry_means_the_same_as_the_short_one() -> None:
    story = '[plot]\nstory = "{toy.joy} {toy}"\n'
    short = 'toy = [{ text = "kite", joy = "fly" }, { text = "drum", joy = "beat" }]'
    long = """
[[plot.toy]]
text = "kite"
joy = "fly"

[[plot.toy]]
text = "drum"
joy = "beat"
"""
    assert texts_of(compile_toml(story + short)) == texts_of(compile_toml(story + long))


def test_each_word_of_a_list_becomes_an_entry_with_its_forms() -> None:
    plot = '[plot]\nstory = "{Hero}: {hero.many}"\n[cast]\nbeast = ["hero"]'
    words = """
[[words.beast]]
words = ["un tritón", "una rana"]
many = "{word.bare.plural} verd{word.ending}[s|]"

[[words.beast]]
words = ["nadie"]
many = "-"
"""
    assert texts_of(compile_toml(plot, words)) == {
        "Un tritón: tritones verdos",
        "Un tritón: tritones verdo",
        "Una rana: ranas verdas",
        "Una rana: ranas verda",
        "Nadie: -",
    }


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('story = "{nobody}"', "story: nothing fills the slot nobody"),
        ('story = "{a.b}"\na = "c"', "nothing fills the slot a.b"),
        ('story = "{}"', "nothing fills the slot"),
        ('story = "a"\n[more]\nstory = "b"', "the name story is given twice"),
        ('story = "a"\n[cast]\nstory = ["story"]', "the name story is given twice"),
        ('story = "{x.b}"\nx = [{ a = "1", b = "2" }, { a = "3" }]', "the slot x.b"),
        ('story = [{ words = ["a"], text = "{word.dual}" }]', "no word form is called dual"),
    ],
)
def test_mistakes_in_the_notation_are_reported(rules: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        compile_toml("[rules]\n" + rules)


def test_examples_of_the_readme_are_a_grammar() -> None:
    readme = (Path(stories.__file__).parent / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```toml\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    grammar = compile_toml(*examples)
    assert not find_ambiguities(grammar)
    assert "Nora saw a tiny newt.\n\nShe said nothing and flew it over the roofs." in texts_of(
        grammar
    )


@pytest.mark.parametrize(
    ("forms", "word", "expected"),
    [
        ("feminine", "rojo", "roja"),
        ("feminine", "pastor", "pastora"),
        ("feminine plural", "rojo", "rojas"),
        ("feminine plural", "glotón", "glotonas"),
        ("feminine plural", "bailarín", "bailarinas"),
        ("feminine plural", "a rayas", "a rayas"),
        ("plural", "azul", "azules"),
        ("bare plural", "un tritón", "tritones"),
        ("definite", "una capa", "la capa"),
        ("after_a", "el pozo", "al pozo"),
        ("after_a", "la torre", "a la torre"),
        ("after_de", "el pozo", "del pozo"),
        ("after_de", "la torre", "de la torre"),
        ("ending", "las rosas", "as"),
    ],
)
def test_spanish_forms(forms: str, word: str, expected: str) -> None:
    for form in forms.split():
        word = spanish.FORMS[form](word)
    assert word == expected
