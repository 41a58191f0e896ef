"""How `score` scores a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tfcli.options import Options, option, options_of
from tfcli.text.reading_options import ReadingOptions

OF_ROWS = {"field", "format", "prompt_field", "answer_field"}


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(Options):
    """How a text is scored."""

    by: Literal["text", "line", "token"] = option(
        "text", help="Score the whole text, each line, or each token."
    )
    jsonl: bool = option(
        False,
        conflicts=tuple(n for n in options_of(ReadingOptions) if n not in OF_ROWS),
        help="Read one row of JSON per line, or rows of a table, and write JSON lines.",
    )  # fmt: skip
    top_logprobs: int = option(
        0, min=0, max=100, off=0,
        help="With --by token, show the N most likely other tokens; 0: off.",
    )  # fmt: skip
    bound: bool = option(
        False, conflicts=("jsonl", "top_logprobs"),
        help="Estimate an upper bound on the loss (negative ELBO); needs a run trained with "
        "--masked.",
    )  # fmt: skip
    bound_samples: int | None = option(
        None, min=2, max=1_000_000, shown_default="128",
        help="With --bound, samples per window; an even number.",
    )  # fmt: skip
    stride: int | None = option(
        None, min=1, shown_default="half the context length",
        help="Stride of the sliding window in tokens, for text longer than the context.",
    )  # fmt: skip
