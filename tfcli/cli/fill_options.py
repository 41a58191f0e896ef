"""Which texts `fill` fills, and what it writes of them."""

from __future__ import annotations

from dataclasses import dataclass

from tfcli.options import Options, option

BATCH = "Batch"


@dataclass(frozen=True, kw_only=True)
class FillOptions(Options):
    """Which texts are filled, and what is written of them."""

    prefix: str | None = option(
        None, metavar="FILE", help="Read what stands before the gap from a file."
    )
    suffix: str | None = option(
        None, metavar="FILE", help="Read what stands behind the gap from a file."
    )
    middle_only: bool = option(False, help="Write only what fills the gaps.")
    show: bool = option(
        False, help="Show on stderr how the gaps [N] of a text are filled, step by step."
    )
    samples: int = option(1, short="n", min=1, off=1, panel=BATCH, help="Samples per text.")
    lines: bool = option(
        False,
        panel=BATCH,
        conflicts=("prefix", "suffix", "show"),
        help="Read one text per line of stdin.",
    )
    jsonl: bool = option(
        False, panel=BATCH, aliases=("json",),
        help="Write JSON lines; without TEXT, read a request per line of stdin.",
    )  # fmt: skip
    batch_size: int = option(32, min=1, max=4096, panel=BATCH, help="Texts filled at a time.")
