"""Gaps in a text: what is one, and what is only a bracket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import UsageError
from tfcli.generation.gaps import GAP, GappedText, parse_gaps


@pytest.mark.parametrize(
    ("text", "parts", "tokens"),
    [
        ("Once [] a time", ("Once ", " a time"), (None,)),
        ("The [2] sat on the [1].", ("The ", " sat on the ", "."), (2, 1)),
        ("[]", ("", ""), (None,)),
        ("[] and []", ("", " and ", ""), (None, None)),
        ("a[i] = [x][]", ("a[i] = [x]", ""), (None,)),
        (r"x = \[][]", ("x = []", ""), (None,)),
        (r"x = \[12] + [12]", ("x = [12] + ", ""), (12,)),
        (r"C:\\[] \n \\\[] \[a]", ("C:\\", r" \n \[] \[a]"), (None,)),
        ("línea\n[3]\n", ("línea\n", "\n"), (3,)),
    ],
)
def test_gaps_are_found(text: str, parts: tuple[str, ...], tokens: tuple[int | None, ...]) -> None:
    assert parse_gaps(text) == GappedText(parts, tokens)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Once upon a time", "no gap"),
        (r"only \[]", "no gap"),
        ("a [0] b", "at least one token"),
        ("a [][2] b", "adjacent gaps"),
    ],
)
def test_what_cannot_be_filled_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_gaps(text)


@given(st.text(r"[]\12a "), st.text(r"[]\12a "))
def test_any_text_can_stand_around_a_gap(before: str, after: str) -> None:
    # a bracket or backslash that the text ends with would belong to the gap
    before += " "
    one, other = (
        GAP.sub(lambda found: rf"{found[1] * 2}\[{found[2]}]", text) for text in (before, after)
    )
    found = parse_gaps(f"{one}[]{other}")
    assert found == GappedText((before, after), (None,))
