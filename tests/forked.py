"""Runs commands of the program as processes of their own, without loading torch each time.

They are forked from a server that has torch loaded, which is called through a socket:

    python -m tests.forked serve SOCKET               until its stdin ends
    python tests/forked.py ask SOCKET ARGUMENT...     same as `tfcli ARGUMENT...`

The client passes on its streams, folder and environment, and exits as the command does.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path


def ask(path: str, arguments: list[str]) -> int:
    """Runs a command; returns its exit code, or dies of the same signal."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        request = json.dumps([arguments, str(Path.cwd()), dict(os.environ)]).encode()
        socket.send_fds(connection, [len(request).to_bytes(4)], [0, 1, 2])
        connection.sendall(request)
        code = int.from_bytes(connection.recv(4), signed=True)
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


def serve(path: str) -> None:
    """Forks two processes for each command: the command, and one that waits for it."""
    import select

    import coverage  # noqa: F401

    import tests.preload  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reaps the waiting processes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                if os.fork() == 0:
                    _become(connection)
                _, status = os.wait()
                connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))
                os._exit(0)
            connection.close()


def _become(connection: socket.socket) -> None:
    """Runs the command in place of this process."""
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as file:
        arguments, folder, environment = json.loads(file.read(int.from_bytes(size)))
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        import coverage

        coverage.process_startup(force=True)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    sys.argv = ["tfcli", *arguments]
    from tfcli.__main__ import main  # here, since its import starts the clock

    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    for writer in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            writer.flush()
    atexit._run_exitfuncs()  # coverage saves its data
    os._exit(code if isinstance(code, int) else 1)  # skips torch's slow teardown


if __name__ == "__main__":
    role, path, *arguments = sys.argv[1:]
    serve(path) if role == "serve" else sys.exit(ask(path, arguments))
