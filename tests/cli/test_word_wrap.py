"""What a terminal shows of text that is wrapped while it comes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tfcli.cli.word_wrap import WordWrap, break_at_words

WIDTH = 10


def screen(sent: str) -> list[str]:
    """The lines of a terminal that knows newlines, cursor left, and erase to the end of line."""
    lines = [""]
    for part in re.findall(r"\033\[\d+D\033\[K|.|\n", sent):
        if part == "\n":
            lines.append("")
        elif part.startswith("\033"):
            lines[-1] = lines[-1][: -int(part[2:].split("D")[0])]
        else:
            lines[-1] += part
    return lines


def wrapped(text: str) -> list[str]:
    wrap = WordWrap(WIDTH)
    return screen("".join(wrap.feed(char) for char in text))


@given(st.text("abc é\n", max_size=80))
def test_no_word_is_cut_and_nothing_is_lost(text: str) -> None:
    lines = wrapped(text)
    assert all(len(line) < WIDTH for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    if all(len(word) < WIDTH for word in text.split()):
        assert [word for line in lines for word in line.split()] == text.split()


@given(st.text("ab c\n", max_size=60), st.integers(1, 7))
def test_it_does_not_matter_in_what_parts_text_comes(text: str, size: int) -> None:
    wrap = WordWrap(WIDTH)
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    assert screen("".join(map(wrap.feed, parts))) == wrapped(text)


def test_wide_characters_take_two_columns_and_break_anywhere() -> None:
    assert wrapped("日本語日本語日本語") == ["日本語日", "本語日本", "語"]


def test_long_words_are_broken_at_the_edge() -> None:
    assert wrapped("a" * 25) == ["a" * 9, "a" * 9, "a" * 7]


def test_lines_that_fit_are_sent_as_they_are() -> None:
    text = "one two\nthree\n\tfour\n"
    wrap = WordWrap(80)
    assert wrap.feed(text) == text


@given(st.lists(st.text("abc é\n", max_size=8), max_size=12))
def test_pieces_are_broken_between_their_words(pieces: list[str]) -> None:
    broken = break_at_words(pieces, WIDTH)
    assert [re.sub(r"\s", " ", each) for each in broken] == [
        re.sub(r"\s", " ", each) for each in pieces
    ]
    for line in "".join(broken).split("\n"):
        assert len(line) < WIDTH or " " not in line[:WIDTH].strip(" ")
