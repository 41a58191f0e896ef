"""Durations, counts and shares as people write them: `5m`, `20k`, `63 %`."""

from __future__ import annotations


def parse_duration(text: str) -> float:
    """Seconds from `90`, `90s`, `2m`, `2min`, `1h30m`.

    Raises:
        ValueError: it is none of these.

    """
    import re

    part = r"(\d+(?:\.\d+)?)(s|min|m|h|d)"
    seconds = 0.0
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    elif re.fullmatch(f"({part})+", text):
        units = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
        seconds = sum(float(number) * units[unit] for number, unit in re.findall(part, text))
    if not 0 < seconds < 10**9:
        raise ValueError(f"must be a duration such as 60s, 5m or 1h30m, not {text!r}")
    return seconds


def parse_count(text: str) -> int:
    """A whole number above 0: `500`, `2M`, `1.5k`.

    Raises:
        ValueError: it is none.

    """
    import re

    factors = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}
    match = re.fullmatch(r"(\d{1,18})(?:\.(\d{1,18}))?([kmbg]?)", text.lower(), re.ASCII)
    whole, decimals, unit = match.groups(default="") if match else ("0", "", "")
    count, rest = divmod(int(whole + decimals) * factors[unit], 10 ** len(decimals))
    if re.fullmatch(r"-\d+|0+", text, re.ASCII):
        raise ValueError(f"must be at least 1, not {text}")
    if rest or not 0 < count < 10**15:
        raise ValueError(f"must be a whole number such as 500, 20k or 2M, not {text!r}")
    return int(count)


def percent(share: float, decimals: int = 0) -> str:
    """`63 %` of a share of one."""
    return f"{100 * share:.{decimals}f} %"


def counted(number: int, noun: str) -> str:
    """`1 layer`, `2,000 steps`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
