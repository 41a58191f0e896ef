"""How long the program takes to answer, compared with importing torch: whole processes, medians.

python -m benchmarks.startup [--rounds 9]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks.report import new_parser, print_heading, print_table

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


def seconds(arguments: list[str], folder: str) -> float:
    """How long Python takes with these arguments, from start to end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=True)
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
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


if __name__ == "__main__":
    main()
