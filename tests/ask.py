"""The client of tests/forked.py: runs a command there; exits with its code, or dies as it did.

It starts in 20 ms, of which `socket` and `json` would take as much again.
"""

import _socket
import array
import os
import sys

connection = _socket.socket(_socket.AF_UNIX)
connection.connect(sys.argv[1])
request = repr((sys.argv[2:], os.getcwd(), dict(os.environ))).encode()  # noqa: PTH109
streams = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
connection.sendmsg([len(request).to_bytes(4)], streams)
connection.sendall(request)
answer = connection.recv(4)
if not answer:
    sys.exit("the server of tests/forked.py has ended")
code = int.from_bytes(answer, signed=True)
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
