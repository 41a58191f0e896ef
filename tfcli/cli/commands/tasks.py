"""`tfcli tasks`: pairs of prompt and answer that are made up, and the check of answers to them."""

from __future__ import annotations

import json as json_lines
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfcli.cli import streams
from tfcli.cli.command import Command, Group, flag, given_options, takes_options
from tfcli.cli.other_names import similar_choice
from tfcli.cli.shared_options import JsonOption, seed_option
from tfcli.errors import DataError, UsageError
from tfcli.options import Options, option, options_of
from tfcli.quantities import parse_count
from tfcli.tasks import TASKS, TaskOptions, make_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

app = typer.Typer(
    cls=Group, no_args_is_help=True,
    help="Make pairs of prompt and answer, and check answers.",
)  # fmt: skip
NAMED = 3  # wrong answers that are shown
ANSWERS = ("answer", "text", "completion")  # fields, the first that a row has


@dataclass(frozen=True, kw_only=True)
class MakeOptions(Options):
    """How many pairs are made, and which."""

    count: int = option(10_000, min=1, from_text=parse_count, short="n", help="Number of pairs.")
    test: bool = option(
        False, help="Make pairs to test on; none of their prompts is ever made without this."
    )
    seed: int = seed_option()


def _command_for(name: str) -> Callable[..., None]:
    def make(context: typer.Context, options: MakeOptions, task: TaskOptions) -> None:
        _refuse_others(name, context)
        for prompt, answer in make_pairs(
            name, task, count=options.count, seed=options.seed, test=options.test
        ):
            row = {"prompt": prompt, "completion": answer}
            streams.write_result((json_lines.dumps(row, ensure_ascii=False) + "\n").encode())

    make.__doc__ = (
        f"Write pairs as JSON lines: the answer is {TASKS[name].about}.\n\n"
        f"tfcli tasks {name} > {name}.jsonl\n"
        f"tfcli tasks {name} --test --count 1000 > {name}-test.jsonl"
    )
    make.__name__ = name
    make.__annotations__ = {
        "context": typer.Context, "options": MakeOptions, "task": TaskOptions, "return": None,
    }  # fmt: skip
    return takes_options(make)


class TaskCommand(Command):
    """A command whose help shows the options that its task takes, with the task's own defaults."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        takes = TASKS[str(self.name)].takes
        parameters: list[Any] = self.params
        for parameter in parameters:
            if usual := takes.get(parameter.name):
                parameter.show_default = str(usual)
            parameter.hidden = parameter.name in {*options_of(TaskOptions)} - {*takes}


for _name in TASKS:
    app.command(_name, cls=TaskCommand)(_command_for(_name))


def _refuse_others(name: str, context: typer.Context) -> None:
    """Raises UsageError where an option was given that the task knows nothing of."""
    others = {*options_of(TaskOptions)} - {*TASKS[name].takes}
    if wrong := others & given_options(context, environment=False):
        raise UsageError(
            f"{name} takes no {flag(min(wrong))}",
            why=f"it takes {', '.join(map(flag, TASKS[name].takes))}" if TASKS[name].takes else "",
        )


@app.command("check", cls=Command)
@takes_options
def check(
    context: typer.Context,
    task: TaskOptions,
    name: Annotated[str, typer.Argument(metavar="TASK", help=f"One of {', '.join(TASKS)}.")],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Rows of prompt and answer; - for stdin.")
    ] = "-",
    json: JsonOption = False,
) -> None:
    """Check answers, worked out anew from their prompts.

    Rows are JSON lines as `tfcli eval -o` writes them: prompt, and answer (or
    text, completion).

    tfcli eval add add-test.jsonl --jsonl | tfcli tasks check add
    """
    from tfcli.generation.intervals import share_interval

    if name not in TASKS:
        known = f"known: {', '.join(TASKS)}"
        raise UsageError(f"unknown task: {name}", hint=similar_choice(name, TASKS) or known)
    _refuse_others(name, context)
    count = right = 0
    wrong: list[str] = []
    for number, row in _rows(file):
        prompt, answer = _prompt_and_answer(row, number)
        try:
            expected = TASKS[name].solve(prompt, task)
        except (ValueError, IndexError):
            ((example, _),) = make_pairs(name, task, count=1, seed=0)
            raise DataError(
                f"row {number:,} is no prompt of {name}: {prompt[:40]!r}",
                why=f"one looks like {example!r}",
            ) from None
        count += 1
        right += answer == expected
        if answer != expected and len(wrong) < NAMED:
            wrong.append(f"row {number:,}: {prompt!r} -> {answer[:40]!r}, not {expected!r}")
    if not count:
        raise DataError("no answers to check")
    share = share_interval(right, count)
    if json:
        streams.write_json_result({"task": name, "rows": count, "right": right} | share.to_json())
    else:
        value, low, high = (100 * each for each in (share.value, share.low, share.high))
        streams.write_result(
            f"{right:,} of {count:,} right: {value:.2f} % ({low:.2f} to {high:.2f})\n".encode()
        )
    for line in wrong:
        streams.say(f"Wrong: {line}")


def _rows(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    from pathlib import Path

    from tfcli.generation.json_lines import parse_object
    from tfcli.text.readers import read_lines

    if file == "-" and not _is_piped():
        raise UsageError("no answers to check", hint="tfcli eval RUN FILE --jsonl | tfcli tasks ..")
    for number, line in enumerate(read_lines(Path(file)), 1):
        if line.strip():
            yield number, parse_object(line, number, '{"prompt": "12+34", "answer": "46"}')


def _is_piped() -> bool:
    from tfcli.cli.piped_text import stdin_is_piped

    return stdin_is_piped()


def _prompt_and_answer(row: dict[str, Any], number: int) -> tuple[str, str]:
    prompt = row.get("prompt")
    answer = next((row[key] for key in ANSWERS if key in row), None)
    if not isinstance(prompt, str) or not isinstance(answer, str):
        raise DataError(f"line {number} has no prompt and answer")
    return prompt, answer
