"""A byte-level tokenizer from elsewhere in a shell: imported, shown, trained with, written with."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.byte_level import BEGIN, CALL, END, TEXT, TURN, byte_level, tokenizer_json
from tests.conftest import RealShell, Shell

HARD = f"It's 1234 — 🦊⛵ <s>{CALL}{TURN}\t\r\n\n  日本 e\u0301 \x00 ▁".encode()
SMALL = ("--steps", "40", "--layers", "1", "--width", "32", "--context", "32", "-q")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """With Llama 3's scanner as `begins`, Qwen's as `plain`, a run of each; not to be changed."""
    made = RealShell(tmp_path_factory.mktemp("bytes"))
    (made.folder / "book.txt").write_bytes(TEXT.encode())
    for name, scanner in (("begins", "llama-3"), ("plain", "qwen")):
        folder = made.folder / f"{name}-model"
        folder.mkdir()
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(scanner)))  # type: ignore[arg-type]
        config = {"bos_token": BEGIN, "eos_token": END}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        done = made("tokenizer", "import", folder.name, "--name", name)
        assert done.code == 0, done.err
        assert f"Next: tfcli train FILE --tokenizer {name}" in done.err
        done = made("train", "book.txt", "--tokenizer", name, "--run", name, *SMALL)
        assert done.code == 0, done.err
    return made


both = pytest.mark.parametrize("name", ["begins", "plain"])


@both
def test_texts_are_encoded_and_decoded(shell: Shell, name: str) -> None:
    for choice in (("-t", name), ("--run", name)):
        ids = shell("tokenizer", "encode", *choice, stdin=HARD)
        expected = byte_level("llama-3" if name == "begins" else "qwen").encode(HARD)
        assert list(map(int, ids.out.split())) == expected
        assert shell("tokenizer", "decode", *choice, stdin=ids.out).out == HARD
    lines = shell("tokenizer", "encode", "-t", name, "--lines", stdin=b"a fox\nJos\xc3\xa9\n")
    back = shell("tokenizer", "decode", "-t", name, "--lines", stdin=lines.out)
    assert back.out == b"a fox\nJos\xc3\xa9\n"


@both
def test_pieces_are_visible_words(shell: Shell, name: str) -> None:
    done = shell("tokenizer", "encode", "-t", name, "--pieces", stdin="Ann saw\n\u0f3b\\".encode())
    words = done.out.decode().split()
    assert words[0] == "Ann"
    assert "▁saw" in words
    assert words[-1] == "\\\\"
    assert "".join(re.findall("<0x(..)>", done.out.decode())) == "\u0f3b".encode().hex().upper()


@both
def test_vocabulary_is_listed(shell: Shell, name: str) -> None:
    done = shell("tokenizer", "vocab", name, "--json")
    entries = [json.loads(line) for line in done.out.splitlines()]
    tokenizer = byte_level("llama-3" if name == "begins" else "qwen")
    assert [entry["id"] for entry in entries] == list(range(tokenizer.vocab_size))
    by_type: dict[str, list[str]] = {}
    for entry in entries:
        by_type.setdefault(entry["type"], []).append(entry["piece"])
    assert by_type["control"] == [BEGIN, END, TURN]
    assert by_type["user-defined"] == [CALL]
    assert len(by_type["byte"]) == 128
    shown = shell("tokenizer", "info", name)
    assert b"byte-level bpe" in shown.out
    assert b"byte-level bpe" in shell("tokenizer", "info", "--run", name).out


@both
def test_run_keeps_it_and_writes_with_it(shell: Shell, name: str) -> None:
    run = shell.folder / "checkpoints" / name
    assert (run / "tokenizer.json").is_file()
    assert not (run / "tokenizer.model").exists()
    done = shell("generate", "The old ", "--run", name, "--seed", "1", "--max-new-tokens", "30")
    assert done.code == 0, done.err
    done.out.decode()
    for special in (BEGIN, END, TURN):
        assert special.encode() not in done.out
    again = shell("generate", "The old ", "--run", name, "--seed", "1", "--max-new-tokens", "30")
    assert again.out == done.out


@both
def test_scores_of_tokens_add_up(shell: Shell, name: str) -> None:
    text = "Ann saw the 🦊.".encode()
    by_token = shell("score", "--run", name, "--by", "token", "--json", stdin=text)
    assert by_token.code == 0, by_token.err
    whole = shell("score", "--run", name, "--json", stdin=text)
    total = json.loads(whole.out)
    assert total["bytes"] == len(text)
    assert by_token.out


def test_resumed_training_and_another_run_keep_the_tokenizer(shell: Shell, tmp_path: Path) -> None:
    shutil.copytree(shell.folder, tmp_path / "copy")
    copy = RealShell(tmp_path / "copy")
    assert copy("train", "--resume", "plain", "--steps", "2", "-q").code == 0
    done = copy("train", "book.txt", "--from", "plain", "--run", "child", "--steps", "2", "-q")
    assert done.code == 0, done.err
    runs = copy.folder / "checkpoints"
    kept = [(runs / name / "tokenizer.json").read_bytes() for name in ("plain", "child")]
    assert kept[0] == kept[1]
    assert copy("runs", "verify").code == 0
    (runs / "plain" / "tokenizer.json").unlink()
    assert copy("runs", "verify", "plain").code == 65
    done = copy("runs", "repair", "plain")
    assert done.code == 0, done.err
    assert (runs / "plain" / "tokenizer.json").read_bytes() == kept[1]


def test_name_that_exists_is_not_replaced(shell: Shell) -> None:
    done = shell("tokenizer", "import", "plain-model", "--name", "begins")
    assert done.code != 0
    assert "already exists" in done.err


def test_without_the_library_the_message_says_how_to_get_it(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "tokenizers.py").write_text("raise ImportError")
    fresh = RealShell(shell.folder, fresh=True)
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    for arguments in (
        ("tokenizer", "encode", "-t", "plain"),
        ("generate", "Ann", "--run", "plain"),
        ("tokenizer", "import", "plain-model", "--name", "new"),
    ):
        done = fresh(*arguments, stdin=b"Ann", env=env)
        assert done.code == 2
        assert "needs the package tokenizers" in done.err
        assert 'pip install "tfcli[models]"' in done.err
