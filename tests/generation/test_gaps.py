"""Gaps in a text: what is one, and what is only a bracket."""

from __future__ import annotations

import shlex

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
        ("a [0000000000002] b", ("a ", " b"), (2,)),
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
        ("a [99999999999] b", "at most 1,000,000 tokens, not 99999999999"),
        (f"a [{'9' * 5000}] b", "at most 1,000,000 tokens, not 99999999999999999999…"),
        ("\\" * 300_000, "no gap"),  # each backslash is looked at once
    ],
)
def test_what_cannot_be_filled_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_gaps(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("El cura [...] y el barbero", "El cura [] y el barbero"),
        ("El cura [ ] y el barbero", "El cura [] y el barbero"),
        ("El cura ___ y el barbero", "El cura [] y el barbero"),
        ("El cura[…], y", "El cura[], y"),
        ("Era … de noche", "Era [] de noche"),
        ("El cura y el barbero", "El cura [] y el barbero"),
        ("uno " * 50 + "[...] " + "dos " * 50, "uno " * 6 + "[] " + "dos " * 5 + "dos"),
    ],
)
def test_the_hint_is_the_own_text_with_its_gap_mended(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_gaps(text)
    assert caught.value.hint
    assert shlex.split(caught.value.hint) == ["tfcli", "fill", hint]
    assert len(parse_gaps(hint).tokens) == 1


@given(st.text(r"[]\12a "), st.text(r"[]\12a "))
def test_any_text_can_stand_around_a_gap(before: str, after: str) -> None:
    # a bracket or backslash that the text ends with would belong to the gap
    before += " "
    one, other = (
        GAP.sub(lambda found: rf"{found[1] * 2}\[{found[2]}]", text) for text in (before, after)
    )
    found = parse_gaps(f"{one}[]{other}")
    assert found == GappedText((before, after), (None,))
