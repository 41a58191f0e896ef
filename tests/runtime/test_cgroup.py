"""What the kernel's files say of a control group, and that a real one is obeyed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.runtime.conftest import RunInGroup
from tfcli.runtime.cgroup import cpu_limit, memory_left
from tfcli.runtime.memory import available_memory
from tfcli.runtime.threads import usable_cores

MIB, GIB = 1 << 20, 1 << 30
UNLIMITED = str(9223372036854771712)  # what version 1 writes for no limit: 2^63 in whole pages


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def version2(root: Path, path: str, files: dict[str, str], *, mounted: str = "/") -> Path:
    mount = (
        f"30 24 0:26 {mounted} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
    )
    write(root, {"proc/self/cgroup": f"0::{path}", "proc/self/mountinfo": mount})
    return write(root / "sys/fs/cgroup", files)


def version1(root: Path, path: str, files: dict[str, str], *, mounted: str = "/") -> Path:
    groups = f"4:memory:{path}\n3:cpu,cpuacct:{path}\n1:name=systemd:/"
    mounts = "\n".join(
        f"3{i} 24 0:2{i} {mounted} /sys/fs/cgroup/{name} rw,relatime - cgroup cgroup rw,{name}"
        for i, name in enumerate(("cpu,cpuacct", "memory", "name=systemd"))
    )
    write(root, {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts})
    return write(root / "sys/fs/cgroup", files)


def test_the_memory_left_in_version_2_counts_idle_file_cache_as_free(tmp_path: Path) -> None:
    version2(tmp_path, "/app", {
        "app/memory.max": str(GIB), "app/memory.high": "max",
        "app/memory.current": str(700 * MIB),
        "app/memory.stat": f"anon {200 * MIB}\ninactive_file {500 * MIB}\nactive_file 3",
    })  # fmt: skip
    assert memory_left(tmp_path) == GIB - 200 * MIB


def test_the_memory_left_in_version_1_is_that_of_the_whole_subtree(tmp_path: Path) -> None:
    version1(tmp_path, "/app", {
        "memory/app/memory.limit_in_bytes": str(GIB),
        "memory/app/memory.usage_in_bytes": str(700 * MIB),
        "memory/app/memory.stat": f"inactive_file 7\ntotal_inactive_file {500 * MIB}",
    })  # fmt: skip
    assert memory_left(tmp_path) == GIB - 200 * MIB


def test_memory_high_is_a_limit_too(tmp_path: Path) -> None:
    files = {"memory.max": str(GIB), "memory.high": str(300 * MIB), "memory.current": "0"}
    version2(tmp_path, "/", files)
    assert memory_left(tmp_path) == 300 * MIB


def test_every_group_above_limits_a_process_too(tmp_path: Path) -> None:
    version2(tmp_path, "/pod/app", {
        "memory.max": "max", "memory.current": "5",
        "pod/memory.max": str(GIB), "pod/memory.current": str(900 * MIB),  # a neighbor's
        "pod/app/memory.max": str(GIB), "pod/app/memory.current": str(100 * MIB),
        "pod/cpu.max": "150000 100000", "pod/app/cpu.max": "400000 100000",
    })  # fmt: skip
    assert memory_left(tmp_path) == GIB - 900 * MIB
    assert cpu_limit(tmp_path) == 1.5


@pytest.mark.parametrize("path", ["/docker/abc", "/"])
def test_a_container_that_sees_only_its_own_group_is_limited_by_it(
    tmp_path: Path, path: str
) -> None:
    """Without a namespace for cgroups the path is the host's; the mount is of that group alone."""
    version1(tmp_path, path, {
        "memory/memory.limit_in_bytes": str(GIB), "memory/memory.usage_in_bytes": "0",
        "cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "100000",
    }, mounted="/docker/abc")  # fmt: skip
    assert memory_left(tmp_path) == GIB
    assert cpu_limit(tmp_path) == 0.5


def test_no_limit_is_none(tmp_path: Path) -> None:
    assert memory_left(tmp_path) is cpu_limit(tmp_path) is None  # not Linux at all
    version2(tmp_path, "/", {"memory.max": "max", "memory.current": "9", "cpu.max": "max 100000"})
    assert memory_left(tmp_path) is cpu_limit(tmp_path) is None
    version1(tmp_path / "1", "/", {
        "cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000",
    })  # fmt: skip
    assert cpu_limit(tmp_path / "1") is None


def test_the_smaller_of_host_and_group_is_available(tmp_path: Path) -> None:
    version1(tmp_path, "/", {
        "memory/memory.limit_in_bytes": UNLIMITED, "memory/memory.usage_in_bytes": "0",
    })  # fmt: skip
    write(tmp_path, {"proc/meminfo": "MemTotal:  9 kB\nMemAvailable:    2048 kB"})
    cpu = torch.device("cpu")
    assert available_memory(cpu, tmp_path) == 2 * MIB
    write(tmp_path, {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(MIB)})
    assert available_memory(cpu, tmp_path) == MIB


@pytest.mark.parametrize(("quota", "cores"), [("10000", 1), ("100000", 1), ("9900000", None)])
def test_the_quota_limits_the_cores(tmp_path: Path, quota: str, cores: int | None) -> None:
    version2(tmp_path, "/", {"cpu.max": f"{quota} 100000"})
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert usable_cores(tmp_path) == (cores or here)


# --- in a group of the kernel's own -------------------------------------------------------------

TRAIN = """
import sys
from pathlib import Path
from tests.training.conftest import StopAfter, Workshop

workshop = Workshop(Path(sys.argv[1]), text_times=80)
if sys.argv[2] == "begin":
    job = workshop.job(steps=2, d_model=256, num_heads=4, batch_tokens=49152)
    trainer = workshop.begin("run", job, stop=StopAfter(1))
else:
    trainer = workshop.resume("run")
names = [type(event).__name__ for event in trainer.events()]
assert "StepFinished" in names, names
print(trainer.plan.batch_size, trainer.plan.micro_batch_size)
"""


@pytest.mark.slow
def test_a_plan_fits_the_memory_of_its_container(tmp_path: Path, run_in_group: RunInGroup) -> None:
    """Where the plan is too large for the gibibyte the kernel kills the process."""
    done = run_in_group("-c", TRAIN, str(tmp_path), "begin", memory=GIB)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, micro_batch_size = map(int, done.stdout.split())
    assert micro_batch_size < rows


@pytest.mark.slow
def test_a_run_is_resumed_where_there_is_less_memory(
    tmp_path: Path, run_in_group: RunInGroup
) -> None:
    begun = run_in_group("-c", TRAIN, str(tmp_path), "begin", memory=6 * GIB)
    assert begun.returncode == 0, begun.stderr[-2000:]
    resumed = run_in_group("-c", TRAIN, str(tmp_path), "resume", memory=GIB)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    (rows, large), (same, small) = (map(int, x.stdout.split()) for x in (begun, resumed))
    assert (rows, large) == (same, rows)
    assert small < large


THREADS = """
import torch
from tfcli.runtime.device import choose_device
from tfcli.generation.engines.native import default_threads
choose_device("cpu")
print(default_threads(), torch.get_num_threads())
"""


@pytest.mark.slow
def test_no_more_threads_are_started_than_the_quota_has_cores_for(run_in_group: RunInGroup) -> None:
    done = run_in_group("-c", THREADS, cores=0.5)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["1", "1"]
