"""What every command needs, loaded once, before any thread is started."""

import importlib

for name in (
    "filelock",
    "numpy.random",
    "pydantic.type_adapter",
    "rich.progress",
    "safetensors.numpy",
    "sentencepiece",
    "tfcli.cli.app",
    "tfcli.cli.render",
    "tfcli.cli.training_session",
    "tfcli.generation.engines.numpy_engine",
    "tfcli.generation.open_engine",
    "tfcli.runs.summary",
    "tfcli.training.setup",
    "tfcli.training.launch",
):
    importlib.import_module(name)
