"""Commands whose options are declared as dataclasses; see `tfcli.options`."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from tfcli.cli.other_names import suggested_value
from tfcli.cli.usage_errors import explained, refuse_missing_values, refuse_repeated
from tfcli.options import (
    OptionError,
    Options,
    excluded_by,
    make_options,
    options_of,
    refuse_conflicts,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.options import Option

CONTEXT = "context"
NARROW = 60  # columns, below which a help has no second column
KEYWORD = inspect.Parameter.KEYWORD_ONLY


class Command(typer.core.TyperCommand):
    """A command whose help fits into 80 columns: one name an option, no bounds nobody reaches.

    The description tells the aliases, and the error the range.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Called before the help is shown, and the program ends."""
        aliases: set[str] = getattr(self.callback, "aliases", set())
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            parameter.min = parameter.max = None
            parameter.opts = [name for name in parameter.opts if name not in aliases]
            if opposites := [name for name in parameter.secondary_opts if name not in aliases]:
                # in the text: a column of its own would cut both names at 80 columns
                parameter.help = f"{parameter.help} {', '.join(opposites)}: never."
                parameter.show_default = "on" if parameter.default else parameter.show_default
            parameter.secondary_opts = []
        _hide_types(parameters, ctx)
        if shutil.get_terminal_size().columns < NARROW:
            _format_stacked(self, parameters, ctx, formatter)
        else:
            super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Called with the words of the command line that are this command's."""
        refuse_missing_values(self.params, args)
        _, _, order = self.make_parser(ctx).parse_args(args=[*args])
        refuse_repeated(order, args)
        try:
            return super().parse_args(ctx, args)
        except OptionError as error:
            names = {name: each.name for each in self.params for name in each.opts}
            option = names.get(error.option, error.option)
            raise error.spelled(lambda name: _variable_name(ctx, option) or name) from None


class Group(typer.core.TyperGroup):
    """A group of commands with the same help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Called before the help is shown, and the program ends."""
        _hide_types(self.get_params(ctx), ctx)
        super().format_help(ctx, formatter)


def _format_stacked(command: Any, parameters: list[Any], ctx: Any, formatter: Any) -> None:
    """The help for a terminal without room for a column of texts beside that of names."""
    columns = shutil.get_terminal_size().columns
    command.format_usage(ctx, formatter)
    for paragraph in (inspect.getdoc(command.callback) or "").split("\n\n"):
        examples = paragraph.startswith("tfcli ")
        lines = paragraph.split("\n") if examples else [" ".join(paragraph.split())]
        wrapped = [textwrap.fill(line, columns, break_on_hyphens=False) for line in lines]
        formatter.write("\n" + "\n".join(wrapped) + "\n")
    panels: dict[str, list[str]] = {}
    indent = " " * 4
    for parameter in sorted(parameters, key=lambda each: each.param_type_name):  # arguments first
        if record := parameter.get_help_record(ctx):
            is_argument = parameter.param_type_name == "argument"
            usual = "Arguments" if is_argument else "Options"
            panel = panels.setdefault(getattr(parameter, "rich_help_panel", None) or usual, [])
            text = textwrap.fill(
                record[1], columns, initial_indent=indent, subsequent_indent=indent,
                break_on_hyphens=False,
            )  # fmt: skip
            panel.append(f"{record[0].strip()}\n{text}\n")
    for title, entries in panels.items():
        formatter.write(f"\n{title}:\n{''.join(entries)}")


def _hide_types(parameters: list[Any], context: Any) -> None:
    """Where they tell nothing: flags have none, and arguments are named for what they are.

    Choices are written alike, whoever declared them.
    """
    for parameter in parameters:
        parameter.show_envvar = False  # of all options; typer's own would show theirs
        if isinstance(parameter.show_default, str):
            parameter._get_default_string = partial(_described_default, parameter)
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = _no_type
        elif parameter.metavar is None:
            parameter.metavar = parameter.display_type(context).strip("<>")


def _described_default(parameter: Any, **_: Any) -> str:
    """A default that is described, without the parentheses that typer puts around it."""
    return str(parameter.show_default)


def _no_type(ctx: Any) -> None:
    """In place of typer's method of the same signature."""


def takes_options(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each one of the dataclasses among its parameters.

    The function is called with the dataclasses. Its other parameters are typer's, as usual.
    """
    hints = get_type_hints(function, include_extras=True)
    kinds: dict[str, type[Options]] = {}
    parameters = [inspect.Parameter(CONTEXT, KEYWORD, annotation=typer.Context)]
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and issubclass(hint, Options):
            kinds[parameter.name] = hint
            parameters += map(_parameter, options_of(hint).values())
        elif parameter.name != CONTEXT:
            parameters.append(
                inspect.Parameter(
                    parameter.name, KEYWORD, default=parameter.default, annotation=hint
                )
            )
    wants_context = CONTEXT in hints

    def command(**values: Any) -> None:
        context: typer.Context = values.pop(CONTEXT)
        try:
            records = _records(context, kinds, values)
            if wants_context:
                values[CONTEXT] = context
            function(**values, **records)
        except OptionError as error:
            spelled = error.spelled(lambda name: _variable_name(context, name) or flag(name))
            raise explained(spelled) from None

    command.aliases = {  # type: ignore[attr-defined]
        name for kind in kinds.values() for o in options_of(kind).values() for name in _aliases(o)
    }
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def flag(name: str) -> str:
    """How an option is written on the command line: `--top-p` for `top_p`."""
    return f"--{name.replace('_', '-')}"


def given_options(context: typer.Context, *, environment: bool = True) -> set[str]:
    """The names of the options that the user gave, whatever their values are.

    Args:
        environment: whether those set by environment variables count.

    """
    sources = {"COMMANDLINE", "ENVIRONMENT"} if environment else {"COMMANDLINE"}
    named = ((name, context.get_parameter_source(name)) for name in context.params)
    return {name for name, source in named if source and source.name in sources}


def _records(
    context: typer.Context, kinds: dict[str, type[Options]], values: dict[str, Any]
) -> dict[str, Options]:
    """The dataclasses made from the values of their options, which are taken out of `values`.

    The command line overrides the environment: what it excludes there does not count.
    """
    named, all_named = given_options(context, environment=False), given_options(context)
    options = {name: each for kind in kinds.values() for name, each in options_of(kind).items()}
    on_command_line: dict[str, Any] = {}
    in_environment: dict[str, Any] = {}
    for name, each in options.items():
        value = values.pop(name)
        if name in all_named:
            given = on_command_line if name in named else in_environment
            if _is_list(each):
                # typer splits a variable at spaces, but a stop string may hold some
                value = value if name in named else [_variable(context, name)]
                value = _items(each, value)
            given[name] = value
    refuse_conflicts(options.values(), in_environment)
    refuse_conflicts(options.values(), on_command_line)
    for each in excluded_by(on_command_line, options.values()):
        in_environment.pop(each.name, None)
    chosen = in_environment | on_command_line
    return {
        parameter: make_options(kind, {k: v for k, v in chosen.items() if k in options_of(kind)})
        for parameter, kind in kinds.items()
    }


def _variable_name(context: Any, name: str) -> str | None:
    """The environment variable that set an option; None if none did."""
    source = context.get_parameter_source(name)
    if not source or source.name != "ENVIRONMENT":
        return None
    (parameter,) = (each for each in context.command.params if each.name == name)
    return parameter.envvar or f"{context.auto_envvar_prefix}_{name.upper()}"


def _variable(context: typer.Context, name: str) -> str:
    """What the environment variable of an option holds."""
    (parameter,) = (each for each in context.command.params if each.name == name)
    return str(parameter.resolve_envvar_value(context))


def _is_list(option: Option) -> bool:
    """Whether the command line takes it several times: `--stop`, but not `--choices`."""
    return option.repeatable and not option.optional


def _items(option: Option, texts: list[str] | tuple[str, ...] | None) -> Any:
    """The value of an option that was given several times."""
    if not texts:
        return option.default
    return tuple(item for text in texts for item in _read(option, text))


def _parameter(option: Option) -> inspect.Parameter:
    """The parameter of which typer makes an option."""
    kind: Any = option.type
    several = _is_list(option)
    parser = None
    if several:
        kind = list[str] | None
    elif kind is not bool:
        kind, parser = str, _parser(option)
    declared = typer.Option(
        *_spellings(option),
        help=_help(option),
        metavar=option.metavar or _metavar(option),
        parser=parser,
        min=option.min,
        max=option.max,
        autocompletion=_completion(option.choices) if option.choices else None,
        show_default=option.shown_default or not (option.default is None or several),
        show_envvar=False,
        rich_help_panel=option.panel,
    )
    default = None if several else option.default
    kind = kind if default is not None or several else kind | None
    return inspect.Parameter(
        option.name, KEYWORD, default=default, annotation=Annotated[kind, declared]
    )


def _parser(option: Option) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:  # defaults come through here too
        return _read(option, value) if isinstance(value, str) else value

    return parse


def _read(option: Option, text: str) -> Any:
    """The value that a word stands for; an error has what was meant as its hint."""
    try:
        return option.parse_text(text)
    except OptionError as error:
        error.hint = error.hint or suggested_value(option.name, text, error.choices)
        raise error.spelled(flag) from None


def _completion(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def _spellings(option: Option) -> list[str]:
    names = [option.name, *option.aliases]
    spelled = [flag(name) for name in names]
    if option.type is bool and (option.optional or option.default):
        spelled = [f"{flag(name)}/{flag(f'no_{name}')}" for name in names]
    return [*spelled, *([f"-{option.short}"] if option.short else [])]


def _aliases(option: Option) -> list[str]:
    return [flag(prefix + alias) for alias in option.aliases for prefix in ("", "no_")]


def _help(option: Option) -> str:
    help = option.help
    if option.type is float and option.max is not None and option.max < 1:
        help += f" From {option.min or 0:g} to {option.max:g}."
    if not option.aliases:
        return help
    return f"{help} Also {', '.join(map(flag, option.aliases))}."


def _metavar(option: Option) -> str | None:
    if option.choices:
        return "|".join(option.choices)
    kind = get_args(option.type)[0] if option.repeatable else option.type
    if kind is bool:
        return None
    if kind is str:
        return "TEXT"
    if option.min is not None and option.max == 1:
        return f"{option.min:g}..1"
    return "N"
