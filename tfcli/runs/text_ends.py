"""Whether a run has learned where texts end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfcli.runs.run import Run


def knows_text_ends(run: Run) -> bool:
    """Whether its end token ends texts.

    The end of a single text is held out, or seen once. Trained with `--infill`, such a run has met
    the token at the end of gaps alone, and would end any sentence with it.
    """
    single = run.metadata["corpus"]["documents"] == 1
    return not (single and run.metadata["plan"].get("infill"))
