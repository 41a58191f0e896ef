"""Hundreds of real processes of the program, forked by the server of tests/forked.py."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import bare_environment, forked

TIMEOUT = 60.0  # seconds after which a process counts as hanging


@dataclass(frozen=True)
class Done:
    """The result of a process."""

    code: int
    out: bytes
    err: str


class Child:
    """A running command."""

    def __init__(self, server: socket.socket, out: Path, err: Path) -> None:
        self._server, self._out, self._err = server, out, err
        self._code: int | None = None
        self.pid = int.from_bytes(server.recv(4))
        assert self.pid, "the server of tests/forked.py has ended"

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if the process is still running."""
        with contextlib.suppress(ProcessLookupError):
            if self._code is None:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends the process at once, if it is still running."""
        self.send(signal.SIGKILL)

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text(errors="replace")

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        if self._code is None and select.select([self._server], [], [], seconds)[0]:
            answer = self._server.recv(4)
            assert answer, "the server of tests/forked.py has ended"
            self._code = int.from_bytes(answer, signed=True)
            self._server.close()
        return self._code is not None

    def wait(self) -> Done:
        """Waits for its end; fails if it hangs."""
        if not self.ends_within(TIMEOUT):
            self.send(signal.SIGUSR1)  # prints a traceback
            self.ends_within(2)
            self.kill()
            raise AssertionError(f"it hangs: {self.err}")
        assert self._code is not None
        return Done(self._code, self._out.read_bytes(), self.err)


class Processes:
    """Starts commands, and numbers their logs."""

    def __init__(self) -> None:
        self._count = 0

    def start(
        self,
        folder: Path,
        *arguments: str,
        stdin: Path | None = None,
        before: Callable[[], object] | None = None,
        logs: Path | None = None,
    ) -> Child:
        """Starts `tfcli` with arguments in a folder.

        Args:
            before: called in the process first; a module-level function.
            logs: the folder for stdout and stderr, if not `folder`.

        """
        self._count += 1
        out, err = ((logs or folder) / f".{name}-{self._count}" for name in ("out", "err"))
        # coverage takes locks that an interrupted process would wait for
        environment = {
            key: value
            for key, value in bare_environment().items()
            if not key.startswith("COVERAGE_")
        }
        called = pickle.dumps(before) if before else b""
        request = repr((arguments, [0, 1, 2], str(folder), environment, called)).encode()
        server = socket.socket(socket.AF_UNIX)
        server.connect(forked()[-1])
        with (
            open(stdin or os.devnull, "rb") as given,  # noqa: PTH123
            out.open("ab") as written,
            err.open("ab") as said,
        ):
            streams = [stream.fileno() for stream in (given, written, said)]
            socket.send_fds(server, [len(request).to_bytes(4)], streams)
        server.sendall(request)
        return Child(server, out, err)

    def run(self, folder: Path, *arguments: str, stdin: Path | None = None) -> Done:
        """Runs a command to its end."""
        return self.start(folder, *arguments, stdin=stdin).wait()
