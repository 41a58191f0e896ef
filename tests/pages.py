"""The commands of a page of documentation, run as a reader would: one by one, in one folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import bare_environment, forked

ROOT = Path(__file__).parent.parent

# What is shown with minutes is run with steps, on a model of one layer: the commands are the same.
# With --from, the model has the shape that it has.
SHORTER = {
    "--time 60s": "--steps 6", "--time 79s": "--steps 6", "--time 2m": "--steps 4",
    "--steps 500": "--steps 6", "--steps 50": "--steps 6", "--steps 2000": "--steps 2",
    "--steps 900": "--steps 6",
}  # fmt: skip
SMALL = {
    "TFCLI_TRAIN_NUM_LAYERS": "1",
    "TFCLI_TRAIN_D_MODEL": "32",
    "TFCLI_TRAIN_CONTEXT_LENGTH": "16",
    "TFCLI_TRAIN_BATCH_TOKENS": "64",
}


def read_page(name: str) -> str:
    """A page by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def command_blocks(page: str) -> list[str]:
    """What stands between ```sh and ```."""
    return re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def split_commands(block: str) -> Iterator[str]:
    """The commands of a block: lines, joined where a backslash or an open quote continues them."""
    command = ""
    for line in block.strip().splitlines():
        command += line
        try:
            shlex.split(command)
        except ValueError:  # a quote is open, or a backslash is last
            command += "\n"
            continue
        yield command
        command = ""
    assert not command, command


def run_commands(block: str, folder: Path, *, small: bool = True) -> None:
    """Runs each command in bash; it has to end well.

    Args:
        small: whether trainings without --from get a context too short for pairs.

    """
    environment = bare_environment()
    tfcli = folder / "bin/tfcli"
    if not tfcli.exists():
        tfcli.parent.mkdir()
        tfcli.write_text(f'#!/bin/sh\nexec {shlex.join(forked())} "$@"\n')
        tfcli.chmod(0o755)
    environment["PATH"] = f"{tfcli.parent}{os.pathsep}{environment['PATH']}"
    for line in split_commands(block):
        for long, short in SHORTER.items():
            line = line.replace(long, short)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=folder, env=environment | (SMALL if small and "--from " not in line else {}),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in {0, 141}, f"{line}\n{done.stderr}"  # 141: `head` has seen enough
        assert "Traceback" not in done.stderr
