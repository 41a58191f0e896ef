"""Small runs, with a tokenizer, metadata and steps, made without training."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import BOOK
from tfcli.model.config import ModelConfig
from tfcli.runs.run import Run, create_run
from tfcli.runs.step import HeldOutLoss, StepState, save_step
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer

Arrays = dict[str, np.ndarray[Any, Any]]


@cache
def tokenizer(vocab_size: int = 300) -> Tokenizer:
    text = BOOK.encode()
    return train_tokenizer([text], text_bytes=len(text), vocab_size=vocab_size)[0]


def metadata() -> dict[str, Any]:
    config = ModelConfig(
        vocab_size=300, context_length=8, num_layers=1,
        d_model=4, num_heads=1, num_kv_heads=1, head_dim=4, d_ff=8,
    )  # fmt: skip
    return {
        "model": config.to_json(),
        "plan": {"rows": 2},
        "seed": 1,
        "parameters": 1234,
        "tokenizer": {"vocab_size": 300, "fingerprint": tokenizer().fingerprint},
        "corpus": {
            "sources": ["book.txt"],
            "bytes": 1000,
            "documents": 1,
            "fingerprint": "f",
            "training_bytes": 900,
            "training_tokens": 400,
            "held_out_bytes": 100,
            "token_cache": "key",
        },
    }


def make_run(path: Path) -> Run:
    return create_run(path, metadata(), tokenizer())


def held_out(loss: float) -> HeldOutLoss:
    return HeldOutLoss(nats_per_byte=loss, bytes=1000, tokens=300, context=8, stride=4, whole=False)


def state(step: int, loss: float | None = None) -> StepState:
    return StepState(
        step=step,
        tokens_seen=16 * step,
        seconds=0.5 * step,
        held_out=None if loss is None else held_out(loss),
    )


def weights(step: int) -> Arrays:
    return {"embedding": np.full((2, 3), step, np.float32), "norm": np.ones(3, np.float32)}


def save(run: Run, step: int, loss: float | None = None) -> Path:
    return save_step(run.path, state(step, loss), weights(step), {"momentum": np.zeros(4)})
