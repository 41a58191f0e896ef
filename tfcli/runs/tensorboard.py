"""A run's metrics as a TensorBoard event file, written with the package `tensorboard`, an extra."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from tfcli.errors import UsageError
from tfcli.files import new_file
from tfcli.runs.series import effective_rows, number, read_series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tfcli.runs.run import Run

NAME = "events.out.tfevents.tfcli"  # one name, so that a second export replaces the first
TAGS = {  # by the name of the metric
    "loss": "train/loss",
    "nats_per_byte": "train/nats_per_byte",
    "grad_norm": "train/grad_norm",
    "gradient_norm": "train/grad_norm",  # its name in runs of earlier builds
    "learning_rate": "train/learning_rate",
    "learning_rate_scale": "train/learning_rate_scale",  # a share of the peak, in those runs
    "tokens_per_second": "train/tokens_per_second",
}


def write_events(run: Run, folder: Path) -> tuple[Path, int]:
    """Writes the metrics of a run to `folder/NAME`, replacing what an earlier call wrote.

    The wall time of an event is the creation time of the run plus the training time so far, so
    TensorBoard's relative time is the training time, without pauses.

    Returns:
        the file, and how many steps and evaluations are in it.

    Raises:
        UsageError: the package `tensorboard` is not installed.
        InputOutputError, ConflictError: the file cannot be written there.

    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError:
        raise UsageError(
            "event files need the package tensorboard, which is not installed",
            hint='pip install "tfcli[tensorboard]"',
        ) from None
    created = _created(run)
    events = sorted(_events(run), key=lambda event: event[0])
    path = folder / NAME
    with new_file(path) as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=created, file_version="brain.Event:2").SerializeToString())
        for step, seconds, scalars in events:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
            event = Event(wall_time=created + seconds, step=step, summary=Summary(value=values))
            records.write(event.SerializeToString())
    return path, len(events)


def _events(run: Run) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Step, training time in seconds, and scalars by their tag, of each step and evaluation."""
    for row in effective_rows(run.path):
        seconds = number(row.get("seconds"))
        scalars = _scalars(row)
        if row["event"] == "StepFinished" and scalars and seconds is not None:
            yield row["step"], seconds, scalars
    series = read_series(run)
    for tag, points in (
        ("eval/nats_per_byte", series.held_out),
        ("eval/final", series.final_eval),
    ):
        for point in points:
            yield point.step, point.seconds, {tag: point.nats_per_byte}


def _scalars(row: dict[str, Any]) -> dict[str, float]:
    values = {tag: number(row.get(name)) for name, tag in TAGS.items() if name in row}
    return {tag: value for tag, value in values.items() if value is not None}


def _created(run: Run) -> float:
    """When the run was created, in seconds since 1970; 0 where its metadata does not say."""
    try:
        return datetime.datetime.fromisoformat(run.metadata["created"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0
