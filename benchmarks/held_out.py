"""Held-out nats a byte of whole `tfcli train` commands, wall-clock from start to end.

    python -m benchmarks.held_out FILE [--time 60s] [--rounds 3]

Each round has another seed; every figure is on the last tenth of the file, through a window of the
model's context that moves by half of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--time", default="60s")
    parser.add_argument("--rounds", type=int, default=3)
    arguments, others = parser.parse_known_args()
    losses = []
    file = str(Path(arguments.file).resolve())  # the command runs in an empty folder
    for seed in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "tfcli", "train", file, *others),
                    *("--time", arguments.time, "--seed", str(seed), "--json", "--quiet"),
                ],
                cwd=folder,
                capture_output=True,
                check=True,
            )
            wall = time.perf_counter() - began
        result = json.loads(done.stdout)
        held_out = result["held_out"]
        losses.append(held_out["nats_per_byte"])
        print(
            f"seed {seed}: {losses[-1]:.4f} nats/byte on {held_out['bytes']:,} bytes, "
            f"context {held_out['context']}, stride {held_out['stride']}; "
            f"{result['parameters']:,} parameters, "
            f"{result['steps']:,} steps; {wall:.1f} s of wall clock"
        )
    print(f"median {statistics.median(losses):.4f}")


if __name__ == "__main__":
    main()
