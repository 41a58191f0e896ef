"""From a run on the disk to an engine that writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.errors import NotFoundError, TfcliError
from tfcli.runs.run import best_valid_step, open_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tfcli.generation.engines.engine import Engine
    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run, ValidStep
    from tfcli.training.machine import Device


def choose_step(run: Run, step: Path | None, *, damaged: Callable[[TfcliError], None]) -> ValidStep:
    """The step to write with: the one named, or the valid one with the lowest held-out loss.

    Raises:
        NotFoundError: the run has no step that verifies.
        DamagedError: the named one does not.

    """
    if step is not None:
        return open_step(step)
    best = best_valid_step(run, damaged=damaged)
    if best is None:
        raise NotFoundError(
            f"the run {run.name!r} has no usable step yet",
            mend=f"tfcli train --resume {run.name}",
        )
    return best


def open_model(run: Run, step: ValidStep, device: Device = "auto") -> Transformer:
    """The model of a step, with its weights, on a device, not for training.

    Raises:
        DamagedError: the weights do not fit the run's configuration.

    """
    from tfcli.model.transformer import Transformer
    from tfcli.runs.step import MODEL, load_arrays
    from tfcli.training.job import load_weights
    from tfcli.training.machine import choose_device

    model = Transformer(run.model_config)
    load_weights(model, load_arrays(step.path / MODEL), step.path / MODEL)
    return model.to(choose_device(device)).eval()


def open_engine(run: Run, step: ValidStep, device: Device = "auto") -> Engine:
    """An engine for a step; see `open_model`."""
    from tfcli.generation.engines.torch_engine import TorchEngine

    return TorchEngine(open_model(run, step, device))
