"""`tfcli text scan` and `tfcli text dedup` in the shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import BOOK, Called, Shell
from tests.text.documents_of_offices import word_of
from tfcli.text.readers import read_chunks

LETTER = "Dear Bob,\nwrite to ann@example.org or call +34 612 345 678.\n"


def test_a_scan_names_files_lines_and_kinds_but_no_values(called: Called) -> None:
    (called.folder / "letters").mkdir()
    (called.folder / "letters/a.txt").write_text(LETTER)
    rows = json.dumps({"text": "one"}) + "\n" + json.dumps({"text": f"x\n{LETTER}"}) + "\n"
    (called.folder / "letters/b.jsonl").write_text(rows)
    done = called("text", "scan", "letters")
    assert done.code == 0, done.err
    text = done.out.decode()
    assert "a.txt:2  a**@*******.***" in text
    assert "b.jsonl, row 2  " in text
    assert "ann@example" not in text
    assert "Look before you decide." in text
    found = json.loads(called("text", "scan", "letters", "--json").out)
    assert found["files"] == 2
    assert {(each["kind"], each["count"]) for each in found["found"]} == {
        ("email", 1), ("phone", 1)
    }  # fmt: skip


def test_a_clean_text_is_said_to_have_nothing(called: Called) -> None:
    assert b"Nothing was found" in called("text", "scan", "book.txt").out


def test_stdin_is_redacted_only_where_something_is(shell: Shell) -> None:
    done = shell("text", "scan", "--redact", stdin=LETTER.encode())
    assert done.out == b"Dear Bob,\nwrite to [EMAIL] or call [PHONE].\n"
    assert done.err == "Redacted: 1 email, 1 phone.\n"
    piped = shell("text", "scan", stdin=LETTER.encode())
    assert b"stdin:2" in piped.out


def test_repeats_are_left_out_of_a_pipe(shell: Shell) -> None:
    line = b"A line that is long enough to be compared with all others.\n"
    done = shell("text", "dedup", stdin=line * 3 + b"short\n" * 3)
    assert done.out == line + b"short\n" * 3
    assert done.err.startswith("Left out 2 repeated lines, 118 of 195 bytes")
    told = shell("text", "dedup", "--report", "--by", "span", "--min-bytes", "40", stdin=line * 3)
    assert told.out.startswith(b"Would leave out 1 repeated stretch, ")
    whole = shell(
        "text", "dedup", "--by", "paragraph", stdin=(shell.folder / "book.txt").read_bytes()
    )
    assert whole.out == (shell.folder / "book.txt").read_bytes()


SHOWN = {
    "book.txt": BOOK.encode(),
    "rows.jsonl": b'{"text": "One."}\n{"text": "Two.\\n"}\n',
    "table.csv": b"id,review\n1,One day.\n2,Two days.\n",
    "letter.docx": word_of(["One.", "Two."]),
    "both.txt": b"One.\n<|endoftext|>\nTwo.",
    "pairs.jsonl": b'{"prompt": "One", "completion": "Two"}\n',
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_is_what_training_reads(called: Called, name: str) -> None:
    data = SHOWN[name]
    (called.folder / name).write_bytes(data)
    read = b"\n".join(_documents(called.folder / name))
    done = called("text", "show", name)
    assert done.code == 0, done.err
    (called.folder / "shown.txt").write_bytes(done.out)
    assert b"\n".join(_documents(called.folder / "shown.txt")) == read
    rows = map(json.loads, called("text", "show", name, "--jsonl").out.splitlines())
    texts = [row.get("text") or row["prompt"] + row["answer"] for row in rows]
    assert "\n".join(texts).encode() == read


def _documents(path: Path) -> list[bytes]:
    documents = [b""]
    for chunk in read_chunks(path):
        documents[-1] += chunk.data
        if chunk.last:
            documents.append(b"")
    return documents[:-1]


def test_output_in_a_folder_is_no_text_of_it(shell: Shell) -> None:
    with (shell.folder / "all.txt").open("wb") as file:
        done = shell("text", "show", ".", stdout=file.fileno())
    assert done.code == 0, done.err
    assert "left out all.txt (written by this command)" in done.err
    assert (shell.folder / "all.txt").read_text() == BOOK


def test_some_documents_of_a_pipe_are_shown(shell: Shell) -> None:
    rows = b"".join(b'{"a": "Row %d.", "b": "x y"}\n' % n for n in range(9))
    done = shell("text", "show", "--field", "a", "--limit", "2", stdin=rows)
    assert done.out == b"Row 0.\n<|endoftext|>\nRow 1.\n<|endoftext|>\n"
    assert "the first 2 documents" in done.err
    named = shell("text", "show", "--jsonl", "--field", "b", "--limit", "1", stdin=rows)
    assert json.loads(named.out) == {"file": "stdin", "document": 1, "text": "x y"}
    none = shell("text", "show", stdin=b"")
    assert (none.code, none.err) == (65, "error: no text in -\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan", "--redact", "book.txt"], "--redact reads stdin"),
        (["dedup", "--by", "word"], "must be one of line, paragraph, document, span"),
        (["dedup", "--by", "span", "--min-bytes", "4"], "--min-bytes must be at least 32"),
        (["dedup", "--by", "paragraph", "--field", "a"], "--by cannot be combined with --field"),
        (["scan", "--redact", "--field", "a"], "--redact looks at all of stdin"),
    ],
)
def test_what_cannot_be_done_is_said(shell: Shell, arguments: list[str], said: str) -> None:
    done = shell("text", *arguments, stdin=b"a\n")
    assert done.code == 2
    assert said in done.err


ROWS = {
    "json": b'{"id": 1, "a": {"b": "same"}}\n{"id": 2, "a": {"b": " same "}}\n'
    b'{"id": 3}\nnot json\n{"id": 4, "a": {"b": "other"}}\n{"id": 5, "a": {"b": "same"}}',
    "csv": b'id;"a.b"\n1;same\n2;" same "\n3\n\n4;"two\nlines"\n5;same\n6;"two\nlines"\n',
    "tsv": b"a.b\tid\r\nsame\t1\r\nsame\t2\r\nother\t3\r\n",
}


@pytest.mark.parametrize(
    ("kind", "stay"), [("json", [0, 2, 3, 4]), ("csv", [0, 1, 3, 4, 5, 6]), ("tsv", [0, 1, 3])]
)
def test_rows_are_compared_by_a_field_and_stay_as_they_are(
    shell: Shell, kind: str, stay: list[int]
) -> None:
    lines = ROWS[kind].splitlines(keepends=True)
    done = shell("text", "dedup", "--field", "a.b", stdin=ROWS[kind])
    assert done.code == 0, done.err
    assert done.out == b"".join(lines[place] for place in stay)
    assert "Left out" in done.err
    assert "repeated row" in done.err
    told = shell("text", "dedup", "--field", "a.b", "--near", "0.9", "--json", stdin=ROWS[kind])
    found = json.loads(told.out)
    assert (found["by"], found["field"]) == ("field", "a.b")
    assert found["removed_bytes"] == len(ROWS[kind]) - len(done.out)


@pytest.mark.parametrize("wrong", ["a.bb", "aa.b", "a", "b"])
def test_a_nested_field_is_suggested_whole(shell: Shell, wrong: str) -> None:
    rows = b"".join(b'{"a": {"b": "text %d", "id": 3}, "other": "x"}\n' % n for n in range(3))
    done = shell("text", "dedup", "--field", wrong, stdin=rows)
    assert done.code == 65
    assert "its fields: a.b, other" in done.err
    assert ("did you mean 'a.b'?" in done.err) == (wrong != "b")


@pytest.mark.parametrize(("command", "done_with"), [("scan", "looked at"), ("score", "scored")])
def test_no_command_says_that_it_trains(trained: Shell, command: str, done_with: str) -> None:
    path = trained.folder / "labels.csv"
    path.write_text("review,label\n" + "".join(f"Ann saw {n},{n % 2}\n" for n in range(20)))
    done = trained(*(["text", "scan"] if command == "scan" else [command]), str(path))
    assert f"only 'review' is {done_with}." in " ".join(done.err.split())


def test_scan_looks_at_a_field(called: Called) -> None:
    rows = b"id,review,note\n1,fine thing,x\n2,write to me,ann@example.org\n"
    (called.folder / "rows.csv").write_bytes(rows)
    assert b"Nothing was found" in called("text", "scan", "rows.csv", "--field", "review").out
    assert b"a**@" in called("text", "scan", "rows.csv", "--field", "note").out


def test_near_duplicates_are_told_before_they_are_left_out(shell: Shell) -> None:
    line = "The meeting of the committee on the {} of May was opened at nine by the chair, who "
    lines = [f"{line.format(day)} thanked all.\n".encode() for day in ("first", "third", "ninth")]
    text = b"".join([*lines, b"Something else entirely, and long enough to be compared.\n"])
    told = shell("text", "dedup", "--near", "0.7", "--report", stdin=text)
    assert told.code == 0, told.err
    first, *examples = told.out.decode().splitlines()
    assert first.startswith("Would leave out 2 near-duplicate lines, ")
    assert [example.partition(" has ")[0] for example in examples] == ["line 2", "line 3"]
    assert all("in common with line 1: The meeting" in example for example in examples)
    done = shell("text", "dedup", "--near", "0.7", stdin=text)
    assert done.out == lines[0] + text.splitlines(keepends=True)[-1]
    assert "Left out 2 near-duplicate lines" in done.err
    exact = shell("text", "dedup", stdin=text)
    assert exact.out == text
    wrong = shell("text", "dedup", "--near", "0.7", "--by", "span", stdin=text)
    assert (wrong.code, wrong.out) == (2, b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"txt": "a"}\n', "no row has text in the field 'text': its fields: txt"),
        (b"id,txt\n1,a\n", "no row has text in the field 'text': its fields: id, txt"),
        (b'[{"text": "a"}]', "this is an array"),
        (b'text\n"open\n', "the table is not valid CSV"),
    ],
)
def test_what_has_no_such_field_is_not_compared(shell: Shell, data: bytes, said: str) -> None:
    done = shell("text", "dedup", "--field", "text", stdin=data)
    assert done.code == 65
    assert said in " ".join(done.err.split()).replace(" why: ", ": ")
