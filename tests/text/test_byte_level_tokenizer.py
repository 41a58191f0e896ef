"""Byte-level BPE splits a text as the library does, loses no byte, and makes no special token."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.byte_level import (
    BEGIN,
    CALL,
    END,
    SCANNERS,
    TEXT,
    TURN,
    Scanner,
    byte_level,
    id_of,
    kept,
    reference,
    tokenizer_json,
)
from tfcli.errors import DataError
from tfcli.text import sandbox
from tfcli.text.byte_level_tokenizer import PART, ByteLevelTokenizer
from tfcli.text.byte_level_vocabulary import (
    BYTE_CHARACTERS,
    byte_level_json,
    without_our_key,
)
from tfcli.text.tokenizer_file import open_tokenizer

from .helpers import any_text, tight_text

any_scanner = pytest.mark.parametrize("scanner", SCANNERS)
special_text = st.lists(
    st.sampled_from([BEGIN, END, TURN, CALL, "a", " fox", "\n", "123", "'s", "é"]), max_size=8
).map("".join)


# --- text to ids and back -----------------------------------------------------------------------


@any_scanner
@given(text=any_text | tight_text | special_text)
def test_decoding_gives_the_text_back(scanner: Scanner, text: str) -> None:
    tokenizer = byte_level(scanner)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text.encode()
    assert not tokenizer.special.control & {*ids}
    assert tokenizer.encode(text.encode()) == ids


@any_scanner
@given(text=any_text | tight_text | special_text)
def test_ids_are_those_of_the_library(scanner: Scanner, text: str) -> None:
    text = unicodedata.normalize("NFC", text)  # which the library makes of it, with Qwen's
    expected = reference(scanner).encode(text, add_special_tokens=False).ids
    assert byte_level(scanner).encode(text) == expected


def test_a_text_that_is_not_in_nfc_stays_as_it_is() -> None:
    tokenizer, text = byte_level("qwen"), "e\u0301 \u212b"
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode()


def test_the_table_of_bytes_is_that_of_transformers() -> None:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    assert bytes_to_unicode() == BYTE_CHARACTERS


@any_scanner
def test_every_id_has_the_bytes_that_the_library_decodes(scanner: Scanner) -> None:
    tokenizer, library = byte_level(scanner), reference(scanner)
    assert tokenizer.vocab_size == library.get_vocab_size()
    for i, spelled in enumerate(tokenizer.token_bytes):
        if i not in tokenizer.special.control:
            assert spelled.decode(errors="replace") == library.decode([i])


@any_scanner
@settings(max_examples=8)
@given(
    words=st.lists(
        st.sampled_from(["fox ", "12345", "\n", "日本", "。", "  ", "it's ", CALL, "\r\n", "é"]),
        min_size=1, max_size=9,
    ),
    count=st.integers(2 * PART // 10, 3 * PART),
)  # fmt: skip
def test_a_long_text_is_cut_where_no_token_is(
    scanner: Scanner, words: list[str], count: int
) -> None:
    text = ("".join(words) * count)[: 3 * PART]
    expected = reference(scanner).encode(text, add_special_tokens=False).ids
    assert byte_level(scanner).encode(text) == expected


def test_a_long_text_without_words_is_encoded() -> None:
    for character in " 1.\n日a":
        text = character * (2 * PART)
        expected = reference("llama-3").encode(text, add_special_tokens=False).ids
        assert byte_level("llama-3").encode(text) == expected


@any_scanner
@pytest.mark.parametrize("threads", [1, 2])
def test_batches_have_the_ids_of_each_text(scanner: Scanner, threads: int) -> None:
    tokenizer = byte_level(scanner)
    texts = [b"", TEXT.encode(), b"fox", "日本".encode(), (TEXT * 6).encode()]
    for text, parts in zip(texts, tokenizer.encode_batch(texts, threads=threads), strict=True):
        assert all(part.dtype == np.int32 for part in parts)
        assert np.concatenate(parts).tolist() == tokenizer.encode_continuation(text.decode())


def test_a_space_put_in_front_is_a_prefix() -> None:
    content = tokenizer_json("gpt-2")
    content["pre_tokenizer"]["add_prefix_space"] = True
    tokenizer = ByteLevelTokenizer(kept(content))
    assert tokenizer.prefix == " "
    assert tokenizer.encode("fox") == byte_level("gpt-2").encode(" fox")
    assert tokenizer.decode(tokenizer.encode("fox")) == b"fox"
    assert tokenizer.encode_continuation("fox") == byte_level("gpt-2").encode("fox")


# --- special tokens -----------------------------------------------------------------------------


@any_scanner
def test_special_tokens_are_text_and_other_added_tokens_are_not(scanner: Scanner) -> None:
    tokenizer, content = byte_level(scanner), tokenizer_json(scanner)
    assert tokenizer.special_ids == {text: id_of(content, text) for text in (BEGIN, END, TURN)}
    assert tokenizer.encode(CALL) == [id_of(content, CALL)]
    assert tokenizer.token_bytes[id_of(content, CALL)] == CALL.encode()
    special = tokenizer.special
    assert (special.eos, special.unk) == (id_of(content, END), None)
    assert special.bos == (id_of(content, BEGIN) if scanner == "llama-3" else None)


def test_a_merge_that_makes_a_special_token_is_left_out() -> None:
    content = tokenizer_json("gpt-2")
    merged = next(text for text in content["model"]["vocab"] if len(text) == 4)
    i = content["model"]["vocab"][merged]
    content["added_tokens"].insert(0, content["added_tokens"][0] | {"id": i, "content": merged})
    tokenizer = ByteLevelTokenizer(kept(content))
    assert i not in tokenizer.encode(TEXT)
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT.encode()


def test_ids_that_stand_for_nothing_are_never_drawn() -> None:
    content = tokenizer_json("gpt-2")
    content["added_tokens"][-1]["id"] += 5
    tokenizer = ByteLevelTokenizer(kept(content))
    gap = range(tokenizer.vocab_size - 6, tokenizer.vocab_size - 1)
    assert {*gap} <= {*tokenizer.special.suppressed}


# --- the kept file ------------------------------------------------------------------------------


@any_scanner
def test_the_kept_file_has_what_it_was_made_of(scanner: Scanner) -> None:
    content = tokenizer_json(scanner)
    assert without_our_key(kept(content)) == content
    opened = open_tokenizer(kept(content))
    assert isinstance(opened, ByteLevelTokenizer)
    assert opened.serialized == kept(content)


def test_it_is_opened_in_the_sandbox() -> None:
    tokenizer = sandbox.open_sandboxed(byte_level("llama-3").serialized)
    assert tokenizer.encode(TEXT) == byte_level("llama-3").encode(TEXT)
    content = tokenizer_json("qwen")
    assert sandbox.parse_sandboxed(json.dumps(content).encode()) == content


def set_model(name: str, value: Any) -> Any:
    return lambda content: content["model"].update({name: value})


def set_scanner(value: Any) -> Any:
    return lambda content: content.update(pre_tokenizer=value)


def split(regex: str, behavior: str = "Isolated") -> Any:
    byte_level = {
        "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False
    }  # fmt: skip
    pattern = {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": False}
    return {"type": "Sequence", "pretokenizers": [pattern, byte_level]}


def without_byte(content: dict[str, Any]) -> None:
    model = content["model"]
    model["merges"] = []
    model["vocab"] = {t: i for t, i in model["vocab"].items() if t != BYTE_CHARACTERS[0x20]}


DAMAGES: dict[str, tuple[Any, str]] = {
    "no model": (lambda c: c.pop("model"), "KeyError"),
    "another model": (set_model("type", "WordPiece"), "WordPiece"),
    "no vocabulary": (set_model("vocab", [1]), "no vocabulary"),
    "an id that is a text": (lambda c: c["model"]["vocab"].update(a="1"), "whole number"),
    "a huge id": (lambda c: c["model"]["vocab"].update(zz=1 << 62), "its ids are not all"),
    "a negative id": (lambda c: c["model"]["vocab"].update(zz=-1), "its ids are not all"),
    "an id twice": (lambda c: c["model"]["vocab"].update(zz=3), "the same id"),
    "mostly gaps": (lambda c: c["model"]["vocab"].update(zz=1 << 19), "stand for nothing"),
    "a long token": (lambda c: c["model"]["vocab"].update({"z" * 2000: 900}), "characters"),
    "an added token without text": (
        lambda c: c["added_tokens"][0].update(content=""), "empty or too long"
    ),
    "an added token with another id": (
        lambda c: c["added_tokens"][0].update(content=BYTE_CHARACTERS[0x61]), "two ids"
    ),
    "an added token in place of another": (
        lambda c: c["added_tokens"][0].update(id=7), "two tokens with the id 7"
    ),
    "a surrogate": (lambda c: c["added_tokens"][0].update(content="\ud800"), "Surrog|surrog"),
    "no merges": (lambda c: c["model"].pop("merges"), "KeyError"),
    "merges that are a number": (set_model("merges", 7), "no merges"),
    "a merge of three": (set_model("merges", ["a b c"]), "not a pair of tokens"),
    "a merge of numbers": (set_model("merges", [[1, 2]]), "cannot be used"),
    "a merge of unknown tokens": (set_model("merges", [["zz", "yy"]]), "out of vocabulary"),
    "a merge into an unknown token": (set_model("merges", [["q", "q"]]), "out of vocabulary"),
    "no scanner": (set_scanner(None), "not byte-level"),
    "white space dropped": (set_scanner({"type": "WhitespaceSplit"}), "may lose text"),
    "a split that drops": (set_scanner(split(r"\s+", "Removed")), "may lose text"),
    "an invalid regex": (set_scanner(split("(")), "unmatched parenthesis"),
    "a regex without end": (set_scanner(split(r"(?:(?:a|a)+)+b")), "retry-limit"),
    "a rewriting of the text": (
        lambda c: c.update(normalizer={"type": "Lowercase"}), "changes the text"
    ),
    "a suffix": (set_model("end_of_word_suffix", "</w>"), "end_of_word_suffix"),
    "no space": (without_byte, "lacks the byte 0x20"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_hostile_files_are_refused(name: str) -> None:
    damage, why = DAMAGES[name]
    content = tokenizer_json("gpt-2")
    damage(content)
    with pytest.raises(DataError) as refused:
        ByteLevelTokenizer(kept_without_checks(content)).try_out()
    assert re.search(why, f"{refused.value.what} {refused.value.why}")


def kept_without_checks(content: dict[str, Any]) -> bytes:
    return byte_level_json(content, bos=None, eos=300, unk=None, add_bos=False)


@pytest.mark.parametrize("name", ["no model", "a merge of unknown tokens", "a regex without end"])
def test_the_sandbox_has_the_same_error(name: str) -> None:
    damage, why = DAMAGES[name]
    content = tokenizer_json("gpt-2")
    damage(content)
    with pytest.raises(DataError) as refused:
        sandbox.open_sandboxed(kept_without_checks(content))
    assert re.search(why, f"{refused.value.what} {refused.value.why}")


@pytest.mark.parametrize("text", [b"{", b"{}", b'{"model": 1}', b'{"a": "\xff"}'])
def test_what_is_not_a_tokenizer_is_refused(text: bytes) -> None:
    with pytest.raises(DataError):
        ByteLevelTokenizer(text)


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"[1]", b'{"a": "\xff"}'])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(DataError, match="JSON"):
        sandbox.parse_sandboxed(text)


def test_a_file_from_elsewhere_has_to_be_imported() -> None:
    with pytest.raises(DataError) as refused:
        open_tokenizer(json.dumps(tokenizer_json("gpt-2")).encode())
    assert "tokenizer import" in (refused.value.hint or "")


def test_a_lacking_byte_is_named() -> None:
    content = tokenizer_json("gpt-2")
    model = content["model"]
    model["merges"] = []
    model["vocab"] = {t: i for t, i in model["vocab"].items() if t != BYTE_CHARACTERS[0xF0]}
    tokenizer = ByteLevelTokenizer(kept(content))
    tokenizer.try_out()
    assert tokenizer.decode(tokenizer.encode("日本")) == "日本".encode()
    with pytest.raises(DataError, match=r"U\+1F98A") as refused:
        tokenizer.encode("a fox 🦊")
    assert "0xF0" in (refused.value.why or "")
