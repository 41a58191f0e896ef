"""What `tfcli audit bias` found, as a table and in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.audit_output import wrapped
from tfcli.cli.render import show_table
from tfcli.quantities import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.insight.bias import Estimate, GroupPreference

MEANING = (
    "Preferred: the share of pairs in which the model finds the first sentence likelier, the one "
    "that a stereotype or a rule expects; without any preference, half of them. Difference: "
    "log p(first) less log p(second) in nats, with its interval at 95 % confidence."
)
AMPLIFICATION = (
    "Amplification: the difference less that of the training text, where it is counted. Above 0, "
    "the model goes further than its text."
)
LIMITS = (
    "A small model may prefer either sentence for reasons that have nothing to do with what is "
    "asked; where it fails at agreement, the other groups say little."
)


def write_bias_audit(
    groups: Sequence[GroupPreference], name: str, step: int, *, text_known: bool
) -> None:
    """Writes it to stdout."""
    columns = ["group", "pairs", "preferred", "difference", "p"]
    columns += ["amplification", "not in the text"] if text_known else []
    streams.write_result(f"{name}, step {step:,}\n\n".encode())
    show_table(columns, [_row(group, text_known=text_known) for group in groups])
    for paragraph in (MEANING, *([AMPLIFICATION] if text_known else []), LIMITS):
        streams.write_result("".join(f"{line}\n" for line in ("", *wrapped(paragraph))).encode())


def _row(group: GroupPreference, *, text_known: bool) -> list[str]:
    row = [
        group.group, f"{group.pairs:,}", percent(group.preferred.mean),
        _interval(group.difference), _p(group.p),
    ]  # fmt: skip
    return row + ([_interval(group.amplification), f"{group.unseen:,}"] if text_known else [])


def _interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    mean = f"{estimate.mean:+z.2f}"
    if math.isinf(estimate.low):
        return mean
    return f"{mean} ({estimate.low:+z.2f} to {estimate.high:+z.2f})"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
