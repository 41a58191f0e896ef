"""Fault injection: makes one system call fail, or all from one on.

Calls are counted, so that a test can do as SQLite's do: make call number k fail, for every k. Does
not import pytest, so that a process that is to be killed starts fast.
"""

from __future__ import annotations

import contextlib
import gc
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
    """A system call about to be made."""

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
            call.make()  # a close that fails has closed the file all the same
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
    """Not a fault: another process does something just after the call."""

    def fault(call: SystemCall) -> Any:
        result = call.make()
        action()
        return result

    return fault


@contextlib.contextmanager
def faulty(fault: Fault, first: int = 0, last: int | None = None) -> Iterator[list[str]]:
    """Applies a fault to the system calls `first` to `last`; yields the names of all calls made."""
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

    gc.disable()  # finalizers of earlier garbage must not run into the fault
    for name in CALLS:
        setattr(os, name, counted(name))
    try:
        yield made
    finally:
        for name in CALLS:
            setattr(os, name, real[name])
        gc.enable()


def count_calls(action: Callable[[], object]) -> int:
    """The number of system calls an action makes if none fails."""
    with faulty(SystemCall.make) as made:
        action()
    return len(made)
