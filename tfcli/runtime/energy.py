"""The energy that a training takes, as far as the machine tells: counters that only go up.

A processor counts its joules itself (RAPL); Linux shows them under /sys/class/powercap, since 2020
to root alone unless the administrator allows it (CVE-2020-8694), and a virtual machine seldom has
them. Nvidia's driver counts those of a GPU (NVML, from Volta on). Both count whatever else runs
there, too. What no counter tells is estimated from the processor time, by whoever shows it.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

POWERCAP = Path("/sys/class/powercap")
COUNTED = ("package", "dram")  # zones that contain no other; a package holds its cores
READ_EVERY = 10.0  # seconds: at 500 W a counter of 262 kJ wraps around after 500
NVML = {"linux": "libnvidia-ml.so.1", "win32": "nvml.dll"}


@dataclass(frozen=True)
class Energy:
    """What has been used since a moment.

    Attributes:
        cpu_seconds: of this process, all threads together.
        cpu_joules: of the processors and their memory; None where nobody tells.
        gpu_joules: of the GPU; None where nobody tells, or none is used.

    """

    cpu_seconds: float
    cpu_joules: float | None
    gpu_joules: float | None


class Counter(Protocol):
    """Something that counts joules."""

    def joules(self) -> float:
        """Since it was made; OSError where it cannot be read any more."""


class ZoneCounter:
    """A zone of RAPL: a folder with the count in millionths of a joule, and where it begins anew.

    Raises:
        OSError, ValueError: it cannot be read.

    """

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        self._range = int((zone / "max_energy_range_uj").read_text())
        self._last = int(self._file.read_text())
        self._total = 0

    def joules(self) -> float:
        """Since it was made, if it is read at least once in each round of the count."""
        now = int(self._file.read_text())
        self._total += (now - self._last) % max(self._range, 1)
        self._last = now
        return self._total / 1e6


class GpuCounter:
    """The count of a GPU of Nvidia since its driver was loaded, in thousandths of a joule.

    Args:
        uuid: of the GPU, as CUDA and NVML both name it.

    Raises:
        OSError: there is no NVML, or the GPU does not count.

    """

    def __init__(self, uuid: str) -> None:
        self._nvml = ctypes.CDLL(NVML.get(sys.platform, NVML["linux"]))
        self._device = ctypes.c_void_p()
        self._call("nvmlInit_v2")
        name = f"GPU-{uuid.removeprefix('GPU-')}".encode()
        self._call("nvmlDeviceGetHandleByUUID", name, ctypes.byref(self._device))
        self._first = self._read()

    def joules(self) -> float:
        """Since it was made."""
        return (self._read() - self._first) / 1e3

    def _read(self) -> int:
        count = ctypes.c_ulonglong()
        self._call("nvmlDeviceGetTotalEnergyConsumption", self._device, ctypes.byref(count))
        return count.value

    def _call(self, name: str, *arguments: Any) -> None:
        try:
            status = getattr(self._nvml, name)(*arguments)
        except AttributeError as error:
            raise OSError(str(error)) from None
        if status:
            raise OSError(f"{name} returned {status}")


class EnergyMeter:
    """Counts from now on.

    Args:
        device: that is trained on.
        whole_machine: whether to count the processors, which one process of each machine does.
        powercap: where their counters are.

    """

    def __init__(
        self, device: torch.device | None = None, *, whole_machine: bool = True,
        powercap: Path = POWERCAP,
    ) -> None:  # fmt: skip
        self._began = time.process_time()
        self._zones: list[Counter] | None = zone_counters(powercap) if whole_machine else []
        self._gpus = _gpu_counters(device)
        self._due = time.monotonic() + READ_EVERY

    def update(self) -> None:
        """To be called often: reads the counters now and then, before they wrap around."""
        if time.monotonic() >= self._due:
            self.read()

    def read(self) -> Energy:
        """What has been used until now. A counter that fails once tells nothing from then on."""
        self._due = time.monotonic() + READ_EVERY
        try:
            processor = _total(self._zones)
        except (OSError, ValueError):
            self._zones = processor = None
        try:
            gpu = _total(self._gpus)
        except OSError:
            self._gpus = gpu = None
        return Energy(time.process_time() - self._began, processor, gpu)


def _total(counters: list[Counter] | None) -> float | None:
    return None if counters is None else sum(counter.joules() for counter in counters)


def zone_counters(powercap: Path) -> list[Counter] | None:
    """The counters of all processors of this machine; None where one cannot be read, or is none."""
    found: list[Counter] = []
    try:
        for zone in sorted(powercap.glob("intel-rapl:*")):  # AMD's have that name, too
            if (zone / "name").read_text().strip().startswith(COUNTED):
                found.append(ZoneCounter(zone))
    except (OSError, ValueError):
        return None
    return found or None


def _gpu_counters(device: torch.device | None) -> list[Counter] | None:
    if device is None or device.type != "cuda":
        return None
    import torch

    with contextlib.suppress(OSError, AttributeError, RuntimeError, AssertionError):
        return [GpuCounter(str(torch.cuda.get_device_properties(device).uuid))]
    return None
