"""What a person should know, as warnings of Python, at the line that called tfcli."""

from __future__ import annotations

import sys
import warnings


def warn(text: object) -> None:
    """Warns where the code that is not tfcli's own called it."""
    depth = 1
    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] == "tfcli":
        depth, frame = depth + 1, frame.f_back
    warnings.warn(f"tfcli: {text}", stacklevel=depth)
