"""Opening a SentencePiece model from elsewhere, which may crash whoever opens it.

SentencePiece parses models in C++, and a hostile one has crashed it before (CVE-2026-1260). So a
child process opens it first, with little memory and little time; only what the child survives is
opened here.

    python -m tfcli.text.sandbox < tokenizer.model
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.sentencepiece_model import read_pieces
from tfcli.text.tokenizer_file import open_tokenizer

if TYPE_CHECKING:
    from tfcli.text.tokenizer import Tokenizer

TIME_LIMIT = 30  # seconds
MEMORY_LIMIT = 2 << 30  # bytes


def open_sandboxed(model: bytes) -> Tokenizer:
    """Opens a model from elsewhere.

    Raises:
        DataError: it is not one, is not for tfcli, or crashes its reader.

    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=model,
            capture_output=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unreadable(f"reading it took more than {TIME_LIMIT} s") from None
    if done.returncode == DataError.exit_code:
        raise DataError(**json.loads(done.stdout))
    if done.returncode != 0:
        raise _unreadable(f"it crashed the process that read it ({done.returncode})")
    return open_tokenizer(model)


def _unreadable(why: str) -> DataError:
    return DataError("this SentencePiece model cannot be opened", why=why)


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT, TIME_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Opens the model on stdin; writes what is wrong with it to stdout, as JSON."""
    model = sys.stdin.buffer.read()
    _limit()
    try:
        if read_pieces(model).rewrites:
            raise DataError(
                "this SentencePiece model rewrites text",
                why="it has rules that replace characters, so text would be lost",
            )
        open_tokenizer(model)
    except DataError as error:
        answer = {"what": error.what, "why": error.why, "hint": error.hint}
        sys.stdout.write(json.dumps(answer))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
