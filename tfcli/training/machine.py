"""What this machine has: its device, its memory, and which number format it multiplies fastest."""

from __future__ import annotations

import os
import platform
import time
from typing import TYPE_CHECKING, Any, Literal

import tfcli
from tfcli.errors import UsageError

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def choose_device(wanted: Device = "auto") -> torch.device:
    """The device to compute on: what was asked for, or the fastest there is.

    Raises:
        UsageError: this machine, or this build of torch, does not have it.

    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[wanted]:
        raise UsageError(
            f"there is no {wanted} device here, or this torch cannot use it",
            mend="--device auto",
        )
    return torch.device(wanted)


def choose_precision(device: torch.device) -> Precision:
    """bfloat16 where it is at least half as fast again in a short trial, else float32.

    Some processors have units for bfloat16 products and are several times faster with them;
    others emulate it and are slower. On MPS autocast has not shown a gain.
    """
    import torch

    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type == "mps":
        return "float32"
    return (
        "bfloat16"
        if _product_rate(torch.bfloat16) > 1.5 * _product_rate(torch.float32)
        else "float32"
    )


def _product_rate(dtype: torch.dtype) -> float:
    """Products of (1024, 256) x (256, 1024) a second: the best of a few, the machine is shared."""
    import torch

    left, right = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 1024, dtype=dtype)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 1 / min(times)


def available_memory(device: torch.device) -> int | None:
    """Bytes that are free on the device, or None where the system does not tell."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


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
