"""The posterior of a gap equals the one from a list of all stories."""

from __future__ import annotations

from math import exp, log

import pytest

from benchmarks.story_gaps import StoryGap, TooManyWaysError
from tests.stories.ambiguity import derivations
from tests.stories.test_grammar import TOY, compile_toml

GRAMMAR = compile_toml(TOY)
STORIES = list(derivations(GRAMMAR))


@pytest.mark.parametrize(
    ("prefix", "middle", "suffix"),
    [
        ("Ann and ", "bob", " wore red."),
        ("Ann and b", "ob wore red and blue: go", "od night, she said!"),
        ("T", "ommy and ann wore r", "ed."),
        ("Tom", "my, he, wore blue and", " red: hello!"),
        ("", "Ann", " and tommy wore red."),
        ("Bob, he, wore ", "blue.", ""),
        ("Tommy and ann wore red.", "", ""),
    ],
)
def test_posterior_equals_that_of_all_stories(prefix: str, middle: str, suffix: str) -> None:
    own = sum(chance for text, chance in STORIES if text == prefix + middle + suffix)
    assert own > 0
    every = sum(
        chance
        for text, chance in STORIES
        if text.startswith(prefix)
        and text.endswith(suffix)
        and len(text) >= len(prefix) + len(suffix)
    )
    found = StoryGap(GRAMMAR, prefix, suffix).nats(-log(own))
    assert exp(-found) == pytest.approx(own / every)


def test_too_many_ways_are_said() -> None:
    with pytest.raises(TooManyWaysError):
        StoryGap(GRAMMAR, "", "!", most=3).nats(1.0)
