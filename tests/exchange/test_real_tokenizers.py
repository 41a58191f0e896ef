"""Real tokenizers: llama.cpp's vocabularies and test vectors, which are not part of the project.

The ids in them are those of the reference tokenizers. Each is imported from its GGUF file, and
again from a Hugging Face folder made of that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.beside import folder_beside
from tfcli.exchange.tokenizer_import import find_tokenizer_in
from tfcli.exchange.tokenizer_json import to_tokenizer_config, to_tokenizer_json
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer
from tfcli.text.byte_level_vocabulary import without_our_key
from tfcli.text.sentencepiece_model import read_pieces
from tfcli.text.tokenizer import Tokenizer

FOLDER = folder_beside("tokenizers")
NAMES = ("gpt-2", "llama-bpe", "qwen2", "llama-spm")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the vocabularies are not here"),
]


@cache
def from_gguf(name: str) -> Tokenizer:
    return find_tokenizer_in(FOLDER / f"ggml-vocab-{name}.gguf")


@pytest.fixture
def from_folder(tmp_path: Path) -> Callable[[str], Tokenizer]:
    def imported(name: str) -> Tokenizer:
        tokenizer = from_gguf(name)
        special = tokenizer.special
        assert special.eos is not None
        if isinstance(tokenizer, ByteLevelTokenizer):
            content = without_our_key(tokenizer.serialized)
            texts = {i: text for text, i in tokenizer.special_ids.items()}
            config = {"eos_token": texts[special.eos]}
        else:
            pieces = read_pieces(tokenizer.serialized)
            content, config = to_tokenizer_json(pieces), to_tokenizer_config(pieces, None)
        (tmp_path / "tokenizer.json").write_text(json.dumps(content))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        return find_tokenizer_in(tmp_path)

    return imported


def vectors(name: str) -> list[tuple[str, list[int]]]:
    path = FOLDER / f"ggml-vocab-{name}.gguf"
    texts = Path(f"{path}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    ids = [list(map(int, line.split())) for line in Path(f"{path}.out").read_text().split("\n")]
    return list(zip(texts, ids, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_those_of_the_reference(name: str, from_folder: Callable[[str], Tokenizer]) -> None:
    for tokenizer in (from_gguf(name), from_folder(name)):
        for text, ids in vectors(name):
            assert tokenizer.encode(text) == ids
            assert tokenizer.decode(ids) == text.encode()


@pytest.mark.parametrize("name", NAMES)
def test_both_ways_give_the_same_tokenizer(
    name: str, from_folder: Callable[[str], Tokenizer]
) -> None:
    one, other = from_gguf(name), from_folder(name)
    assert one.special == other.special
    assert one.special_ids == other.special_ids
    assert list(one.token_bytes) == list(other.token_bytes)


def test_begin_is_put_where_the_model_wants_it() -> None:
    found = {name: from_gguf(name).special for name in NAMES}
    assert {name: special.bos for name, special in found.items()} == {
        "gpt-2": None, "llama-bpe": 128_000, "qwen2": None, "llama-spm": 1
    }  # fmt: skip
    assert {name: special.eos for name, special in found.items()} == {
        "gpt-2": 50_256, "llama-bpe": 128_001, "qwen2": 151_643, "llama-spm": 2
    }  # fmt: skip
