"""Signals that end the program: it cleans up first, and a training saves."""

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
def exit_cleanly_on_signals() -> Iterator[None]:
    """Turns signals that end a program into exceptions, so that nothing half-written stays.

    Signals that were ignored at the start stay ignored, such as SIGHUP under `nohup`.
    """
    numbers = _not_ignored()
    for number in numbers:
        signal.signal(number, _end)
    sys.unraisablehook = _dropped
    try:
        yield
    finally:  # the work is done, with nothing to clean up
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = sys.__unraisablehook__


def _not_ignored() -> list[int]:
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]


def _end(number: int, frame: FrameType | None) -> None:
    """Raises the exception that ends the program; after an import, if one is in progress.

    C code that is being imported would turn it into another error.
    """
    if _is_importing(frame):
        _send_soon(number)
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        raise SystemExit(128 + number)


def _dropped(what: sys.UnraisableHookArgs) -> None:
    """Sends a signal again if Python dropped its exception in a finalizer or a call from C."""
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
    """Sends it to the main thread, which may be waiting and has to wake up."""
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
    """Ctrl-C, SIGTERM and a closed terminal make the training save and end.

    Called, it tells whether one of them was received. A second one ends at once, without saving.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.received: int | None = None
        self._told = False
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        if self.received is not None and not self._told:
            self._told = True
            self._reporter.note("Stopping after saving; press Ctrl-C again to quit without saving.")
        return self.received is not None

    def __enter__(self) -> StopSignals:
        for number in _not_ignored():
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """A context in which the first signal raises KeyboardInterrupt, as the second always does.

        For work of which nothing has to be saved.
        """
        self._at_once = True
        try:
            if self.received is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def _receive(self, number: int, _: FrameType | None) -> None:
        again, self.received = self.received is not None, number
        if again or self._at_once:  # else no message: another one may be half-printed
            raise KeyboardInterrupt
