"""A SentencePiece model from elsewhere is opened first by a process that may die of it.

SentencePiece reads models in C++, and a hostile one has crashed it before (CVE-2026-1260). So a
child opens it, with little memory and little time, and only what the child has survived is opened
here.

    python -m tfcli.text.sandbox < tokenizer.model
"""

from __future__ import annotations

import json
import subprocess
import sys

from tfcli.errors import DataError
from tfcli.text.pieces import read_pieces
from tfcli.text.tokenizer import Tokenizer

MOST_SECONDS = 30
MOST_BYTES = 2 << 30


def open_sandboxed(model: bytes) -> Tokenizer:
    """Opens a model that came from elsewhere.

    Raises:
        DataError: it is not one, is not for tfcli, or crashes what reads it.

    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=model,
            capture_output=True,
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unreadable(f"reading it takes more than {MOST_SECONDS} s") from None
    if done.returncode == DataError.exit_code:
        raise DataError(**json.loads(done.stdout))
    if done.returncode != 0:
        raise _unreadable(f"it crashed the process that read it ({done.returncode})")
    return Tokenizer(model)


def _unreadable(why: str) -> DataError:
    return DataError("this SentencePiece model cannot be opened", why=why)


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Opens the model on stdin; says on stdout what is wrong with it."""
    model = sys.stdin.buffer.read()
    _limit()
    try:
        if read_pieces(model).rewrites:
            raise DataError(
                "this SentencePiece model rewrites text",
                why="it has rules by which characters become others, so that text is lost",
            )
        Tokenizer(model)
    except DataError as error:
        answer = {"what": error.what, "why": error.why, "hint": error.hint}
        sys.stdout.write(json.dumps(answer))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
