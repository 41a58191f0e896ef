"""SentencePiece's trainer; where it may take long, in a process of its own.

It works in C++, for minutes on some texts, and neither Ctrl-C nor a time limit reaches it there. A
process can be ended at any time.

    python -m tfcli.text.sentencepiece_trainer < job > tokenizer.model
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Literal

from tfcli.errors import DataError
from tfcli.text.sentencepiece_tokenizer import BEGIN, END, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TokenizerType = Literal["bpe", "unigram", "char"]

SENTENCE = 4000  # bytes; SentencePiece silently drops a training line of more than 4,192
LONG = 200_000  # characters; less is quickly done, and a process takes 0.2 s to start
TICK = 1.0  # seconds


class TrainingError(Exception):
    """What SentencePiece says about a text that it cannot be trained on."""


class TooSlowError(Exception):
    """The time was over."""


def train_model(
    sample: Sequence[str],
    type: TokenizerType,
    vocab_size: int,
    *,
    seconds: float | None = None,
    waiting: Callable[[float], None] = lambda _: None,
) -> bytes:
    """A serialized SentencePiece model.

    Args:
        sample: parts of the text, each of at most `SENTENCE` bytes.
        vocab_size: number of pieces, control tokens and the 256 bytes included.
        seconds: to train at most; a short sample is not watched.
        waiting: called now and then, with the seconds since the start.

    Raises:
        TrainingError: it cannot be trained on this.
        TooSlowError: it took more than `seconds`.
        DataError: its process crashed.

    """
    if sum(map(len, sample)) < LONG:
        try:
            return _train(sample, type, vocab_size)
        except RuntimeError as error:
            raise TrainingError(str(error)) from None
    job = json.dumps({"type": type, "vocab_size": vocab_size, "sample": sample}).encode()
    code, model, message = _run_process(job, seconds, waiting)
    if code == DataError.exit_code:
        raise TrainingError(message)
    if code != 0:
        last = message.strip().splitlines()[-1:]
        raise DataError(
            "SentencePiece could not be trained",
            why=f"its process ended with {code}: {''.join(last)}"[:200],
        )
    return model


def _run_process(
    job: bytes, seconds: float | None, waiting: Callable[[float], None]
) -> tuple[int, bytes, str]:
    """The exit code of the trainer, what it wrote, and what it said."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            # not by `communicate`, which after its timeout gives no more of what it was given
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has ended, and is asked why
                process.stdin.write(job)
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    model, message = process.communicate(timeout=TICK)
                    return process.returncode, model, message.decode(errors="replace")
                spent = time.monotonic() - began
                if seconds is not None and spent > seconds:
                    raise TooSlowError
                waiting(spent)
        finally:
            process.kill()


def _train(sample: Sequence[str], type: TokenizerType, vocab_size: int) -> bytes:
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sample),
        model_writer=model,
        model_type=type,
        vocab_size=vocab_size,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        unk_id=UNKNOWN,
        bos_id=BEGIN,
        eos_id=END,
        pad_id=-1,
        max_sentence_length=SENTENCE + 4,
        shuffle_input_sentence=False,
        minloglevel=2,
    )
    return model.getvalue()


def main() -> int:
    """Trains as the job on stdin says; writes the model to stdout."""
    job = json.loads(sys.stdin.buffer.read())
    try:
        model = _train(job["sample"], job["type"], job["vocab_size"])
    except RuntimeError as error:
        sys.stderr.write(str(error))
        return DataError.exit_code
    sys.stdout.buffer.write(model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
