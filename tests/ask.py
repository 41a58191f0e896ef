"""The client of tests/forked.py: runs a command there; exits with its code, or dies as it did.

The command gets the signals that the client gets, and is killed when the client is. It starts in
20 ms, of which `socket`, `signal` and `json` would take as much again.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import array
import os
import sys


def is_open(number: int) -> bool:
    """Whether the client has been given this stream."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


numbers = [number for number in range(3) if is_open(number)]  # before a socket takes a free one
connection = _socket.socket(_socket.AF_UNIX)
connection.connect(sys.argv[1])
request = repr((sys.argv[2:], numbers, os.getcwd(), dict(os.environ), b"")).encode()  # noqa: PTH109
streams = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", numbers))]
connection.sendmsg([len(request).to_bytes(4)], streams)
connection.sendall(request)
command = int.from_bytes(connection.recv(4))
for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM):
    if command and _signal.getsignal(number) != _signal.SIG_IGN:
        _signal.signal(number, lambda number, frame: os.kill(command, number))
answer = connection.recv(4)
if not answer:
    sys.exit("the server of tests/forked.py has ended")
code = int.from_bytes(answer, signed=True)
if code < 0:
    if -code in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM):
        _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
