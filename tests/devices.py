"""The devices that torch can use here: the CPU always, a GPU where there is one.

A test with the argument `device` runs on each of them, so on the CPU alone where there is no GPU.
Whatever needs a GPU has the marker `gpu`; `make gpu` runs that.
"""

from __future__ import annotations

import pytest
import torch

AVAILABLE = {
    "cuda": torch.cuda.is_available(),
    "mps": torch.backends.mps.is_available(),
}
GPUS = [name for name, available in AVAILABLE.items() if available]
DEVICES = ["cpu", *(pytest.param(name, marks=pytest.mark.gpu) for name in GPUS)]


def describe_gpus() -> str:
    """The GPUs by name; nothing where there is none."""
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(names or GPUS)


if __name__ == "__main__":  # for `make gpu`
    found = describe_gpus()
    if not found:
        raise SystemExit(
            f"no GPU: torch {torch.__version__} finds neither a CUDA device nor MPS on this "
            "machine, so there is nothing to test"
        )
    print(f"testing on the CPU and {found}, torch {torch.__version__}")
