"""Streamed text is complete, immediate and safe for a terminal."""

from __future__ import annotations

import itertools
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tfcli.generation.streaming import TextStream, make_visible


@given(st.text(), st.lists(st.integers(0, 200)))
def test_text_split_anywhere_is_streamed_completely_and_immediately(
    text: str, cuts: list[int]
) -> None:
    data = text.encode()
    stream = TextStream()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    shown = ""
    for start, end in itertools.pairwise(edges):
        shown += stream.feed(data[start:end])
        assert shown == data[:end].decode(errors="ignore")
    assert shown == text


@given(st.lists(st.binary(max_size=5)))
def test_invalid_utf8_never_breaks_the_stream(parts: list[bytes]) -> None:
    stream = TextStream()
    shown = "".join(stream.feed(part) for part in parts)
    whole = b"".join(parts).decode(errors="replace")
    assert whole.startswith(shown)
    assert len(whole) - len(shown) <= 1  # an incomplete character


@given(st.text())
def test_no_terminal_control_characters_remain(text: str) -> None:
    shown = make_visible(text)
    assert all(char in "\n\t" or unicodedata.category(char) != "Cc" for char in shown)
    assert "\u202e" not in shown


def test_control_characters_are_made_visible() -> None:
    assert (
        make_visible("a\x1b[31mred\x7f\x9b\r\n\tñ\u202e") == "a^[[31mred^?<U+009B>^M\n\tñ<U+202E>"
    )
