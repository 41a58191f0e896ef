"""Requests in a file, their ids, and values that are lines of a pipe."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RealShell, Shell

RUN = ("generate", "--run", "tale", "--max-new-tokens", "3", "--greedy", "--seed", "1")


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def answers(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_file_of_requests_is_answered_as_if_it_came_through_stdin(
    trained: Shell, tmp_path: Path
) -> None:
    file = written(tmp_path / "requests.jsonl", {"prompt": "Ann", "id": 1}, {"prompt": "Bob"})
    done = trained(*RUN, "--jsonl", file)
    assert done.code == 0, done.err
    assert done.out == trained(*RUN, "--jsonl", stdin=Path(file).read_bytes()).out
    assert [row["row"] for row in answers(done.out)] == [1, 2]


def test_file_that_is_not_there_is_no_prompt(trained: Shell, tmp_path: Path) -> None:
    written(tmp_path / "requests.jsonl", {"prompt": "Ann"})
    done = trained(*RUN, "--jsonl", str(tmp_path / "request.jsonl"))
    assert done.code == 66
    assert "did you mean" in done.err
    assert "requests.jsonl" in done.err


@pytest.mark.parametrize("command", [RUN, ("score", "--run", "tale")], ids=["generate", "score"])
def test_two_files_of_requests_are_one_too_many(
    trained: RealShell, tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = written(tmp_path / "a.jsonl", {"prompt": "Ann", "text": " saw"})
    with Path(file).open("rb") as other:
        done = trained(*command, "--jsonl", file, stdin=other.fileno())
    assert done.code == 2
    assert "and on standard input" in done.err


def test_prompts_in_a_file_get_the_hint_that_works(trained: Shell, tmp_path: Path) -> None:
    file = tmp_path / "my prompts.txt"
    file.write_text("Ann\n")
    done = trained(*RUN, "--lines", str(file))
    assert done.code == 2
    assert f"tfcli generate --lines < {shlex.quote(str(file))}" in done.err


def test_null_is_an_id_and_elsewhere_the_default(trained: Shell, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "Ann", "text": " saw", "id": None},
        {"prompt": "Ann", "text": " saw"},
    ]
    scored = answers(trained("score", "--run", "tale", "--jsonl",
                             written(tmp_path / "a.jsonl", *rows)).out)  # fmt: skip
    assert [row.get("id", "none") for row in scored] == [None, "none"]
    for row in rows:
        del row["text"]
    rows[0] |= {"temperature": None, "seed": None, "stop": None, "regex": None}
    given, without = answers(trained(*RUN, "--jsonl", written(tmp_path / "b.jsonl", *rows)).out)
    assert given["id"] is None
    assert "id" not in without
    assert given["text"] == without["text"]


def test_values_in_a_pipe_are_lines_of_their_own(trained: Shell) -> None:
    pytest.importorskip("llguidance")
    done = trained("generate", "--run", "tale", "Ann", "--choices", "a,b", "-n", "4")
    assert done.code == 0, done.err
    values = done.out.decode().splitlines()
    assert len(values) == 4
    assert {*values} <= {"a", "b"}


def test_misspelled_nested_field_is_recognized(trained: Shell) -> None:
    row = b'{"review": {"title": "x", "body": "Ann saw"}}'
    done = trained("score", "--run", "tale", "--jsonl", "--field", "review.boy", stdin=row)
    assert "did you mean 'review.body'?" in answers(done.out)[0]["error"]
