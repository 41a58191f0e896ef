"""The text of an interactive session, without the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.text.documents_of_offices import word_of
from tfcli.cli.draft import Draft
from tfcli.errors import DataError, UsageError
from tfcli.text.corpus import open_sources
from tfcli.text.sources import find_sources

if TYPE_CHECKING:
    from pathlib import Path


def loaded(folder: Path, text: bytes) -> Draft:
    (folder / "text").write_bytes(text)
    draft = Draft()
    draft.load(str(folder / "text"))
    return draft


def test_plain_text_is_not_saved_as_a_document(tmp_path: Path) -> None:
    draft = loaded(tmp_path, b"Ann saw")
    with pytest.raises(UsageError, match=r"plain text, which \.docx is not") as caught:
        draft.save(str(tmp_path / "story.docx"))
    assert (caught.value.hint or "").endswith("story.txt")
    assert not (tmp_path / "story.docx").exists()


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.pdf", b"%PDF-1.7\n", "is a PDF"),
        ("a.gz", b"\x1f\x8b\x08abc", "is not a complete gzip file"),
        ("a", bytes(150) + b"abc", "is a binary file"),
        ("a.txt", "se\xf1or".encode("cp1252"), "is not UTF-8 text"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, name: str, data: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=what):
        Draft().load(str(path))


@pytest.mark.parametrize(
    ("name", "data", "own"),
    [
        ("a.txt", "Señor".encode(), True),
        ("b.txt", "\ufeffSeñor".encode(), True),
        ("a.docx", word_of(["Señor"]), False),
        ("a.html", "<!doctype html><p>Señor".encode(), False),
        ("c.txt", "Señor".encode("utf-16"), False),
    ],
)
def test_what_is_read_out_of_a_file_does_not_belong_to_it(
    tmp_path: Path, name: str, data: bytes, own: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    draft = Draft()
    said = draft.load(str(path))
    assert draft.text.strip("\n\ufeff") == "Señor"
    assert draft.path == (path if own else None)
    assert bool(said) is not own


def test_a_folder_with_documents_gets_the_command_once(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("Once")
    for name in ("a.rtf", "b.rtf"):
        (tmp_path / name).write_bytes(rb"{\rtf1\ansi Once}")
    (note,) = open_sources(find_sources([str(tmp_path)]), cache=tmp_path / ".cache").notes
    assert note.count("try: ") == note.count("pandoc") == 1


@pytest.mark.parametrize(
    ("text", "line", "whole"),
    [
        ("Dijo algo.\nY más.", "-Habla -dijo-.", "Dijo algo.\nY más.\n-Habla -dijo-."),
        ("Uno.\r\nDos. ", "—Habla.", "Uno.\r\nDos.\r\n—Habla."),
        ("Uno.\n\n«Dos.»\n\nTres.\n", "«Cuatro.»", "Uno.\n\n«Dos.»\n\nTres.\n\n«Cuatro.»"),
        ("One.\n\nTwo\nlines.\n\n", '"Three."', 'One.\n\nTwo\nlines.\n\n"Three."'),
        ("One", "- two -", "One - two -"),  # a text without lines
        ("One.\nTwo", "-", "One.\nTwo\n-"),
        ("One ", "\ntwo", "One\ntwo"),
        ("One", "\n\ntwo", "One\n\ntwo"),
    ],
)
def test_dialogue_begins_a_paragraph(text: str, line: str, whole: str) -> None:
    draft = Draft()
    draft.begin(text)
    draft.take_turn(line)
    assert draft.text == whole
    draft.undo()
    assert draft.text == text.rstrip(" ")


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("'a chapter.txt'", "a chapter.txt"),
        ('"a chapter.txt"', "a chapter.txt"),
        ("a\\ chapter.txt", "a chapter.txt"),
        ("a chapter.txt", "a chapter.txt"),
        ("it's", "it's"),
        ("'it'\"'\"'s'", "it's"),
        ("'quoted'", "'quoted'"),  # as it is, if there is such a file
    ],
)
def test_file_names_may_be_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("Once")
    draft = Draft()
    draft.load(typed)
    assert draft.text == "Once"
    assert draft.save(typed).name == name


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


def test_a_draft_ends_with_a_line_until_the_model_has_gone_on() -> None:
    draft = Draft()
    found = [draft.ends_with_line]
    draft.take_turn("Ann s")
    found.append(draft.ends_with_line)
    draft.add_written("a")
    found.append(draft.ends_with_line)
    draft.back_to_last_line()  # /retry
    found.append(draft.ends_with_line)
    draft.take_turn("")  # goes on from whatever is there
    found.append(draft.ends_with_line)
    assert found == [False, True, False, True, False]


def test_an_empty_line_goes_on_after_the_stop_string_that_ended_the_text() -> None:
    draft = Draft()
    draft.take_turn("El cura")
    draft.add_written(" y poner", "\n")
    draft.take_turn("")
    draft.add_written("Se a", "\n")
    draft.back_to_last_line()  # /retry goes on at the same place
    assert draft.text == "El cura y poner\n"
    draft.add_written("Otra", None)
    draft.take_turn("")  # that text ended otherwise
    assert draft.text == "El cura y poner\nOtra"
    draft.undo()
    draft.undo()  # back at the stop string, which is still known
    assert draft.text == "El cura y poner"
    draft.take_turn("con")
    assert draft.text == "El cura y poner con"
    draft.undo()
    draft.take_turn("")
    assert draft.text == "El cura y poner\n"


def test_a_stop_string_goes_on_with_the_line_ends_of_the_text() -> None:
    draft = Draft()
    draft.take_turn("Uno")
    draft.add_written(".\r\nDos", "\n")
    draft.take_turn("")
    assert draft.text == "Uno.\r\nDos\r\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_newline_of_an_editor_ends_the_file_not_the_text(tmp_path: Path, end: str) -> None:
    draft = loaded(tmp_path, f"Uno.{end}El cura y el{end}".encode())
    assert not draft.unsaved
    draft.take_turn("barbero.")
    draft.add_written(" Y se fue.")
    draft.save("")
    begun = f"Uno.{end}El cura y el barbero. Y se fue."
    assert (tmp_path / "text").read_bytes().decode() == begun + end
    assert not draft.unsaved
    draft.take_turn("Otro.")  # after a sentence, too, it comes after a space
    draft.save(str(tmp_path / "other"))
    assert (tmp_path / "other").read_bytes().decode() == f"{begun} Otro.{end}"
    draft.undo()
    draft.save("")
    assert (tmp_path / "other").read_bytes().decode() == begun + end


def test_dialogue_is_a_paragraph_after_the_only_line_of_a_file(tmp_path: Path) -> None:
    draft = loaded(tmp_path, b"Uno.\r\n")
    draft.take_turn("\N{EM DASH}Dos.")
    draft.save("")
    assert (tmp_path / "text").read_bytes().decode() == "Uno.\r\n\N{EM DASH}Dos.\r\n"
