"""From a run on the disk to an engine that generates.

The command line's options need the names defined here, so all else is imported where it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from tfcli.errors import TfcliError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.generation.engines.engine import Engine
    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.runtime.device import Device

EngineName = Literal["auto", "numpy", "torch"]
Opened = TypeVar("Opened")


def open_model(run: Run, step: ValidStep, device: Device = "auto") -> Transformer:
    """The model of a step, with its weights, on a device, in evaluation mode.

    Raises:
        DamagedError: the weights do not fit the run's configuration.

    """
    from tfcli.model.transformer import Transformer
    from tfcli.runs.weights import load_weights
    from tfcli.runtime.device import choose_device

    model = Transformer(run.model_config)
    load_weights(model, step.path)
    return model.to(choose_device(device)).eval()


def open_best(
    run: Run,
    step: Path | None,
    open_with: Callable[[ValidStep], Opened],
    *,
    on_damaged: Callable[[TfcliError], None],
) -> tuple[ValidStep, Opened]:
    """Chooses a step and opens it; another one if a trainer removed the first in between.

    Args:
        step: the one asked for, or None for the best; see `choose_step`.
        open_with: opens a step.

    """
    from tfcli.runs.valid_steps import choose_step

    while True:
        chosen = choose_step(run, step, on_damaged=on_damaged)
        try:
            return chosen, open_with(chosen)
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
    memory: bool = False,
    on_read: Callable[[int, int], None] | None = None,
) -> Engine:
    """An engine for a step.

    Args:
        rows: sequences that it generates at the same time.
        engine: "auto" takes numpy, which starts at once, on a CPU and torch on a GPU; whether
            there is a GPU is found out without importing torch.
        int8: whether to quantize the matrices to 8 bits; only the numpy engine can.
        memory: whether to mix in the run's memory of its text; see `tfcli.generation.memory`.
        on_read: is called while a long prompt is read, with how many of its tokens are read and
            how many there are; only by the numpy engine.

    Raises:
        NotFoundError: the run has no memory.
        DamagedError: the weights do not fit the run's configuration, or its memory is damaged.
        UsageError: numpy with a device other than the CPU; int8 with torch.

    """
    from tfcli.runtime.device import has_gpu

    if memory:
        from tfcli.generation.memory import open_memory_engine

        alone = open_engine(run, step, device, rows=rows, engine=engine, int8=int8, on_read=on_read)
        return open_memory_engine(alone, run, rows=rows)
    if engine == "numpy" and device not in {"auto", "cpu"}:
        raise UsageError(f"the numpy engine does not run on {device}", hint="--engine torch")
    on_cpu = device == "cpu" or (device == "auto" and (int8 or not has_gpu()))
    if int8 and (engine == "torch" or not on_cpu):
        raise UsageError("int8 needs the numpy engine, on a CPU", hint="--int8 --device cpu")
    if engine == "numpy" or (engine == "auto" and on_cpu):
        from tfcli.generation.engines.numpy_engine import NumpyEngine
        from tfcli.runs.weights import map_weights

        weights = map_weights(run.model_config, step.path)
        return NumpyEngine(run.model_config, weights, rows, int8=int8, on_read=on_read)
    from tfcli.generation.engines.torch_engine import TorchEngine

    return TorchEngine(open_model(run, step, device), rows)
