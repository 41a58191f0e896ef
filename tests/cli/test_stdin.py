"""Standard input beside a prompt: joined where it is meant, left alone where it is not."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from tests.conftest import Shell, bare_environment, forked

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")

GENERATE = "tfcli generate --run tale --greedy --max-new-tokens 3"


def bash(shell: Shell, script: str) -> subprocess.CompletedProcess[str]:
    program = f'tfcli() {{ {shlex.join(forked())} "$@"; }}; export -f tfcli\n'
    return subprocess.run(
        ["bash", "-c", program + script], cwd=shell.folder, env=bare_environment(),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_loop_over_a_file_of_prompts_answers_each(trained: Shell) -> None:
    (trained.folder / "prompts.txt").write_text("Ann saw\nBob saw\nNobody\n")
    loop = f'while read -r l; do echo "<$({GENERATE} --echo "$l")>"; done < prompts.txt'
    done = bash(trained, loop)
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("<")] == [
        "<Ann", "<Bob", "<Nobody>" if "<Nobody>" in done.stdout else "<Nobody"
    ]  # fmt: skip
    assert "standard input" not in done.stderr


def test_script_on_standard_input_is_run_to_its_end(trained: Shell) -> None:
    (trained.folder / "script").write_text(f'{GENERATE} "Ann" > /dev/null\necho reached\n')
    assert bash(trained, "bash -s < script").stdout == "reached\n"


@pytest.mark.parametrize("way", ["echo -n 'Ann ' | ", "printf 'Ann ' > a; < a "])
def test_piped_text_and_prompt_are_joined_with_a_note(trained: Shell, way: str) -> None:
    done = bash(trained, f"{way}{GENERATE} --echo 'saw'")
    assert done.stdout.startswith("Ann saw")
    assert "4 bytes from stdin and 3 from PROMPT" in done.stderr


def test_standard_input_can_be_left_alone(trained: Shell) -> None:
    done = bash(trained, f"echo Bob | {GENERATE} --echo --no-stdin 'Ann'")
    assert done.stdout.startswith("Ann")
    assert done.stderr == ""
    done = bash(trained, f"echo Bob | {GENERATE} --no-stdin")
    assert done.returncode == 2
    assert "no prompt given" in done.stderr


def test_empty_standard_input_says_what_happens(trained: Shell) -> None:
    done = bash(trained, f"{GENERATE} < /dev/null")
    assert done.returncode == 0
    assert "standard input is empty" in done.stderr


def test_note_says_what_to_do_in_a_loop(trained: Shell) -> None:
    loop = "printf 'Ann\\nBob\\n' | while read -r l; do {} \"$l\" --echo; echo; done"
    assert "--no-stdin: only PROMPT, as in a loop" in bash(trained, loop.format(GENERATE)).stderr
    done = bash(trained, loop.format(f"{GENERATE} --no-stdin"))
    begun = [line[:3] for line in done.stdout.splitlines()]
    assert begun.count("Ann") == begun.count("Bob") == 1
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["Ann"], [], ["--lines"]])
def test_open_and_silent_pipe_ends_with_the_time_limit(
    trained: Shell, arguments: list[str]
) -> None:
    """As a child of a program that forgot to close it."""
    read_end, write_end = os.pipe()
    try:
        done = trained("generate", *arguments, "--run", "tale", "--max-time", "1s", stdin=read_end)
    finally:
        os.close(read_end)
        os.close(write_end)
    assert done.code == 65
    assert done.out == b""
    assert "on standard input" in done.err
    assert arguments == ["--lines"] or "--no-stdin" in done.err
    assert "Ctrl-D" not in done.err


def test_byte_order_mark_is_no_part_of_a_prompt(trained: Shell) -> None:
    plain = bash(trained, f"printf 'Ann saw' | {GENERATE}")
    marked = bash(trained, f"printf '\\xef\\xbb\\xbfAnn saw' | {GENERATE}")
    assert marked.stdout == plain.stdout
