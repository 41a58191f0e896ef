"""The command reference agrees with the program."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.cli.test_app import COMMANDS
from tests.conftest import Shell

DOCS = Path(__file__).parent.parent / "docs"


def test_the_reference_is_up_to_date() -> None:
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(DOCS / "generate.py"))["reference"](), "run `make docs`"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_reference_has_every_option_of_the_help(shell: Shell, path: tuple[str, ...]) -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    section = text.split(f"## {' '.join(('tfcli', *path))}\n")[1].split("\n## ")[0]
    help_text = shell(*path, "--help", env={"COLUMNS": "200"}).out.decode()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", help_text)) - {"--help"}
    assert options <= set(re.findall(r"--[a-z][a-z0-9-]+", section))
