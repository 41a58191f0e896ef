"""Writes docs/commands.md from the program's own help: `make docs`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from tfcli.cli.app import root_command

PATH = Path(__file__).parent / "commands.md"
INTRODUCTION = """\
# Commands

<!-- Written by `make docs` from the help of the program. Edit that instead. -->

What `tfcli COMMAND --help` shows, in one place. An option on the command line takes precedence over
its environment variable.
"""


def reference() -> str:
    """The command reference, in Markdown."""
    root = root_command()
    commands = list(_commands(root, "tfcli", None))
    contents = [f"- [`{name}`](#{_anchor(name)}): {_summary(c)}" for c, name, _ in commands[1:]]
    sections = [_section(*command) for command in commands]
    return "\n".join([INTRODUCTION, *contents, "", *sections])


def _commands(command: Any, name: str, parent: Any) -> Iterator[tuple[Any, str, Any]]:
    """A command and those below it, each with its whole name and its context."""
    context = typer.Context(
        command, parent=parent, info_name=name.split()[-1], **command.context_settings
    )
    yield command, name, context
    for child, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _commands(below, f"{name} {child}", context)


def _anchor(heading: str) -> str:
    """The link that GitHub makes of a heading."""
    return heading.replace(" ", "-")


def _summary(command: Any) -> str:
    return inspect.cleandoc(command.help).split("\n\n")[0].replace("\n", " ")


def _section(command: Any, name: str, context: Any) -> str:
    paragraphs = inspect.cleandoc(command.help).split("\n\n")
    if command.epilog:
        paragraphs.append(command.epilog)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [f"## {name}", "", f"    {usage}", ""]
    for paragraph in paragraphs:
        text = paragraph.splitlines()
        is_example = all(line.startswith("tfcli ") or "| tfcli " in line for line in text)
        lines += ["```sh", *text, "```", ""] if is_example else [*text, ""]
    below = {k: c for k, c in getattr(command, "commands", {}).items() if not c.hidden}
    if below:
        links = [f"[`{name} {child}`](#{_anchor(f'{name} {child}')})" for child in below]
        lines += [f"Commands: {', '.join(links)}", ""]
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    if arguments:
        rows = [(_code(p.metavar or p.name), _default(p), p.help or "") for p in arguments]
        lines += [*_table(("argument", "default", "description"), rows), ""]
    panels: dict[str, list[Any]] = {}
    for p in shown:
        if p.param_type_name == "option":
            panels.setdefault(p.rich_help_panel or "Options", []).append(p)
    for panel, options in panels.items():
        heading = (panel.lower(), "value", "default", "description", "environment variable")
        lines += [*_table(heading, [_row(p, context) for p in options]), ""]
    return "\n".join(lines)


def _row(option: Any, context: Any) -> tuple[str, ...]:
    names = ", ".join(map(_code, (*option.opts, *option.secondary_opts)))
    value = "" if option.is_flag else _code(_value(option, context)) + _range(option)
    variable = ""
    if option.expose_value and not option.name.startswith("_"):
        variable = _code(option.envvar or f"{context.auto_envvar_prefix}_{option.name.upper()}")
    told = re.sub(r" From [\d.]+ to [\d.]+\.", "", option.help or "")  # the value has it
    return names, value, _default(option), told, variable


def _value(parameter: Any, context: Any) -> str:
    """A name for the value, its type, or the choices."""
    return str(parameter.metavar or parameter.display_type(context).strip("<>"))


def _range(option: Any) -> str:
    if ".." in (option.metavar or ""):
        return ""  # it tells the range
    ends = ((" from ", option.min), (" to ", option.max))
    return "".join(f"{word}{_number(end)}" for word, end in ends if end is not None)


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default
    if value is None or value is False or value in ("", []) or not parameter.show_default:
        return ""
    return "on" if value is True else _code(str(value))


def _code(text: str) -> str:
    return f"`{text}`"


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    cells = [list(heading), *map(list, rows)]
    lines = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells]
    return [lines[0], "| " + " | ".join("---" for _ in cells[0]) + " |", *lines[1:]]


if __name__ == "__main__":
    PATH.write_text(reference(), encoding="utf-8")
