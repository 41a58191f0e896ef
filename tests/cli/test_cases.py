"""What people bring, through the whole program: each is read as its line says, or refused so.

The inputs are in tests/text/cases.py. Of these, other tests see to the rest:

    | input | test |
    | --- | --- |
    | a text that moved, its cache deleted | test_text.py: text_that_moved_is_given_by_... |
    | a folder that was trained in before | test_text.py: folder_with_runs_in_it_... |
    | two texts, both held out in part | test_text.py: each_file_has_its_own_share_held_out... |
    | `score` of rows, compressed, with a mark | test_text.py: score_reads_what_train_reads, ... |
    | a tokenizer that lacks characters | test_text.py: tokenizer_that_does_not_fit_is_said |
    | texts of a few bytes | test_train.py: tiny_texts_can_be_trained_on |
    | a loop over prompts, a mark before one | test_stdin.py |
    | only valid UTF-8 is written | tests/generation/test_characters.py |
    | texts that repeat, or without lines | tests/text/test_pieces.py, test_training_pace.py |
"""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

import pytest

from tests.conftest import Shell
from tests.text.cases import BOOK, CASES, LINES, ROWS, Case, json_array, json_lines, table

pytestmark = pytest.mark.slow

TRAIN = ("tokenizer", "train", "--name", "it", "--vocab-size", "280", "--json")


def fingerprint(documents: list[str]) -> str:
    """The hash of these documents, as docs say it is made: each followed by a byte 0xFF."""
    return hashlib.sha256(b"".join(text.encode() + b"\xff" for text in documents)).hexdigest()


def read_documents(shell: Shell, *arguments: str, stdin: bytes = b"") -> tuple[str, str]:
    """The hash of the documents that were read, and what was said."""
    done = shell(*TRAIN, *arguments, stdin=stdin)
    assert done.code == 0, done.err
    return json.loads(done.out)["corpus"]["fingerprint"], " ".join(done.err.split())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_input_is_read_or_refused_as_it_should(shell: Shell, case: Case) -> None:
    (shell.folder / case.name).write_bytes(case.data)
    if case.documents is not None:
        found, said = read_documents(shell, case.name, *case.options)
        assert found == fingerprint(list(case.documents))
        assert case.says in said
        assert case.says or case.options or "Note: " not in said
        return
    done = shell(*TRAIN, case.name, *case.options)
    assert done.code == 65
    assert case.says in done.err
    assert len(done.err.splitlines()) <= 6
    assert not (shell.folder / "tokenizers").exists()


@pytest.mark.parametrize("data", [json_lines(ROWS), json_array(ROWS), table(ROWS, ",")])
def test_rows_come_through_a_pipe(shell: Shell, data: bytes) -> None:
    data = data if data[:4] != b"text" else data.replace(b"text\r\n", b"text,n\r\n").replace(
        b".\r\n", b".,1\r\n")  # fmt: skip
    assert read_documents(shell, "-", stdin=data)[0] == fingerprint(LINES)


def test_many_small_files_are_as_many_documents(shell: Shell) -> None:
    (shell.folder / "many").mkdir()
    for number, line in enumerate(LINES):
        (shell.folder / f"many/{number:03}.txt").write_text(line)
    assert read_documents(shell, "many")[0] == fingerprint(LINES)


def test_of_a_folder_of_code_only_the_code_is_read(shell: Shell) -> None:
    code = "def main():\n\tprint('x')\n" * 40
    files = {
        "src/main.py": code.encode(),
        ".git/objects/ab/cdef": bytes(range(256)),
        "node_modules/x/index.js": b"module.exports = 1;\n",
        "logo.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "src/.gitignore": b"*.log\n",
        "src/build.log": b"built\n",
    }
    for name, data in files.items():
        path = shell.folder / "repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    found, said = read_documents(shell, "repo", "--exclude", "*.md")
    assert found == fingerprint([code])
    for name in (".git (hidden)", "node_modules (programs", "build.log (in .gitignore", "logo.png"):
        assert name in said
    assert "--exclude '*.md' matched nothing" in said


@pytest.mark.parametrize("name", ["rows.json", "array.json", "rows.parquet"])
def test_a_model_of_rows_writes_texts(shell: Shell, name: str) -> None:
    """Without the syntax around them, which is no part of the text."""
    case = next(case for case in CASES if case.name == name)
    (shell.folder / name).write_bytes(case.data)
    size = ("--steps", "60", "--num-layers", "1", "--d-model", "64", "--context-length", "32")
    done = shell("train", name, "--run", "it", *size)
    assert done.code == 0, done.err
    text = shell("generate", "The", "--run", "it", "--seed", "1", "-n", "20").out.decode()
    assert len(text) > 100
    assert not {*"{}[]\\:"} & {*text}


def test_marker_between_documents_is_never_written(shell: Shell) -> None:
    (shell.folder / "a.txt").write_text(BOOK.replace("\n", "\n<|endoftext|>\n"))
    size = ("--steps", "60", "--num-layers", "1", "--d-model", "64", "--context-length", "32")
    assert shell("train", "a.txt", "--run", "it", *size).code == 0
    done = shell("generate", "The", "--run", "it", "-n", "20", "--batch-size", "20")
    assert done.code == 0, done.err
    assert b"endoftext" not in done.out
    assert b"<|" not in done.out


@pytest.mark.parametrize("prompt", ["-Señor -dijo", "- and so"])
def test_prompt_with_a_dash_gets_the_hint_that_works(trained: Shell, prompt: str) -> None:
    done = trained("generate", prompt)
    assert done.code == 2
    assert f"try: tfcli generate -- {shlex.quote(prompt)}" in done.err
    assert trained("generate", "--max-new-tokens", "3", "--", prompt).code == 0


def test_name_of_a_run_works_in_a_shell(shell: Shell) -> None:
    (shell.folder / "with space ünïcode.txt").write_text(BOOK)
    size = ("--steps", "1", "--num-layers", "1", "--d-model", "32", "--context-length", "16")
    assert shell("train", "with space ünïcode.txt", *size).code == 0
    (run,) = (path for path in Path(shell.folder / "checkpoints").glob("[!.]*") if path.is_dir())
    assert run.name == "with-space-unicode"
