"""Tokenizers by the names that users give them, of `tokenizers/` and of runs."""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING

from tfcli.errors import NotFoundError, TfcliError
from tfcli.runs.run import find_run
from tfcli.runs.summary import summarize
from tfcli.text import saved_tokenizers
from tfcli.text.vocabulary import tokenizer_type

if TYPE_CHECKING:
    from tfcli.runs.run import Run
    from tfcli.text.saved_tokenizers import SavedTokenizer
    from tfcli.text.tokenizer import Tokenizer


def find_tokenizer(name: str) -> SavedTokenizer:
    """The saved tokenizer of that name.

    Raises:
        NotFoundError: there is none; where a run is called so, the hint is to say that it is one.

    """
    try:
        return saved_tokenizers.find_tokenizer(name)
    except NotFoundError as error:
        with contextlib.suppress(TfcliError):
            find_run(name)
            error.why, error.hint = f"{name!r} is a run", f"--run {shlex.quote(name)}"
        raise


def facts_of_run(run: Run, tokenizer: Tokenizer) -> dict[str, object]:
    """The type of a run's tokenizer, and how it compresses the text that the run was evaluated on.

    A run may have a tokenizer from elsewhere, and no evaluations: then there is less to say.
    """
    facts: dict[str, object] = {}
    if type := tokenizer_type(tokenizer):
        facts["type"] = type
    if measured := summarize(run)["held_out"]:
        facts |= {
            "held_out.bytes": measured["bytes"],
            "held_out.bytes_per_token": round(measured["bytes"] / max(measured["tokens"], 1), 3),
        }
    return facts
