"""`score --bound`: how likely a text is at least to a run that reads both ways."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.cli.best_step import open_best_step
from tfcli.cli.output_formats import stdout_filter
from tfcli.generation.bound import BoundEstimator
from tfcli.generation.masked_model import open_masked, require_both_ways, require_torch
from tfcli.quantities import counted
from tfcli.runs.run import find_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.cli.score_input import Document
    from tfcli.cli.shared_options import EngineOptions
    from tfcli.generation.bound import Bound


def open_estimator(
    model: EngineOptions, *, samples: int, stride: int | None, reporter: streams.Reporter
) -> BoundEstimator:
    """The model that was asked for.

    Raises:
        UsageError: it reads from left to right only, or another engine than torch was asked for.

    """
    run, step_path = find_run(model.run)
    require_both_ways(run)
    require_torch(engine=model.engine, int8=model.int8, memory=model.memory, what="--bound")
    open_with = partial(open_masked, run, device=model.device)
    _, masked = open_best_step(run, step_path, open_with, reporter)
    return BoundEstimator(masked, run.tokenizer(), samples=samples, stride=stride)


def write_bound(bound: Bound, estimator: BoundEstimator, *, json: bool) -> None:
    """That of a whole text."""
    if json:
        streams.write_json_result(bound_figures(bound) | estimator.protocol)
    else:
        streams.write_result(f"{describe_bound(bound, estimator)}\n".encode())


def describe_bound(bound: Bound, estimator: BoundEstimator) -> str:
    """A text in one line."""
    protocol = estimator.protocol
    return (
        f"upper bound: {bound.nats_per_byte:z.4f} nats/byte (estimated, standard error "
        f"{bound.standard_error:z.4f}), {bound.nats_per_byte / math.log(2):z.4f} bits/byte; "
        f"{counted(bound.bytes, 'byte')}, {counted(bound.tokens, 'token')} "
        f"(context {protocol['context']}, stride {protocol['stride']}, "
        f"{protocol['samples']} samples)"
    )


def bound_figures(bound: Bound) -> dict[str, Any]:
    """The figures of a text for JSON, to six decimals."""
    return {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in bound.to_json().items()
    }


def write_line_bounds(
    groups: Iterator[list[Document]],
    estimator: BoundEstimator,
    progress: Callable[[int], None],
    *,
    json: bool,
) -> None:
    """Each line as a separate text: its bound, the standard error, and the line."""
    number = done = 0
    for group in groups:
        for line in group:
            text = line.prompt + line.text
            bound = estimator.whole([text])
            number += 1
            if json:
                value = {"line": number, "text": text} | bound_figures(bound)
                streams.write_json_result(value)
            else:
                columns = f"{bound.nats_per_byte:.6f}\t{bound.standard_error:.6f}\t"
                shown = stdout_filter()(text.replace("\n", "\\n"))
                streams.write_result(f"{columns}{shown}\n".encode())
            done += bound.bytes + 1
            progress(done)
