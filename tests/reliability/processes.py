"""Real processes of the program by the hundred: forked from one that has torch loaded already."""

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

PATIENCE = 60.0  # seconds, after which a process hangs


@dataclass(frozen=True)
class Done:
    """What a process left."""

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
        """Sends a signal, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def err(self) -> str:
        """What it has said so far."""
        return self._err.read_text(errors="replace")

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends in that time."""
        self.process.join(seconds)
        return self.process.exitcode is not None

    def wait(self) -> Done:
        """Waits for its end; a process that hangs is a failure."""
        if not self.ends_within(PATIENCE):
            self.send(signal.SIGUSR1)  # it says where it is
            self.process.join(2)
            self.process.kill()
            raise AssertionError(f"it hangs: {self.err}")
        code = self.process.exitcode
        assert code is not None
        return Done(code, self._out.read_bytes(), self.err)


class Processes:
    """Starts commands."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        set_forkserver_preload(["tests.preload", __name__])
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # where it looks for that
        # the measurement of coverage takes locks that an interrupted process would wait for
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
        said: Path | None = None,
    ) -> Child:
        """Starts `tfcli` with arguments in a folder.

        Args:
            before: called in the process before anything else; a function of a module.
            said: the folder for what it says, where that is not the same.

        """
        self._count += 1
        out, err, ready = (
            (said or folder) / f".{name}-{self._count}" for name in ("out", "err", "ready")
        )
        out.touch()
        err.touch()
        process = self._context.Process(
            target=_command, args=(folder, arguments, stdin, out, err, ready, before)
        )
        process.start()
        child = Child(process, out, err)
        while not ready.exists():  # what comes before is not the program yet
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
