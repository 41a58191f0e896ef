"""Whether a run fills gaps, and by which tokens it knows one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.runs.infill_metadata import KEY, read_infill_metadata
from tfcli.text.infill_tokens import find_infill_tokens, make_infill_tokens

if TYPE_CHECKING:
    from tfcli.runs.run import Run
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.tokenizer import Tokenizer


def find_run_infill_tokens(run: Run, tokenizer: Tokenizer) -> InfillTokens | None:
    """The infill tokens of a run that fills gaps; None: it does not."""
    if KEY in run.metadata:
        return read_infill_metadata(run.metadata)
    return _of_earlier_builds(run, tokenizer)


def _of_earlier_builds(run: Run, tokenizer: Tokenizer) -> InfillTokens | None:
    """Those of a run that does not record them: its middles end as texts do."""
    found = None
    if run.metadata["plan"].get("infill"):
        found = find_infill_tokens(tokenizer)
    elif run.metadata.get("imported"):
        found = find_infill_tokens(tokenizer, named_only=True)
    return found and make_infill_tokens(tokenizer, found.markers)
