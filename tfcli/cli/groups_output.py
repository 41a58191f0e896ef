"""What `tfcli audit groups` found: a table with what it means, or a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.audit_output import wrapped
from tfcli.cli.pages.frame import draw_frame, escape
from tfcli.cli.render import show_table
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.insight.groups import GroupLoss, Ratio

MEANING = (
    "Nats per byte: how hard the model finds each group's text, with its interval at 95 % "
    "confidence; times the lowest: over that of the best group, of those without a star if there "
    "are any. Tokens per byte: how finely the "
    "tokenizer cuts it; more tokens mean less text in the context, and slower writing."
)
LIMITS = (
    "A higher figure does not say that a group is treated worse: some texts are harder to guess "
    "for anyone, and a character of Chinese or Hindi takes three bytes, one of English one. It "
    "says where the model knows less, or where its text had less. Compare like with like, on text "
    "that was not trained on."
)
FEW = "* too few documents for an interval that says much; last, whatever their figures."
PIECES = "Of fewer than ten documents, the interval is over pieces of about 4,000 bytes."


def write_groups(groups: Sequence[GroupLoss], name: str, step: int, by: str | None) -> None:
    """Writes the table to stdout."""
    headings = [by or "source", "nats/byte", "x lowest", "tokens/byte", "documents", "bytes"]
    rows = [
        [
            truncate(group.name) + " *" * group.few, _interval(group.nats_per_byte, 3),
            f"{group.ratio:.2f}", f"{group.tokens_per_byte.value:.3f}", f"{group.documents:,}",
            f"{group.bytes:,}",
        ]
        for group in groups
    ]  # fmt: skip
    streams.write_result(f"{name}, step {step:,}\n\n".encode())
    show_table(headings, rows, spare=["bytes", "documents", "tokens/byte"])
    for paragraph in notes(groups):
        streams.write_result("".join(f"{line}\n" for line in ("", *wrapped(paragraph))).encode())


def truncate(name: str, most: int = 40) -> str:
    """A name that leaves room for figures beside it."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def notes(groups: Sequence[GroupLoss]) -> list[str]:
    """What the figures mean, and what they do not."""
    few = [FEW] if any(group.few for group in groups) else []
    pieces = [PIECES] if any(group.interval_over == "pieces" for group in groups) else []
    return [*([" ".join([*few, *pieces])] if few or pieces else []), MEANING, LIMITS]


def _interval(ratio: Ratio, digits: int) -> str:
    value = f"{ratio.value:.{digits}f}"
    if ratio.low is None or ratio.high is None:
        return value
    return f"{value} ({ratio.low:.{digits}f} to {ratio.high:.{digits}f})"


# --- the page -----------------------------------------------------------------------------------

STYLE = """
p { margin: 0 0 10px; max-width: 48em; }
.group + p { margin-top: 20px; }
p.faint { color: var(--faint); font-size: 13px; }
.group { border-bottom: 1px solid var(--rule); padding: 9px 0 11px; }
.group b { overflow-wrap: anywhere; }
.group span { color: var(--faint); font-size: 13px; font-variant-numeric: tabular-nums; }
.track { position: relative; height: 12px; margin: 6px 0 5px; }
.bar, .reach { position: absolute; left: 0; top: 0; bottom: 0; }
.bar { background: var(--one); border-radius: 0 3px 3px 0; opacity: 0.75; }
.reach { top: 4px; bottom: 4px; min-width: 2px; background: var(--ink); border-radius: 2px; }
"""


def draw_groups(groups: Sequence[GroupLoss], name: str, step: int, by: str | None) -> str:
    """The page of `--html`: a bar for each group, with its interval."""
    losses = [group.nats_per_byte for group in groups]
    most = max((loss.high or loss.value for loss in losses), default=1.0)
    what = f"by {by}" if by else "by source"
    body = [
        f'<p class="faint">Step {step:,}. Nats per byte {escape(what)}, the lowest first, groups '
        "of few documents last; the thin line is the interval at 95 % confidence.</p>"
    ]
    body += [_group(group, most) for group in groups]
    body += [f"<p>{escape(note)}</p>" for note in notes(groups)]
    return draw_frame(f"{name}: how well it knows each group", "\n".join(body), STYLE)


def _group(group: GroupLoss, most: float) -> str:
    loss = group.nats_per_byte
    reach = ""
    if loss.low is not None and loss.high is not None:
        left, width = 100 * max(loss.low, 0) / most, 100 * (loss.high - max(loss.low, 0)) / most
        reach = f'<div class="reach" style="left: {left:.2f}%; width: {width:.2f}%"></div>'
    figures = (
        f"{_interval(loss, 3)} nats per byte · {group.ratio:.2f} times the lowest · "
        f"{group.tokens_per_byte.value:.3f} tokens per byte · "
        f"{counted(group.documents, 'document')}, {group.bytes:,} bytes"
    )
    return (
        f'<div class="group"><b>{escape(group.name)}</b>{" *" * group.few}'
        f'<div class="track"><div class="bar" style="width: {100 * loss.value / most:.2f}%"></div>'
        f"{reach}</div><span>{escape(figures)}</span></div>"
    )
