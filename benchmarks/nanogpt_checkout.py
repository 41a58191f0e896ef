"""nanoGPT's `train.py`, run from a checkout of github.com/karpathy/nanoGPT that is only read."""

from __future__ import annotations

import pickle
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    Ids = np.ndarray[Any, Any]  # shape (tokens,)

PARTS = ("train.py", "model.py", "configurator.py", "config/train_shakespeare_char.py")
ITERATION = re.compile(r"^iter (\d+): loss \S+, time ([\d.]+)ms", re.MULTILINE)


@dataclass(frozen=True)
class NanoGPT:
    """A copy of a checkout, in a folder of its own."""

    folder: Path

    @classmethod
    def copy(cls, checkout: Path, folder: Path) -> NanoGPT:
        """Copies what is needed of a checkout; ends the program where that is not one."""
        lacking = [part for part in PARTS if not (checkout / part).is_file()]
        if lacking:
            sys.exit(f"{checkout} is not a checkout of nanoGPT: {lacking[0]} is missing")
        for part in PARTS:
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(checkout / part, folder / part)
        return cls(folder)

    def write_data(self, dataset: str, training: Ids, held_out: Ids, vocab_size: int) -> None:
        """Writes ids as its `prepare.py` scripts do."""
        data = self.folder / "data" / dataset
        data.mkdir(parents=True)
        for name, ids in (("train.bin", training), ("val.bin", held_out)):
            ids.astype(np.uint16).tofile(data / name)
        (data / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": vocab_size}))

    def train(self, options: Sequence[str]) -> float:
        """Runs `train.py`; the seconds that the whole process took."""
        return call([sys.executable, "train.py", *options], self.folder)[0]

    def train_for(self, seconds: float, options: Sequence[str]) -> str:
        """Runs `train.py` for that time at most; what it printed."""
        command = [sys.executable, "-u", "train.py", *options]
        try:
            return call(command, self.folder, seconds)[1].decode()
        except subprocess.TimeoutExpired as stopped:
            return (stopped.stdout or b"").decode()


def iteration_seconds(output: str) -> list[float]:
    """What each iteration took, as `train.py` says itself with `--log_interval=1`."""
    return [float(match[2]) / 1000 for match in ITERATION.finditer(output)]


def call(command: list[str], folder: Path, timeout: float | None = None) -> tuple[float, bytes]:
    """The seconds that a command took, from start to end, and its output.

    Raises:
        RuntimeError: it failed; with the end of what it wrote.
        TimeoutExpired: it took more than `timeout` seconds.

    """
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=timeout)
    seconds = time.perf_counter() - began
    if done.returncode:
        error = done.stderr.decode(errors="replace")[-2000:]
        raise RuntimeError(f"{shlex.join(command)}\n{error}")
    return seconds, done.stdout
