"""A name is one plain folder name, never a path out of its root."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tfcli.errors import UsageError
from tfcli.files import check_name, slugify

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@given(first=st.sampled_from(LETTERS), rest=st.text(LETTERS + "._-", max_size=63))
def test_plain_names_are_accepted(first: str, rest: str) -> None:
    assert check_name(first + rest, "run") == first + rest


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../up", "a/b", "/", "/etc", "a\\b", "C:a", ".hidden", "-option", "_x"),
        *("a b", "a\n", "\n", "a\0", "é", "名前", "٣", "~", "a*", "a" * 65, "\ud800"),
    ],
)
def test_other_names_are_refused_with_a_valid_suggestion(name: str) -> None:
    with pytest.raises(UsageError, match="invalid run name") as caught:
        check_name(name, "run")
    assert caught.value.hint
    offered = caught.value.hint.split()[-1]
    assert check_name(offered, "run") == offered


@given(name=ANY_TEXT)
def test_accepted_name_stays_below_its_root(tmp_path: Path, name: str) -> None:
    try:
        check_name(name, "run")
    except UsageError:
        return
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()


@given(text=ANY_TEXT)
@example("")
@example("...")
@example("-" * 100 + "x" * 100)
@example("x" * 63 + "--")
def test_any_text_gives_a_valid_name(text: str) -> None:
    name = slugify(text)
    assert check_name(name, "run") == name


@given(first=st.sampled_from(LETTERS), rest=st.text(LETTERS, max_size=63))
def test_valid_name_is_unchanged(first: str, rest: str) -> None:
    assert slugify(first + rest) == first + rest


def test_name_made_from_a_title_resembles_it() -> None:
    assert slugify("Don Quijote (1605)") == "Don-Quijote-1605"
    assert slugify("吾輩は猫である") == "mine"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_lose_their_accents_and_nothing_else(form: Literal["NFC", "NFD"]) -> None:
    for title, name in {
        "año": "ano", "El niño y la cigüeña": "El-nino-y-la-ciguena", "Ñandú": "Nandu",
        "Straße": "Strasse", "Ærø": "AEro", "Łódź": "Lodz", "ﬁn": "fin",
    }.items():  # fmt: skip
        assert slugify(unicodedata.normalize(form, title)) == name
