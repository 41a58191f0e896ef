"""On a real terminal: the live view, the hint instead of a hang, control characters shown."""

from __future__ import annotations

import os
import signal
import sys

import pexpect
import pytest

from tests.conftest import Shell, bare_environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")

TINY = ["--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "128"]


def terminal(shell: Shell, *arguments: str) -> pexpect.spawn:
    environment = bare_environment() | {"TERM": "xterm-256color"}
    return pexpect.spawn(
        sys.executable, ["-m", "tfcli", *arguments], cwd=str(shell.folder), env=environment,
        dimensions=(30, 100), encoding="utf-8", timeout=60,
    )  # fmt: skip


def test_without_a_prompt_there_is_a_hint_and_no_hang(trained: Shell) -> None:
    child = terminal(trained, "generate")
    child.expect("there is no prompt")
    child.expect("tfcli generate")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


def test_encode_without_text_gives_a_hint(trained: Shell) -> None:
    child = terminal(trained, "tokenizer", "encode", "-t", "words")
    child.expect("nothing on standard input")
    child.expect(pexpect.EOF)


def test_text_ends_with_a_newline_and_the_seed_is_told(trained: Shell) -> None:
    child = terminal(trained, "generate", "Ann", "--max-new-tokens", "10")
    child.expect(r"\r\n.*Next: the same text again with --seed \d+")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_training_shows_itself_live_and_stops_on_ctrl_c(shell: Shell) -> None:
    wishes = ["--steps", "100000", "--run", "it", "--evaluate-every", "20", *TINY]
    child = terminal(shell, "train", "book.txt", *wishes)
    child.expect("tokens/s")
    child.expect("[\u2801-\u28ff]{3}")  # the curve, in braille
    child.kill(signal.SIGINT)
    child.expect("Stopping; saving first")
    child.expect("Next: tfcli train --resume it")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
