"""Kinds 7 and 8: texts of every kind, closed streams, slow readers, unusual environments."""

from __future__ import annotations

import ctypes
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.cli.test_terminal import terminal
from tests.conftest import BOOK, RealShell, Shell, bare_environment, forked
from tests.reliability.conftest import SOAKING, Tally, cases
from tests.reliability.processes import Processes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")

TINY = ("--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "128")
TEXT = BOOK.encode()[:3000]

# name: content of the file, exit code, part of the message
TEXTS: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 65, "no text"),
    "blank": (b" \n\n  ", 65, "only white space"),
    "one byte": (b"a", 0, ""),
    "invalid": (TEXT + b"\xff" + TEXT, 65, "3,000|3000"),
    "cut in a character": (TEXT + "é".encode()[:1], 65, ""),
    "a surrogate": (TEXT + b"\xed\xa0\x80", 65, ""),
    "overlong": (TEXT + b"\xc0\xaf", 65, ""),
    "UTF-16": (b"\xff\xfe" + BOOK[:3000].encode("utf-16-le"), 0, "UTF-16-LE"),
    "UTF-16, big end first": (b"\xfe\xff" + BOOK[:3000].encode("utf-16-be"), 0, "UTF-16-BE"),
    "byte order mark": (b"\xef\xbb\xbf" + TEXT, 0, ""),
    "NUL": (TEXT + b"\0" + TEXT, 0, ""),
    "CRLF": (TEXT.replace(b"\n", b"\r\n"), 0, ""),
    "CR": (TEXT.replace(b"\n", b"\r"), 0, ""),
    "no final newline": (TEXT.rstrip(), 0, ""),
    "one long line": (TEXT.replace(b"\n", b" ") * 20, 0, ""),
    "emoji": ("👩‍👩‍👧‍👦🏳️‍🌈".encode() * 200, 0, ""),
    "many scripts": ("日本語 עברית العربية ไทย ".encode() * 80, 0, ""),
    "control characters": (bytes(range(1, 32)) * 60, 0, ""),
    "SentencePiece's marks": ("▁▅<s></s><unk>".encode() * 100, 0, ""),
}


def outcome(code: int, message: str, done_code: int, err: str) -> None:
    assert "Traceback" not in err
    assert "internal error" not in err
    assert "made a mistake" not in err
    assert done_code == code, err
    assert not message or any(part in err for part in message.split("|")), err


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_every_kind_have_the_documented_outcome(
    name: str, processes: Processes, tmp_path: Path, tally: Tally
) -> None:
    data, code, message = TEXTS[name]
    (tmp_path / "text.txt").write_bytes(data)
    done = processes.run(tmp_path, "train", "text.txt", "--run", "it", "--steps", "1", *TINY)
    outcome(code, message, done.code, done.err)
    assert (tmp_path / "text.txt").read_bytes() == data
    assert (tmp_path / "checkpoints/it").exists() == (code == 0)
    tally(7, 1)


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (lambda path: path.mkdir(), 66, "no files in"),
        (lambda path: None, 66, "file not found"),
        (lambda path: path.symlink_to("nowhere"), 66, "file not found"),
        (lambda path: path.symlink_to("/dev/null"), 65, "no text"),
    ],
    ids=["a folder without a text", "nothing", "a link to nowhere", "a device"],
)
def test_folders_and_devices_have_the_documented_outcome(
    make: Callable[[Path], object],
    code: int,
    message: str,
    processes: Processes,
    tmp_path: Path,
    tally: Tally,
) -> None:
    make(tmp_path / "text.txt")
    done = processes.run(tmp_path, "train", "text.txt", "--run", "it", "--steps", "1", *TINY)
    outcome(code, message, done.code, done.err)
    assert "did you mean text.txt" not in done.err
    tally(7, 1)


def test_named_pipe_is_read(processes: Processes, tmp_path: Path, tally: Tally) -> None:
    os.mkfifo(tmp_path / "pipe")
    child = processes.start(tmp_path, "train", "pipe", "--run", "it", "--steps", "1", *TINY)
    with (tmp_path / "pipe").open("wb") as pipe:  # opens once the program has opened it
        pipe.write(TEXT)
    done = child.wait()
    outcome(0, "", done.code, done.err)
    tally(7, 1)


@pytest.mark.skipif(not SOAKING, reason="a minute")
def test_line_of_a_gigabyte_takes_bounded_memory(
    processes: Processes, tmp_path: Path, tally: Tally
) -> None:
    with (tmp_path / "text.txt").open("wb") as file:
        for _ in range(1 << 10):
            file.write(TEXT.replace(b"\n", b" ") * 349)
    child = processes.start(
        tmp_path, "train", "text.txt", "--run", "it", "--steps", "1", "--vocab-size", "512", *TINY
    )
    while not child.ends_within(1):
        status = Path(f"/proc/{child.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        assert int(peak.split()[1]) < 1 << 20, peak
    assert child.wait().code == 0
    tally(7, 1)


# --- streams ------------------------------------------------------------------------------------


def generate(shell: Shell, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*forked(), "generate", "Ann", "--run", "tale", *arguments],
        cwd=shell.folder, env=bare_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_closed_pipe_ends_the_command_with_141(trained: Shell, tally: Tally) -> None:
    rng = random.Random(8)
    count = cases(4, 60)
    for _ in range(count):
        process = generate(trained, "--max-new-tokens", "100000")
        assert process.stdout
        assert process.stderr
        process.stdout.read(rng.randrange(1, 50))
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait() == 141, err
        assert "Traceback" not in err
        process.stderr.close()
    tally(8, count)


def test_slow_reader_gets_everything(trained: Shell, tally: Tally) -> None:
    options = ("--max-new-tokens", "300", "--seed", "7")
    whole = trained("generate", "Ann", "--run", "tale", *options).out
    count = cases(2, 30)
    for number in range(count):
        process = generate(trained, *options)
        assert process.stdout
        parts = []
        while part := process.stdout.read(1 + number):
            parts.append(part)
        assert process.wait() == 0
        assert b"".join(parts) == whole
        process.stdout.close()
        assert process.stderr
        process.stderr.close()
    tally(8, count)


@pytest.mark.parametrize("command", ["train --help", "runs --help", "--help"])
def test_help_that_nobody_reads_ends_with_141(command: str, trained: Shell) -> None:
    script = f"{sys.executable} -m tfcli {command} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=trained.folder, env=bare_environment())
    assert done.returncode == 141


@pytest.mark.parametrize(
    "threads",
    ["0", "abc", *(pytest.param(text, marks=pytest.mark.slow) for text in ("", "-1"))],
)
def test_invalid_number_of_threads_is_ignored_quietly(threads: str, trained: Shell) -> None:
    shell = RealShell(trained.folder, fresh=True)
    done = shell("generate", "Ann", "-q", "--greedy", env={"OMP_NUM_THREADS": threads})
    assert (done.code, done.err) == (0, "")


CLOSED = {
    "stdin": "<&-", "stdout": ">&-", "stderr": "2>&-", "all": "<&- >&- 2>&-",
    "stdout is full": ">/dev/full",
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize(
    "command", ["generate Ann --run tale --max-new-tokens 5", "runs", "runs show tale --json"]
)
def test_closed_streams_cause_no_traceback(
    name: str, command: str, trained: Shell, tally: Tally
) -> None:
    fresh = "generate" in command  # Python itself starts without them
    program = [sys.executable, "-m", "tfcli"] if fresh else forked()
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(program)} {command} {CLOSED[name]}"],
        cwd=trained.folder, env=bare_environment(), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    err = done.stderr.decode()
    assert "Traceback" not in err
    assert "internal error" not in err
    assert "made a mistake" not in err
    assert done.returncode in {0, 2, 66, 74, 141}, err
    if name == "stdout is full" and "generate" in command:
        assert done.returncode == 74, err
    tally(8, 1)


UNUSUAL = {
    "a dumb terminal": {"TERM": "dumb"},
    "no terminal": {"TERM": ""},
    "no home": {"HOME": "/nowhere"},
    "an unknown locale": {"LC_ALL": "xx_XX.UTF-8"},
    "the C locale": {"LC_ALL": "C"},
    "a narrow terminal": {"COLUMNS": "1", "LINES": "1"},
    "colors": {"FORCE_COLOR": "1"},
    "another time zone": {"TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "0"},
}
# What Python and its libraries read when they start.
READ_AT_START = {"HOME", "LC_ALL", "FORCE_COLOR", "TZ"}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_environments_cause_no_traceback(name: str, trained: Shell, tally: Tally) -> None:
    shell = RealShell(trained.folder, fresh=bool(READ_AT_START & UNUSUAL[name].keys()))
    for arguments in (("generate", "José", "--run", "tale", "--greedy"), ("--help",)):
        done = shell(*arguments, env=UNUSUAL[name])
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
    tally(8, 2)


def test_resized_terminal_causes_no_traceback(shell: Shell, tally: Tally) -> None:
    sizes = [(50, 200), (10, 20), (2, 10), (1, 1), (0, 0), (24, 80)]
    options = ("--steps", "100000", "--run", "it", "--eval-every", "50", *TINY)
    child = terminal(shell, "train", "book.txt", *options)
    child.expect("tokens/s")
    for rows, columns in sizes:
        child.setwinsize(rows, columns)
        for _ in range(20):  # it keeps redrawing
            child.expect("\x1b")
    child.kill(signal.SIGINT)
    child.expect("Next: tfcli train --resume it")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    tally(8, len(sizes))


def copied(trained: Shell, tmp_path: Path) -> Path:
    shutil.copytree(trained.folder, tmp_path / "copy")
    return tmp_path / "copy"


COMMANDS = {
    "generate": ("generate", "Ann", "--run", "tale", "--max-new-tokens", "2000"),
    "score": ("score", "book.txt", "--run", "tale"),
    "tokenizer": ("tokenizer", "train", "book.txt", "--name", "other"),
    "export": ("export", "tale", "--to", "huggingface", "elsewhere"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_at_any_moment_leaves_nothing_half_written(
    name: str,
    number: signal.Signals,
    processes: Processes,
    trained: Shell,
    tmp_path: Path,
    tally: Tally,
) -> None:
    """The message has one line; what was being written is complete or absent."""
    folder = copied(trained, tmp_path)
    rng = random.Random(13)
    count = cases(3, 40)
    for _ in range(count):
        child = processes.start(folder, *COMMANDS[name])
        child.ends_within(rng.random() * 0.5)
        child.send(number)
        done = child.wait()
        # a signal before the handlers are set ends the process directly
        assert done.code in {0, 73, 128 + number, -number}, done.err
        assert "Traceback" not in done.err
        if (folder / "tokenizers/other").exists():
            used = processes.run(folder, "tokenizer", "encode", "-t", "other")
            assert used.code == 0, used.err
        if (folder / "elsewhere").exists():
            assert (folder / "elsewhere/model.safetensors").exists()
            shutil.rmtree(folder / "elsewhere")
    tally(8, count)


def without_privileges() -> None:
    """Takes root's right to write everywhere from this process."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version of the call, this process
    nothing = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice
    if sys.platform == "linux":
        ctypes.CDLL(None).capset(header, nothing)


def test_read_only_folder_can_be_read_and_is_named_when_written(
    processes: Processes, trained: Shell, tmp_path: Path, tally: Tally
) -> None:
    """Commands that only read succeed; those that write name the folder."""
    folder = copied(trained, tmp_path)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    inside = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in inside:
        path.chmod(0o555)

    def run(*arguments: str) -> tuple[int, str]:
        done = processes.start(folder, *arguments, before=without_privileges, logs=tmp_path).wait()
        assert "Traceback" not in done.err
        return done.code, done.err

    reading = [
        ("generate", "Ann", "--run", "tale", "--max-new-tokens", "5"),
        ("score", "book.txt", "--run", "tale"),
        ("tokenizer", "encode", "-t", "words"),
        ("runs",), ("runs", "show", "tale"), ("runs", "verify"),
    ]  # fmt: skip
    writing = [
        ("train", "book.txt", "--run", "new", "--steps", "1", *TINY),
        ("train", "--resume", "tale", "--steps", "1"),
        ("tokenizer", "train", "book.txt", "--name", "new"),
        ("runs", "repair", "tale"),
        ("export", "tale", "--to", "huggingface", "elsewhere"),
    ]
    try:
        for arguments in reading:
            code, err = run(*arguments)
            assert code == 0, err
        for arguments in writing:
            code, err = run(*arguments)
            assert code == 74, err
            assert "no permission" in err
    finally:
        for path in inside:
            path.chmod(0o755)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept
    tally(8, len(reading) + len(writing))


@pytest.mark.parametrize("year", [1970, 2100])
def test_clock_changes_do_not_matter(
    year: int, processes: Processes, trained: Shell, tmp_path: Path, tally: Tally
) -> None:
    """No command depends on modification times being plausible."""
    folder = copied(trained, tmp_path)
    options = ("generate", "Ann", "--run", "tale", "--seed", "7")
    before = processes.run(folder, *options).out
    for path in folder.rglob("*"):
        os.utime(path, (seconds := (year - 1970) * 31_556_952, seconds))
    assert processes.run(folder, *options).out == before
    for arguments in (
        ("train", "--resume", "tale", "--steps", "5"),
        ("train", "book.txt", "--run", "new", "--steps", "2", "--tokenizer", "words", *TINY),
        ("runs", "verify"), ("runs",), ("doctor",), ("runs", "plot", "tale"),
    ):  # fmt: skip
        done = processes.run(folder, *arguments)
        assert done.code == 0, done.err
    tally(8, 7)
