"""What every command needs, loaded once, before any thread is started."""

import gc
import importlib
import pkgutil

import tfcli

for name in (
    "annotated_types",
    "encodings.ascii",
    "filelock",
    "numpy.random",
    "pydantic.fields",
    "pydantic.plugin._loader",
    "pydantic.type_adapter",
    "pydantic.types",
    "rich.progress",
    "safetensors.numpy",
    "sentencepiece",
    "torch.distributed.fsdp",
    "torch.utils._device",
    "typer._adapters",
    "typer._click.decorators",
    *(module.name for module in pkgutil.walk_packages(tfcli.__path__, "tfcli.")),
):
    # the import of the first starts the clock; the others are no modules of Python
    compiled = name.startswith(("tfcli.generation.engines._decoder", "tfcli.model.native._kernels"))
    if name != "tfcli.__main__" and not compiled:
        importlib.import_module(name)

importlib.import_module("tfcli.cli.app").root_command()
gc.collect()
gc.freeze()  # what is loaded is not looked at again, and its memory stays shared
