"""How much memory there is for this process, and whether an error means that it ran out."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.runtime.cgroup import memory_left

if TYPE_CHECKING:
    import torch


def available_memory(device: torch.device, root: Path = Path("/")) -> int | None:
    """Bytes that are free on the device, or None where the system does not tell.

    Args:
        root: of the file system, where Linux tells about main memory.

    """
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    amounts = (_available_on_host(root), memory_left(root))
    return min((amount for amount in amounts if amount is not None), default=None)


def _available_on_host(root: Path) -> int | None:
    try:
        # what the kernel would give, file cache included
        text = (root / "proc/meminfo").read_text(encoding="ascii")
        lines = dict(line.split(":", 1) for line in text.splitlines())
        return int(lines["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        pass  # not Linux
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


RETURNED_BYTES = 1 << 20
M_MMAP_THRESHOLD = -3  # malloc.h of glibc


def return_freed_memory() -> None:
    """Makes the allocator give back every large block that is freed, where it is glibc's.

    By itself it keeps blocks of up to 32 MiB for later, in pieces: a third more than is in use.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another allocator
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, RETURNED_BYTES)


def address_space() -> int | None:
    """The most bytes of addresses that `ulimit -v` allows this process; None: no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, means that there was no memory to be had.

    A library for which there is none fails to load; a thread, to start.
    """
    words = ("failed to map segment", "cannot allocate memory", "can't start new thread")
    while error is not None:
        if isinstance(error, MemoryError) or any(word in str(error).lower() for word in words):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch could not allocate a tensor: on a CPU it has no exception of its own for it."""
    import torch

    words = ("can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error) for w in words)
