"""Numbers as a person reads them: sizes, counts, durations."""

from __future__ import annotations

import datetime
import math


def format_bytes(size: float) -> str:
    """`1.1 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_count(count: float) -> str:
    """`940 k`, `12.3 M`."""
    for unit in ("", " k", " M"):
        if count < 1000:
            return f"{count:.0f}{unit}" if not unit or count >= 100 else f"{count:.1f}{unit}"
        count /= 1000
    return f"{count:.1f} G"


def format_share(share: float) -> str:
    """`41 %`, `3.2 %`, `0.004 %`."""
    if share >= 0.0995:
        return f"{100 * share:.0f} %"
    return f"{100 * share:.1f} %" if share >= 0.00095 or not share else f"{100 * share:.1g} %"


def format_odds(log: float) -> str:
    """`1 in 130`, `67 %`: a probability as a person says it, from its natural logarithm."""
    if math.isinf(log):
        return "never"
    exponent = -log / math.log(10)
    if exponent >= 9:
        return f"1 in 10^{exponent:.0f}"
    odds = math.exp(-log)
    return format_share(1 / odds) if odds < 9.95 else f"1 in {float(f'{odds:.3g}'):,.0f}"


def format_epochs(epochs: float) -> str:
    """`7.2 epochs`, `less than 0.1 epochs`."""
    return "less than 0.1 epochs" if 0 < epochs < 0.05 else f"{epochs:.1f} epochs"


def format_duration(seconds: float) -> str:
    """`0:42`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_moment(iso: str) -> str:
    """`13:32` of today, `Nov 27` of this year, otherwise `2025`; in local time."""
    moment, now = datetime.datetime.fromisoformat(iso).astimezone(), datetime.datetime.now()
    if moment.date() == now.date():
        return f"{moment:%H:%M}"
    return f"{moment:%b %d}" if moment.year == now.year else f"{moment.year}"
