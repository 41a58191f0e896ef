"""What all benchmarks share: their options, and a report in Markdown."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.runtime.threads import usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parent.parent
PACKAGES = ("torch", "numpy", "transformers", "llama_cpp_python")


def new_parser(doc: str) -> argparse.ArgumentParser:
    """The options of a benchmark with that docstring; all of them know `--tiny`."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="smallest sizes, to try the script")
    return parser


def split_options(arguments: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The arguments of a benchmark, and those after `--`, which are for `tfcli train`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    return given[:end], given[end + 1 :]


def print_heading(module: str, arguments: Sequence[str] | None, *, gpu: str | None = None) -> None:
    """Prints the machine, the versions, the date and the command of a benchmark.

    Args:
        module: its last name.
        arguments: as `main` got them; None: those of the command line.
        gpu: the name of the GPU that it runs on, if it does.

    """
    given = sys.argv[1:] if arguments is None else arguments
    machine = ", ".join(filter(None, [gpu, processor(), f"{usable_cores()} cores", memory()]))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    print(f"{machine}; {versions()}; {today}, commit {commit()}\n")
    print(f"    {shlex.join(['python', '-m', f'benchmarks.{module}', *given])}\n", flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a Markdown table; each row as soon as it is there, since some take minutes."""
    print_row(columns)
    print_row(["---"] * len(columns))
    for row in rows:
        print_row(row)
    print(flush=True)


def print_row(cells: Sequence[object]) -> None:
    """Prints a line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


# --- the machine --------------------------------------------------------------------------------


def processor() -> str:
    """The model of the processor; where it may be any of a series (cloud machines), its family."""
    info: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    elif sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        info["model name"] = done.stdout.strip()
    name = info.get("model name") or platform.processor() or platform.machine()
    if "cpu family" not in info:
        return name
    return f"{name} (family {info['cpu family']}, model {info.get('model', '?')})"


def memory() -> str | None:
    """The machine's memory, where the system tells."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    return f"{size / 2**30:.0f} GiB"


def versions() -> str:
    """Python's version and those of the packages that are measured."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package.replace('_', '-')} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def commit() -> str:
    """The commit that is measured, with a + where files have been changed since."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
