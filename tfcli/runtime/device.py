"""Which device to compute on, and what a run records of the machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tfcli
from tfcli.errors import UsageError
from tfcli.runtime.threads import limit_torch_threads

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda", "mps"]

# Device files of Nvidia's driver (one a GPU), of Windows under WSL, and of AMD's driver.
GPU_FILES = ("nvidia[0-9]*", "dxg", "kfd")


def choose_device(wanted: Device = "auto", index: int = 0) -> torch.device:
    """The device to compute on: the one asked for, or the fastest there is.

    Also makes torch use it well: no more threads than the cores this process may use, and on CUDA
    TF32 for products of float32, which rounds the factors to 10 bits and is several times as fast
    (the usual setting for training; "highest" would keep all 23 bits).

    Args:
        index: which of several GPUs.

    Raises:
        UsageError: this machine, or this build of torch, does not have it.

    """
    import torch

    limit_torch_threads()
    available: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, usable in available.items() if usable)
    if not available[wanted]:
        raise UsageError(
            f"no {wanted} device found, or this build of torch cannot use it",
            hint="--device auto",
        )
    if wanted != "cuda":
        return torch.device(wanted)
    if index >= torch.cuda.device_count():
        raise UsageError(
            f"local rank {index} has no GPU of its own; GPUs found: {torch.cuda.device_count()}",
            hint=f"torchrun --nproc-per-node {torch.cuda.device_count()}",
        )
    torch.cuda.set_device(index)
    torch.set_float32_matmul_precision("high")
    return torch.device(wanted, index)


def seed_device(device: torch.device, seed: int) -> None:
    """Sets the state of a device's random numbers.

    `torch.manual_seed` sets that of every kind of device; of those that are not there it keeps the
    call and its stack, half a millisecond and some kilobytes each time.
    """
    import torch

    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        getattr(torch, device.type).manual_seed(seed)


def has_gpu() -> bool:
    """Whether this machine has a GPU that the installed torch can use, without importing torch.

    When in doubt the answer is yes: `choose_device` then asks torch itself.
    """
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return False
    if sys.platform == "win32":
        found = shutil.which("nvidia-smi") is not None
    else:
        found = has_gpu_file(Path("/dev"))
    return found and torch_supports_gpus()


def has_gpu_file(devices: Path) -> bool:
    """Whether a folder such as /dev has the device file of a GPU, whatever the GPU's index."""
    return any(next(devices.glob(pattern), None) is not None for pattern in GPU_FILES)


def torch_supports_gpus() -> bool:
    """Whether the installed torch was built for GPUs; its `version.py` is read, not imported."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        return built_for_gpus(Path(spec.origin).with_name("version.py").read_text(encoding="utf-8"))
    except OSError:
        return True


def built_for_gpus(version: str) -> bool:
    """Whether the text of a `torch/version.py` names a version of CUDA or ROCm (hip).

    A build for CPUs has the lines `cuda: Optional[str] = None` and `hip: Optional[str] = None`.
    """
    values = re.findall(r"^(?:cuda|hip)\b[^=\n]*= *(\S+)", version, re.MULTILINE)
    return not values or any(value != "None" for value in values)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """What `run.json` records of the machine and versions: an exact resume needs the same."""
    import torch

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "tfcli": tfcli.__version__,
    }
