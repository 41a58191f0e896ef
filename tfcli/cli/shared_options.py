"""Options that several commands share, and `typer_option` for those of a single one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tfcli.generation.open_engine import EngineName
from tfcli.options import Options, option
from tfcli.runtime.device import Device
from tfcli.runtime.threads import request_threads


def typer_option(
    *names: str,
    help: str,
    metavar: str | None = None,
    shown_default: str | None = None,
    panel: str | None = None,
    envvar: str | None = None,
) -> Any:
    """An option of one command, as typer wants it, in our own style.

    Args:
        shown_default: what the help shows as the default where it is None.
        envvar: its environment variable, if not TFCLI_<COMMAND>_<PARAMETER>.

    """
    return typer.Option(
        *names,
        help=help,
        metavar=metavar,
        show_default=shown_default if shown_default is not None else True,
        show_envvar=False,
        envvar=envvar,
        rich_help_panel=panel,
    )


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options):
    """Which model to run, and how."""

    run: str | None = option(
        None, metavar="RUN", shown_default="the newest",
        help="A run's name or path, or the path of one of its checkpoints.",
    )  # fmt: skip
    int8: bool = option(
        False, help="8-bit weights: faster for large models, slightly less accurate."
    )
    memory: bool = option(
        False,
        help="Mix in the n-grams of the training text, which tfcli runs memory makes: a lower "
        "loss, at 0.8 of the speed or more.",
    )
    engine: EngineName = option(
        "auto", help="numpy: a compiled decoder for CPUs, starts at once; torch: GPUs too."
    )
    device: Device = option("auto", help="Where to compute.")


@dataclass(frozen=True, kw_only=True)
class ThreadOptions(Options):
    """How much of the processor to use."""

    threads: int | None = option(
        None, min=1, max=4096, shown_default="all available cores",
        help="Number of CPU threads.",
    )  # fmt: skip

    def apply(self) -> None:
        """To be called before anything that computes is loaded."""
        if self.threads is not None:
            request_threads(self.threads)


def seed_option() -> Any:
    """The field for a seed of a training."""
    return option(0, min=0, max=2**32 - 1, help="Random seed, for reproducible results.")


JsonOption = Annotated[bool, typer_option("--json", help="Print the result as JSON on stdout.")]
QuietOption = Annotated[
    bool, typer_option("--quiet", "-q", help="Print only the result, and errors.")
]
RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", help="A run's name or path, or a checkpoint's path.",
        show_default="the newest",
    ),
]  # fmt: skip
SourceOption = Annotated[
    list[str] | None,
    typer_option("--source", help="The run's training text, only if it has moved.", metavar="FILE"),
]
HtmlOption = Annotated[
    Path | None,
    typer_option("--html", help="Write a page instead, one file without scripts.", metavar="FILE"),
]
