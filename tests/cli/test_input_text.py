"""Documents, books and pages arrive wherever a text is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import BOOK, Shell
from tests.text.cases import zip_file
from tests.text.documents_of_offices import odt_of, word_of
from tfcli.text.reading_options import READABLE

LINES = ["Ann saw.", "Ask b@example.org."]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
PAGE = "<!doctype html><title>x</title>" + "".join(f"<div>{line}</div>" for line in LINES)
FICTION = (
    '<?xml version="1.0"?><FictionBook><description>x</description><body><section>'
    + "".join(f"<v>{line}</v>" for line in LINES)
    + "</section></body></FictionBook>"
)
MADE = {
    "DOCX": word_of(LINES), "ODT": odt_of(LINES), "HTML": PAGE.encode(), "fb2": FICTION.encode()
}  # fmt: skip
COMMANDS = {
    "score": ("score", "--run", "tale", "--json"),
    "trace": ("trace", "tale", "--json"),
    "inspect": ("inspect", "--run", "tale", "--view", "surprise", "--json"),
    "encode": ("tokenizer", "encode", "-t", "words"),
    "dedup": ("text", "dedup"),
    "redact": ("text", "scan", "--redact"),
    "scan": ("text", "scan", "--json"),
    "canaries": ("text", "canaries", "--key", "{folder}/key.json", "--repeats", "1", "--each", "1"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", MADE)
def test_every_command_reads_the_text_of_a_document(
    trained: Shell, tmp_path: Path, command: str, kind: str
) -> None:
    arguments = [word.format(folder=tmp_path) for word in COMMANDS[command]]
    plain = trained(*arguments, stdin=TEXT)
    assert plain.code == 0, plain.err
    (tmp_path / "key.json").unlink(missing_ok=True)
    done = trained(*arguments, stdin=MADE[kind])
    assert done.code == 0, done.err
    assert done.out.rstrip() == plain.out.rstrip()
    name = "HTML" if kind == "fb2" else kind
    assert f"standard input is {name}; only its text is read" in " ".join(done.err.split())


@pytest.mark.parametrize("command", ["trace", "inspect"])
def test_a_file_is_read_as_a_pipe_is(trained: Shell, tmp_path: Path, command: str) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    named = trained(*COMMANDS[command], "--file", str(tmp_path / "page.html"))
    assert named.out == trained(*COMMANDS[command], stdin=PAGE.encode()).out
    raw = ("--file", str(tmp_path / "page.html"), "--format", "text")
    assert trained(*COMMANDS[command], *raw).out != named.out


def test_a_page_can_be_left_as_it_is(trained: Shell) -> None:
    ids = trained(*COMMANDS["encode"], "--format", "text", stdin=PAGE.encode())
    assert ids.err == ""
    assert trained("tokenizer", "decode", "-t", "words", stdin=ids.out).out == PAGE.encode()
    wrong = trained("text", "dedup", "--format", "csv", stdin=b"a")
    assert (wrong.code, wrong.out) == (2, b"")
    assert "must be one of text, html, epub, docx, odt" in wrong.err


def test_a_prompt_may_be_a_document_but_a_page_stays_one(trained: Shell) -> None:
    generate = ("generate", "--run", "tale", "--greedy", "--max-new-tokens", "3")
    document = trained(*generate, stdin=word_of(["Ann saw"]))
    assert document.out == trained(*generate, stdin=b"Ann saw\n").out
    assert "standard input is DOCX" in document.err
    assert "HTML" not in trained(*generate, stdin=PAGE.encode()).err


def test_what_is_no_text_is_refused(trained: Shell) -> None:
    done = trained("trace", "tale", stdin=b"%PDF-1.7\n")
    assert done.code == 65
    assert "standard input is a PDF, not text" in done.err
    assert "pdftotext FILE text.txt" in done.err
    done = trained("generate", "--run", "tale", stdin=b"%PDF-1.7\n\xe2\xe3\xcf\xd3\n")
    assert (done.code, done.out) == (65, b"")
    assert "standard input is a PDF, not text" in done.err
    assert "pdftotext FILE text.txt" in done.err


def test_commands_for_a_pipe_read_a_file_that_can_be_named(trained: Shell) -> None:
    zeros = trained("score", "--run", "tale", stdin=b"Ann" + bytes(300))
    assert "tr -d '\\000' < FILE | tfcli ..." in zeros.err
    fields = ("--format", "csv", "--field", "a,b")
    table = trained("score", "--run", "tale", *fields, stdin=b"a,b\nAnn,Bob saw\n")
    assert "FILE > joined.jsonl" in " ".join(table.err.split())
    archive = trained("score", "--run", "tale", stdin=zip_file(**{"a.txt": b"Ann"}))
    assert "unzip FILE -d text-texts && tfcli train text-texts" in archive.err


def test_a_page_from_a_pipe_is_called_standard_input(shell: Shell) -> None:
    page = f"<!DOCTYPE html><p>{BOOK}</p>".encode()
    done = shell("tokenizer", "train", "-", "--name", "t", "--vocab-size", "300", stdin=page)
    assert done.code == 0, done.err
    assert "standard input is HTML" in done.err


def test_pages_name_the_same_formats() -> None:
    root = Path(__file__).parents[2]
    for page in ("docs/training.md", "docs/commands.md"):
        assert READABLE in " ".join((root / page).read_text().split()), page


def test_scores_are_those_of_the_text(trained: Shell) -> None:
    done = trained("score", "--run", "tale", "--json", stdin=MADE["DOCX"])
    assert json.loads(done.out)["bytes"] == len(TEXT) - 1  # without the last newline


@pytest.mark.parametrize("arguments", [("text", "dedup"), ("trace", "tale")])
def test_a_table_is_no_single_text(trained: Shell, arguments: tuple[str, ...]) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": ["Ann saw Bob."]}), trained.folder / "t.parquet")
    done = trained(*arguments, stdin=(trained.folder / "t.parquet").read_bytes())
    assert (done.code, done.out) == (65, b"")
    assert "standard input is a parquet table" in done.err
    assert "tfcli text show < FILE" in done.err


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"score", "scan"}])
def test_what_is_not_utf8_is_read_in_the_encoding_given(
    trained: Shell, tmp_path: Path, command: str
) -> None:
    arguments = [word.format(folder=tmp_path) for word in COMMANDS[command]]
    text = "José saw «the moon».\nAnn.\n"
    plain = trained(*arguments, stdin=text.encode())
    assert plain.code == 0, plain.err
    (tmp_path / "key.json").unlink(missing_ok=True)
    refused = trained(*arguments, stdin=text.encode("cp1252"))
    assert refused.code == 65
    assert "--encoding" in refused.err
    (tmp_path / "key.json").unlink(missing_ok=True)
    done = trained(*arguments, "--encoding", "cp1252", stdin=text.encode("cp1252"))
    assert done.code == 0, done.err
    assert done.out == plain.out


def test_encoding_of_generate_is_for_sessions(trained: Shell) -> None:
    done = trained("generate", "--run", "tale", "--encoding", "cp1252", stdin=b"Ann")
    assert done.code == 2
    assert "--encoding requires -i" in done.err
