"""Small models with random weights, and a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.conftest import BOOK
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.model.config import ModelConfig, named_config
from tfcli.model.transformer import Transformer
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer

CONTEXT = 12


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """For models this small, threads cost more than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def tokenizer() -> Tokenizer:
    return train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), vocab_size=300)[0]


@pytest.fixture(scope="package", params=["modern", "llama", "gpt2", "classic"])
def model(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Transformer:
    config = named_config(
        "nano", vocab_size=tokenizer.vocab_size, context_length=CONTEXT, family=request.param,
        num_layers=2, d_model=32, num_heads=2,
    )  # fmt: skip
    return random_model(config)


def random_model(config: ModelConfig, seed: int = 1) -> Transformer:
    made = Transformer(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0.1, 0.3, generator=generator)
    return made


def numpy_engine(
    model: Transformer, rows: int = 1, *, int8: bool = False, native: bool = True
) -> NumpyEngine:
    """With the compiled decoder, if there is one."""
    weights = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
    return NumpyEngine(model.config, weights, rows, int8=int8, native=native)


def pure_engine(model: Transformer, rows: int = 1) -> NumpyEngine:
    """Without the compiled decoder."""
    return numpy_engine(model, rows, native=False)
