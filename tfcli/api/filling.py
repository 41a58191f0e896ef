"""Gaps in Python: `run.fill("Once [] a time")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tfcli.api.requests import read_options, show_options
from tfcli.api.results import incomplete
from tfcli.generation.best_fill import BestFiller
from tfcli.generation.fill_request import FillRequest
from tfcli.generation.filling import Filler, FillJob, infill_tokens_of
from tfcli.generation.generate import RequestList
from tfcli.options import update_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tfcli.generation.choosing_filler import AnyFiller
    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.gaps import GappedText
    from tfcli.runs.run import Run
    from tfcli.text.tokenizer import Tokenizer

Method = TypeVar("Method", bound="Callable[..., Any]")


def takes_fill_options(method: Method) -> Method:
    """Shows the options in place of `**options` in the method's signature and documentation."""
    return show_options(method, FillRequest)


def fill_request(text: GappedText, options: Mapping[str, Any]) -> FillRequest:
    """The request for a text with options by their names.

    Raises:
        UsageError: an option does not exist, is out of range, or excludes another.

    """
    return update_options(FillRequest(text=text), read_options(FillRequest, options))


def infill(
    run: Run,
    engine: Engine,
    tokenizer: Tokenizer,
    request: FillRequest,
    notice: Callable[[str], None],
) -> FillJob:
    """A text with its gaps filled from left to right.

    Raises:
        UsageError: the run was not trained to fill gaps.
        DataError: a limit was reached before a gap had the form that was asked for.

    """
    rows = request.best_of
    own = engine.with_rows(rows) if rows > 1 else engine
    filler = Filler(own, tokenizer, infill_tokens_of(run, tokenizer), rows=rows, notice=notice)
    return fill_text(BestFiller(filler, engine, tokenizer) if rows > 1 else filler, request)


def fill_text(filler: AnyFiller, request: FillRequest) -> FillJob:
    """A text with its gaps filled."""
    filler.check(request)
    *_, event = filler.fill(RequestList([request]))
    job = event.job
    if any(gap.finish_reason == "incomplete" for gap in job.gaps):
        raise incomplete()
    return job
