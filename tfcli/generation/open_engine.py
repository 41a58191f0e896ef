"""From a run on the disk to an engine that writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfcli.generation.engines.engine import Engine
    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run, ValidStep
    from tfcli.training.machine import Device


def open_model(run: Run, step: ValidStep, device: Device = "auto") -> Transformer:
    """The model of a step, with its weights, on a device, not for training.

    Raises:
        DamagedError: the weights do not fit the run's configuration.

    """
    from tfcli.model.transformer import Transformer
    from tfcli.runs.step import MODEL, load_arrays
    from tfcli.training.machine import choose_device
    from tfcli.training.start import load_weights

    model = Transformer(run.model_config)
    load_weights(model, load_arrays(step.path / MODEL), step.path / MODEL)
    return model.to(choose_device(device)).eval()


def open_engine(run: Run, step: ValidStep, device: Device = "auto") -> Engine:
    """An engine for a step; see `open_model`."""
    from tfcli.generation.engines.torch_engine import TorchEngine

    return TorchEngine(open_model(run, step, device))
