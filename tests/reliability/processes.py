"""Hundreds of real processes of the program, forked from one that has already loaded torch."""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.forkserver import ensure_running, set_forkserver_preload
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.conftest import bare_environment

TIMEOUT = 60.0  # seconds after which a process counts as hanging


@dataclass(frozen=True)
class Done:
    """The result of a process."""

    code: int
    out: bytes
    err: str


class Child:
    """A running command."""

    def __init__(self, process: BaseProcess, out: Path, err: Path) -> None:
        self.process, self._out, self._err = process, out, err
        assert process.pid
        self.pid = process.pid

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if the process is still running."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text(errors="replace")

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        self.process.join(seconds)
        return self.process.exitcode is not None

    def wait(self) -> Done:
        """Waits for its end; fails if it hangs."""
        if not self.ends_within(TIMEOUT):
            self.send(signal.SIGUSR1)  # prints a traceback
            self.process.join(2)
            self.process.kill()
            raise AssertionError(f"it hangs: {self.err}")
        code = self.process.exitcode
        assert code is not None
        return Done(code, self._out.read_bytes(), self.err)


class Processes:
    """Starts commands in forked processes."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        set_forkserver_preload(["tests.preload", __name__])
        os.environ["PYTHONPATH"] = str(
            Path(__file__).parents[2]
        )  # where the fork server looks for it
        # coverage takes locks that an interrupted process would wait for
        measuring = {k: os.environ.pop(k) for k in list(os.environ) if k.startswith("COVERAGE_")}
        ensure_running()
        os.environ.update(measuring)
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
        out, err, ready = (
            (logs or folder) / f".{name}-{self._count}" for name in ("out", "err", "ready")
        )
        out.touch()
        err.touch()
        process = self._context.Process(
            target=_command, args=(folder, arguments, stdin, out, err, ready, before)
        )
        process.start()
        child = Child(process, out, err)
        while not ready.exists():  # before that, it is not the program yet
            assert not child.ends_within(0.002), child.err
        return child

    def run(self, folder: Path, *arguments: str, stdin: Path | None = None) -> Done:
        """Runs a command to its end."""
        return self.start(folder, *arguments, stdin=stdin).wait()


def _command(
    folder: Path,
    arguments: tuple[str, ...],
    stdin: Path | None,
    out: Path,
    err: Path,
    ready: Path,
    before: Callable[[], object] | None,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ready.touch()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(bare_environment())
    for path, flags, descriptor in (
        (stdin or Path(os.devnull), os.O_RDONLY, 0),
        (out, os.O_WRONLY | os.O_APPEND, 1),
        (err, os.O_WRONLY | os.O_APPEND, 2),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    import torch

    from tfcli.__main__ import main

    torch.set_num_threads(1)
    if before:
        before()
    sys.argv = ["tfcli", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
