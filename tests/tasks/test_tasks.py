"""Made pairs are right, different, and never both in a training and in a test."""

from __future__ import annotations

import datetime
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import UsageError
from tfcli.tasks import TASKS, TaskOptions, make_pairs
from tfcli.tasks.dates import MONTHS, date_to_iso
from tfcli.tasks.numbers import number_to_words, words_to_number

OPTIONS = TaskOptions()


@pytest.mark.parametrize("name", TASKS)
def test_pairs_are_different_and_tests_apart_whatever_the_seed(name: str) -> None:
    training = {p for seed in range(3) for p, _ in make_pairs(name, OPTIONS, count=300, seed=seed)}
    test = [p for p, _ in make_pairs(name, OPTIONS, count=100, seed=0, test=True)]
    assert len(set(test)) == 100
    assert not training & {*test}
    again = [p for p, _ in make_pairs(name, OPTIONS, count=100, seed=0, test=True)]
    assert again == test


@pytest.mark.parametrize("name", TASKS)
def test_answers_are_those_of_the_solver(name: str) -> None:
    for prompt, answer in make_pairs(name, OPTIONS, count=200, seed=1):
        assert TASKS[name].solve(prompt, OPTIONS) == answer


@pytest.mark.parametrize(
    ("name", "prompt", "answer"),
    [
        ("copy", "abba", "abba"),
        ("reverse", "abc", "cba"),
        ("upper", "año", "AÑO"),
        ("sort", "banana", "aaabnn"),
        ("add", "128+367", "495"),
        ("numbers", "trescientos cuarenta y dos mil ciento uno", "342101"),
        ("dates", "5 March 2021", "2021-03-05"),
        ("dates", "Friday, 5 March 2021", "2021-03-05"),
        ("dates", "Mar 5, 2021", "2021-03-05"),
        ("dates", "5.3.2021", "2021-03-05"),
        ("dates", "2021/03/05", "2021-03-05"),
    ],
)
def test_solvers_on_known_cases(name: str, prompt: str, answer: str) -> None:
    assert TASKS[name].solve(prompt, OPTIONS) == answer


def test_a_reversed_sum_begins_with_its_last_digit() -> None:
    assert TASKS["add"].solve("128+367", TaskOptions(reversed=True)) == "594"


@given(st.integers(0, 999_999))
def test_number_words_are_read_back(number: int) -> None:
    assert words_to_number(number_to_words(number)) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "cero"),
        (16, "dieciséis"),
        (21, "veintiuno"),
        (31, "treinta y uno"),
        (100, "cien"),
        (101, "ciento uno"),
        (500, "quinientos"),
        (1000, "mil"),
        (1001, "mil uno"),
        (21_000, "veintiún mil"),
        (31_000, "treinta y un mil"),
        (100_000, "cien mil"),
        (701_999, "setecientos un mil novecientos noventa y nueve"),
    ],
)
def test_number_words_are_spanish(number: int, words: str) -> None:
    assert number_to_words(number) == words


@given(st.dates(datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)))
def test_dates_are_those_of_the_calendar(day: datetime.date) -> None:
    month = MONTHS[day.month - 1]
    for written in (f"{day.day} {month} {day.year}", f"{month[:3]} {day.day}, {day.year}"):
        assert date_to_iso(written) == day.isoformat()


def sums(count: int = 2000) -> list[list[str]]:
    return [prompt.split("+") for prompt, _ in make_pairs("add", OPTIONS, count=count, seed=0)]


def test_about_half_of_the_places_of_sums_carry() -> None:
    carries = places = 0
    for numbers in sums():
        carry, length = 0, max(map(len, numbers))
        for one, other in zip(*(number.zfill(length)[::-1] for number in numbers), strict=True):
            carry = (int(one) + int(other) + carry) // 10
            carries, places = carries + carry, places + 1
    assert 0.4 < carries / places < 0.5  # a number of fewer digits seldom lets a place carry


def test_addends_of_all_lengths_meet_in_training() -> None:
    lengths = Counter((len(one), len(other)) for one, other in sums())
    assert {*lengths} == {*product((1, 2, 3), repeat=2)}
    assert lengths[3, 3] > 800  # most of a test is like these
    assert min(lengths[3, 2], lengths[2, 3]) > 200
    assert min(lengths[3, 1], lengths[1, 3]) > 80


@pytest.mark.parametrize("name", ["copy", "reverse", "upper", "sort"])
def test_strings_of_few_letters_are_for_training_alone(name: str) -> None:
    def of_few(*, test: bool) -> int:
        made = make_pairs(name, OPTIONS, count=1000, seed=0, test=test)
        return sum(len(prompt) > 10 and len({*prompt}) <= 6 for prompt, _ in made)

    assert of_few(test=False) > 100
    assert of_few(test=True) < 20


def test_more_than_there_are_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"add has only \d+ different prompts for testing"):
        list(make_pairs("add", TaskOptions(digits=1), count=50, seed=0, test=True))
