"""How long the program takes to answer, compared with importing torch: whole processes, medians.

    python -m benchmarks.startup [--rounds 9] [--run RUN]

With a run, also how long `tfcli generate` with it takes until its first letter, and its memory
until it ends, compared with the file of weights. "Cold" is a new process; what it reads is in the
system's cache. The memory of its peak is of two kinds: its own, and pages of files, among them
those of the weights, which the system can drop.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import new_parser, print_heading, print_table
from tfcli.runs.run import find_run
from tfcli.runs.step import MODEL
from tfcli.runs.valid_steps import choose_step

if TYPE_CHECKING:
    from collections.abc import Sequence

IMPORT_TORCH = "python -c 'import torch'"
COMMANDS = {
    IMPORT_TORCH: ["-c", "import torch"],
    "tfcli --help": ["-m", "tfcli", "--help"],
    "tfcli generate --help": ["-m", "tfcli", "generate", "--help"],
    "tfcli train --help": ["-m", "tfcli", "train", "--help"],
    "tfcli runs": ["-m", "tfcli", "runs"],
}
MEMORY = ("VmHWM", "RssAnon", "RssFile")  # of /proc/PID/status: the peak, its own, of files


def seconds(arguments: list[str], folder: str) -> float:
    """How long Python takes with these arguments, from start to end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=True)
    return time.perf_counter() - began


def first_letter(run: str, folder: str, *options: str) -> tuple[float, dict[str, int]]:
    """Seconds from the start of `tfcli generate` to its first letter, and its memory in bytes.

    The memory is read from /proc after each letter, so its own is that of the last one that was
    read; `VmHWM` is the system's own peak.
    """
    command = [
        sys.executable, "-m", "tfcli", "generate", "Once upon a", "--run", run, "--greedy",
        "--max-new-tokens", "64", *options,
    ]  # fmt: skip
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        echoed = process.stdout.read(1)
        seconds = time.perf_counter() - began
        taken: dict[str, int] = {}
        while echoed:
            taken |= memory_of(process.pid)
            echoed = process.stdout.read(1)
    if process.returncode or not taken:
        raise RuntimeError(f"{command} exited with {process.returncode}")
    return seconds, taken


def memory_of(pid: int) -> dict[str, int]:
    """VmHWM, RssAnon and RssFile of a process; nothing after it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    fields = (line.split() for line in lines)
    return {name[:-1]: 1024 * int(rest[0]) for name, *rest in fields if name[:-1] in MEMORY}


def measure_run(path: Path, count: int) -> None:
    """Prints the table of a run."""
    run, _ = find_run(str(path.resolve()))
    weights = choose_step(run, None, on_damaged=print).path / MODEL
    size = weights.stat().st_size
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for options in ((), ("--int8",)):
            rounds = [
                (
                    seconds(COMMANDS[IMPORT_TORCH], folder),
                    first_letter(str(run.path), folder, *options),
                )
                for _ in range(count)
            ]
            importing = statistics.median(one for one, _ in rounds)
            letter = statistics.median(one for _, (one, _) in rounds)
            memory = {name: max(one[name] for _, (_, one) in rounds) for name in MEMORY}
            rows.append(
                [" ".join(["`tfcli generate", *options]) + "`", f"{letter * 1000:.0f} ms",
                 f"{letter / importing:.2f}",
                 *(f"{memory[name] / 1e6:.0f} MB" for name in MEMORY),
                 f"{memory['VmHWM'] / size:.2f}"]
            )  # fmt: skip
    print(f"The file of weights has {size / 1e6:.0f} MB.\n")
    print_table(
        ["command", f"first letter, median of {count}", "relative to importing torch",
         "peak memory", "its own", "of files", "peak relative to the weights"],
        rows,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--run", help="the path of a run, to generate with")
    wanted = parser.parse_args(arguments)
    print_heading("startup", arguments)
    count = 1 if wanted.tiny else wanted.rounds
    with tempfile.TemporaryDirectory() as folder:
        rounds = [
            {name: seconds(command, folder) for name, command in COMMANDS.items()}
            for _ in range(count)
        ]
    medians = {name: statistics.median(one[name] for one in rounds) for name in COMMANDS}
    print_table(
        ["command", f"median of {count}", "relative to importing torch"],
        (
            (f"`{name}`", f"{median * 1000:.0f} ms", f"{median / medians[IMPORT_TORCH]:.2f}")
            for name, median in medians.items()
        ),
    )
    if wanted.run:
        measure_run(Path(wanted.run), count)


if __name__ == "__main__":
    main()
