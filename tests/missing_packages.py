"""A plugin of pytest: leaves out the tests that import a package which is not installed.

For `make gpu-here`, where nothing can be installed. Everywhere else a missing package is an error.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
left_out: dict[Path, str] = {}


@cache
def missing_import(path: Path) -> str | None:
    """The first package that a test file, or a module of tests it imports, does without."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            if name.split(".")[0] != "tests":
                spec = find_spec(name.split(".")[0])
                if spec is None or spec.origin is None:  # a mere folder, such as our tokenizers/
                    return name
                continue
            module = ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if module.exists() and module != path and (missing := missing_import(module)):
                return missing
    return None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Asked for each file and folder; a folder goes with its conftest.py."""
    path = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if path.suffix != ".py" or not path.exists() or ROOT / "tests" not in path.parents:
        return None
    if missing := missing_import(path):
        left_out[collection_path] = missing
        return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was left out."""
    for path, package in left_out.items():
        terminalreporter.write_line(f"left out: {path.relative_to(ROOT)} imports {package}")
