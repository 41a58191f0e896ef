"""Products with weights in bfloat16, by each library that this processor can use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.generation.conftest import random_model
from tests.model.helpers import CONFIGS
from tfcli.generation.engines import native
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.model.config import ModelConfig
from tfcli.model.safetensors_file import to_bfloat16, to_float32
from tfcli.model.transformer import Transformer

TOKENS = 150
# whole tiles, and rows and inputs that fill none
SHAPES = {
    "whole tiles": {"d_model": 64, "num_heads": 2, "head_dim": 32, "d_ff": 256, "vocab_size": 96},
    "wide heads": {"d_model": 96, "num_heads": 3, "head_dim": 96, "d_ff": 64, "vocab_size": 33}
    | {"sliding_window": 45},
    "remainders": {"d_model": 50, "num_heads": 3, "head_dim": 10, "d_ff": 77, "vocab_size": 83},
}


def usable() -> list[str]:
    def opens(name: str) -> bool:
        try:
            native._open(native.FOLDER / name)
        except native._UnavailableError:
            return False
        return True

    return [name for name in native.LIBRARIES if opens(name)]


@pytest.fixture(params=usable())
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that engines use during the test."""
    opened = native._open(native.FOLDER / request.param)
    monkeypatch.setattr("tfcli.generation.engines.numpy_engine.load_library", lambda: opened)
    return str(request.param)


every_shape = pytest.mark.parametrize("shape", SHAPES)


def config_of(shape: str) -> ModelConfig:
    own: Any = SHAPES[shape]
    config = CONFIGS["modern, untied head"]
    return replace(config, num_kv_heads=1, context_length=TOKENS, **own)


def rounded_model(config: ModelConfig) -> tuple[Transformer, dict[str, np.ndarray]]:
    """A model of numbers that bfloat16 holds, and its weights in that format."""
    model = random_model(config)
    weights = {name: to_bfloat16(p.detach().numpy()) for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(np.array(to_float32(weights[name]))))
    return model, weights


def text_of(config: ModelConfig) -> list[int]:
    return [3 + 7 * i % (config.vocab_size - 3) for i in range(TOKENS)]


@every_shape
def test_a_token_has_the_same_bits_among_any_others_and_with_any_threads(
    shape: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(shape)
    engine = NumpyEngine(config, rounded_model(config)[1])
    text = text_of(config)
    assert engine.native
    one_by_one = np.stack([engine.forward([0], [[token]])[0] for token in text])
    for threads in (1, 3):
        engine.native.threads = threads
        monkeypatch.setattr(native, "default_threads", lambda own=threads: own)  # for many tokens
        for count in (2, 15, 16, 17, 33, 64, 70, TOKENS):
            engine.reset(0)
            logits = engine.forward_all([0], [text[:count]])
            np.testing.assert_array_equal(logits, one_by_one[:count], err_msg=f"{library} {count}")


@every_shape
def test_logits_are_those_of_float64(shape: str, library: str) -> None:
    """AMX multiplies activations to 17 bits, the other libraries to 24."""
    config = config_of(shape)
    model, weights = rounded_model(config)
    text = text_of(config)
    with torch.no_grad():
        expected = model.double()(torch.tensor([text]))[0].numpy()
    logits = NumpyEngine(config, weights).forward_all([0], [text])
    error = np.sqrt(np.mean((logits - expected) ** 2) / np.mean(expected**2))
    assert error < (2**-15 if "amx" in library else 2**-19)


def test_few_tokens_of_many_are_wanted(library: str) -> None:
    """A portion of a prompt has none after which logits are wanted."""
    config = config_of("whole tiles")
    engine = NumpyEngine(config, rounded_model(config)[1])
    text = text_of(config)
    expected = engine.forward([0], [text])
    engine.reset(0)
    engine._portion = 40
    np.testing.assert_array_equal(engine.forward([0], [text]), expected)


@every_shape
def test_copied_rows_go_on_with_the_same_bits(shape: str, library: str) -> None:
    """Keys and values lie in the cache in blocks: a copy ends within one, and grows."""
    config = config_of(shape)
    engine = NumpyEngine(config, rounded_model(config)[1], 2)
    text = text_of(config)
    engine.forward([0], [text[:37]])
    engine.copy_row(0, 1)
    engine.forward([0], [[5] * 9])
    rest = [engine.forward([1], [part])[0] for part in (text[37:38], text[38:131], text[131:])]
    engine.reset(0)
    whole = engine.forward_all([0], [text])[[37, 130, -1]]
    np.testing.assert_array_equal(rest, whole, err_msg=library)
