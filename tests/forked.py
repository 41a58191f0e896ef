"""Runs commands of the program as processes of their own, without loading torch each time.

They are forked from a server that has torch loaded, which tests/ask.py calls through a socket:

    python -m tests.forked SOCKET                 until its stdin ends
    python -IS tests/ask.py SOCKET ARGUMENT...    same as `tfcli ARGUMENT...`

The client passes on its streams, folder, environment and signals, and exits as the command does.
tests/reliability/processes.py is another client, for many commands at once.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import faulthandler
import os
import pickle
import select
import signal
import socket
import sys

import coverage


def serve(path: str) -> None:
    """Listens at once; calls wait until everything is loaded."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("listening", flush=True)
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401

        import tests.preload  # noqa: F401

        _answer(listener)


def _answer(listener: socket.socket) -> None:
    """Forks a process for each call, and tells the caller how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a command begins
    ended, wake_up = os.pipe()
    os.set_blocking(wake_up, False)
    signal.set_wakeup_fd(wake_up)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    callers: dict[int, socket.socket] = {}
    poll = select.poll()
    for waited_for in (sys.stdin, ended, listener):
        poll.register(waited_for, select.POLLIN)
    while sys.stdin.fileno() not in (ready := {number for number, _ in poll.poll()}):
        for child, caller in callers.items():
            if caller.fileno() in ready:  # it has been killed
                poll.unregister(caller)
                os.kill(child, signal.SIGKILL)
        if ended in ready:
            os.read(ended, 1 << 16)
            for number, status in _ended():
                caller = callers.pop(number)
                with contextlib.suppress(KeyError):
                    poll.unregister(caller)
                with contextlib.suppress(OSError):  # it has been killed
                    caller.sendall(status.to_bytes(4, signed=True))
                caller.close()
        if listener.fileno() in ready:
            caller, _ = listener.accept()
            if child := os.fork():
                callers[child] = caller
                poll.register(caller, 0)  # for its end alone
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(ended)
            os.close(wake_up)
            listener.close()
            for other in callers.values():
                other.close()
            _become(caller)


def _ended() -> list[tuple[int, int]]:
    """The processes that have ended, with their exit codes."""
    found: list[tuple[int, int]] = []
    with contextlib.suppress(ChildProcessError):
        while (result := os.waitpid(-1, os.WNOHANG))[0]:
            found.append((result[0], os.waitstatus_to_exitcode(result[1])))
    return found


def _become(connection: socket.socket) -> None:
    """Runs the command in place of this process."""
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as file:
        request = file.read(int.from_bytes(size)).decode()
    arguments, numbers, folder, environment, before = ast.literal_eval(request)
    for number in {0, 1, 2}.difference(numbers):
        os.close(number)
    for number, stream in zip(numbers, streams, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        coverage.process_startup(force=True)
    # None where a stream is closed, as in a new process
    sys.stdin = os.fdopen(0) if 0 in numbers else None
    sys.stdout = os.fdopen(1, "w") if 1 in numbers else None
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace") if 2 in numbers else None
    sys.argv = ["tfcli", *arguments]
    faulthandler.register(signal.SIGUSR1, file=2)
    if before:
        pickle.loads(before)()
    with contextlib.suppress(OSError):  # the caller may be killed
        connection.sendall(os.getpid().to_bytes(4))
    connection.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from tfcli.__main__ import main  # here, since its import starts the clock

    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    for writer in (sys.stdout, sys.stderr):
        try:
            if writer and not writer.closed:
                writer.flush()
        except OSError:
            code = 120  # as of Python itself
    atexit._run_exitfuncs()  # coverage saves its data
    os._exit(code if isinstance(code, int) else 1)  # skips torch's slow teardown


if __name__ == "__main__":
    serve(sys.argv[1])
