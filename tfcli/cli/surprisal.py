"""Text in colors: the less likely a token was, the stronger its background."""

from __future__ import annotations

import math

# from which surprisal on, in nats, a token gets which background (of 256 colors)
COLORS = ((4.6, 210), (2.3, 216), (0.7, 229))


def colored(text: str, surprisal: float) -> str:
    """A token on the background of its surprisal; one that was likely as it is."""
    color = next((code for least, code in COLORS if surprisal >= least), None)
    if color is None:
        return text
    lines = text.split("\n")  # a color that crosses the end of a line would fill it
    return "\n".join(_on_color(line, color) if line else "" for line in lines)


def legend() -> str:
    """What the colors mean."""
    parts = [_on_color(f" 1 in {math.exp(least):.0f} ", code) for least, code in COLORS]
    return f"Less likely than {' '.join(reversed(parts))}"


def _on_color(text: str, code: int) -> str:
    return f"\033[30;48;5;{code}m{text}\033[0m"
