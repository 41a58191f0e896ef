"""The rules of the house, read off the syntax trees: who may import whom, and who may write."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "tfcli"
MODULES = sorted(ROOT.rglob("*.py"))

# Each package may import itself and every package before it in this order.
ORDER = [
    "errors", "quantities", "options", "files", "runtime", "text", "stories", "tasks", "model",
    "runs", "training", "generation", "exchange", "insight", "api", "cli",
]  # fmt: skip
OUTSIDE = {"__main__", "__init__"}


def of_every_module(check: Callable[[Path], None]) -> Callable[[], None]:
    """One test of all modules: hundreds for each rule would take longer than what they check."""

    def test() -> None:
        broken: dict[str, str] = {}
        for path in MODULES:
            try:
                check(path)
            except AssertionError as error:
                broken[str(path.relative_to(ROOT))] = str(error)
        assert not broken

    return test


@cache
def nodes(path: Path) -> list[ast.AST]:
    """The syntax tree of a file, as a list."""
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module in {"tfcli", "tfcli.cli", "tfcli.cli.commands", "tfcli.cli.charts"}:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package(module: str) -> str:
    return module.split(".")[1]


@of_every_module
def test_a_package_imports_only_from_itself_and_earlier_packages(path: Path) -> None:
    own = path.relative_to(ROOT).with_suffix("").parts[0]
    if own in OUTSIDE:
        return
    for module in imports(path):
        if module.startswith("tfcli.") and package(module) in ORDER:
            assert ORDER.index(package(module)) <= ORDER.index(own), f"{path.name} imports {module}"


@of_every_module
def test_libraries_stay_in_their_places(path: Path) -> None:
    for module in imports(path):
        if module.split(".")[0] == "typer":
            assert "cli" in path.parts
        if module.split(".")[0] == "rich":
            assert path.name in {"render.py", "training_view.py"}
        if module.split(".")[0] == "matplotlib":
            assert path.name == "figure.py"
        if module.split(".")[0] == "tensorboard":
            assert path.name == "tensorboard.py"


@of_every_module
def test_nothing_unpickles_or_evaluates(path: Path) -> None:
    assert not {"pickle", "dill", "shelve", "marshal"} & {m.split(".")[0] for m in imports(path)}
    for node in nodes(path):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}
            if isinstance(node.func, ast.Attribute):
                assert node.func.attr != "load" or ast.unparse(node.func.value) != "torch"


WRITERS = {
    "write_text", "write_bytes", "mkdir", "rmdir", "unlink", "rename", "replace", "touch",
    "rmtree", "symlink_to", "hardlink_to", "makedirs", "remove", "truncate",
}  # fmt: skip


@of_every_module
def test_only_files_writes(path: Path) -> None:
    if "files" in path.parts:
        return
    for node in nodes(path):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "open":
                modes = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
                assert modes == ["rb"], f"{path.name} opens a file for writing"
            continue
        name = node.func.attr
        if name == "open" and ast.unparse(node.func.value) != "os":
            modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
            assert all("r" in str(m) for m in modes), f"{path.name}: {ast.unparse(node)}"
        if name == "replace" and len(node.args) == 2:
            continue  # of a string
        assert name not in WRITERS, f"{path.name}: {ast.unparse(node)}"


@of_every_module
def test_percentages_are_written_alike(path: Path) -> None:
    """As `63 %`, by `tfcli.quantities.percent` or by hand."""
    assert not re.findall(r"\{[^{}\n]*\.\d%\}", path.read_text(encoding="utf-8"))


@of_every_module
def test_only_the_command_line_prints(path: Path) -> None:
    if "cli" in path.parts:
        return
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print"


@of_every_module
def test_files_and_functions_have_one_job(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef):
            body = node.body[-1].end_lineno or 0
            length = body - node.body[0].lineno + 1
            assert length <= 60, f"{path.name}: {node.name} has {length} lines"


def test_no_two_files_import_each_other() -> None:
    names = {
        path: ".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in MODULES
    }
    known = set(names.values())
    graph = {name: {m for m in imports(path) if m in known} for path, name in names.items()}

    def reachable(name: str) -> set[str]:
        found: set[str] = set()
        ahead = [name]
        while ahead:
            new = graph[ahead.pop()] - found
            found |= new
            ahead += new
        return found

    assert not {name for name in graph if name in reachable(name)}


def test_tokenizers_is_no_package() -> None:
    assert not (ROOT.parent / "tokenizers" / "__init__.py").exists()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["generate", "--help"], ["train", "--help"], ["runs"]]
)
def test_help_and_listing_leave_torch_out(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from tfcli.cli.app import run; run(sys.argv[1:], started=0.0); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, check=False)
    assert done.returncode == 0
