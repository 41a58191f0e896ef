"""How long the program takes to answer, beside importing torch: whole processes, medians.

python -m benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c 'import torch'": ["-c", "import torch"],
    "tfcli --help": ["-m", "tfcli", "--help"],
    "tfcli generate --help": ["-m", "tfcli", "generate", "--help"],
    "tfcli train --help": ["-m", "tfcli", "train", "--help"],
    "tfcli runs": ["-m", "tfcli", "runs"],
}
ROUNDS = 9


def seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    rounds = [
        {name: seconds(arguments) for name, arguments in COMMANDS.items()} for _ in range(ROUNDS)
    ]
    torch = statistics.median(one["python -c 'import torch'"] for one in rounds)
    print(f"{'command':<28}  median of {ROUNDS}  against torch")
    for name in COMMANDS:
        median = statistics.median(one[name] for one in rounds)
        print(f"{name:<28}  {median * 1000:8.0f} ms  {median / torch:8.2f}")


if __name__ == "__main__":
    main()
