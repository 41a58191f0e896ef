"""An untrusted model is first opened in a child process, which may crash without harm."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tfcli.errors import DataError
from tfcli.text import sandbox
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.tokenizer import Tokenizer


def test_valid_model_is_opened(tokenizer: Tokenizer) -> None:
    opened = sandbox.open_sandboxed(tokenizer.serialized)
    assert opened.encode("a text") == tokenizer.encode("a text")


def test_error_in_the_child_is_that_of_opening_directly() -> None:
    with pytest.raises(DataError) as direct:
        SentencePieceTokenizer(b"junk")
    with pytest.raises(DataError) as sandboxed:
        sandbox.open_sandboxed(b"junk")
    assert sandboxed.value.what == direct.value.what
    assert sandboxed.value.why


def test_model_that_rewrites_text_is_refused(tokenizer: Tokenizer) -> None:
    rules = b"\x1a\x04\x12\x02ab"  # field 3 of the model, the normalizer, with its field 2
    with pytest.raises(DataError, match="rewrites text"):
        sandbox.open_sandboxed(tokenizer.serialized + rules)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("import time; time.sleep(60)", "took more than"),
        ("import tfcli.text.sandbox as g; g._limit(); bytearray(4 << 30)", "crashed"),
    ],
    ids=["crash", "hang", "out of memory"],
)
def test_crash_or_hang_of_the_child_is_a_data_error(
    monkeypatch: pytest.MonkeyPatch, fault: str, why: str
) -> None:
    real = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        return real([command[0], "-c", fault], **options)

    monkeypatch.setattr(sandbox, "TIME_LIMIT", 2 if "sleep" in fault else 30)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError) as refused:
        sandbox.open_sandboxed(b"")
    assert why in (refused.value.why or "")
