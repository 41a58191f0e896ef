"""Repeats, compared with looking at every window and every unit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.errors import DataError
from tfcli.insight.repeats import (
    MAX_SPANS_TEXT,
    Removed,
    Unit,
    find_repeated_spans,
    pieces_of,
    remove_spans,
    without_repeats,
    without_spans,
)


def brute_force(text: bytes, least: int) -> bytes:
    """The bytes that are in no window that was there before, apart from it."""
    repeated = [False] * len(text)
    for i in range(len(text) - least + 1):
        if text.find(text[i : i + least], 0, i) >= 0:
            repeated[i : i + least] = [True] * least
    return bytes(byte for byte, gone in zip(text, repeated, strict=True) if not gone)


def without(text: bytes, spans: list[tuple[int, int]]) -> bytes:
    return b"".join(
        text[end:begin]
        for (_, end), (begin, _) in zip([(0, 0), *spans], [*spans, (len(text), 0)], strict=True)
    )


@given(st.text(st.sampled_from("abc"), max_size=60).map(str.encode), st.integers(2, 6))
@settings(max_examples=200)
def test_spans_equal_those_of_brute_force(text: bytes, least: int) -> None:
    assert without(text, find_repeated_spans(text, least)) == brute_force(text, least)


@given(st.text(st.sampled_from("abé漢"), max_size=60), st.integers(4, 8))
def test_what_is_left_of_spans_is_text_and_does_not_change_again(text: str, least: int) -> None:
    removed = Removed()
    once = remove_spans(text.encode(), least, removed)
    once.decode()
    assert len(once) + removed.bytes == len(text.encode())
    again = Removed()
    assert remove_spans(once, least, again) == once
    assert again.units == 0


def dedup(text: bytes, unit: Unit, least: int = 1, size: int = 7) -> tuple[bytes, Removed]:
    removed = Removed()
    blocks = [text[i : i + size] for i in range(0, len(text), size)]
    if unit == "span":
        return b"".join(without_spans(blocks, least, removed)), removed
    return b"".join(without_repeats(pieces_of(blocks, unit), least, removed)), removed


@given(st.lists(st.sampled_from(["a", "b ", "  b", "long line", ""]), max_size=20))
def test_lines_stay_once(lines: list[str]) -> None:
    kept, seen = [], set()
    for line in lines:
        if not line.strip() or line.strip() not in seen:
            kept.append(line)
        seen.add(line.strip())
    text = "".join(f"{line}\n" for line in lines).encode()
    once, removed = dedup(text, "line")
    assert once == "".join(f"{line}\n" for line in kept).encode()
    assert (removed.units, removed.total_bytes) == (len(lines) - len(kept), len(text))
    assert dedup(once, "line")[0] == once


def test_paragraphs_and_documents_stay_once() -> None:
    text = b"one\ntwo\n\nthree\n\n\none\ntwo\n\nfour"
    assert dedup(text, "paragraph")[0] == b"one\ntwo\n\nthree\n\n\nfour"
    text = b"one\n\ntwo\n<|endoftext|>\nthree\n<|endoftext|>\none\n\ntwo\n"
    assert dedup(text, "document")[0] == b"one\n\ntwo\n<|endoftext|>\nthree\n<|endoftext|>\n"


@pytest.mark.parametrize("unit", ["line", "paragraph", "document", "span"])
def test_short_ones_and_new_ones_stay_to_the_byte(unit: Unit) -> None:
    text = "}\r\n\r\n}\r\n\r\n  a\n\n\n}\né".encode()
    once, removed = dedup(text, unit, least=8)
    assert once == text
    assert (removed.units, removed.bytes) == (0, 0)
    assert dedup(b"", unit)[0] == b""


def test_a_text_too_long_for_spans_is_refused() -> None:
    with pytest.raises(DataError, match="spans are looked for"):
        remove_spans(bytes(MAX_SPANS_TEXT + 1), 200, Removed())
