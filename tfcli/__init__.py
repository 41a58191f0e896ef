"""tfcli trains a Transformer language model from scratch on your own text, and generates with it.

The packages by level, the highest first. Each imports only from lower levels, and from those
listed before it on its own (`tests/test_architecture.py` enforces it):

    5  cli          the commands: parse, call the library, render
       api          what a notebook or a program calls
    4  training     the plan, samplers and objectives, optimizers, the loop
       generation   requests, sampling, engines, streaming
       exchange     Hugging Face and GGUF, in and out
       insight      where a text comes from, what a model knows and makes of it: no rendering
    3  runs         a run's folder: its steps, its metrics, the newest valid step
    2  text         files -> documents -> token ids
       stories      what the demo trains on, told by a grammar that knows their probability
       tasks        pairs of prompt and answer that can be checked
       model        the Transformer, its configuration, its parameters, its cost
    1  files        the only writer: atomic files and folders, locks, manifests
       runtime      device, number format, memory, threads, distributed processes
    0  errors       everything that a user can be told
       options      how an option is declared
"""

TYPE_CHECKING = False  # type checkers know the name; typing takes longer to import than all this
if TYPE_CHECKING:
    from tfcli import errors
    from tfcli.api.list_runs import list_runs
    from tfcli.api.open_run import OpenRun, open_run
    from tfcli.api.results import Answer, Completion, Evaluation, Score, TokenScore
    from tfcli.generation.bound import Bound

__version__ = "0.1.0"

__all__ = [
    "Answer", "Bound", "Completion", "Evaluation", "OpenRun", "Score", "TokenScore",
    "errors", "list_runs", "open_run",
]  # fmt: skip


_MODULES = {  # of the names that are not in api.results
    "Bound": "generation.bound", "OpenRun": "api.open_run",
    "list_runs": "api.list_runs", "open_run": "api.open_run",
}  # fmt: skip

if not TYPE_CHECKING:  # where it is used, a misspelled name is an error of the type checker

    def __getattr__(name: str) -> object:
        """Imports what is used when it is used: `import tfcli` itself imports nothing."""
        from importlib import import_module

        if name == "errors":
            return import_module("tfcli.errors")
        if name not in __all__:
            hints = {
                "train": "; train with the command: tfcli train FILE",
                "generate": "; tfcli.open_run().generate(...) does",
                "chat": "; tfcli.open_run().chat(...) does",
                "score": "; tfcli.open_run().score(...) does",
                "trace": "; tfcli.open_run().trace(...) does",
                "inspect": "; tfcli.open_run().inspect(...) does",
                "load": "; tfcli.open_run(...) opens a run",
            }
            raise AttributeError(f"module 'tfcli' has no attribute {name!r}{hints.get(name, '')}")
        module = _MODULES.get(name, "api.results")
        return getattr(import_module(f"tfcli.{module}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]  # the packages are for those who work on tfcli
