"""Environment variables: those of options, where a misspelled one is named, and torchrun's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.cli.other_names import plain
from tfcli.cli.usage_errors import command_at
from tfcli.errors import UsageError, closest_match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PREFIX = "TFCLI_"
WITHOUT_OPTION = {"TFCLI_DEBUG"}
VERY_SIMILAR = 0.8  # below, whole names have only the names of commands in common


def note_unknown_variables(program: Callable[[], Any], arguments: Sequence[str]) -> None:
    """Names those beginning with TFCLI_ that are no option's, and what each may have meant.

    Of several processes that train together, only the first does.
    """
    given = sorted(name for name in os.environ if name.startswith(PREFIX))
    if not given or {"--quiet", "-q"} & {*arguments} or os.environ.get("RANK", "0") != "0":
        return
    root = program()
    commands = dict(_commands(root, PREFIX))
    known = WITHOUT_OPTION.union(*(table.values() for table in commands.values()))
    own = _prefix(*command_at(root, arguments)[1].split())
    for name in given:
        if name not in known:
            meant = _meant(name, own, commands)
            hint = f"; did you mean {meant}?" if meant else "."
            streams.say(f"Note: no option has the environment variable {name}{hint}")


def _prefix(*words: str) -> str:
    """What the variables of a command begin with."""
    return "".join(f"{word.upper().replace('-', '_')}_" for word in words)


def _commands(command: Any, prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The prefix of each command, and its variables by the plain names of their options."""
    options = [each for each in command.params if each.param_type_name == "option"]
    yield (
        prefix,
        {
            plain(name): each.envvar or f"{prefix}{each.name.upper()}"
            for each in options
            for name in each.opts
        },
    )
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, prefix + _prefix(name))


def _meant(name: str, own: str, commands: dict[str, dict[str, str]]) -> str | None:
    """The variable most like a name: of the command in it, else of the one that runs, else of any.

    Args:
        own: the prefix of the command that runs.

    """
    named = max((each for each in commands if name.startswith(each)), key=len)
    places = [named] if named != PREFIX else [own, *commands]
    option = plain(name.removeprefix(named))
    for table in (commands[each] for each in places):
        if match := closest_match(option, table):
            return table[match]
    variables = [variable for table in commands.values() for variable in table.values()]
    return closest_match(name, variables, cutoff=VERY_SIMILAR)


def world_size() -> int:
    """The number of processes that torchrun started; 1 without it."""
    said, rank = os.environ.get("WORLD_SIZE") or "1", os.environ.get("RANK", "none")
    if said != "1" and not (said.isdecimal() and rank.isdecimal() and int(rank) < int(said)):
        raise UsageError(
            f"WORLD_SIZE is {said!r} in the environment, and RANK is {rank!r}",
            why="torchrun sets both together; these values are not from torchrun",
            hint="unset WORLD_SIZE RANK",
        )
    return int(said)
