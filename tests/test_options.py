"""Options as they are declared: every way to give one comes from the declaration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.cli.humanize import format_epochs
from tfcli.generation.request import (
    DEFAULT_TRUNCATION,
    OFF,
    GenerationRequest,
    Sampling,
    Truncation,
    parse_bias,
    parse_choices,
)
from tfcli.options import (
    OptionError,
    Options,
    find_option,
    make_options,
    option,
    options_of,
    refuse_conflicts,
    update_options,
    values_of,
)
from tfcli.quantities import parse_count, parse_duration
from tfcli.training.options import TrainOptions

DECLARED = [GenerationRequest, TrainOptions]


@dataclass(frozen=True, kw_only=True)
class Inner(Options):
    share: float = option(0.5, min=0, max=1, aliases=("part",), help="A share.")
    loud: bool = option(False, help="A switch.", conflicts=("share",))


@dataclass(frozen=True, kw_only=True)
class Outer(Options):
    inner: Inner = field(default_factory=Inner)
    count: int = option(1, min=1, off=1, conflicts=("limit",), help="A count.")
    limit: float | None = option(None, min=0, help="A limit.")
    color: Literal["red", "green"] = option("red", help="A color.")
    words: tuple[str, ...] = option((), help="Words.")
    mark: object = None  # no option


def test_nested_options_count_as_ones_own() -> None:
    assert list(options_of(Outer)) == ["share", "loud", "count", "limit", "color", "words"]
    made = make_options(Outer, {"share": 0.25, "count": 3})
    assert made == Outer(inner=Inner(share=0.25), count=3)
    assert values_of(made)["share"] == 0.25
    found = find_option(Outer, "part")
    assert found
    assert (found.name, found.type, found.optional) == ("share", float, False)
    assert find_option(Outer, "mark") is None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("share", "0.25", 0.25), ("loud", "yes", True), ("count", "3", 3), ("limit", "1e3", 1e3),
        ("color", "green", "green"), ("words", "a b", ("a b",)),
    ],
)  # fmt: skip
def test_text_becomes_a_value(name: str, text: str, value: object) -> None:
    assert options_of(Outer)[name].parse_text(text) == value


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("share", "much", "share must be a number, not 'much'"),
        ("count", "3.5", "count must be a whole number, not '3.5'"),
        ("loud", "perhaps", "loud must be true or false, not 'perhaps'"),
        ("color", "blue", "color must be one of red, green, not 'blue'"),
    ],
)
def test_text_of_another_type_is_refused(name: str, value: str, problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        options_of(Outer)[name].parse_text(value)
    assert caught.value.what == problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", "0.5"), ("share", True), ("share", None), ("count", 2.0), ("count", True),
        ("loud", 1), ("limit", "1"), ("color", "blue"), ("color", 3), ("words", [1]), ("words", {}),
    ],
)  # fmt: skip
def test_json_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"^{name} must be"):
        options_of(Outer)[name].parse_json(value)


def test_json_becomes_a_value() -> None:
    known = options_of(Outer)
    one = known["share"].parse_json(1)
    assert (one, type(one)) == (1.0, float)
    assert known["limit"].parse_json(None) is None
    assert known["words"].parse_json("a") == ("a",)
    assert known["words"].parse_json(["a", "b"]) == ("a", "b")


@given(st.floats())
def test_a_range_holds_however_the_record_is_made(value: float) -> None:
    if 0 <= value <= 1:
        assert make_options(Outer, {"share": value}).inner.share == value
        return
    for make in (lambda: Inner(share=value), lambda: update_options(Outer(), {"share": value})):
        with pytest.raises(OptionError, match="share must be between 0 and 1") as caught:
            make()
    spelled = caught.value.spelled(lambda name: f"--{name}")
    assert spelled.what.startswith("--share must be")


def test_what_is_set_last_resets_what_it_excludes() -> None:
    loud = update_options(Outer(), {"loud": True, "color": "green"})
    assert loud.inner == Inner(loud=True)
    quiet = update_options(loud, {"share": 0.1})
    assert quiet.inner == Inner(share=0.1)
    assert quiet.color == "green"
    assert update_options(loud, {"loud": False}).inner == Inner()


def test_two_that_exclude_each_other_are_refused_whatever_their_values_equal() -> None:
    known = options_of(Outer).values()
    for limit in (1.0, 0.0, 2.0):  # 1.0 equals 1, which turns `count` off
        with pytest.raises(OptionError, match="count cannot be combined with limit"):
            refuse_conflicts(known, {"count": 4, "limit": limit})
    refuse_conflicts(known, {"count": 1, "limit": 1.0})
    refuse_conflicts(known, {"count": 4})
    refuse_conflicts(known, {"count": 4, "limit": None})


def test_greedy_excludes_every_other_way_to_choose_a_token() -> None:
    known = options_of(Sampling)
    assert set(known["greedy"].conflicts) == known.keys() - {"greedy"}


def test_truncation_of_a_request_replaces_the_default_but_not_what_was_asked_for_before() -> None:
    def truncation(*given: dict[str, Any]) -> Truncation:
        request = GenerationRequest()
        for values in given:
            request = update_options(request, values)
        return request.sampling.truncation

    assert truncation({}) == truncation({"temperature": 2.0}) == DEFAULT_TRUNCATION
    assert truncation({"top_k": 9}) == OFF._replace(top_k=9)
    assert truncation({"top_k": 0}) == truncation({"min_p": 0.0}) == OFF
    assert truncation({"top_k": 9}, {"min_p": 0.2}) == OFF._replace(top_k=9, min_p=0.2)
    assert truncation({"top_k": 9}, {"top_k": None}) == DEFAULT_TRUNCATION
    assert truncation({"top_k": 9}, {"greedy": True}, {"greedy": False}) == DEFAULT_TRUNCATION


@pytest.mark.parametrize("kind", DECLARED)
def test_declarations_are_consistent(kind: type[Options]) -> None:
    known = options_of(kind)
    names = [name for o in known.values() for name in (o.name, *o.aliases)]
    assert len(names) == len(set(names))
    for each in known.values():
        assert each.help.endswith(".")
        assert set(each.conflicts) <= known.keys()
        if each.default is not None:
            each.check_range(each.default)
    assert values_of(kind()) == {name: each.default for name, each in known.items()}


@given(st.integers(1, 10**5), st.sampled_from(["s", "m", "min", "h"]))
def test_durations_are_seconds(tenths: int, unit: str) -> None:
    factor = {"s": 1, "m": 60, "min": 60, "h": 3600}[unit]
    assert parse_duration(f"{tenths / 10}{unit}") == pytest.approx(tenths * factor / 10)


def test_durations_add_up() -> None:
    assert parse_duration("1h30m5s") == 5405
    assert parse_duration("90") == 90


@pytest.mark.parametrize("text", ["", "5x", "0s", "-3s", "soon", "1h-5m", "9999999999h", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@given(st.integers(1, 10**9))
def test_counts_can_be_spelled_out_or_abbreviated(count: int) -> None:
    assert parse_count(str(count)) == count
    assert parse_count(f"{count}k") == count * 1000


@pytest.mark.parametrize("text", ["", "0", "-1", "2.5x", "1e3", "many"])
def test_what_is_no_count_is_refused(text: str) -> None:
    least = "at least 1, not" if text in {"0", "-1"} else "a whole number"
    with pytest.raises(ValueError, match=f"must be {least}"):
        parse_count(text)


def test_biases_and_choices_have_their_own_forms() -> None:
    assert parse_bias("42=-1.5") == ((42, -1.5),)
    assert parse_choices("yes, no") == parse_choices('["yes", "no"]') == ("yes", "no")
    bias: Any = options_of(GenerationRequest)["logit_bias"]
    assert bias.parse_json({"42": -1}) == ((42, -1.0),)


def test_few_epochs_are_not_none() -> None:
    assert format_epochs(0.004) == "less than 0.1 epochs"
    assert [format_epochs(each) for each in (0, 0.06, 7.21)] == [
        "0.0 epochs", "0.1 epochs", "7.2 epochs"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "count"), [("500", 500), ("1.5k", 1500), ("2M", 2_000_000), ("1.005K", 1005)]
)
def test_counts_have_units(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["20.5", "20,5", "1.0005k", "-1k", "1e3", "9" * 30])
def test_what_is_no_whole_number_is_no_count(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        parse_count(text)
