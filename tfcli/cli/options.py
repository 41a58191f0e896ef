"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfcli.generation.open_engine import EngineName
from tfcli.runtime.device import Device

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}


def parse_duration(text: str) -> float:
    """Seconds from `90`, `90s`, `2m`, `2min`, `1h30m`."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    elif re.fullmatch(r"(\d+(\.\d+)?(s|min|m|h|d))+", text):
        seconds = sum(
            float(number) * UNITS[unit]
            for number, _, unit in re.findall(r"(\d+(\.\d+)?)(s|min|m|h|d)", text)
        )
    else:
        raise typer.BadParameter(f"{text!r} is no duration like 60s, 5m or 1h30m")
    if not 0 < seconds < 10**9:
        raise typer.BadParameter(f"{text!r} is no length of time")
    return seconds


def parse_count(text: str) -> int:
    """A whole number, `500`, `2M`, `1.5k`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmbg]?)", text.lower())
    count = round(float(match[1]) * COUNTS[match[2]]) if match else 0
    if not 0 < count < 10**15:
        raise typer.BadParameter(f"{text!r} is no number above 0 like 500, 20k or 2M")
    return count


def option(
    *names: str,
    help: str,
    metavar: str | None = None,
    parser: Callable[[str], object] | None = None,
    min: float | None = None,
    max: float | None = None,
    otherwise: str | None = None,
    panel: str | None = None,
) -> Any:
    """An option in our own style.

    Args:
        otherwise: what holds where a None default leaves it out, for the help.

    Its environment variable, TFCLI_<COMMAND>_<OPTION>, comes by itself; the help says the rule
    once instead of every name.

    """
    bounded = min is not None or parser is parse_count
    return typer.Option(
        *names,
        help=help,
        metavar=metavar or ("N" if bounded else None),
        parser=parser,
        min=min,
        max=max,
        show_default=otherwise if otherwise is not None else True,
        show_envvar=False,
        rich_help_panel=panel,
    )


RunOption = Annotated[
    str | None,
    option(
        "--run",
        help="A run's name or path, or the path of one of its steps.",
        metavar="RUN",
        otherwise="the newest",
    ),
]
LARGEST_SEED = 2**32 - 1
SeedOption = Annotated[
    int, option("--seed", help="The same seed, the same result.", min=0, max=LARGEST_SEED)
]
DeviceOption = Annotated[Device, option("--device", help="Where to compute.")]
EngineOption = Annotated[
    EngineName,
    option("--engine", help="numpy begins at once; torch is for GPUs, and the reference."),
]
Int8Option = Annotated[
    bool,
    option("--int8", help="Weights in eight bits: faster where they are many, a little worse."),
]
QuietOption = Annotated[bool, option("--quiet", "-q", help="Only the result, and errors.")]
JsonOption = Annotated[bool, option("--json", help="The result as JSON on stdout.")]
