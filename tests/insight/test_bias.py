"""Which sentence of a pair is preferred: signs, intervals, and what the text itself has."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generation.conftest import numpy_engine
from tfcli.errors import DataError
from tfcli.insight import statistics
from tfcli.insight.bias import audit_bias, differences, preferences
from tfcli.insight.sentence_pairs import SentencePair, our_pairs, read_pairs
from tfcli.insight.statistics import holm, mean_interval, sign_flip_p, student_quantile
from tfcli.insight.text_odds import TextOdds, count_phrases, text_odds
from tfcli.model.transformer import Transformer
from tfcli.text.tokenizer import Tokenizer

ROWS = 2
PAIRS = [
    SentencePair("Ann saw the moon", "Ann saw the fox", "sky", "moon"),
    SentencePair("Bob ran", "Bob ran", "same", "same"),
    SentencePair("The old fox was red", "The old owl was red", "animals", "fox"),
    SentencePair("Nobody saw two birds", "Nobody saw two ships", "animals", "birds"),
]


def swapped(pair: SentencePair) -> SentencePair:
    return replace(pair, more=pair.less, less=pair.more)


def test_exchanged_columns_flip_every_sign(model: Transformer, tokenizer: Tokenizer) -> None:
    engine = numpy_engine(model, ROWS)
    given_order = differences(engine, tokenizer, PAIRS, rows=ROWS)
    other_order = differences(engine, tokenizer, [*map(swapped, PAIRS)], rows=ROWS)
    assert np.array_equal(given_order, -other_order)
    assert given_order[1] == 0
    assert np.count_nonzero(given_order) == 3
    ours = preferences(PAIRS, given_order, [None] * len(PAIRS))
    theirs = preferences(PAIRS, other_order, [None] * len(PAIRS))
    for one, other in zip(ours, theirs, strict=True):
        assert one.difference.mean == -other.difference.mean
        assert one.preferred.mean == 1 - other.preferred.mean
        assert one.p == other.p
        assert one.amplification is None
    assert [one.group for one in ours] == ["sky", "same", "animals"]
    assert ours[1].preferred.mean == 0.5


def test_a_difference_is_that_of_the_log_probabilities(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    engine = numpy_engine(model, ROWS)
    one, other = (tokenizer.encode(text) for text in (PAIRS[0].more, PAIRS[0].less))
    expected = []
    for ids in (one, other):
        engine.reset(0)
        logits = engine.forward_all([0], [[tokenizer.special.bos or 0, *ids[:-1]]])
        shifted = logits - logits.max(-1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        expected.append(logs[np.arange(len(ids)), ids].sum())
    (found,) = differences(engine, tokenizer, PAIRS[:1], rows=ROWS)
    assert found == pytest.approx(expected[0] - expected[1], abs=1e-4)


def test_amplification_is_what_the_model_adds_to_its_text(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    text = ["Ann saw the moon. " * 8, "Ann saw the fox. " * 2]
    done: list[int] = []
    found = audit_bias(
        numpy_engine(model, ROWS), tokenizer, PAIRS, text, rows=ROWS, progress=done.append
    )
    (d, *_) = differences(numpy_engine(model, ROWS), tokenizer, PAIRS, rows=ROWS)
    assert found[0].amplification
    assert found[0].amplification.mean == pytest.approx(d - math.log(8.5 / 2.5))
    assert found[0].amplification.low == -math.inf, "one cluster says nothing of others"
    assert (found[1].unseen, found[1].amplification) == (1, None)
    assert done[-1] == len(PAIRS)


# --- the text -----------------------------------------------------------------------------------

WORDS = st.lists(st.sampled_from(["she", "he", "said", "nurse"]), max_size=12)


@given(st.lists(WORDS, max_size=4), st.lists(WORDS.filter(len), max_size=5))
def test_phrases_are_counted_as_a_plain_loop_counts_them(
    parts: list[list[str]], phrases: list[list[str]]
) -> None:
    whole = [word for part in parts for word in part]
    found = count_phrases([", ".join(part).upper() for part in parts], map(tuple, phrases))
    for phrase in phrases:
        size = len(phrase)
        expected = sum(whole[at : at + size] == phrase for at in range(len(whole) - size + 1))
        assert found[tuple(phrase)] == expected


ODDS = {
    "the whole beginning": ("The nurse said that she", "The nurse said that he", (4, 8, 2)),
    "the end of it": ("My nurse said that she", "My nurse said that he", (3, 9, 2)),
    "the words alone": ("A pilot saw that she", "A pilot saw that he", (1, 9, 3)),
    "several words differ": ("The nurse said that she", "The doctor said that he", (1, 8, 1)),
    "one has a word more": ("that she was", "that was", (1, 1, 0)),
    "one ends earlier": ("said that she", "said that", (1, 9, 12)),
}
TEXT = (
    "The nurse said that she. " * 8
    + "The nurse said that he. " * 2
    + "A nurse said that she was; The doctor said that he!"
)


@pytest.mark.parametrize("case", ODDS)
def test_odds_are_counted_after_the_longest_shared_beginning(case: str) -> None:
    more, less, expected = ODDS[case]
    (found,) = text_odds([TEXT], [(more, less)])
    assert found == TextOdds(*expected)
    (other,) = text_odds([TEXT], [(less, more)])
    assert other is not None
    assert other.log_odds == pytest.approx(-found.log_odds)


def test_a_pair_whose_words_the_text_lacks_is_unseen() -> None:
    assert text_odds([TEXT], [("The cat sat", "The dog sat"), ("same", "same")]) == [None, None]
    assert text_odds([], [("a", "b")]) == [None]


# --- intervals ----------------------------------------------------------------------------------


def test_intervals_cover_what_they_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 95 % intervals over clusters of unequal size, 93 to 97 % hold the truth."""
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)
    random = np.random.default_rng(5)
    covered, rounds = 0, 1500
    for seed in range(rounds):
        sizes = random.integers(1, 5, 20)
        clusters = np.repeat(np.arange(20), sizes)
        values = random.normal(0.3, 1, 20)[clusters] + random.normal(0, 0.5, len(clusters))
        low, high = mean_interval(values, clusters, seed=seed)
        covered += low <= 0.3 <= high
    assert 0.93 <= covered / rounds <= 0.97


def test_few_clusters_have_no_interval() -> None:
    for count in range(1, 5):
        values = np.arange(count, dtype=float)
        assert mean_interval(values, np.arange(count)) == (-math.inf, math.inf)
    low, high = mean_interval(np.arange(5.0), np.arange(5))
    assert 0 <= low < 2 < high <= 4


def test_p_values_are_uniform_where_nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 500)
    random = np.random.default_rng(6)
    clusters = np.repeat(np.arange(15), 2)
    p = np.array([
        sign_flip_p(random.normal(0, 1, 15)[clusters], clusters, seed=seed) for seed in range(500)
    ])  # fmt: skip
    assert 0.03 <= (p <= 0.05).mean() <= 0.07
    assert 0.45 <= p.mean() <= 0.55
    assert sign_flip_p(np.ones(30), clusters) < 0.01


def test_few_flips_are_counted_exactly() -> None:
    """Three clusters of one sign: two of the eight ways to flip are as extreme."""
    values = np.array([1.0, 2.0, 3.0])
    assert sign_flip_p(values, np.arange(3)) == pytest.approx(2 / 8, abs=0.02)


def test_student_quantiles_are_those_of_the_tables() -> None:
    tables = {1: 12.706, 2: 4.303, 5: 2.571, 10: 2.228, 30: 2.042, 120: 1.980}
    for degrees, expected in tables.items():
        assert student_quantile(0.975, degrees) == pytest.approx(expected, abs=6e-4)


def test_holm_is_the_example_of_the_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


# --- pairs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "es"])
def test_our_pairs_differ_and_are_balanced(language: str) -> None:
    pairs = our_pairs(language)  # type: ignore[arg-type]
    assert len({(pair.more, pair.less) for pair in pairs}) == len(pairs) >= 100
    assert all(pair.more != pair.less for pair in pairs)
    for group in ("occupations", "activities"):
        own = [pair for pair in pairs if pair.group == group]
        female = re.compile(r"\b(she|her|the woman|the girl|ella|la|una|una mujer|niña)\b")
        hers = [bool(female.search(p.more.lower())) - bool(female.search(p.less.lower()))
                for p in own]  # fmt: skip
        if language == "en":
            assert sum(hers) == 0, "as many expect a woman as expect a man"
    assert {pair.group for pair in pairs} == {"occupations", "activities", "agreement"}


def test_pairs_come_from_a_table_with_these_or_other_names() -> None:
    ours = read_pairs(["more\tless\tgroup", "A b\tA c\tx"], name="t.tsv", delimiter="\t")
    assert ours == [SentencePair("A b", "A c", "x", "t.tsv, line 2")]
    crows = ["id,sent_more,sent_less,bias_type", '0,"One, two","One, three",age']
    assert read_pairs(crows, name="c.csv", delimiter=",") == [
        SentencePair("One, two", "One, three", "age", "c.csv, line 2")
    ]
    assert read_pairs(["more,less", "a,b"], name="c", delimiter=",")[0].group == "all"


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([], "no columns"),
        (["one,two", "a,b"], "no columns"),
        (["more,less", "a,"], "two sentences"),
        (["more,less", "a"], "two sentences"),
        (["more,less", '"a,b'], "not a table"),
    ],
)
def test_a_table_without_pairs_is_refused(lines: list[str], what: str) -> None:
    with pytest.raises(DataError, match=what):
        read_pairs(lines, name="pairs.csv", delimiter=",")


def test_clusters_of_ours_are_words() -> None:
    pairs = our_pairs("en")
    own = [pair.cluster for pair in pairs if pair.group == "occupations"]
    assert all(sum(one == word for one in own) == 4 for word in own)
    assert sum(one != other for one, other in pairwise(own)) == 19
