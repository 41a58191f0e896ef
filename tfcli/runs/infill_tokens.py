"""Whether a run fills gaps, and by which tokens it knows one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.text.infill_tokens import find_infill_tokens

if TYPE_CHECKING:
    from tfcli.runs.run import Run
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.tokenizer import Tokenizer


def find_run_infill_tokens(run: Run, tokenizer: Tokenizer) -> InfillTokens | None:
    """The infill tokens of a run that was trained with `--infill`; None: it was not.

    Of an imported model whose tokenizer has such tokens by name it is assumed.
    """
    if run.metadata["plan"].get("infill"):
        return find_infill_tokens(tokenizer)
    if run.metadata.get("imported"):
        return find_infill_tokens(tokenizer, named_only=True)
    return None
