"""What the Linux control group of this process allows it: containers, systemd, batch systems.

A process is in one group of every hierarchy, and every group above limits it too. Version 1 has a
hierarchy for each resource, version 2 (where it holds the controllers) one for all:

    /proc/self/cgroup      which groups:     "0::/app" (version 2)    "4:memory:/app" (version 1)
    /proc/self/mountinfo   where they are:   "... ROOT MOUNT_POINT ... - cgroup2 ..."

The files are described in the kernel's documentation: admin-guide/cgroup-v2.rst and cgroup-v1/.
Every function takes the root of the file system, so that tests can bring files of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def memory_left(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take, or None where no group limits it.

    The limit is `memory.max`, or `memory.high`, above which the kernel slows a group down until it
    has let go of memory. File cache that was not used lately does not count as taken: the kernel
    drops it first.
    """
    left = []
    for group in _groups(root, "memory"):
        limits = [_number(group / name) for name in ("memory.max", "memory.high")]
        limits.append(_number(group / "memory.limit_in_bytes"))
        used = _number(group / "memory.current")
        cache = "inactive_file"
        if used is None:
            used, cache = _number(group / "memory.usage_in_bytes"), "total_inactive_file"
        if used is not None:
            used = max(0, used - _statistic(group / "memory.stat", cache))
            left += [max(0, limit - used) for limit in limits if limit is not None]
    return min(left, default=None)


def cpu_limit(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that this process may use, or None where no group limits it."""
    limits = []
    for group in _groups(root, "cpu"):
        quota, _, period = (_text(group / "cpu.max") or "").partition(" ")
        if not quota:
            quota = _text(group / "cpu.cfs_quota_us") or ""
            period = _text(group / "cpu.cfs_period_us") or ""
        if quota.isdecimal() and period.isdecimal() and int(period):  # not "max", nor -1
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's groups for a controller, from its own up to the topmost."""
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mounted, point in _mounts(root, controller if controllers else ""):
            inside = PurePosixPath(path)
            # a container may see the path outside it, and only its own group mounted
            inside = inside.relative_to(mounted) if inside.is_relative_to(mounted) else _NOTHING
            for part in (inside, *inside.parents):
                yield point / part


_NOTHING = PurePosixPath()


def _mounts(root: Path, controller: str) -> Iterator[tuple[PurePosixPath, Path]]:
    """Where a hierarchy is mounted, and which of its groups; "" is that of version 2."""
    for line in (_text(root / "proc/self/mountinfo") or "").splitlines():
        fields, _, system = line.partition(" - ")
        kind, _, options = system.partition(" ")
        wanted = controller in options.rpartition(" ")[2].split(",") if controller else True
        if kind == ("cgroup" if controller else "cgroup2") and wanted:
            mounted, point = fields.split()[3:5]
            yield PurePosixPath(mounted), root / point.lstrip("/")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # not Linux, or a group without that controller
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdecimal() else None  # "max" is no limit


def _statistic(path: Path, name: str) -> int:
    for line in (_text(path) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            with contextlib.suppress(ValueError):
                return int(value)
    return 0
