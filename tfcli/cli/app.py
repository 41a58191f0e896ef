"""The program: its commands, and the one place where errors become messages and exit codes.

What is slow to import is imported where it is used, so that `--help` and completion are fast.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfcli import __version__
from tfcli.cli import streams
from tfcli.cli.command import Command, Group
from tfcli.cli.environment import note_unknown_variables
from tfcli.cli.humanize import format_bytes
from tfcli.cli.shared_options import typer_option
from tfcli.cli.usage_errors import as_usage_error, prompt_for_samples
from tfcli.errors import InputOutputError, OutputClosedError, TfcliError
from tfcli.options import OptionError
from tfcli.runtime.memory import address_space, lacks_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEAST_ADDRESSES = 192 << 20  # bytes
SIGINT_CODE = 130
HELP_OPTIONS: Any = {"help_option_names": ["-h", "--help"]}

# Where each command is, in the order of the help: a module of `commands`, and its name in there.
COMMANDS = {
    "train": "train.train",
    "generate": "generate.generate",
    "fill": "fill.fill",
    "score": "score.score",
    "eval": "evaluate.evaluate",
    "trace": "trace.trace",
    "inspect": "inspect.inspect",
    "audit": "audit.app",
    "text": "text.app",
    "tokenizer": "tokenizer.app",
    "runs": "runs.app",
    "export": "exchange.export_run",
    "import": "exchange.import_run",
    "demo": "demo.demo",
    "tasks": "tasks.app",
    "doctor": "doctor.doctor",
}
PANELS = {
    "Train and generate": ("train", "generate", "fill", "demo"),
    "Evaluate and look inside": ("score", "eval", "trace", "inspect", "audit"),
    "Texts, tokenizers, runs": (
        "text", "tasks", "tokenizer", "runs", "export", "import", "doctor"
    ),
}  # fmt: skip


def _show_version(value: bool) -> None:
    if value:
        streams.write_result(f"tfcli {__version__}\n".encode())
        raise typer.Exit


def main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version.",
            show_envvar=False,
        ),
    ] = False,
    _debug: Annotated[
        bool, typer_option("--debug", help="Show a traceback with errors (or TFCLI_DEBUG=1).")
    ] = False,
) -> None:
    """Train a Transformer language model on your own text, and generate with it."""


def run(arguments: Sequence[str], *, started: float) -> int:
    """Runs one command; returns its exit code.

    Args:
        started: `time.monotonic()` when the program started; time budgets count from there.

    """
    debug = "--debug" in arguments or os.environ.get("TFCLI_DEBUG", "") not in {"", "0"}
    try:
        if [*arguments[:1]] == ["help"]:
            arguments = _named_in_help(arguments[1:])
        command, path, rest = _command_for(list(arguments))
        _require_address_space(arguments)
        note_unknown_variables(root_command, arguments)
        code = command.main(
            args=rest, prog_name=path, standalone_mode=False, obj=started, **HELP_OPTIONS
        )
        return code if isinstance(code, int) else 0
    except OutputClosedError as error:
        return error.exit_code
    except OptionError as error:
        if error.option == "--samples" and error.hint is None:
            error.hint = prompt_for_samples(root_command(), arguments)
        return _fail(error, debug)
    except TfcliError as error:
        return _fail(error, debug)
    except typer.TyperException as error:
        if not error.format_message():  # `tfcli` alone: the help was shown
            return error.exit_code
        return _fail(as_usage_error(error, root_command(), arguments), debug, code=error.exit_code)
    except SystemExit as end:
        if end.code == 1:  # typer could not write the help: nobody reads it any more
            return OutputClosedError.exit_code
        raise
    except (KeyboardInterrupt, typer.Abort):
        return SIGINT_CODE
    except MemoryError:
        return _fail(_out_of_memory(), debug)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return _fail(_out_of_memory(), debug)
        where = f" ({error.filename})" if error.filename else ""
        return _fail(InputOutputError(f"{error.strerror or error}{where}"), debug)
    except Exception as error:
        if lacks_memory(error):
            return _fail(_out_of_memory(), debug)
        return _fail(
            TfcliError(
                f"internal error: {type(error).__name__}: {error}",
                hint="run the command again with `tfcli --debug ...`, and report the output",
            ),
            debug,
        )
    finally:
        streams.close_result()


@cache
def root_command() -> Any:
    """The whole program, as typer builds it."""
    return _program(COMMANDS)


def _program(names: Iterable[str]) -> Any:
    """The program with these of its commands."""
    app = typer.Typer(
        name="tfcli",
        cls=Group,
        help="Train a Transformer language model on your own text, and generate with it.",
        epilog=(
            "Start with `tfcli demo` or `tfcli train book.txt --time 60s`. "
            "Every option has an environment variable, such as TFCLI_TRAIN_TIME."
        ),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"auto_envvar_prefix": "TFCLI", **HELP_OPTIONS},
    )
    app.callback()(main)
    for name in names:
        module, _, attribute = COMMANDS[name].partition(".")
        found = getattr(import_module(f"tfcli.cli.commands.{module}"), attribute)
        panel = next(title for title, those in PANELS.items() if name in those)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, rich_help_panel=panel)
        else:
            app.command(name, cls=Command, rich_help_panel=panel)(found)
    return typer.main.get_command(app)


def _command_for(arguments: list[str]) -> tuple[typer.core.TyperCommand, str, list[str]]:
    """The command to run, its name, and its arguments.

    That is the whole program, except for `tfcli COMMAND --help`, where it is the command itself:
    to parse the options before it, typer would import pydantic, which takes 50 ms. Only the modules
    of that command are imported: all of them take a tenth of a second.
    """
    known = arguments and arguments[0] in COMMANDS
    command = _program(arguments[:1]) if known else root_command()
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if not {"-h", "--help"} & set(options):
        return command, "tfcli", arguments
    path = ["tfcli"]
    for word in arguments:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
        path.append(word)
    return command, " ".join(path), ["--help"]


def _named_in_help(words: Sequence[str]) -> list[str]:
    """The arguments that show what `tfcli help WORDS` asks for; an unknown command stays one."""
    command, known = root_command(), list[str]()
    for word in words:
        commands = getattr(command, "commands", None)
        if commands is None or word.startswith("-"):
            break
        if word not in commands:
            return [*known, word]
        command = commands[word]
        known.append(word)
    return [*known, "--help"]


def _require_address_space(arguments: Sequence[str]) -> None:
    """Refuses limits under which the libraries would end the program without a word of ours.

    Raises:
        TfcliError: `ulimit -v` is less than what numpy and SentencePiece need to start.

    """
    limit = address_space()
    if limit is None or limit >= LEAST_ADDRESSES or not arguments or arguments[0] == "runs":
        return
    if not {"-h", "--help", "--version"} & set(arguments):
        raise _out_of_memory()


def _out_of_memory() -> TfcliError:
    limit = address_space()
    if limit is None:
        return TfcliError(
            "out of memory", hint="a smaller --size (train) or --batch-size (generate)"
        )
    return TfcliError(
        "out of memory",
        why=f"ulimit -v limits the address space to {format_bytes(limit)}; generating needs "
        "0.3 GB, training 2 GB plus the model",
        hint="ulimit -v unlimited   # or a smaller --size (train), --batch-size (generate)",
    )


def _fail(error: TfcliError, debug: bool, *, code: int | None = None) -> int:
    if debug:
        import traceback

        traceback.print_exc(file=sys.stderr)
    streams.begin_line()
    streams.show_error(error)
    return error.exit_code if code is None else code
