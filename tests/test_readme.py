"""The README's commands are run, line by line, in a folder with a book.txt."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Shell, bare_environment, forked

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)

# What is shown with minutes is run with steps, on a model of one layer: the commands are the same.
SHORTER = {"--time 60s": "--steps 6", "--time 2m": "--steps 4", "--steps 50": "--steps 6"}
SMALL = {
    "TFCLI_TRAIN_NUM_LAYERS": "1",
    "TFCLI_TRAIN_D_MODEL": "32",
    "TFCLI_TRAIN_CONTEXT_LENGTH": "16",
    "TFCLI_TRAIN_BATCH_TOKENS": "64",
}


@pytest.mark.skipif(os.name == "nt", reason="the README's shell is POSIX")
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_commands_of_the_readme_work(shell: Shell, block: str) -> None:
    environment = bare_environment() | SMALL
    (shell.folder / "bin").mkdir()
    tfcli = shell.folder / "bin/tfcli"
    tfcli.write_text(f'#!/bin/sh\nexec {shlex.join(forked())} "$@"\n')
    tfcli.chmod(0o755)
    environment["PATH"] = f"{tfcli.parent}{os.pathsep}{environment['PATH']}"
    for line in block.strip().splitlines():
        for long, short in SHORTER.items():
            line = line.replace(long, short)
        done = subprocess.run(
            ["bash", "-c", line], cwd=shell.folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def test_there_are_commands_to_run() -> None:
    assert sum(block.count("tfcli") for block in BLOCKS) >= 12


@pytest.mark.parametrize("target", re.findall(r"\]\(([\w./-]+)\)", README))
def test_the_links_of_the_readme_lead_somewhere(target: str) -> None:
    assert (Path(__file__).parent.parent / target).exists()
