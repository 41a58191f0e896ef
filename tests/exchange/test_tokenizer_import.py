"""Tokenizers from elsewhere: folders, single files, GGUF metadata, and what is wrong with some."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.byte_level import BEGIN, CALL, END, SCANNERS, TEXT, TURN, Scanner, byte_level, id_of
from tests.byte_level import reference as byte_level_reference
from tests.byte_level import tokenizer_json as byte_level_json
from tests.exchange.conftest import ACCEPTANCE, SPACE_MARK
from tests.tokenizers import llama_like_pieces
from tfcli.errors import DataError, NotFoundError
from tfcli.exchange.gguf_tokenizer import byte_level_of_gguf, tokenizer_from_gguf
from tfcli.exchange.scanners import BY_GGUF_NAME, gguf_name
from tfcli.exchange.tokenizer_import import find_tokenizer_in
from tfcli.exchange.tokenizer_json import to_tokenizer_json
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer
from tfcli.text.byte_level_vocabulary import without_our_key
from tfcli.text.sentencepiece_model import PieceType, write_pieces
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.tokenizer import Tokenizer

TEXTS = [*ACCEPTANCE, SPACE_MARK, TEXT[:500], TEXT[-300:], f"a{CALL}b {BEGIN}<s></s>"]
GGUF_NAMES: dict[Scanner, str] = {
    "gpt-2": "gpt-2", "smollm": "smollm", "llama-3": "llama-bpe", "qwen": "qwen2"
}  # fmt: skip


def put(folder: Path, **files: Any) -> Path:
    """Writes JSON files; returns the folder."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


CONFIG = {"bos_token": BEGIN, "eos_token": {"content": END, "lstrip": False}}


# --- byte-level BPE -----------------------------------------------------------------------------


@pytest.mark.parametrize("scanner", SCANNERS)
def test_tokenizer_json_is_imported(scanner: Scanner, tmp_path: Path) -> None:
    content = byte_level_json(scanner)
    put(tmp_path, tokenizer=content, tokenizer_config=CONFIG)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        tokenizer = find_tokenizer_in(path)
        assert tokenizer.special == byte_level(scanner).special
        for text in TEXTS:
            assert tokenizer.encode(text) == byte_level(scanner).encode(text)
    assert isinstance(tokenizer, ByteLevelTokenizer)
    assert without_our_key(tokenizer.serialized) == content


@pytest.mark.parametrize(
    ("scanner", "config", "begins"),
    [
        ("llama-3", {}, True),  # the file itself puts it there
        ("llama-3", {"add_bos_token": False}, False),
        ("gpt-2", {"bos_token": BEGIN}, False),
        ("gpt-2", {"bos_token": BEGIN, "add_bos_token": True}, True),
        ("gpt-2", {"add_bos_token": True}, False),  # which one?
    ],
)
def test_begin_is_added_where_the_files_say_so(
    scanner: Scanner, config: dict[str, Any], begins: bool, tmp_path: Path
) -> None:
    content = byte_level_json(scanner)
    tokenizer = find_tokenizer_in(put(tmp_path, tokenizer=content, tokenizer_config=config))
    assert tokenizer.special.bos == (id_of(content, BEGIN) if begins else None)


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config": {"eos_token": TURN}},
        {"special_tokens_map": {"eos_token": {"content": TURN}}},
        {"config": {"eos_token_id": 448}},
        {"generation_config": {"eos_token_id": [448, 447]}, "config": {"eos_token_id": 1}},
    ],
)
def test_end_is_found_beside_it(files: dict[str, Any], tmp_path: Path) -> None:
    content = byte_level_json("qwen")
    turn = id_of(content, TURN)
    files = json.loads(json.dumps(files).replace("448", str(turn)))
    assert find_tokenizer_in(put(tmp_path, tokenizer=content, **files)).special.eos == turn


def test_without_a_word_about_it_the_usual_end_is_taken(tmp_path: Path) -> None:
    content = byte_level_json("qwen")
    assert find_tokenizer_in(put(tmp_path, tokenizer=content)).special.eos == id_of(content, END)


def test_tokens_added_later_are_taken_over(tmp_path: Path) -> None:
    content = byte_level_json("qwen")
    size = byte_level("qwen").vocab_size
    decoder = {
        str(size): {"content": "<|x|>", "special": True},
        str(size + 1): {"content": "<y>", "special": False},
    }
    config = CONFIG | {"added_tokens_decoder": decoder}
    tokenizer = find_tokenizer_in(put(tmp_path, tokenizer=content, tokenizer_config=config))
    assert tokenizer.special_ids["<|x|>"] == size
    assert tokenizer.encode("<y>") == [size + 1]
    assert size not in tokenizer.encode("<|x|>")


def test_vocabulary_and_merges_are_enough(tmp_path: Path) -> None:
    content = byte_level_json("gpt-2")
    model = content["model"]
    end = max(model["vocab"].values()) + 1
    put(tmp_path, vocab=model["vocab"] | {END: end})
    merges = "".join(f"{' '.join(pair)}\n" for pair in model["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}")
    tokenizer = find_tokenizer_in(tmp_path)
    assert tokenizer.encode(TEXT) == byte_level("gpt-2").encode(TEXT)
    assert (tokenizer.special.bos, tokenizer.special.eos) == (None, end)
    put(tmp_path, tokenizer_config={"tokenizer_class": "BloomTokenizerFast"})
    with pytest.raises(DataError, match=r"no tokenizer\.json"):
        find_tokenizer_in(tmp_path)


# --- made from SentencePiece --------------------------------------------------------------------

LLAMA, GEMMA = "llama", "gemma"


def tokenizer_like(kind: str) -> tuple[SentencePieceTokenizer, dict[str, Any]]:
    """A SentencePiece tokenizer with the layout of Llama or Gemma, and its tokenizer.json."""
    pieces = llama_like_pieces(gemma=kind == GEMMA)
    return SentencePieceTokenizer(write_pieces(pieces)), to_tokenizer_json(pieces)


@pytest.mark.parametrize("kind", [LLAMA, GEMMA])
def test_layouts_of_sentencepiece(kind: str, tmp_path: Path) -> None:
    own, content = tokenizer_like(kind)
    for text in TEXTS:
        assert own.decode(own.encode(text)) == text.encode()
        assert not {*own.encode(text)} & own.special.control
    expected = (2, 1, 3) if kind == GEMMA else (1, 2, 0)
    assert (own.special.bos, own.special.eos, own.special.unk) == expected
    assert own.token_bytes[own.encode("€")[-1]] == "€".encode()[-1:]
    (tmp_path / "tokenizer.model").write_bytes(own.serialized)
    put(tmp_path, tokenizer=content)
    assert find_tokenizer_in(tmp_path).serialized == own.serialized
    for path in (tmp_path, tmp_path / "tokenizer.model", tmp_path / "tokenizer.json"):
        found = find_tokenizer_in(path)
        assert found.special == own.special
        assert found.prefix == own.prefix
        for text in TEXTS:
            assert found.encode(text) == own.encode(text)


def later_order(content: dict[str, Any]) -> None:
    """The pairs by their lengths, as later converters wrote them."""
    merges = content["model"]["merges"]
    ranks: dict[str, int] = {}
    for pair in merges:
        ranks.setdefault("".join(pair), len(ranks))
    merges.sort(key=lambda pair: (ranks["".join(pair)], -len(pair[0]), -len(pair[1])))


def metaspace(content: dict[str, Any]) -> None:
    prefix = content["normalizer"]["type"] == "Sequence"
    content["normalizer"] = None
    content["pre_tokenizer"] = {
        "type": "Metaspace", "replacement": "▁", "split": False,
        "prepend_scheme": "first" if prefix else "never",
    }  # fmt: skip


def merges_as_texts(content: dict[str, Any]) -> None:
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]


def gemmas_split(content: dict[str, Any]) -> None:
    content["pre_tokenizer"] = {
        "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
        "invert": False,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [LLAMA, GEMMA])
@pytest.mark.parametrize("change", [later_order, metaspace, merges_as_texts, gemmas_split])
def test_other_words_for_the_same(kind: str, change: Any, tmp_path: Path) -> None:
    own, content = tokenizer_like(kind)
    change(content)
    found = find_tokenizer_in(put(tmp_path, tokenizer=content))
    assert found.prefix == own.prefix
    for text in TEXTS:
        assert found.encode(text) == own.encode(text)


@pytest.mark.parametrize("name", ["tokenizer.model", "tokenizer.json"])
def test_tokens_added_to_sentencepiece_are_kept(name: str, tmp_path: Path) -> None:
    own, content = tokenizer_like(LLAMA)
    size = own.vocab_size
    decoder = {
        "1": {"content": "<s>", "special": True},
        str(size): {"content": "<|im_start|>", "special": True},
        str(size + 1): {"content": "<a b>", "special": False},
    }
    put(tmp_path, tokenizer_config={"added_tokens_decoder": decoder})
    if name == "tokenizer.model":
        (tmp_path / name).write_bytes(own.serialized)
    else:
        put(tmp_path, tokenizer=content)
    found = find_tokenizer_in(tmp_path)
    assert found.vocab_size == size + 2
    assert found.special_ids["<|im_start|>"] == size
    assert size + 1 in found.encode("x<a b>y")
    assert found.decode(found.encode("x<a b>y <|im_start|>")) == b"x<a b>y <|im_start|>"
    assert size not in found.encode("<|im_start|>")


def test_added_token_that_leaves_a_gap_is_refused(tmp_path: Path) -> None:
    own, _ = tokenizer_like(LLAMA)
    (tmp_path / "tokenizer.model").write_bytes(own.serialized)
    decoder = {str(own.vocab_size + 7): {"content": "<z>", "special": True}}
    put(tmp_path, tokenizer_config={"added_tokens_decoder": decoder})
    with pytest.raises(DataError, match="without a piece"):
        find_tokenizer_in(tmp_path)


def test_texts_need_not_begin_with_bos(tmp_path: Path) -> None:
    _, content = tokenizer_like(LLAMA)
    put(tmp_path, tokenizer=content, tokenizer_config={"add_bos_token": False})
    assert find_tokenizer_in(tmp_path).special.bos is None


# --- GGUF ---------------------------------------------------------------------------------------


def gguf_of_byte_level(scanner: Scanner) -> dict[str, Any]:
    tokenizer, content = byte_level(scanner), byte_level_json(scanner)
    tokens = [""] * tokenizer.vocab_size
    types = [int(PieceType.NORMAL)] * tokenizer.vocab_size
    for text, i in content["model"]["vocab"].items():
        tokens[i] = text
    for token in content["added_tokens"]:
        tokens[token["id"]] = token["content"]
        types[token["id"]] = int(PieceType.CONTROL if token["special"] else PieceType.USER_DEFINED)
    size = len(tokens)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": GGUF_NAMES[scanner],
        "tokenizer.ggml.tokens": [*tokens, *(f"[PAD{i}]" for i in range(size, size + 5))],
        "tokenizer.ggml.token_type": [*types, *[int(PieceType.USER_DEFINED)] * 5],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in content["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": id_of(content, BEGIN),
        "tokenizer.ggml.eos_token_id": id_of(content, END),
    }


def gguf_of_sentencepiece(kind: str) -> dict[str, Any]:
    pieces = llama_like_pieces(gemma=kind == GEMMA)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [piece.text for piece in pieces.pieces],
        "tokenizer.ggml.scores": [piece.score for piece in pieces.pieces],
        "tokenizer.ggml.token_type": [int(piece.type) for piece in pieces.pieces],
        "tokenizer.ggml.bos_token_id": pieces.bos_id,
        "tokenizer.ggml.eos_token_id": pieces.eos_id,
        "tokenizer.ggml.unknown_token_id": pieces.unk_id,
        "tokenizer.ggml.add_space_prefix": pieces.dummy_prefix,
    }


def same(found: Tokenizer, own: Tokenizer) -> None:
    assert found.special == own.special
    assert found.special_ids == own.special_ids
    assert list(found.token_bytes) == list(own.token_bytes)
    for text in TEXTS:
        assert found.encode(text) == own.encode(text)


@pytest.mark.parametrize("scanner", SCANNERS)
def test_byte_level_tokenizer_of_a_gguf_file(scanner: Scanner) -> None:
    found = tokenizer_from_gguf(gguf_of_byte_level(scanner))
    same(found, byte_level(scanner))
    for text in TEXTS:  # the scanner by its name is that of the library
        if scanner != "qwen":  # which would normalize
            expected = byte_level_reference(scanner).encode(text, add_special_tokens=False).ids
            assert found.encode(text) == expected


@pytest.mark.parametrize("kind", [LLAMA, GEMMA])
def test_sentencepiece_tokenizer_of_a_gguf_file(kind: str) -> None:
    own, _ = tokenizer_like(kind)
    same(tokenizer_from_gguf(gguf_of_sentencepiece(kind)), own)


@pytest.mark.parametrize("scanner", SCANNERS)
def test_scanners_have_the_name_that_gguf_files_use(scanner: Scanner) -> None:
    content = byte_level_json(scanner)
    ignores = content["model"]["ignore_merges"]
    assert gguf_name(content["pre_tokenizer"], ignore_merges=ignores) == GGUF_NAMES[scanner]
    assert gguf_name({"type": "ByteLevel", "use_regex": False}, ignore_merges=False) is None


@pytest.mark.parametrize("name", sorted(BY_GGUF_NAME))
def test_every_known_scanner_loses_nothing(name: str) -> None:
    tokenizer = ByteLevelTokenizer(
        byte_level_of_gguf(gguf_of_byte_level("gpt-2") | {"tokenizer.ggml.pre": name})
    )
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text.encode()


GGUF_DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no kind": ({"tokenizer.ggml.model": None}, "it has none"),
    "another kind": ({"tokenizer.ggml.model": "t5"}, "'t5'"),
    "an unknown scanner": ({"tokenizer.ggml.pre": "klingon"}, "'klingon'"),
    "no scanner": ({"tokenizer.ggml.pre": None}, "names no scanner"),
    "no tokens": ({"tokenizer.ggml.tokens": []}, "not valid|not equally many"),
    "tokens that are numbers": ({"tokenizer.ggml.tokens": [1, 2]}, "not a list of texts"),
    "too few types": ({"tokenizer.ggml.token_type": [1]}, "not equally many"),
    "an unknown type": ({"tokenizer.ggml.token_type": [99]}, "99"),
    "merges of unknown tokens": ({"tokenizer.ggml.merges": ["qqq zzz"]}, "out of vocabulary"),
    "a merge that is none": ({"tokenizer.ggml.merges": ["qqq"]}, "out of vocabulary"),
    "an end beyond the vocabulary": ({"tokenizer.ggml.eos_token_id": 1 << 40}, "eos token"),
    "a negative begin": ({"tokenizer.ggml.bos_token_id": -1}, "bos token"),
    "a flag that is a text": ({"tokenizer.ggml.add_bos_token": "no"}, "truth value"),
}


@pytest.mark.parametrize("name", GGUF_DAMAGES)
def test_hostile_gguf_metadata_are_refused(name: str) -> None:
    change, why = GGUF_DAMAGES[name]
    with pytest.raises(DataError) as refused:
        tokenizer_from_gguf(gguf_of_byte_level("gpt-2") | change)
    assert re.search(why, f"{refused.value.what} {refused.value.why}")


# --- nothing to find ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nothing", "nothing.gguf", "nothing.json"])
def test_path_that_is_not_there_is_not_found(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=f"file not found: .*{name}'"):
        find_tokenizer_in(tmp_path / name)


@pytest.mark.parametrize("name", ["tokenizer.model", "README.md"])
def test_file_that_is_no_tokenizer_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"a text")
    with pytest.raises(DataError, match="not a SentencePiece model"):
        find_tokenizer_in(tmp_path / name)


def test_folder_without_a_tokenizer_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no tokenizer\.model"):
        find_tokenizer_in(tmp_path)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b"{}", b'{"pre_tokenizer": {"type": "ByteLevel"}}']
)
def test_invalid_tokenizer_json_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(DataError) as refused:
        find_tokenizer_in(tmp_path)
    assert str(tmp_path) in refused.value.what
    assert refused.value.why


def test_gguf_file_is_read(tmp_path: Path) -> None:
    """Written by hand: a header, and a text for a key."""
    key, value = b"tokenizer.ggml.model", b"none"
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(value)) + value
    (tmp_path / "it.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
    with pytest.raises(DataError, match="not supported"):
        find_tokenizer_in(tmp_path / "it.gguf")
