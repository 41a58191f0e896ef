"""`fill --show`: a text while its gaps are filled, live on a terminal, else a line a step."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.render import LiveText

OPEN, PLAIN_OPEN = "\u2591\u2591", "_"  # a token that is not chosen yet
PAUSE = 0.08  # seconds between steps on a terminal, so that a person can follow


class DenoisingView:
    """Shows one text after the other."""

    def __init__(self) -> None:
        self._live: LiveText | None = None
        self._step = 0

    def show(self, parts: Sequence[tuple[str | None, int | None]]) -> None:
        """The next step of a text; see `masked_filling.Show`."""
        finished = all(text is not None for text, _ in parts)
        if streams.is_terminal(sys.stderr):
            self._draw(parts)
        else:
            line = "".join(PLAIN_OPEN if text is None else text for text, _ in parts)
            streams.say(f"{self._step:3}  {make_visible(line).replace(chr(10), chr(0x23CE))}")
        self._step = 0 if finished else self._step + 1
        if finished:
            self.close()

    def _draw(self, parts: Sequence[tuple[str | None, int | None]]) -> None:
        from tfcli.cli.render import LiveText

        if self._live is None:
            self._live = LiveText()
        self._live.update(
            [
                (OPEN, "dim") if text is None else (text, "" if gap is None else "cyan")
                for text, gap in parts
            ]
        )
        time.sleep(PAUSE)

    def close(self) -> None:
        """Removes what is shown; the text itself goes to stdout."""
        if self._live is not None:
            self._live.close()
            self._live = None
