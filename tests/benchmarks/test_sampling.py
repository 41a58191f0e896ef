"""What the benchmark of sampling counts, on texts where it can be counted by hand."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from benchmarks.sampling import (
    Material,
    Sample,
    new_pairs,
    new_words,
    parse_setting,
    repeated,
    spaced_words,
    three_characters,
    tokenized,
    told,
    variety,
)
from benchmarks.told_stories import told_length
from tfcli.generation.request import OFF
from tfcli.stories import LANGUAGES, load_grammar, tell_stories
from tfcli.text.corpus import open_corpus


def a_sample(text: str) -> Sample:
    return Sample(text, spaced_words(text))


@pytest.fixture
def material(tmp_path: Path) -> Material:
    text = tmp_path / "text.txt"
    text.write_text("Ann saw the moon. Bob's cat saw it. " * 1000)
    corpus = open_corpus([text], cache=tmp_path / "cache")
    return Material(corpus, 2, stories=False, find_words=spaced_words)


def test_words_and_pairs_that_the_training_text_lacks_are_counted(material: Material) -> None:
    sample = a_sample("The cat saw Bob's throcket; it saw the moon")
    assert new_words(sample, material) == (1, 9)
    assert new_pairs(sample, material) == (5, 8)
    assert [new_words(each, material) for each in material.real] == [(0, 100), (0, 100)]


def test_words_that_may_be_cut_do_not_count(material: Material) -> None:
    assert material.sample("nn saw the mo", complete=False).words == ["saw", "the"]
    assert material.sample("Ann saw", complete=True).words == ["ann", "saw"]


def test_repetition_and_variety() -> None:
    assert repeated(a_sample("a b c d e")) == (0, 2)
    assert repeated(a_sample("a b c d a b c d")) == (1, 5)
    assert variety([a_sample("a b "), a_sample("a c")]) == "750 ± 0"
    assert three_characters("春の 海") == ["春の海"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_told_story_is_followed_to_its_end(language: str) -> None:
    for story in islice(tell_stories(language, 1), 5):
        assert told_length(load_grammar(language), story.text) == len(story.text)
        right, all_of_them = told(a_sample(story.text), language)
        assert right == all_of_them > 5


def test_a_story_is_followed_to_the_first_word_that_does_not_belong() -> None:
    story = next(tell_stories("en", 0)).text  # of Linus, and Digby
    end = story.rindex("Linus")
    wrong = f"{story[:end]}Lotta{story[end + 5 :]}"
    assert told_length(load_grammar("en"), wrong) == end + 1  # both begin with L
    right, followed = told(a_sample(wrong), "en")
    assert followed == right + 1


def test_lines_of_python_are_tokenized_one_by_one() -> None:
    assert tokenized(Sample("cut\nx = 'it'\nif x:\n    y = 'no\n\ncut", [])) == (2, 3)


def test_a_setting_turns_off_what_it_does_not_name() -> None:
    sampling = parse_setting("temperature=0.7,min_p=0.1")
    assert (sampling.temperature, sampling.truncation) == (0.7, OFF._replace(min_p=0.1))
    assert parse_setting("temperature=0.7").truncation == OFF
    assert parse_setting("greedy=true").greedy
