"""`tfcli runs held-out`: with what was trained on, it is the text that was given."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Shell
from tfcli.insight.held_out_rows import held_out_rows, holds_rows
from tfcli.text.corpus import Corpus, open_corpus
from tfcli.text.reading_options import ReadingOptions

ROWS: list[dict[str, Any]] = [
    {"id": n, "text": f"Row {n} has some words.", "label": "ab"[n % 2]} for n in range(60)
]


def opened(folder: Path, data: str, name: str, **options: Any) -> Corpus:
    (folder / name).write_text(data)
    reading = ReadingOptions(**options)
    return open_corpus([folder / name], reading, cache=folder / "cache", val_fraction=0.1)


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def trained_on(corpus: Corpus) -> str:
    return b"".join(chunk.data for chunk in corpus.training()).decode()


def test_rows_keep_all_of_their_fields(tmp_path: Path) -> None:
    corpus = opened(tmp_path, lines(ROWS), "rows.jsonl")
    found = list(held_out_rows(corpus))
    assert 0 < len(found) < 20
    assert all(row in ROWS for row in found)
    training = trained_on(corpus)
    assert [row for row in ROWS if row["text"] not in training] == found


def test_rows_of_a_table_have_its_columns(tmp_path: Path) -> None:
    written = io.StringIO()
    table = csv.DictWriter(written, ROWS[0])
    table.writeheader()
    table.writerows(ROWS)
    corpus = opened(tmp_path, written.getvalue(), "rows.csv", field="text")
    assert holds_rows(corpus)
    for row in held_out_rows(corpus):
        assert row | {"id": int(row["id"])} in ROWS


def test_rows_of_parquet_have_columns_without_text(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    corpus = open_corpus([tmp_path / "rows.parquet"], cache=tmp_path / "cache")
    assert all(row in ROWS for row in held_out_rows(corpus))


def test_pairs_and_conversations_are_rows_that_come_once(tmp_path: Path) -> None:
    pairs = [{"prompt": f"{n}?", "completion": f"{n}!", "level": n % 3} for n in range(40)]
    corpus = opened(tmp_path, lines(pairs), "pairs.jsonl")
    assert corpus.scan.pairs
    found = list(held_out_rows(corpus))
    assert len(found) == corpus.scan.pairs.held_out_pairs > 0
    assert all(row in pairs for row in found)
    turns = ["user", "assistant"] * 3
    talks = [
        {"messages": [{"role": role, "content": f"{n}.{i}"} for i, role in enumerate(turns)]}
        for n in range(40)
    ]
    corpus = opened(tmp_path, lines(talks), "talks.jsonl")
    found = list(held_out_rows(corpus))
    assert len(found) == len({json.dumps(row) for row in found}) > 0
    assert all(row in talks for row in found)


def test_end_of_a_large_row_and_plain_text_have_their_text(tmp_path: Path) -> None:
    large = {"text": "word " * 2000, "id": 1}
    corpus = opened(tmp_path, lines([large, {"text": "small one", "id": 2}]), "large.jsonl")
    first, *rest = held_out_rows(corpus)
    assert first.keys() == {"text"}
    assert large["text"] == trained_on(corpus).removesuffix("small one") + first["text"]
    assert rest in ([], [{"text": "small one", "id": 2}])
    plain = opened(tmp_path, "A line.\n" * 100, "plain.txt")
    assert not holds_rows(plain)
    (only,) = held_out_rows(plain)
    assert trained_on(plain) + only["text"] == "A line.\n" * 100


def test_the_held_out_end_of_a_text_is_written_as_it_is(trained: Shell) -> None:
    done = trained("runs", "held-out", "tale")
    assert done.code == 0, done.err
    book = (trained.folder / "book.txt").read_bytes()
    assert book.endswith(done.out)
    assert done.err == f"Held out by tale: {len(done.out):,} bytes.\n"
    (line,) = trained("runs", "held-out", "tale", "--jsonl", "-q").out.splitlines()
    assert json.loads(line) == {"text": done.out.decode()}
    gone = trained("runs", "held-out", "tale", "--source", "nothing.txt")
    assert gone.code == 66


def test_a_text_that_has_changed_is_not_written(shell: Shell) -> None:
    (shell.folder / "rows.jsonl").write_text(lines(ROWS))
    small = ("--steps", "2", "--layers", "1", "--width", "32", "--context", "16")
    assert shell("train", "rows.jsonl", *small).code == 0
    done = shell("runs", "held-out")
    assert [json.loads(line) in ROWS for line in done.out.splitlines()] == [True] * 6
    assert done.err == "Held out by rows: 6 rows.\n"
    (shell.folder / "rows.jsonl").write_text(lines(ROWS[1:]))
    changed = shell("runs", "held-out", "rows")
    assert (changed.code, changed.out) == (65, b"")
    assert "is not what it was trained on" in changed.err
