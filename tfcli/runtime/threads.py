"""How many cores this process may use, and how its threads wait for work."""

from __future__ import annotations

import os
from pathlib import Path

from tfcli.runtime.cgroup import cpu_limit


def usable_cores(root: Path = Path("/")) -> int:
    """The cores that this process may use: by its CPU affinity and the quota of its cgroup."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limit = cpu_limit(root)
    # rounded up: 1.5 cores do more with two threads, which pause together, than with one
    return cores if limit is None else max(1, min(cores, -int(-limit // 1)))


def num_threads() -> int:
    """As many threads as OMP_NUM_THREADS asks for, or as there are cores to use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else usable_cores()


def limit_torch_threads() -> None:
    """Keeps torch from starting more threads than there are cores to use.

    It starts one for each physical core, whatever quota the process has; more threads than quota
    are paused by the kernel for most of every tenth of a second.
    """
    import torch

    if (threads := num_threads()) < torch.get_num_threads():
        torch.set_num_threads(threads)
