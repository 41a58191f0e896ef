"""On a real terminal: live display, interactive generation, Ctrl-C, colors, hints."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.conftest import SENTENCES, Shell, bare_environment, forked

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")

PASTE = r"(?:\x1b\[\?2004[hl]\r?)?"  # readline asks that what is pasted is marked
MODEL = r"\x1b\[36m"  # the color of what the model writes
TINY = ["--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "128"]


def terminal(shell: Shell, *arguments: str, env: dict[str, str] | None = None) -> pexpect.spawn:
    environment = bare_environment() | {"TERM": "xterm-256color"} | (env or {})
    return pexpect.spawn(
        forked()[0], [*forked()[1:], *arguments], cwd=str(shell.folder), env=environment,
        dimensions=(30, 100), encoding="utf-8", timeout=60,
    )  # fmt: skip


def test_without_a_prompt_there_is_a_hint_instead_of_a_hang(trained: Shell) -> None:
    child = terminal(trained, "generate")
    child.expect("no prompt given")
    child.expect("tfcli generate")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


def test_encode_without_text_gives_a_hint(trained: Shell) -> None:
    child = terminal(trained, "tokenizer", "encode", "-t", "words")
    child.expect("nothing on standard input")
    child.expect(pexpect.EOF)


def test_text_ends_with_a_newline_and_the_seed_is_shown(trained: Shell) -> None:
    child = terminal(trained, "generate", "Ann", "--max-new-tokens", "10")
    child.expect(r"\r\n.*--seed (\d+) reproduces this\.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize(("columns", "missing"), [(80, ""), (48, "disk"), (34, "saved")])
def test_a_narrow_terminal_gets_fewer_columns(trained: Shell, columns: int, missing: str) -> None:
    child = terminal(trained, "runs", "list", env={"COLUMNS": str(columns)})
    child.expect(pexpect.EOF)
    table = child.before.split("Next")[0].splitlines()
    assert max(map(len, table)) <= columns
    assert "nats/byte" in child.before
    assert not missing or missing not in child.before


def written(shell: Shell, *arguments: str, columns: int) -> list[str]:
    """The lines on a terminal that is so wide, without colors."""
    child = terminal(shell, *arguments, env={"COLUMNS": str(columns), "NO_COLOR": "1"})
    child.expect(pexpect.EOF)
    text: str = child.before
    return text.splitlines()


@pytest.mark.parametrize("columns", [40, 60])
def test_no_word_is_broken_where_a_plot_is_narrow(trained: Shell, columns: int) -> None:
    lines = written(trained, "runs", "plot", columns=columns)
    assert max(map(len, lines)) <= columns
    legend = lines[lines.index("tale") :]
    wide = written(trained, "runs", "plot", columns=200)
    wide = wide[next(n for n, line in enumerate(wide) if line.startswith("tale")) :]
    assert " ".join(legend).replace("\\", "").split() == " ".join(wide).split()


@pytest.mark.parametrize("columns", [40, 60])
def test_no_word_of_a_traced_text_is_broken(trained: Shell, columns: int) -> None:
    text = " ".join(["Nobody saw the sea.", *map(str.strip, SENTENCES[:9]), "Never before."])
    lines = written(trained, "trace", "tale", text, columns=columns)
    lines = lines[: lines.index("")]
    assert max(map(len, lines)) <= columns
    assert re.sub(r"\[[\d,]+\]|[][]", "", " ".join(lines)).split() == text.split()


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_a_command_on_a_narrow_terminal_can_be_copied(trained: Shell, columns: int) -> None:
    options = ("--run", "tale", "--stop", "one long string", "--temperature", "0.5")
    lines = written(trained, "generate", *options, "-It's he", columns=columns)
    assert max(map(len, lines)) <= columns
    command = "\n".join(lines[1:]).removeprefix("  try: ").replace("\\\n", "")  # as a shell does
    assert shlex.split(command) == ["tfcli", "generate", *options, "--", "-It's he"]


def test_training_has_a_live_display_and_stops_on_ctrl_c(shell: Shell) -> None:
    options = ["--steps", "100000", "--run", "it", "--eval-every", "20", *TINY]
    child = terminal(shell, "train", "book.txt", *options)
    child.expect("tokens/s")
    child.expect("[\u2801-\u28ff]{3}")  # the loss curve, in braille
    child.kill(signal.SIGINT)
    child.expect("Stopping after saving")
    child.expect("Next: tfcli train --resume it")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_interactive_generation_and_its_commands(trained: Shell, tmp_path: Path) -> None:
    child = terminal(trained, "generate", "--run", "tale", "-i", "--greedy", "--stop", ".")
    child.expect("Type the beginning of a text")
    child.expect("> ")
    child.sendline("/help")
    for command in ("/retry", "/undo", "/set NAME VALUE", "/quit"):  # each on a line of its own
        child.expect(rf"\r\n\x1b\[1m{command} *\x1b\[0m +\w")
    child.expect("> ")
    child.sendline("Ann saw")
    child.expect(rf"Ann saw\r\n{PASTE}{MODEL}( [^\r]+)\x1b\[0m\r\n{PASTE}> ")
    first = child.match[1]
    child.sendline("/retry")
    child.expect(rf"/retry\r\n{PASTE}Ann saw{MODEL}( [^\r]+)\x1b\[0m\r\n{PASTE}> ")
    assert child.match[1] == first  # greedy, so deterministic
    child.sendline("/set temperature 0.9")
    child.expect("greedy: on -> off")
    child.expect(r"temperature: 0\.8 -> 0\.9")
    child.expect("> ")
    child.sendline("/set temp")
    child.expect(r"temperature: 0\.9 -> 0\.8")
    child.expect("> ")
    child.sendline("/set --temp 0.9")
    child.expect("> ")
    child.sendline("/set")
    child.expect(r"temperature *\x1b\[0m +0\.9 +default 0\.8")
    child.expect("> ")
    for invalid, message in (
        ("/set temprature 1", "did you mean 'temperature'?"),
        ("/set top_p 7", "top_p must be between 0 and 1, not 7.0"),
        ("/set top_k many", "top_k must be a whole number, not 'many'"),
        ("/rerty", "did you mean '/retry'?"),
        ("/save", "/save needs the name"),
    ):
        child.sendline(invalid)
        child.expect_exact(message)
        child.expect("> ")
    story = tmp_path / "story.txt"
    child.sendline(f"/save {story}")
    child.expect("Saved to")
    assert story.read_text() == "Ann saw" + first
    child.sendline("/undo")
    child.expect("New text")
    child.sendline("/undo")
    child.expect("nothing to undo")
    child.expect("> ")
    child.sendline("One\\")
    child.expect_exact(". ")
    child.sendline("Two")
    child.expect("> $")
    child.sendline(f"/save {story}")
    child.expect("Saved to")
    assert story.read_text().startswith("One\nTwo")
    child.expect("> ")  # sent before the prompt, an end of input is lost, as in any shell
    child.sendeof()  # everything is saved: nothing to ask
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_ctrl_c_stops_the_text_but_not_the_program(trained: Shell) -> None:
    child = terminal(trained, "generate", "--run", "tale", "-i", "--max-new-tokens", "100000000")
    child.expect("> ")
    child.sendline("Ann saw")
    child.expect("saw[^>]{200}")  # it is generating
    child.kill(signal.SIGINT)
    child.expect(rf"\n{PASTE}> ")
    child.sendline("/new")
    child.expect("New text")
    child.kill(signal.SIGINT)  # at the prompt: discards the line
    child.expect("> ")
    child.sendline("/quit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_notes_come_after_the_text(trained: Shell) -> None:
    child = terminal(
        trained, "generate", "--run", "tale", "--max-new-tokens", "80", "--seed", "1", "Ann"
    )
    child.expect(pexpect.EOF)
    text, _, note = child.before.partition("\r\nNote: ")
    assert "Note" not in text
    said = (
        "prompt and answer together are longer than the context; the model sees at most the last "
        "32 tokens"
    )
    assert " ".join(note.split()).startswith(said)


def test_a_note_in_the_file_of_the_text_is_on_a_line_of_its_own(trained: Shell) -> None:
    options = ["--run", "tale", "--max-new-tokens", "80", "--seed", "1", "Ann"]
    command = shlex.join([*forked(), "generate", *options])
    done = subprocess.run(
        ["sh", "-c", f"{command} 2>&1"], cwd=trained.folder, env=bare_environment(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    *text, note = done.stdout.splitlines()
    assert note.startswith("Note: prompt and answer together are longer than the context")
    assert "Note" not in "".join(text)


def test_tokens_are_scored_in_colors(trained: Shell, tmp_path: Path) -> None:
    part = tmp_path / "part.txt"
    score = ("score", str(part), "--run", "tale", "--by", "token")
    part.write_text("Ann saw\x1b[2J qqq")
    child = terminal(trained, *score)
    child.expect("Less likely than")
    assert "\x1b[30;48;5;210m" in child.before
    assert "^[" in child.before
    assert "\x1b[2J" not in child.before
    child.expect(pexpect.EOF)
    child = terminal(trained, *score, "--top-logprobs", "2")
    child.expect("Less likely than")
    first, second, *_ = child.before.splitlines()
    assert first.count("%") == second.count("%") == 2
    child.expect(pexpect.EOF)
    child = terminal(trained, *score, env={"NO_COLOR": "1"})
    child.expect(pexpect.EOF)
    assert "\x1b" not in child.before
    assert len(child.before.splitlines()[0].split("\t")) == 2


def test_decoded_text_is_shown_not_obeyed(trained: Shell) -> None:
    child = pexpect.spawn(
        "bash", ["-c", f"echo 30 94 53 77 | {shlex.join(forked())} tokenizer decode -t words"],
        cwd=str(trained.folder), env=bare_environment(), encoding="utf-8", timeout=60,
    )  # fmt: skip
    child.expect(pexpect.EOF)
    assert "^[[2J" in child.before


def test_long_scoring_shows_progress(trained: Shell) -> None:
    endless = f"yes {SENTENCES[0].strip()} | {shlex.join(forked())} score --run tale"
    child = pexpect.spawn(
        "bash", ["-c", f"{endless} --by line > /dev/null"],
        cwd=str(trained.folder), env=bare_environment() | {"TERM": "xterm-256color"},
        encoding="utf-8", timeout=60,
    )  # fmt: skip
    child.expect("Scoring")
    child.sendintr()
    child.expect(pexpect.EOF)


def test_surprisal_is_shown_in_colors(trained: Shell) -> None:
    child = terminal(
        trained, "generate", "--run", "tale", "--logprobs", "--temperature", "3", "--top-k", "0",
        "--seed", "1", "--max-new-tokens", "30", "Ann",
    )  # fmt: skip
    child.expect(r"\x1b\[30;48;5;(229|216|210)m")
    child.expect("Less likely than")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
