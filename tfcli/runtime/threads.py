"""How many cores this process may use, how many threads to use, and how they wait for work."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tfcli.runtime.cgroup import cpu_limit

INTERVAL = 1.0  # seconds between two looks at the load


def usable_cores(root: Path = Path("/")) -> int:
    """The cores that this process may use: by its CPU affinity and the quota of its cgroup."""
    limit = cpu_limit(root)
    cores = len(_usable_numbers())
    # rounded up: 1.5 cores do more with two threads, which pause together, than with one
    return cores if limit is None else max(1, min(cores, -int(-limit // 1)))


def request_threads(count: int) -> None:
    """Sets how many threads to use; for what is loaded afterwards: torch, numpy, the decoder."""
    os.environ["OMP_NUM_THREADS"] = str(count)


def num_threads() -> int:
    """As many threads as OMP_NUM_THREADS asks for, or as there are cores to use."""
    requested = os.environ.get("OMP_NUM_THREADS", "")
    return int(requested) if requested.isdecimal() and int(requested) > 0 else usable_cores()


def limit_torch_threads() -> None:
    """Keeps torch from starting more threads than there are cores to use.

    It starts one for each physical core, whatever quota the process has; with more threads than
    that the kernel pauses all of them for a part of every tenth of a second.
    """
    import torch

    if (threads := num_threads()) < torch.get_num_threads():
        torch.set_num_threads(threads)


class ThreadBalancer:
    """Leaves cores to other processes that keep them busy, and takes them back when they are idle.

    The threads of a parallel loop wait for the slowest. Where another process needs one of the
    cores, the thread on it is late in every loop and all others wait: with two threads on two cores
    and one other busy process a training step takes far longer than with one thread. The number of
    threads decides the order of summation and thereby the last bits of a step, so this is for
    training that depends on the clock anyway.

    Args:
        most: threads to use where nothing else runs.
        root: of the file system. Without Linux's /proc/stat the number of threads stays.

    """

    def __init__(self, most: int, root: Path = Path("/")) -> None:
        self.most = most
        self._root = root
        self._last = cpu_seconds(root)

    @classmethod
    def of_torch(cls) -> ThreadBalancer:
        """One for the threads that torch uses now."""
        import torch

        return cls(torch.get_num_threads())

    def balance_torch(self) -> None:
        """Has torch use as many threads as `threads` says."""
        import torch

        threads = self.threads()
        if threads is not None and threads != torch.get_num_threads():
            torch.set_num_threads(threads)

    def threads(self) -> int | None:
        """How many threads to use from now on; None: as many as before.

        Looks at the load of the last second or more, which takes some microseconds.
        """
        if self._last is None or time.monotonic() - self._last[0] < INTERVAL:
            return None
        now = cpu_seconds(self._root)
        others = busy_cores_of_others(self._last, now)
        self._last = now
        if others is None:
            return None
        return max(1, min(self.most, round(len(_usable_numbers()) - others)))


CpuSeconds = tuple[float, float, float]


def cpu_seconds(root: Path = Path("/")) -> CpuSeconds | None:
    """Wall-clock time, and the CPU seconds of the usable cores and of this process so far.

    None without Linux's /proc/stat.
    """
    usable = {f"cpu{number}" for number in _usable_numbers()}
    try:
        text = (root / "proc/stat").read_text(encoding="ascii")
        lines = [line.split() for line in text.splitlines()]
        # user, nice, system, (idle, iowait,) irq, softirq, steal: see proc_stat(5)
        ticks = [sum(map(int, (*f[1:4], *f[6:9]))) for f in lines if f and f[0] in usable]
        ticks_per_second = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
    own = os.times()
    return time.monotonic(), sum(ticks) / ticks_per_second, own.user + own.system


def busy_cores_of_others(before: CpuSeconds | None, now: CpuSeconds | None) -> float | None:
    """How many of the usable cores other processes kept busy between two looks."""
    if before is None or now is None:
        return None
    seconds, busy, own = (new - old for new, old in zip(now, before, strict=True))
    return max(0.0, busy - own) / seconds


def _usable_numbers() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
