"""`tfcli runs card`: what a model is, what it was made of, and what it is not good for."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.shared_options import JsonOption, QuietOption
from tfcli.errors import closest_match
from tfcli.options import Options, option

MOST_WATTS, MOST_GRAMS = 1000.0, 10_000.0


@dataclass(frozen=True, kw_only=True)
class CardOptions(Options):
    """What only a person knows of a run; it is kept with it."""

    license: str | None = option(
        None, metavar="NAME", shown_default="not stated",
        help='License of the model, such as cc-by-4.0; "" clears it.',
    )  # fmt: skip
    author: str | None = option(
        None, metavar="NAME", shown_default="not stated", help="Who made it."
    )
    description: str | None = option(
        None, metavar="TEXT", shown_default="none", help="What it is, in a sentence."
    )
    text_url: str | None = option(
        None, metavar="URL", shown_default="none", help="Where the training text is published."
    )
    core_watts: float | None = option(
        None, min=0, max=MOST_WATTS, shown_default="10",
        help="Watts per busy core, for estimates without energy counters.",
    )  # fmt: skip
    carbon_intensity: float | None = option(
        None, min=0, max=MOST_GRAMS, shown_default="no CO2",
        help="Grid carbon intensity, g CO2/kWh.",
    )  # fmt: skip


@takes_options
def card(
    options: CardOptions,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="A run's name or path, or a checkpoint's path.",
            show_default="the newest",
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Show, and edit, a run's model card: text, license, loss, energy, audits.

    In a pipe, it is Markdown. Exports have the same card. What the options say
    is kept with the run.

    tfcli runs card tale
    tfcli runs card tale --license cc-by-4.0 --author "Ann Lee" > README.md
    """
    from tfcli.cli.card_output import show_card
    from tfcli.exchange.card.facts import make_card
    from tfcli.exchange.card.markdown import LICENSES, to_markdown
    from tfcli.exchange.card.words import describe_card, limits, origin
    from tfcli.runs.about import ABOUT, change_about
    from tfcli.runs.run import find_run
    from tfcli.runs.valid_steps import choose_step

    reporter = streams.Reporter(quiet=quiet)
    found, step_path = find_run(run)
    said = {name: value for name, value in asdict(options).items() if value is not None}
    if said:
        change_about(
            found.path, said,
            on_damaged=lambda error: reporter.note(f"Note: {error.what}; it is written anew."),
        )  # fmt: skip
        reporter.note(f"Kept in {found.path / ABOUT}.")
        if options.license and options.license.lower() not in LICENSES:
            near = closest_match(options.license.lower(), sorted(LICENSES))
            meant = f"; did you mean {near}?" if near else ""
            reporter.note(f"Note: Hugging Face has no license {options.license!r}{meant}")
    step = choose_step(found, step_path, on_damaged=reporter.warn)
    made = make_card(found, step, on_damaged=reporter.warn)
    if json:
        streams.write_json_result(made | {"limits": limits(made)})
        return
    if not streams.is_terminal(sys.stdout):
        streams.write_result(to_markdown(made).encode(errors="backslashreplace"))
        return
    show_card(made, describe_card(made), origin(made))
    name = shlex.quote(found.argument)
    missing = next((kind for kind, audit in made["audits"].items() if audit is None), None)
    if not made["license"] or not made["author"]:
        reporter.next(f'tfcli runs card {name} --license cc-by-4.0 --author "..."')
    elif missing and made["text"]:
        reporter.next(f"tfcli audit {missing} {name}{' FILE' if missing == 'groups' else ''}")
