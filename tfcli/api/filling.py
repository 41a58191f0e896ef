"""Gaps in Python: `run.fill("Once [] a time")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tfcli.api.requests import read_options, show_options
from tfcli.api.results import incomplete
from tfcli.generation.fill_request import FillRequest
from tfcli.generation.filling import Filler, Filling, FillingList, infill_tokens_of
from tfcli.options import update_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.gaps import GappedText
    from tfcli.runs.run import Run
    from tfcli.text.tokenizer import Tokenizer

Method = TypeVar("Method", bound="Callable[..., Any]")


def takes_fill_options(method: Method) -> Method:
    """Shows the options in place of `**options` in the method's signature and documentation."""
    return show_options(method, FillRequest)


def fill_text(
    run: Run,
    engine: Engine,
    tokenizer: Tokenizer,
    text: GappedText,
    options: Mapping[str, Any],
    notice: Callable[[str], None],
) -> Filling:
    """A text with its gaps filled.

    Raises:
        UsageError: the run was not trained to fill gaps; an option does not exist, is out of
            range, or excludes another.
        DataError: a limit was reached before a gap had the form that was asked for.

    """
    filler = Filler(engine, tokenizer, infill_tokens_of(run, tokenizer), notice=notice)
    request = update_options(FillRequest(), read_options(FillRequest, options))
    filler.check(request)
    filling = Filling(text, request)
    for _ in filler.fill(FillingList([filling])):
        pass
    if any(gap.finish_reason == "incomplete" for gap in filling.gaps):
        raise incomplete()
    return filling
