"""The text of an interactive session, without the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tfcli.cli.draft import Draft

if TYPE_CHECKING:
    from pathlib import Path


def loaded(folder: Path, text: bytes) -> Draft:
    (folder / "text").write_bytes(text)
    draft = Draft()
    draft.load(str(folder / "text"))
    return draft


@pytest.mark.parametrize(
    ("file", "line", "written", "whole"),
    [
        (
            b"One.\r\nTwo",
            "of\nthree",
            "\nfour\r\nfive\r",
            b"One.\r\nTwo of\r\nthree\r\nfour\r\nfive",
        ),
        (b"One.\nTwo", "of\nthree", "\r\nfour\nfive\r", b"One.\nTwo of\nthree\nfour\nfive"),
        (b"a\r\nb\nc\nd", "\ne", "\r\n", b"a\r\nb\nc\nd\ne\n"),  # what was there is left
        (b"One", "two", " three\r\nfour\r\n", b"One two three\r\nfour\r\n"),
        (b"One", "two", " three", b"One two three"),
    ],
)
def test_lines_end_as_those_of_the_file(
    tmp_path: Path, file: bytes, line: str, written: str, whole: bytes
) -> None:
    draft = loaded(tmp_path, file)
    draft.take_turn(line)
    draft.add_written(written)
    draft.save("")
    assert (tmp_path / "text").read_bytes() == whole
