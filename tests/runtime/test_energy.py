"""The counters of energy, as files that a machine would show."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tfcli.runtime.energy import NVML, EnergyMeter, GpuCounter, zone_counters

RANGE = 262_143_328_850  # millionths of a joule, after which real ones begin anew


def make_zone(folder: Path, number: str, name: str, count: int) -> Path:
    zone = folder / f"intel-rapl:{number}"
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{name}\n")
    (zone / "max_energy_range_uj").write_text(f"{RANGE}\n")
    (zone / "energy_uj").write_text(f"{count}\n")
    return zone


def test_processors_and_memory_add_up_but_cores_are_in_their_processor(tmp_path: Path) -> None:
    zones = [
        make_zone(tmp_path, "0", "package-0", 5_000_000),
        make_zone(tmp_path, "0:0", "core", 1_000_000),
        make_zone(tmp_path, "0:1", "dram", 2_000_000),
        make_zone(tmp_path, "1", "package-1", 7_000_000),
        make_zone(tmp_path, "2", "psys", 9_000_000),
    ]
    meter = EnergyMeter(powercap=tmp_path)
    assert meter.read().cpu_joules == 0
    for zone, used in zip(zones, (3, 2, 1, 4, 90), strict=True):
        count = int((zone / "energy_uj").read_text())
        (zone / "energy_uj").write_text(f"{count + used * 1_000_000}\n")
    assert meter.read().cpu_joules == 3 + 1 + 4
    assert meter.read().gpu_joules is None


def test_a_counter_that_begins_anew_goes_on(tmp_path: Path) -> None:
    zone = make_zone(tmp_path, "0", "package-0", RANGE - 1_000_000)
    meter = EnergyMeter(powercap=tmp_path)
    for count, joules in ((500_000, 1.5), (2_500_000, 3.5), (0, 3.5 + RANGE / 1e6 - 2.5)):
        (zone / "energy_uj").write_text(f"{count}\n")
        assert meter.read().cpu_joules == pytest.approx(joules)


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert zone_counters(tmp_path / "nothing") is None
    zone = make_zone(tmp_path, "0", "package-0", 1)
    meter = EnergyMeter(powercap=tmp_path)
    assert meter.read().cpu_joules == 0
    (zone / "energy_uj").unlink()
    assert meter.read().cpu_joules is None
    (zone / "energy_uj").write_text("5")
    assert meter.read().cpu_joules is None
    assert EnergyMeter(powercap=tmp_path, whole_machine=False).read().cpu_joules == 0


def test_processor_time_is_that_of_this_process() -> None:
    meter = EnergyMeter()
    before = meter.read().cpu_seconds
    sum(range(200_000))
    assert meter.read().cpu_seconds > before >= 0


DRIVER = """
static unsigned long long millijoules = 5000;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    const char *known = "GPU-1-2";
    while (*known && *known == *uuid) { known++; uuid++; }
    *device = &millijoules;
    return *known || *uuid ? 6 : 0;  /* NVML_ERROR_NOT_FOUND */
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy) {
    *energy = *(unsigned long long *)device;
    *(unsigned long long *)device += 1500;
    return 0;
}
"""


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs cc")
def test_a_gpu_counts_as_its_driver_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library with the functions of NVML, whose GPU takes 1.5 J between two questions."""
    (tmp_path / "nvml.c").write_text(DRIVER)
    library = tmp_path / "libnvidia-ml.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "nvml.c"], check=True)
    monkeypatch.setitem(NVML, "linux", str(library))
    counter = GpuCounter("1-2")
    assert [counter.joules(), counter.joules()] == [1.5, 3.0]
    with pytest.raises(OSError, match="returned 6"):
        GpuCounter("1-3")
    monkeypatch.setitem(NVML, "linux", str(tmp_path / "missing.so"))
    with pytest.raises(OSError, match="missing"):
        GpuCounter("1-2")
