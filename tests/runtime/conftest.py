"""Control groups of the kernel's own, where this user may make them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path("/sys/fs/cgroup")


class RunInGroup(Protocol):
    def __call__(
        self, *arguments: str, memory: int | None = None, cores: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs Python in a new control group with these limits."""


@pytest.fixture
def run_in_group() -> Iterator[RunInGroup]:
    made: list[Path] = []

    def run(
        *arguments: str, memory: int | None = None, cores: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        name = f"tfcli-test-{uuid.uuid4().hex[:8]}"
        limits: dict[Path, str] = {}
        if (ROOT / "cgroup.controllers").exists():
            limits[ROOT / name / "memory.max"] = str(memory or "max")
            limits[ROOT / name / "cpu.max"] = f"{int(cores * 1e5)} 100000" if cores else "max"
        else:
            limits[ROOT / "memory" / name / "memory.limit_in_bytes"] = str(memory or -1)
            limits[ROOT / "cpu" / name / "cpu.cfs_quota_us"] = str(
                int(cores * 1e5) if cores else -1
            )
        groups = dict.fromkeys(path.parent for path in limits)
        try:
            for group in groups:
                group.mkdir()
                made.append(group)
            for path, limit in limits.items():
                path.write_text(limit)
            (next(iter(groups)) / "cgroup.procs").read_text()
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error}")
        join = "; ".join(f"echo $$ > {group}/cgroup.procs" for group in groups)
        return subprocess.run(
            ["sh", "-ec", f'{join}; exec "$@"', "sh", sys.executable, *arguments],
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip

    yield run
    for group in made:
        with contextlib.suppress(OSError):
            group.rmdir()
