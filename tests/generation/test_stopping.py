"""Stop strings against a plain search in the whole text, wherever tokens are split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.generation.stopping import StopStrings

SMALL = st.text("ab é", max_size=12)


def text_before_stop(text: bytes, strings: list[bytes]) -> bytes | None:
    """The text before the stop string that is complete first (the longest of several), if any."""
    for end in range(1, len(text) + 1):
        matches = [string for string in strings if text[:end].endswith(string)]
        if matches:
            return text[: end - max(map(len, matches))]
    return None


@given(
    SMALL.map(str.encode),
    st.lists(st.text("ab é", min_size=1, max_size=4).map(str.encode), max_size=3),
    st.lists(st.integers(0, 20)),
)
def test_text_stops_where_a_plain_search_does(
    text: bytes, strings: list[bytes], cuts: list[int]
) -> None:
    stop = StopStrings(strings)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    shown = b""
    for start, end in itertools.pairwise(edges):
        shown += stop.feed(text[start:end])
        before = text_before_stop(text[:end], strings)
        assert (stop.found is None) == (before is None)
        if before is not None:
            assert shown == before
            return
        held = text[len(shown) : end]
        assert text[:end] == shown + held
        # exactly what may be the start of a stop string is held back
        assert not held or any(string.startswith(held) for string in strings)
        ends = [text[end - n : end] for n in range(len(held) + 1, end + 1)]
        assert not any(string.startswith(late) for late in ends for string in strings)
    assert shown + stop.rest() == text


def test_without_stop_strings_nothing_is_held_back() -> None:
    stop = StopStrings([])
    assert stop.feed(b"abc") == b"abc"
    assert stop.rest() == b""
    assert not stop.found


@pytest.mark.parametrize(
    ("text", "string"),
    [
        (b"one\r\ntwo", b"\n"),
        (b"one\ntwo", b"\n"),
        (b"one\r\n\r\ntwo", b"\n\n"),
        (b"one\r\n\ntwo", b"\n\n"),
        (b"one.\r\ntwo", b".\n"),
    ],
)
def test_a_newline_stops_at_line_ends_of_windows(text: bytes, string: bytes) -> None:
    stop = StopStrings([string])
    bytewise = iter([text[n : n + 1] for n in range(len(text))])
    shown = b""
    while not stop.found:
        shown += stop.feed(next(bytewise))
    assert shown == b"one"
    assert StopStrings([b"\n"]).feed(b"a\r") == b"a"  # a newline may follow
    assert StopStrings([b"\r\n"]).feed(b"a\nb") == b"a\nb"
