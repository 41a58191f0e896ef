"""`tfcli tokenizer` in pipes."""

from __future__ import annotations

import json

import pytest

from tests.conftest import BOOK, Shell

TEXT = "Ann\r\nsaw\t  José — 🙂‍↕️ 日本 \x00 ▁ <s>\n\n".encode() * 3


def test_text_round_trips_through_encode_and_decode(trained: Shell) -> None:
    ids = trained("tokenizer", "encode", "--tokenizer", "words", stdin=TEXT)
    assert ids.code == 0
    assert all(word.isdigit() for word in ids.out.split())
    text = trained("tokenizer", "decode", "--tokenizer", "words", stdin=ids.out)
    assert text.out == TEXT


def test_empty_input_gives_empty_output(trained: Shell) -> None:
    for command in ("encode", "decode"):
        done = trained("tokenizer", command, "-t", "words", stdin=b"")
        assert (done.code, done.out) == (0, b"")


def test_info_is_shown_as_table_and_as_json(trained: Shell) -> None:
    shown = trained("tokenizer", "info", "words")
    assert shown.code == 0
    assert b"vocab_size" in shown.out
    facts = json.loads(trained("tokenizer", "info", "words", "--json").out)
    assert facts["vocab_size"] == 320
    assert facts["metadata"]["corpus"]["bytes"] == len(BOOK.encode())


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char"])
def test_every_type_is_trained_and_measured(shell: Shell, kind: str) -> None:
    done = shell("tokenizer", "train", "book.txt", "--name", "it", "--type", kind, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["type"] == kind
    assert report["measures"]["bytes_per_token"] > 0.95


def test_vocabulary_too_large_for_the_text_is_reduced_with_a_note(shell: Shell) -> None:
    done = shell("tokenizer", "train", "book.txt", "--name", "it", "--vocab-size", "30k")
    assert done.code == 0
    assert "not the 30,000 requested" in done.err


ERRORS = {
    "words instead of ids": (("decode", "-t", "words"), b"1 2\n3 four", 65, "line 2"),
    "unknown id": (("decode", "-t", "words"), b"1 2 320", 65, "the unknown id 320"),
    "binary": (("encode", "-t", "words"), b"\xff\xfe\x00", 65, "byte 0"),
    "misspelled": (("encode", "-t", "wods"), b"", 66, "did you mean 'words'"),
    "bad name": (("train", "book.txt", "--name", "a/b"), b"", 2, "invalid tokenizer name: 'a/b'"),
    "too small": (
        ("train", "book.txt", "--name", "it", "--vocab-size", "100"), b"", 65, "too small",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_reported(trained: Shell, case: str) -> None:
    arguments, stdin, code, message = ERRORS[case]
    done = trained("tokenizer", *arguments, stdin=stdin)
    assert done.code == code, done.err
    assert message in done.err
    assert "Traceback" not in done.err
