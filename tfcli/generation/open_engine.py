"""From a run on the disk to an engine that writes.

The commands' options are defined with what stands here: all else is imported where it is used.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from tfcli.errors import TfcliError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.generation.engines.engine import Engine
    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.training.machine import Device

EngineName = Literal["auto", "numpy", "torch"]
Opened = TypeVar("Opened")


def open_model(run: Run, step: ValidStep, device: Device = "auto") -> Transformer:
    """The model of a step, with its weights, on a device, not for training.

    Raises:
        DamagedError: the weights do not fit the run's configuration.

    """
    from tfcli.model.transformer import Transformer
    from tfcli.runs.step import MODEL, load_arrays
    from tfcli.training.machine import choose_device
    from tfcli.training.resume import load_weights

    model = Transformer(run.model_config)
    load_weights(model, load_arrays(step.path / MODEL), step.path / MODEL)
    return model.to(choose_device(device)).eval()


def open_best(
    run: Run,
    step: Path | None,
    opened: Callable[[ValidStep], Opened],
    *,
    damaged: Callable[[TfcliError], None],
) -> tuple[ValidStep, Opened]:
    """Chooses a step and opens it; once more where a trainer removed it between the two.

    Args:
        step: the one that was asked for, or None for the best; see `choose_step`.
        opened: what opens it.

    """
    from tfcli.runs.valid_steps import choose_step

    while True:
        chosen = choose_step(run, step, damaged=damaged)
        try:
            return chosen, opened(chosen)
        except TfcliError:
            if step is not None or chosen.path.exists():
                raise


def open_engine(
    run: Run,
    step: ValidStep,
    device: Device = "auto",
    *,
    rows: int = 1,
    engine: EngineName = "auto",
    int8: bool = False,
) -> Engine:
    """An engine for a step, with room for so many rows.

    Args:
        engine: numpy, which answers at once, on a CPU; torch everywhere else. "auto" asks the
            system whether it has a GPU before it loads torch.
        int8: whether the matrices are rounded to eight bits, which the numpy engine can.

    Raises:
        DamagedError: the weights do not fit the run's configuration.
        UsageError: numpy was asked for, and another device than the CPU; or int8 and torch.

    """
    if engine == "numpy" and device not in {"auto", "cpu"}:
        raise UsageError(f"the numpy engine knows no {device}", hint="--engine torch")
    on_cpu = device == "cpu" or (device == "auto" and (int8 or not has_gpu()))
    if int8 and (engine == "torch" or not on_cpu):
        raise UsageError("int8 is for the numpy engine, on a CPU", hint="--int8 alone")
    if engine == "numpy" or (engine == "auto" and on_cpu):
        from tfcli.generation.engines.numpy_engine import NumpyEngine
        from tfcli.model.parameters import check_shapes
        from tfcli.runs.step import MODEL, map_arrays

        path = step.path / MODEL
        arrays = map_arrays(path)
        found = {name: array.shape for name, array in arrays.items()}
        check_shapes(run.model_config, found, path)
        return NumpyEngine(run.model_config, arrays, rows, int8=int8)
    from tfcli.generation.engines.torch_engine import TorchEngine

    return TorchEngine(open_model(run, step, device), rows)


def has_gpu() -> bool:
    """Whether the system shows a GPU that torch may be able to use, without loading torch."""
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}
    nvidia_or_amd = any(Path(path).exists() for path in ("/dev/nvidia0", "/dev/kfd"))
    windows = sys.platform == "win32" and shutil.which("nvidia-smi") is not None
    return apple or ((nvidia_or_amd or windows) and not hidden)
