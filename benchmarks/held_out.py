"""Held-out nats per byte of whole `tfcli train` commands, wall-clock time from start to end.

    python -m benchmarks.held_out [FILE] [--time 60s] [--rounds 3] [-- OPTIONS of tfcli train]

Each round has another seed; every figure is on the last tenth of the file, through a window of the
model's context that moves by half of it. Without FILE it is 2.2 MB of Python's standard library.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import new_parser, print_heading, print_table, split_options
from benchmarks.texts import choose_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TINY = ["--layers", "1", "--width", "32", "--context", "32"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--time", default="60s")
    parser.add_argument("--rounds", type=int, default=3)
    own, options = split_options(arguments)
    wanted = parser.parse_args(own)
    print_heading("held_out", arguments)
    if wanted.tiny:
        wanted.time, wanted.rounds, options = "2s", 1, [*options, *TINY]
    with tempfile.TemporaryDirectory() as folder:
        text = choose_text(wanted.file, Path(folder), tiny=wanted.tiny)
        losses: list[float] = []

        def rounds() -> Iterator[tuple[object, ...]]:
            for seed in range(wanted.rounds):
                result, seconds = train(text, [*options, "--time", wanted.time], seed)
                held_out = result["held_out"]
                losses.append(held_out["nats_per_byte"])
                yield (
                    seed, f"{result['parameters']:,}", held_out["context"], f"{result['steps']:,}",
                    f"{seconds:.1f}", f"{held_out['bytes']:,}", f"{losses[-1]:.4f}",
                )  # fmt: skip

        print_table(
            ["seed", "parameters", "context", "steps", "seconds", "held-out bytes",
             "nats per byte"],
            rounds(),
        )  # fmt: skip
    print(f"Median: {statistics.median(losses):.4f} nats per byte.\n")


def train(text: Path, options: Sequence[str], seed: int) -> tuple[dict[str, Any], float]:
    """What `tfcli train --json` says of a run, and how many seconds the command took."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tfcli", "train", str(text), *options),
                *("--seed", str(seed), "--json", "--quiet"),
            ],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr.decode())
    return json.loads(done.stdout), seconds


if __name__ == "__main__":
    main()
