"""Signals that ask a training to end: it saves first."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from tfcli.cli.streams import Voice


class StopSignals:
    """Ctrl-C, SIGTERM and a closed terminal ask the training to save and end.

    Called, it says whether one of them came. A second one ends at once, without saving.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self.received: int | None = None
        self._told = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        if self.received is not None and not self._told:
            self._told = True
            self._voice.note("Stopping; saving first. Ctrl-C again drops it.")
        return self.received is not None

    def __enter__(self) -> StopSignals:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if number := getattr(signal, name, None):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number  # and no word: the signal may have come in the middle of another
