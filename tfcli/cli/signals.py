"""Signals that ask the program to end: it cleans up first, and a training saves."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from tfcli.cli.streams import Reporter


ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


@contextlib.contextmanager
def that_end_cleanly() -> Iterator[None]:
    """Has the signals that end a program do so by an exception, lest anything half written stays.

    Those that whoever started it wants ignored stay ignored, as `nohup` does with SIGHUP.
    """
    numbers = _not_ignored()
    for number in numbers:
        signal.signal(number, _end)
    sys.unraisablehook = _dropped
    try:
        yield
    finally:  # the work is done: there is nothing to clean up
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = sys.__unraisablehook__


def _not_ignored() -> list[int]:
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]


def _end(number: int, frame: FrameType | None) -> None:
    """Raises what ends the program; later, if in the middle of an import.

    Code in C that is being imported would make another error of it.
    """
    if _is_importing(frame):
        _send_soon(number)
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        raise SystemExit(128 + number)


def _dropped(what: sys.UnraisableHookArgs) -> None:
    """Sees to it that no signal is lost on Python's way out of a finalizer or a call from C."""
    error = what.exc_value
    if isinstance(error, KeyboardInterrupt):
        _send_soon(signal.SIGINT)
    elif isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
        _send_soon(error.code - 128)
    else:
        sys.__unraisablehook__(what)


def _send_soon(number: int) -> None:
    threading.Timer(0.02, _send_again, [number]).start()


def _send_again(number: int) -> None:
    """To the main thread, which may be waiting by now and has to be woken."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class StopSignals:
    """Ctrl-C, SIGTERM and a closed terminal ask the training to save and end.

    Called, it says whether one of them came. A second one ends at once, without saving.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._voice = reporter
        self.received: int | None = None
        self._told = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        if self.received is not None and not self._told:
            self._told = True
            self._voice.note("Stopping; saving first. Ctrl-C again drops it.")
        return self.received is not None

    def __enter__(self) -> StopSignals:
        for number in _not_ignored():
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number  # and no word: the signal may have come in the middle of another
