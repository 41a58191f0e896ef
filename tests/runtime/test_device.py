"""Which device and which number format is taken, on machines that are not at hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tfcli.errors import UsageError
from tfcli.runtime.device import (
    Device,
    built_for_gpus,
    choose_device,
    has_gpu_file,
    seed_device,
)
from tfcli.runtime.dtype import CPU_KINDS, choose_dtype, cpu_dtype, cuda_dtype


@pytest.mark.parametrize("name", ["nvidia0", "nvidia7", "nvidia12", "dxg", "kfd"])
def test_any_gpu_is_found(tmp_path: Path, name: str) -> None:
    """A container may have been given the eighth one alone; WSL has a device of its own."""
    (tmp_path / name).touch()
    assert has_gpu_file(tmp_path)


@pytest.mark.parametrize("name", ["nvidiactl", "nvidia-uvm", "null"])
def test_the_driver_alone_is_no_gpu(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert not has_gpu_file(tmp_path)


CPU = "cuda: Optional[str] = None\nhip: Optional[str] = None\nrocm: Optional[str] = None\n"


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        (f"__version__ = '2.13.0+cpu'\n{CPU}", False),
        (f"__version__ = '2.13.0'\n{CPU}", False),
        (CPU.replace("cuda: Optional[str] = None", "cuda: Optional[str] = '13.0'"), True),
        (CPU.replace("hip: Optional[str] = None", "hip: Optional[str] = '7.0.2'"), True),
        ("cuda = None\nhip = None\n", False),
        ("nothing that we know", True),
    ],
)
def test_a_build_of_torch_for_cpus_is_recognized(version: str, supported: bool) -> None:
    assert built_for_gpus(version) == supported


def test_the_installed_torch_is_recognized_without_importing_it() -> None:
    code = (
        "import sys; from tfcli.runtime.device import torch_supports_gpus as asked; "
        "print(asked(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    built = torch.version.cuda is not None or torch.version.hip is not None
    assert done.stdout.split() == [str(built), "False"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="no cuda device"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ((6, 1), "float32"),  # GTX 10xx
        ((7, 0), "float16"), ((7, 5), "float16"),  # V100; T4, RTX 20xx
        ((8, 0), "bfloat16"), ((8, 6), "bfloat16"), ((9, 0), "bfloat16"), ((12, 0), "bfloat16"),
    ],
)  # fmt: skip
def test_gpus_that_only_emulate_bfloat16_get_float16(
    capability: tuple[int, int], dtype: str
) -> None:
    assert cuda_dtype(capability) == dtype


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": True}, "bfloat16"),
        ({"neon": True}, "float32"),
    ],
)
def test_cpus_that_multiply_bfloat16_themselves_get_it(
    capabilities: dict[str, object], dtype: str
) -> None:
    assert cpu_dtype(capabilities) == dtype


def test_the_capabilities_in_the_table_are_those_that_torch_knows() -> None:
    if torch.cpu.get_capabilities()["architecture"] == "x86_64":
        names = {kind.capability for kind in CPU_KINDS} - {""}
        assert names <= torch.cpu.get_capabilities().keys()
    assert choose_dtype(torch.device("cpu")) in {"float32", "bfloat16"}


def test_seeding_a_device_is_reproducible_and_keeps_nothing(device: Device) -> None:
    seed_device(torch.device(device), 5)
    kept = len(torch.cuda._queued_calls)
    first = torch.rand(3, device=device)
    seed_device(torch.device(device), 5)
    assert torch.equal(torch.rand(3, device=device), first)
    assert len(torch.cuda._queued_calls) == kept
