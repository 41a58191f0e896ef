"""The operating system made to fail: at one of its calls, or from one of them on.

Every call is counted, so that a test can do as SQLite's do: let call number k go wrong, for all k.
Imports nothing of pytest, so that a process that is to be killed starts fast.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

CALLS = (
    *("open", "read", "write", "lseek", "fsync", "close"),
    *("mkdir", "rename", "replace", "unlink", "rmdir"),
    *("stat", "lstat", "fstat", "listdir", "scandir"),
)
DIED = 9


@dataclass(frozen=True)
class SystemCall:
    """One call on its way to the operating system."""

    name: str
    real: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def make(self) -> Any:
        return self.real(*self.arguments, **self.options)


Fault = Callable[[SystemCall], Any]


def fails_with(code: int) -> Fault:
    def fault(call: SystemCall) -> Any:
        if call.name == "close":
            call.make()  # a close that fails has closed all the same
        raise OSError(code, os.strerror(code))

    return fault


def is_interrupted(call: SystemCall) -> Any:
    if call.name == "close":
        call.make()
    raise KeyboardInterrupt


def writes_less(call: SystemCall) -> Any:
    if call.name != "write":
        return call.make()
    descriptor, data = call.arguments
    return call.real(descriptor, data[: (len(data) + 1) // 2])


def ends_the_process(call: SystemCall) -> Any:
    os._exit(DIED)


def meanwhile(action: Callable[[], object]) -> Fault:
    """No fault of the system's: another process does something just after the call."""

    def fault(call: SystemCall) -> Any:
        answer = call.make()
        action()
        return answer

    return fault


@contextlib.contextmanager
def faulty(fault: Fault, first: int = 0, last: int | None = None) -> Iterator[list[str]]:
    """Lets the system calls number `first` to `last` go wrong; yields the names of all made."""
    made: list[str] = []
    real = {name: getattr(os, name) for name in CALLS}

    def counted(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            number = len(made)
            made.append(name)
            system_call = SystemCall(name, real[name], arguments, options)
            if first <= number and (last is None or number <= last):
                return fault(system_call)
            return system_call.make()

        return call

    for name in CALLS:
        setattr(os, name, counted(name))
    try:
        yield made
    finally:
        for name in CALLS:
            setattr(os, name, real[name])


def count_calls(action: Callable[[], object]) -> int:
    """How many system calls an action makes where none fails."""
    with faulty(SystemCall.make) as made:
        action()
    return len(made)
