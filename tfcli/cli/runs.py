"""`tfcli runs`: what there is."""

from __future__ import annotations

from typing import Annotated

import typer

from tfcli.cli import plot, streams
from tfcli.cli.options import JsonOption

app = typer.Typer(help="What was trained: size, loss, steps, disk.")
app.command("plot")(plot.plot)
app.command("tensorboard")(plot.tensorboard)


@app.callback(invoke_without_command=True)
def list_all(context: typer.Context, json: JsonOption = False) -> None:
    """What was trained: size, loss, steps, disk."""
    if context.invoked_subcommand is not None:
        return
    from tfcli.cli.render import say_bytes, say_count, say_duration, show_table
    from tfcli.errors import DataError
    from tfcli.runs.run import START_ONE, list_runs, open_run
    from tfcli.runs.summary import summarize

    voice = streams.Voice(quiet=False)
    rows = []
    for path in list_runs():
        try:
            summary = summarize(open_run(path))
        except DataError as error:
            voice.warn(error)
            continue
        if json:
            streams.write_json_result(summary)
        held_out = summary["held_out"]
        rows.append(
            [
                summary["name"],
                say_count(summary["parameters"]),
                f"{held_out['nats_per_byte']:.4f}" if held_out else "-",
                f"{summary['steps']:,}",
                say_duration(summary["seconds"]),
                say_bytes(summary["disk_bytes"]),
                "" if summary["finished"] else "unfinished",
            ]
        )
    if json:
        return
    if not rows:
        voice.note("There is no run here yet.")
        voice.next(START_ONE)
        return
    show_table(["run", "parameters", "nats/byte", "steps", "time", "disk", ""], rows)
    voice.next(f"tfcli runs show {rows[-1][0]}")


@app.command()
def show(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run's name or path.", show_default="the newest"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """One run, whole."""
    from tfcli.cli.render import show_facts
    from tfcli.runs.run import find_run
    from tfcli.runs.summary import summarize

    found, _ = find_run(run)
    summary = summarize(found)
    if json:
        streams.write_json_result(summary | {"run": found.card})
        return
    held_out = summary.pop("held_out") or {}
    facts = summary | {f"held_out.{key}": value for key, value in held_out.items()}
    for part in ("model", "plan", "corpus", "machine"):
        for key, value in found.card.get(part, {}).items():
            facts[f"{part}.{key}"] = value
    show_facts(facts)
    streams.Voice(quiet=False).next(f'tfcli generate "..." --run {found.name}')
