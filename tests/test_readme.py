"""The README's commands are run, line by line, in a folder with a book.txt."""

from __future__ import annotations

import os

import pytest

from tests.conftest import Shell
from tests.pages import command_blocks, read_page, run_commands

BLOCKS = command_blocks(read_page("README.md"))


@pytest.mark.skipif(os.name == "nt", reason="the README's shell is POSIX")
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_commands_of_the_readme_work(shell: Shell, block: str) -> None:
    run_commands(block, shell.folder)


def test_there_are_commands_to_run() -> None:
    assert sum(block.count("tfcli") for block in BLOCKS) >= 10


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len(read_page("README.md").splitlines()) <= 150
