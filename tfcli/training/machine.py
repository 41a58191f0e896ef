"""What this machine has: its device, its memory, and which number format it multiplies fastest."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tfcli
from tfcli.errors import UsageError

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def choose_device(wanted: Device = "auto", index: int = 0) -> torch.device:
    """The device to compute on: what was asked for, or the fastest there is.

    Args:
        index: which of several GPUs.

    Raises:
        UsageError: this machine, or this build of torch, does not have it.

    """
    import torch

    available: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, there in available.items() if there)
    if not available[wanted]:
        raise UsageError(
            f"there is no {wanted} device here, or this torch cannot use it",
            hint="--device auto",
        )
    if wanted == "cuda":
        torch.cuda.set_device(index)
        return torch.device(wanted, index)
    return torch.device(wanted)


def choose_precision(device: torch.device) -> Precision:
    """bfloat16 where the device multiplies it several times faster, else float32.

    On a CPU that takes units made for it (AMX): others emulate bfloat16 and are slower with it. A
    trial of a few milliseconds would find out too, but not twice the same on a busy machine, and
    the same command has to give the same bits. On MPS autocast has not shown a gain.
    """
    import torch

    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        return "bfloat16" if torch.cpu.get_capabilities().get("amx_bf16") else "float32"
    return "float32"


def available_memory(device: torch.device) -> int | None:
    """Bytes that are free on the device, or None where the system does not tell."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        # what the kernel would give, caches included
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        lines = dict(line.split(":", 1) for line in text.splitlines())
        return int(lines["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        pass  # not Linux
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch could not get the memory for a tensor: on a CPU it has no error of its own."""
    import torch

    words = ("can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error) for w in words)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """What `run.json` keeps of the machine and the versions: exact resume needs the same."""
    import torch

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "tfcli": tfcli.__version__,
    }
