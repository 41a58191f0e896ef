"""`tfcli text`: filters for a text before it is trained on, each in a pipe."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tfcli.cli import piped_text, streams
from tfcli.cli.command import Command, Group, takes_options
from tfcli.cli.shared_options import QuietOption, seed_option, typer_option
from tfcli.errors import ConflictError, UsageError
from tfcli.insight.canaries import EACH, REPEATS, TEMPLATE, make_key, plant, write_key
from tfcli.options import Options, option

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Look through a text before it is trained on."
)


@app.callback()
def main() -> None:
    """Look through a text before it is trained on."""


# --- canaries -----------------------------------------------------------------------------------


def parse_repeats(text: str) -> tuple[int, ...]:
    """`1,4,16,64`.

    Raises:
        ValueError: it is something else.

    """
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text):
        raise ValueError(f"must be whole numbers such as 1,4,16,64, not {text!r}")
    return tuple(map(int, text.split(",")))


@dataclass(frozen=True, kw_only=True)
class CanaryOptions(Options):
    """Which canaries are planted."""

    repeats: tuple[int, ...] = option(
        REPEATS, metavar="N,N", from_text=parse_repeats, shown_default="1,4,16,64",
        help="How often each canary is planted; 0: never, for comparison.",
    )  # fmt: skip
    each: int = option(EACH, min=1, max=1000, help="Canaries for each number of repeats.")
    template: str = option(
        TEMPLATE, metavar="TEXT", help="The line of a canary, with {} for its secret."
    )
    seed: int = seed_option()


@app.command("canaries", cls=Command)
@takes_options
def canaries(
    options: CanaryOptions,
    key: Annotated[
        Path, typer_option("--key", help="Where to write what was planted.", metavar="FILE")
    ],
    quiet: QuietOption = False,
) -> None:
    """Plant made-up secrets in a text, to see later how well a model keeps them.

    Reads plain text on stdin, and writes it with the canaries to stdout. They
    are lines of their own in its first four fifths, so that none is held out.

    tfcli text canaries --key canaries.json < book.txt > planted.txt
    """
    reporter = streams.Reporter(quiet=quiet)
    if key.exists():
        raise ConflictError(f"{key} already exists", hint="choose another --key FILE")
    made = make_key(options.template, options.repeats, options.each, options.seed)
    planted = plant(_read(), made)
    write_key(key, made)
    streams.write_result(planted.encode())
    count = sum(canary.repeats for canary in made.canaries)
    reporter.note(
        f"Planted {streams.counted(len(made.canaries), 'canary').replace('canarys', 'canaries')} "
        f"in {streams.counted(count, 'line')}; {key} says which."
    )
    reporter.next(f"tfcli audit memory RUN --canaries {shlex.quote(str(key))}   # after training")


def _read() -> str:
    if not piped_text.stdin_is_piped():
        raise UsageError(
            "no text", hint="tfcli text canaries --key canaries.json < book.txt > planted.txt"
        )
    return piped_text.read_piped_text("the text")[0]
