"""Rows are known by what they are, and by the columns that the options name, not by a suffix."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Shell

ROWS = [{"id": f"{i}", "review": f"Ann saw, {i} ships", "said": f"Bob {i}"} for i in range(6)]
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress
}  # fmt: skip


def table(delimiter: str, encoding: str = "utf-8") -> bytes:
    written = io.StringIO()
    writer = csv.DictWriter(written, [*ROWS[0]], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return written.getvalue().encode(encoding)


TABLES = {
    "commas": table(","), "semicolons": table(";"), "tabs": table("\t"),
    "utf-16": table(";", "utf-16"), "compressed": gzip.compress(table(";")),
}  # fmt: skip
PAIRS = ("--prompt-field", "review", "--answer-field", "said")
COMMANDS = {
    "score": ("score", "--run", "tale", "--json", "--field", "review"),
    "score pairs": ("score", "--run", "tale", "--json", *PAIRS),
    "score rows": ("score", "--run", "tale", "--jsonl", "--field", "review"),
    "show": ("text", "show", "--field", "review"),
    "show pairs": ("text", "show", *PAIRS),
    "eval": ("eval", "tale", *PAIRS, "--json"),
}


@pytest.mark.parametrize("way", ["pipe", "file"])
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_table_is_known_by_the_columns_that_are_named(
    trained: Shell, tmp_path: Path, command: str, kind: str, way: str
) -> None:
    """The same comes out as of a file that is called .csv."""
    named, other = tmp_path / "rows.csv", tmp_path / "rows.dat"
    named.write_bytes(TABLES["commas"])
    other.write_bytes(TABLES[kind])
    expected = trained(*COMMANDS[command], str(named))
    assert expected.code == 0, expected.err
    done = (
        trained(*COMMANDS[command], "-", stdin=TABLES[kind])
        if way == "pipe"
        else trained(*COMMANDS[command], str(other))
    )
    assert done.code == 0, done.err
    assert without_names(done.out) == without_names(expected.out)


def without_names(out: bytes) -> Any:
    """What is written, without the names of files and what took how long."""
    try:
        found = json.loads(out)
    except ValueError:
        return out
    return {key: value for key, value in found.items() if key not in {"file", "files", "seconds"}}


def test_training_reads_a_table_from_a_pipe(trained: Shell) -> None:
    done = trained(
        "train", "-", "--field", "review", "--dry-run", "--steps", "2", "--tokenizer", "words",
        stdin=TABLES["semicolons"] * 20,
    )  # fmt: skip
    assert "rows of CSV, text in 'review'" in " ".join(done.err.split())


def test_prose_that_names_a_field_stays_prose(shell: Shell) -> None:
    text = b"A review, of a book\nas it was, in the end\n"
    assert shell("text", "show", "--field", "review", stdin=text).out == text


def test_one_column_is_a_table_where_it_is_named(shell: Shell) -> None:
    done = shell("text", "show", "--field", "review", stdin=b'review\n"so, be it"\n')
    assert done.out == b"so, be it"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("names", ["prompt,completion", "question,id,answer"])
def test_columns_of_pairs_are_known_by_their_names(
    shell: Shell, names: str, delimiter: str
) -> None:
    row = ["one", "two", "three"][: names.count(",") + 1]
    data = "\n".join((names.replace(",", delimiter), delimiter.join(row))).encode()
    found = json.loads(shell("text", "show", "--jsonl", stdin=data).out)
    assert (found["prompt"], found["answer"]) == ("one\n", row[-1])


def test_the_column_that_is_meant_is_named(shell: Shell) -> None:
    done = shell("text", "show", "--field", "review", stdin=b"Review,Stars\ngood,5\n")
    assert done.code == 65
    assert "did you mean 'Review'?" in done.err


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"text": "Ann saw"}, b"Ann saw"),
        ({"prompt": "Ann", "completion": " saw"}, b"Ann\n saw"),
        ({"name": "tale", "version": 1}, b'{"name": "tale", "version": 1}\n'),
    ],
)
def test_a_single_row_in_a_pipe_is_a_row(shell: Shell, row: dict[str, Any], shown: bytes) -> None:
    assert shell("text", "show", stdin=json.dumps(row).encode() + b"\n").out == shown


@pytest.mark.parametrize("packed", PACKED)
def test_compressed_lines_are_requests_and_prompts(trained: Shell, packed: str) -> None:
    pack = PACKED[packed]
    request = b'{"prompt": "Ann", "seed": 1}\n' * 3
    by_row = ("generate", "--run", "tale", "--max-new-tokens", "4")
    expected = trained(*by_row, "--jsonl", stdin=request)
    done = trained(*by_row, "--jsonl", stdin=pack(request))
    assert (done.code, done.out) == (0, expected.out), done.err
    for options in (("--lines",), ()):
        plain = trained(*by_row, *options, "--greedy", stdin=b"Ann\n")
        assert trained(*by_row, *options, "--greedy", stdin=pack(b"Ann\n")).out == plain.out
    encode = ("tokenizer", "encode", "-t", "words", "--lines")
    lines = b"Ann\nBob\n"
    assert trained(*encode, stdin=pack(lines)).out == trained(*encode, stdin=lines).out


def test_compressed_lines_that_are_cut_are_an_error(trained: Shell) -> None:
    cut = gzip.compress(b'{"prompt": "Ann"}\n' * 3)[:-6]
    for options in (("--jsonl",), ("--lines",), ()):
        done = trained("generate", "--run", "tale", "--max-new-tokens", "2", *options, stdin=cut)
        assert done.code == 65
        assert "standard input is not a complete gzip file" in done.err


def test_a_key_without_a_meaning_has_a_place_in_id(trained: Shell) -> None:
    row = b'{"prompt": "Ann", "stars": 5}\n'
    done = trained("generate", "--run", "tale", "--jsonl", stdin=row)
    assert "jq -c '{prompt, id: .}' FILE | tfcli generate --jsonl" in json.loads(done.out)["error"]


@pytest.mark.parametrize("kind", ["commas", "tabs"])
def test_rows_that_are_taken_as_one_text_get_a_note(trained: Shell, kind: str) -> None:
    data = TABLES[kind]
    done = trained("tokenizer", "encode", "-t", "words", stdin=data)
    assert "tfcli text show < FILE writes their texts" in " ".join(done.err.split())
    assert trained("tokenizer", "decode", "-t", "words", stdin=done.out).out == data
    assert not trained("tokenizer", "encode", "-t", "words", "--format", "text", stdin=data).err
    assert "looks like" not in trained("text", "dedup", stdin=data).err


def test_ragged_rows_are_kept_and_counted(shell: Shell) -> None:
    data = b"id,said\n1,so be it\n2,so be it,3\n4,so be it\n"
    done = shell("text", "dedup", "--field", "said", stdin=data)
    assert done.out == b"id,said\n1,so be it\n2,so be it,3\n"
    assert "1 of 3 rows have more or fewer cells than the header" in " ".join(done.err.split())


def test_a_table_in_a_pipe_gets_no_hint_for_json(shell: Shell) -> None:
    done = shell("text", "scan", stdin=b"id,text\n1,so be it\n2\n")
    assert done.code == 65
    assert "2 columns, on line 3" in done.err
    assert "jq" not in done.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", [*TABLES, "lines"])
def test_a_pipe_with_a_name_is_read_once(trained: Shell, tmp_path: Path, kind: str) -> None:
    """As `<(...)` makes them."""
    data = TABLES.get(kind) or "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()
    command = COMMANDS["score rows"]
    expected = trained(*command, stdin=data)
    assert expected.code == 0, expected.err
    done = trained(*command, str(named_pipe(tmp_path, data)))
    assert (done.code, done.out) == (0, expected.out), done.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_requests_come_from_a_pipe_with_a_name(trained: Shell, tmp_path: Path) -> None:
    data = b'{"prompt": "Ann", "id": 7, "seed": 1, "max_new_tokens": 3}\n'
    by_row = ("generate", "--run", "tale", "--jsonl")
    done = trained(*by_row, str(named_pipe(tmp_path, data)))
    assert done.out == trained(*by_row, stdin=data).out
    assert json.loads(done.out)["id"] == 7


def named_pipe(folder: Path, data: bytes) -> Path:
    """One that has this data, for one reader."""
    path = folder / "pipe"
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(data,), daemon=True).start()
    return path


def test_rows_that_are_compressed_and_cut_are_an_error(trained: Shell) -> None:
    done = trained(*COMMANDS["score rows"], stdin=gzip.compress(table(",") * 50)[:-9])
    assert done.code == 65
    assert "standard input is not a complete gzip file" in done.err


def test_a_table_is_no_json_lines(trained: Shell) -> None:
    done = trained("score", "--run", "tale", "--jsonl", stdin=TABLES["semicolons"])
    assert done.code == 65
    assert "is a table, not JSON lines" in done.err
    assert "id, review, said" in done.err
    pretty = json.dumps({"text": "Ann saw"}, indent=1).encode()
    row = b'{"text": "Ann saw"}\n'
    by_row = ("score", "--run", "tale", "--jsonl")
    assert trained(*by_row, stdin=pretty).out == trained(*by_row, stdin=row).out


@pytest.mark.parametrize("command", ["score", "show"])
def test_what_looks_like_rows_gets_a_note(trained: Shell, command: str) -> None:
    row = b'{"review": {"body": "Ann saw a ship"}}\n'
    options = {"score": ("score", "--run", "tale"), "show": ("text", "show", "--limit", "1")}
    done = trained(*options[command], stdin=row)
    assert "--format json reads its rows" in " ".join(done.err.split())
    numbered = "".join(f"{n};Ann saw ship {n}\n" for n in range(5))
    done = trained(*options[command], stdin=f"id;review\n{numbered}".encode())
    assert "the columns id, review (--format csv reads its rows)" in " ".join(done.err.split())


def test_a_misspelled_column_is_named_wherever_it_is(trained: Shell) -> None:
    for command in (("score", "--run", "tale", "--jsonl"), ("text", "scan"), ("text", "show")):
        done = trained(*command, "--field", "reviw", stdin=TABLES["semicolons"])
        assert done.code == 65
        assert "has no column 'reviw'" in done.err
        assert "did you mean 'review'?" in done.err


@pytest.mark.parametrize("rows", [2, 6])
def test_rows_that_are_cut_are_rows(trained: Shell, rows: int) -> None:
    row = json.dumps({"prompt": "Ann", "completion": "saw"}) + "\n"
    done = trained("eval", "tale", "-", stdin=(row * rows + row[:9]).encode())
    assert done.code == 65
    assert f"row {rows + 1}: not valid JSON" in " ".join(done.err.split())


def test_nothing_is_said_to_be_empty(trained: Shell) -> None:
    done = trained("eval", "tale", "-", stdin=b"")
    assert (done.code, done.out) == (65, b"")
    assert "standard input is empty" in done.err


def test_a_request_on_several_lines_has_a_way_to_one(trained: Shell) -> None:
    request = json.dumps({"prompt": "Ann"}, indent=1).encode()
    done = trained("generate", "--run", "tale", "--jsonl", stdin=request)
    assert "jq -c . puts each object on one line" in json.loads(done.out.splitlines()[0])["error"]
