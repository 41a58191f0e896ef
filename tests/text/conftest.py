from __future__ import annotations

from typing import get_args

import pytest

from tfcli.text.sentencepiece_trainer import TokenizerType
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer

# Several scripts, code, numbers, runs of spaces, both kinds of line endings.
MIXED = (
    "The old fox saw the ship at noon, and the ship saw the fox.\n"
    "El zorro viejo vio el barco al mediodía; ¿y el niño?\r\n"
    "古い狐は正午に船を見た。\n"
    "def fox(n):\n        return [n ** 2 for n in range(1024)]\n"
    "Лиса увидела корабль 🦊⛵\n"
) * 30


@pytest.fixture(scope="session")
def tokenizers() -> dict[TokenizerType, Tokenizer]:
    """One tokenizer of each type, all trained on the same text."""
    text = MIXED.encode()
    return {
        type: train_tokenizer([text], text_bytes=len(text), type=type)[0]
        for type in get_args(TokenizerType)
    }


@pytest.fixture(scope="session")
def tokenizer(tokenizers: dict[TokenizerType, Tokenizer]) -> Tokenizer:
    """A tokenizer of the default type."""
    return tokenizers["bpe"]
