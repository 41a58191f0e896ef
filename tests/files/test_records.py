"""A record is read from JSON exactly, or refused."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.files import read_record


@dataclass(frozen=True)
class Inner:
    flag: bool
    pair: tuple[int, float]


@dataclass(frozen=True)
class Outer:
    number: int
    measure: float
    text: str
    choice: Literal["one", "two"]
    inner: Inner
    names: list[str]
    maybe: Inner | None = None


FLOATS = st.floats(allow_nan=False)
INNERS = st.builds(Inner, st.booleans(), st.tuples(st.integers(), FLOATS))
OUTERS = st.builds(
    Outer,
    number=st.integers(),
    measure=FLOATS,
    text=st.text(),
    choice=st.sampled_from(["one", "two"]),
    inner=INNERS,
    names=st.lists(st.text()),
    maybe=st.none() | INNERS,
)
EXAMPLE = Outer(5, 0.5, "x", "one", Inner(flag=True, pair=(1, 2.0)), ["a", "b"])


def as_json(record: Any) -> Any:
    return json.loads(json.dumps(asdict(record)))


@given(record=OUTERS)
def test_record_round_trips(record: Outer) -> None:
    assert read_record(Outer, as_json(record)) == record


def test_integer_is_accepted_for_a_float() -> None:
    read = read_record(Outer, as_json(EXAMPLE) | {"measure": 3})
    assert read.measure == 3.0
    assert type(read.measure) is float


@pytest.mark.parametrize("key", ["number", "text", "inner", "names", "maybe"])
def test_missing_key_is_named(key: str) -> None:
    value = as_json(EXAMPLE)
    del value[key]
    with pytest.raises(ValueError, match=key):
        read_record(Outer, value)


def test_unknown_key_is_named() -> None:
    with pytest.raises(ValueError, match="surplus"):
        read_record(Outer, as_json(EXAMPLE) | {"surplus": 1})


WRONG_VALUES: dict[str, list[object]] = {
    "number": [True, 1.0, "1", None, [1]],
    "measure": [True, "1", None, math.nan, [], 10**400, -(10**400)],
    "text": [1, None, True, ["x"]],
    "choice": ["three", "", None, 1, ["one"], {}],
    "inner": [
        *(None, 5, "x", [], {}, [True, [1, 2.0]]),
        *({"flag": True, "pair": pair} for pair in ([], [1], [1, 2.0, 3], [1.0, 2], "12")),
        *({"flag": flag, "pair": [1, 2.0]} for flag in (0, 1, None, "true")),
    ],
    "names": ["ab", None, {}, [1], ["a", None]],
    "maybe": [False, 0, "", [], {}],
}
WRONG = [
    pytest.param(key, value, id=f"{key} {str(value)[:30]}")
    for key, values in WRONG_VALUES.items()
    for value in values
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_value_of_another_type_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError):
        read_record(Outer, as_json(EXAMPLE) | {key: value})


@pytest.mark.parametrize("value", [None, 5, "x", [], [1, 2]])
def test_anything_but_an_object_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="Outer"):
        read_record(Outer, value)


def test_message_names_the_key_and_stays_short() -> None:
    with pytest.raises(ValueError, match="invalid number") as caught:
        read_record(Outer, as_json(EXAMPLE) | {"number": "x" * 10_000})
    assert len(str(caught.value)) < 100


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(key=st.sampled_from(list(as_json(EXAMPLE))), value=ANY)
def test_any_value_is_read_exactly_or_refused(key: str, value: object) -> None:
    changed = as_json(EXAMPLE) | {key: value}
    try:
        read = read_record(Outer, changed)
    except ValueError:
        return
    assert as_json(read) == changed
