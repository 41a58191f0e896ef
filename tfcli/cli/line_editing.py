"""The commands of an interactive session, and the editing of lines with Tab, history and paste."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.cli.draft import DIALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable

HELP = {
    "a line": "append this line (after a space, if words would meet), then let the model "
    "continue; Enter ends its last word; empty: just continue",
    "line \\": "continue on the next line; \\ alone begins a new line, twice leaves a blank one",
    f"{' '.join(DIALOGUE)}": "a line that begins so is a paragraph of its own",
    "Ctrl-C": "stop the model, not the program",
    "/retry": "generate the last continuation again, with another seed",
    "/retry N": "N continuations to choose from; the last one stands until /take",
    "/take K": "go on from the K-th of them",
    "/undo": "remove the last line and its continuation, or bring back the text before /new or "
    "/load; /undo N: N times",
    "/new": "start a new text, which belongs to no file yet",
    "/show": "show the options that differ from their defaults; /show all: all of them",
    "/set NAME VALUE": "change an option, for example /set temperature 1.2",
    "/set NAME": "reset an option to its default",
    "/load FILE": "continue the text in a file",
    "/save FILE": "write the whole text to a file; without a name, to the one it was loaded from "
    "or saved to",
    "/quit": "or Ctrl-D",
}


def prepare_line_editing(help: Iterable[str]) -> None:
    """Sets up readline, which `input` then uses, where the system has it.

    Args:
        help: the commands that Tab completes.

    """
    with contextlib.suppress(ImportError):
        import readline

        readline.parse_and_bind("set enable-bracketed-paste on")  # lines are pasted as one
        readline.set_completer_delims(" \n")
        readline.set_completer(partial(_complete, help))
        readline.parse_and_bind("tab: complete")


def _complete(help: Iterable[str], word: str, state: int) -> str | None:
    """What Tab makes of a word: a command at the beginning of a line, or the name of a file."""
    import glob
    import readline

    line = readline.get_line_buffer()
    if line.startswith("/") and " " not in line:
        names = dict.fromkeys(name.split(" ")[0] for name in help if name.startswith("/"))
        found = [f"{name} " for name in names if name.startswith(word)]
    elif line.startswith(("/load ", "/save ")):
        found = sorted(glob.glob(f"{glob.escape(str(Path(word).expanduser())) if word else ''}*"))  # noqa: PTH207
        found = [f"{name}/" if Path(name).is_dir() else name for name in found]
    else:
        found = []
    return found[state] if state < len(found) else None
