"""Opening a tokenizer from elsewhere, which may crash whoever opens it.

SentencePiece parses models in C++, and a hostile one has crashed it before (CVE-2026-1260). The
scanner of a byte-level tokenizer is a regular expression, which may take for ever. So a child
process opens it first, with little memory and little time; only what the child survives is opened
here.

    python -m tfcli.text.sandbox < tokenizer.model
    python -m tfcli.text.sandbox json < tokenizer.json
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer, tokenizers_library
from tfcli.text.sentencepiece_model import read_pieces
from tfcli.text.tokenizer_file import is_byte_level, open_tokenizer

if TYPE_CHECKING:
    from tfcli.text.tokenizer import Tokenizer

TIME_LIMIT = 30  # seconds
MEMORY_LIMIT = 2 << 30  # bytes
JSON = "json"  # the argument for a file that is only parsed


def open_sandboxed(model: bytes) -> Tokenizer:
    """Opens a model from elsewhere.

    Raises:
        DataError: it is not one, is not for tfcli, or crashes its reader.
        UsageError: the library that it needs is missing.

    """
    if is_byte_level(model):
        tokenizers_library("a byte-level tokenizer")
    _try_in_child(model)
    return open_tokenizer(model)


def parse_sandboxed(text: bytes) -> dict[str, Any]:
    """Parses the JSON of a tokenizer from elsewhere, which may take more memory than there is.

    Raises:
        DataError: it is not a JSON object, or crashes its reader.

    """
    _try_in_child(text, JSON)
    value: dict[str, Any] = json.loads(text)
    return value


def _try_in_child(content: bytes, *arguments: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, *arguments],
            input=content,
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


def _unreadable(why: str) -> DataError:
    return DataError("this tokenizer cannot be opened", why=why)


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
    content = sys.stdin.buffer.read()
    _limit()
    try:
        if JSON in sys.argv[1:]:
            _require_object(content)
        else:
            _try_out(content)
    except DataError as error:
        answer = {"what": error.what, "why": error.why, "hint": error.hint}
        sys.stdout.write(json.dumps(answer))
        return error.exit_code
    return 0


def _require_object(text: bytes) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("this is not JSON", why=str(error)[:200]) from None
    if not isinstance(value, dict):
        raise DataError("this is not a JSON object", why=f"it is a {type(value).__name__}")


def _try_out(model: bytes) -> None:
    if not is_byte_level(model) and read_pieces(model).rewrites:
        raise DataError(
            "this SentencePiece model rewrites text",
            why="it has rules that replace characters, so text would be lost",
        )
    tokenizer = open_tokenizer(model)
    if isinstance(tokenizer, ByteLevelTokenizer):
        tokenizer.try_out()


if __name__ == "__main__":
    sys.exit(main())
