"""Runs with random weights in every family, and texts that are hard for tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import BOOK
from tests.runs.helpers import metadata
from tfcli.model.config import Family, RopeScaling, named_config
from tfcli.model.transformer import Transformer
from tfcli.runs.run import Run, create_run
from tfcli.runs.step import HeldOutLoss, StepState, save_step
from tfcli.runs.valid_steps import ValidStep, open_step
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer

# Hard cases: spaces, newlines, joined emoji, combining marks, names of control tokens.
ACCEPTANCE = [
    "", " a", "  a", "a\n\n b\t", "👩‍👩‍👧‍👦 🏳️‍🌈", "日本語のテキスト", "1234567890 3.14",
    "e\u0301 n\u0303 ﬁ",
    "a literal <s> and </s> and <unk>", "\r\n\0\ufeff", "Ann saw the moon at noon.", "<0x41>",
    "    indented\n\tcode()", "\u00a0\u3000\u2028",
]  # fmt: skip
SPACE_MARK = "a \u2581 b"

# Of heads of 48: fast, slow and middle pairs within a context of 96.
LLAMA3 = RopeScaling(
    kind="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context=48
)
LINEAR = RopeScaling(kind="linear", factor=2.5)
SHAPES: dict[str, dict[str, Any]] = {
    "modern, tied": {"family": "modern", "tied_head": True},
    "modern, untied": {"family": "modern", "tied_head": False},
    "modern, grouped queries": {"family": "modern", "num_kv_heads": 1, "tied_head": False},
    "llama, untied": {"family": "llama", "tied_head": False},
    "llama, tied": {"family": "llama", "tied_head": True, "num_kv_heads": 1},
    "llama, q, k, v bias": {"family": "llama", "qkv_bias": True, "num_kv_heads": 1},
    "llama, attention bias": {"family": "llama", "qkv_bias": True, "output_bias": True},
    "llama, llama3 RoPE": {"family": "llama", "head_dim": 48, "rope_scaling": LLAMA3},
    "modern, linear RoPE": {"family": "modern", "rope_scaling": LINEAR},
    "gpt2": {"family": "gpt2", "tied_head": True},
}


@pytest.fixture(scope="package")
def tokenizer() -> Tokenizer:
    return train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), vocab_size=400)[0]


def random_weights(model: Transformer, seed: int = 1) -> Transformer:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.05, 0.3, generator=generator)
    return model.eval()


MakeRun = Callable[..., tuple[Run, ValidStep, Transformer]]


@pytest.fixture
def make_run(tmp_path: Path, tokenizer: Tokenizer) -> MakeRun:
    """Makes a run of a family, and returns it with its step and its model."""

    def make(
        family: Family = "modern",
        *,
        name: str = "it",
        width: int = 64,
        sliding_window: int | None = None,
        qkv_bias: bool = False,
        output_bias: bool = False,
        rope_scaling: RopeScaling | None = None,
        head_dim: int | None = None,
        tokenizer: Tokenizer = tokenizer,
        **shape: Any,
    ) -> tuple[Run, ValidStep, Transformer]:
        import dataclasses

        config = named_config(
            "nano", family=family, vocab_size=tokenizer.vocab_size, context_length=96,
            num_layers=2, d_model=width, num_heads=2, **shape,
        )  # fmt: skip
        config = dataclasses.replace(
            config, sliding_window=sliding_window, qkv_bias=qkv_bias,
            output_bias=output_bias, rope_scaling=rope_scaling,
            head_dim=head_dim or config.head_dim,
        )  # fmt: skip
        model = random_weights(Transformer(config))
        run_json = metadata() | {
            "model": config.to_json(),
            "tokenizer": {
                "vocab_size": tokenizer.vocab_size, "fingerprint": tokenizer.fingerprint
            },
        }  # fmt: skip
        run = create_run(tmp_path / "checkpoints" / name, run_json, tokenizer)
        held_out = HeldOutLoss(
            nats_per_byte=1.25, bytes=1000, tokens=300, context=96, stride=48, whole=True
        )
        state = StepState(step=7, tokens_seen=7000, seconds=3.5, held_out=held_out)
        arrays = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
        return run, open_step(save_step(run.path, state, arrays, {})), model

    return make
