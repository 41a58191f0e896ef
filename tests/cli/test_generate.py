"""`tfcli generate` in the shell: streams, defaults, and errors."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from tests.conftest import BOOK, SENTENCES, Shell, bare_environment, forked

ENDLESS = ("generate", "--run", "tale", "--max-new-tokens", "5000", "Ann")
GREEDY = ("generate", "--run", "tale", "--greedy", "--max-new-tokens", "24")


def test_stdout_has_the_text_and_stderr_nothing(trained: Shell) -> None:
    done = trained(*GREEDY, stdin=b"Ann saw")
    assert done.code == 0
    assert done.err == ""
    assert done.out.decode()
    assert "saw" in done.out.decode()


def test_generated_text_has_sentences_of_the_training_text(trained: Shell) -> None:
    done = trained(*GREEDY, stdin=SENTENCES[0].encode())
    assert any(sentence.encode() in done.out for sentence in SENTENCES), done.out


def test_seed_determines_the_text(trained: Shell) -> None:
    sampled = ("generate", "--run", "tale", "--top-k", "40", "--max-new-tokens", "40", "Ann")
    first = trained(*sampled, "--seed", "7")
    assert trained(*sampled, "--seed", "7").out == first.out
    assert trained(*sampled, "--seed", "8").out != first.out
    assert trained(*sampled).out != trained(*sampled).out


def test_stdin_and_the_argument_are_concatenated(trained: Shell) -> None:
    echo = (*GREEDY, "--echo")
    both = trained(*echo, "aw ", stdin=b"\n Ann s").out
    assert both.startswith(b"\n Ann saw ")
    assert both == trained(*echo, stdin=b"\n Ann saw ").out
    assert both == trained(*echo, "\n Ann saw ").out


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_one_newline_at_the_end_of_stdin_is_that_of_echo(trained: Shell, end: str) -> None:
    echo = (*GREEDY, "--echo")
    bare = trained(*echo, stdin=b"Ann saw").out
    assert trained(*echo, stdin=f"Ann saw{end}".encode()).out == bare
    assert trained(*echo, stdin=b"Ann saw\n\n").out.startswith(b"Ann saw\n")
    # before an argument, and in one, it is what it is
    assert trained(*echo, "Bob", stdin=b"Ann saw\n").out.startswith(b"Ann saw\nBob")
    assert trained(*echo, "Ann saw\n").out.startswith(b"Ann saw\n")


def test_newline_of_echo_ends_the_last_word(trained: Shell) -> None:
    echo = (*GREEDY, "--echo")
    for within in (trained(*echo, "Ann s"), trained(*echo, stdin=b"Ann s")):
        assert within.out.startswith(b"Ann saw")
    assert trained(*echo, "saw", stdin=b"Ann\n").out.startswith(b"Ann\nsaw")
    for line in (b"Ann s\n", b"Ann s\r\n"):
        assert trained(*echo, stdin=line).out.startswith(b"Ann s ")
        assert trained(*echo, "--lines", stdin=line).out.startswith(b"Ann s ")


def test_space_at_the_end_of_a_prompt_belongs_to_the_next_word(trained: Shell) -> None:
    told = trained(*GREEDY, "--echo", "Ann saw ").out.decode()
    assert any(told.startswith(sentence) for sentence in SENTENCES), told
    assert "  " not in told


@pytest.mark.parametrize("half", ["Ann sa", "Nobo", "Bob saw the mo", "The old f"])
def test_half_a_word_at_the_end_of_a_prompt_is_completed(trained: Shell, half: str) -> None:
    told = trained(*GREEDY, "--echo", half).out.decode()
    assert told.split("\n")[0] in "".join(SENTENCES), told


def test_unconditional_begins_from_nothing(trained: Shell) -> None:
    begun = trained(*GREEDY, "--unconditional", stdin=b"left alone")
    assert begun == trained(*GREEDY, "")
    refused = trained(*GREEDY, "--unconditional", "Ann")
    assert refused.code == 2
    assert "PROMPT" in refused.err


def test_empty_stdin_is_an_empty_prompt(trained: Shell) -> None:
    assert trained(*GREEDY, stdin=b"").code == 0


def test_long_prompt_is_truncated_with_a_note(trained: Shell) -> None:
    done = trained(*GREEDY, stdin=b"Ann saw the moon. " * 40)
    assert done.code == 0
    assert "Note: the prompt has" in done.err
    assert trained(*GREEDY, "--quiet", stdin=b"Ann saw the moon. " * 40).err == ""


def test_run_option_accepts_a_step(trained: Shell) -> None:
    step = "checkpoints/tale/step-00000060"
    done = trained("generate", "--run", step, "--greedy", "--max-new-tokens", "24", stdin=b"Ann")
    assert done.out == trained(*GREEDY, stdin=b"Ann").out


def test_newest_run_is_the_default(trained: Shell) -> None:
    done = trained("generate", "--greedy", "--max-new-tokens", "24", stdin=b"Ann")
    assert done.out == trained(*GREEDY, stdin=b"Ann").out


@pytest.mark.parametrize("bytes_read", [0, 1, 3])
def test_broken_pipe_is_silent(trained: Shell, bytes_read: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tfcli", *ENDLESS],
        cwd=trained.folder, env=bare_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    assert len(process.stdout.read(bytes_read)) == bytes_read
    process.stdout.close()
    messages = process.stderr.read()
    assert process.wait() == 141
    assert b"Traceback" not in messages
    assert b"BrokenPipe" not in messages
    process.stderr.close()


def test_closed_or_full_stdout_is_an_output_error(trained: Shell) -> None:
    command = f"{sys.executable} -m tfcli generate --run tale --max-new-tokens 5 Ann"
    for redirection in (">&-", ">/dev/full"):
        done = subprocess.run(
            f"{command} {redirection} </dev/null", shell=True, cwd=trained.folder,
            env=bare_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 74, done.stderr
        assert "standard output" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_name_of_a_file_as_a_prompt_gets_a_note(trained: Shell) -> None:
    done = trained("generate", "book.txt", "--run", "tale", "--max-new-tokens", "1")
    assert (
        "Note: the prompt is the name of a file; to continue its text: tfcli generate < book.txt"
        in done.err
    )
    done = trained("generate", "Ann saw", "--run", "tale", "--max-new-tokens", "1")
    assert "name of a file" not in done.err


def test_closed_stdin_is_not_read(trained: Shell) -> None:
    done = subprocess.run(
        f"{shlex.join(forked())} generate --run tale --greedy --max-new-tokens 5 Ann <&-",
        shell=True, cwd=trained.folder, env=bare_environment(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_waiting_for_a_silent_pipe_is_reported(trained: Shell) -> None:
    process = subprocess.Popen(
        [*forked(), *GREEDY, "Ann"],
        cwd=trained.folder, env=bare_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    assert "Waiting for the prompt on standard input" in process.stderr.readline()
    out, _ = process.communicate(" saw")
    assert process.returncode == 0
    assert out


ERRORS = {
    "no such run": (("--run", "tael", "Ann"), b"", 66, "did you mean 'tale'"),
    "not UTF-8": (("--run", "tale"), b"Espa\xf1a", 65, "invalid UTF-8 at byte 4 (0xf1)"),
    "of another encoding": (
        ("--run", "tale"),
        "El niño salió mañana".encode("cp1252"),
        65,
        "iconv -f CP1252 -t UTF-8 < FILE | tfcli ...",
    ),
    "top-k": (
        ("--run", "tale", "--top-k", "-3", "Ann"),
        b"",
        2,
        "--top-k must be at least 0, not -3",
    ),
    "temperature": (
        ("--run", "tale", "--temperature", "nan", "Ann"),
        b"",
        2,
        "--temperature must be at least 0",
    ),
    "fractional": (
        ("--run", "tale", "--top-k", "3.5", "Ann"),
        b"",
        2,
        "--top-k must be a whole number",
    ),
    "misspelled option": (("--tempature", "1", "Ann"), b"", 2, "did you mean '--temperature'?"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_reported_in_a_few_lines(trained: Shell, case: str) -> None:
    arguments, stdin, code, message = ERRORS[case]
    done = trained("generate", *arguments, stdin=stdin)
    assert done.code == code, done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 6
    assert done.out == b""


def test_without_runs_the_hint_is_how_to_train_one(shell: Shell) -> None:
    done = shell("generate", "Ann")
    assert done.code == 66
    assert "tfcli train FILE" in done.err


def test_run_with_another_tokenizer_is_refused(shell: Shell) -> None:
    tiny = ("--layers", "1", "--width", "32", "--context", "16", "--steps", "1")
    for name, size in (("one", "300"), ("two", "310")):
        made = shell("train", "book.txt", "--run", name, "--vocab-size", size, *tiny)
        assert made.code == 0, made.err
    one, two = (shell.folder / "checkpoints" / n / "tokenizer.model" for n in ("one", "two"))
    one.write_bytes(two.read_bytes())
    done = shell("generate", "--run", "one", "Ann")
    assert done.code == 65
    assert "not the tokenizer" in done.err


def test_damaged_step_is_named_and_the_previous_one_used(shell: Shell) -> None:
    tiny = ("--layers", "1", "--width", "32", "--context", "16", "--steps", "4")
    made = shell(
        "train", "book.txt", "--run", "it", "--save-every", "2", "--eval-every", "2", *tiny
    )
    assert made.code == 0, made.err
    for name in ("step-00000004", "step-00000002"):
        damaged = shell.folder / "checkpoints/it" / name / "model.safetensors"
        data = bytearray(damaged.read_bytes())
        data[-1] ^= 1
        damaged.write_bytes(data)
        done = shell("generate", "Ann", "--max-new-tokens", "3")
        assert name in done.err
    assert done.code == 65
    assert shell("doctor").code == 65


def test_the_hint_on_a_prompt_begins_as_the_text_of_the_run(trained: Shell) -> None:
    done = trained("generate", "--no-stdin", "--run", "tale")
    assert done.code == 2
    assert f"tfcli generate '{' '.join(BOOK.split()[:3])}' # or --unconditional" in done.err
    done = trained("generate", "--no-stdin", "--run", "nowhere")
    assert "no prompt given" in done.err
