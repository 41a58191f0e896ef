"""A saved tokenizer is found unchanged, or its damage is reported."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tfcli.errors import ConflictError, DamagedError, DataError, NotFoundError, UsageError
from tfcli.files import MANIFEST, lock, new_folder
from tfcli.text.corpus import Corpus, open_corpus
from tfcli.text.saved_tokenizers import (
    METADATA,
    MODEL,
    SavedTokenizer,
    find_tokenizer,
    list_tokenizers,
    measure,
    save_tokenizer,
)
from tfcli.text.sentencepiece_tokenizer import BYTE_PIECES, FIRST_BYTE
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import TokenizerReport, train_tokenizer

from .conftest import MIXED


def make_corpus(folder: Path, text: str = MIXED, held_out: float = 0.1) -> Corpus:
    path = folder / "text.txt"
    path.write_text(text, newline="")
    return open_corpus([path], cache=folder / "cache", val_fraction=held_out)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def report(corpus: Corpus, tokenizer: Tokenizer) -> TokenizerReport:
    return TokenizerReport("bpe", 512, tokenizer.vocab_size, corpus.scan.bytes, corpus.scan.bytes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "tokenizers"


@pytest.fixture
def saved(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus
) -> SavedTokenizer:
    """The tokenizer `book`, just saved."""
    return save_tokenizer("book", tokenizer, report, corpus, root)


# --- saving and finding -------------------------------------------------------------------------


def test_tokenizer_is_found_by_its_name(saved: SavedTokenizer, root: Path) -> None:
    found = find_tokenizer("book", root)
    assert found.path == root / "book"
    assert found.tokenizer.serialized == saved.tokenizer.serialized
    assert found.metadata == saved.metadata


def test_tokenizer_is_found_by_the_path_of_its_folder(
    saved: SavedTokenizer, tmp_path: Path
) -> None:
    found = find_tokenizer(str(saved.path), tmp_path / "elsewhere")
    assert (found.path, found.metadata) == (saved.path, saved.metadata)


def test_tokenizer_is_found_by_the_path_of_its_model(saved: SavedTokenizer, tmp_path: Path) -> None:
    found = find_tokenizer(str(saved.path / MODEL), tmp_path / "elsewhere")
    assert found.tokenizer.serialized == saved.tokenizer.serialized
    assert found.metadata == {}


def test_name_takes_precedence_over_a_path(
    saved: SavedTokenizer, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "book").write_text("a text of the same name")
    monkeypatch.chdir(tmp_path)
    assert find_tokenizer("book", root).path == saved.path


def test_metadata_records_how_it_was_trained(saved: SavedTokenizer, corpus: Corpus) -> None:
    metadata = json.loads((saved.path / METADATA).read_text())
    assert metadata == saved.metadata
    assert metadata["schema"] == 1
    assert (metadata["type"], metadata["wanted"]) == ("bpe", 512)
    assert metadata["vocab_size"] == saved.tokenizer.vocab_size
    assert metadata["tokenizer_fingerprint"] == saved.tokenizer.fingerprint
    assert metadata["corpus"] == {
        "bytes": corpus.scan.bytes,
        "fingerprint": corpus.scan.fingerprint,
    }
    assert metadata["measures"] == measure(saved.tokenizer, corpus)


def test_saving_replaces_a_tokenizer_of_the_same_name(
    saved: SavedTokenizer, root: Path, report: TokenizerReport, corpus: Corpus
) -> None:
    other, _ = train_tokenizer([b"another text"], text_bytes=12)
    save_tokenizer("book", other, report, corpus, root)
    assert find_tokenizer("book", root).tokenizer.fingerprint == other.fingerprint
    assert [path.name for path in root.glob("[!.]*")] == ["book"]


def test_tokenizer_set_aside_by_a_killed_writer_is_found(saved: SavedTokenizer, root: Path) -> None:
    saved.path.rename(root / ".old-book")
    for name in ("book", str(saved.path), os.path.relpath(saved.path)):
        assert find_tokenizer(name, root).tokenizer.fingerprint == saved.tokenizer.fingerprint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX pipes")
@pytest.mark.parametrize("file", [MODEL, METADATA, MANIFEST])
def test_pipe_in_place_of_a_file_does_not_block(
    saved: SavedTokenizer, root: Path, file: str
) -> None:
    for name in {file, MANIFEST}:
        (saved.path / name).unlink()
    os.mkfifo(saved.path / file)
    if file == MODEL:
        with pytest.raises(NotFoundError):
            find_tokenizer("book", root)
    else:
        assert find_tokenizer("book", root).metadata == {}


@pytest.mark.parametrize("manifest", [True, False])
def test_unknown_metadata_is_ignored(root: Path, tokenizer: Tokenizer, manifest: bool) -> None:
    with new_folder(root / "theirs") as folder:
        folder.write(MODEL, tokenizer.serialized)
        folder.write(METADATA, b'{"version": "1.0", "measures": [1]}')
    if not manifest:
        (root / "theirs" / MANIFEST).unlink()
    assert find_tokenizer("theirs", root).metadata == {}


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "-rf", "x" * 65, "mein büchlein"])
def test_invalid_name_is_refused(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus, name: str
) -> None:
    with pytest.raises(UsageError) as caught:
        save_tokenizer(name, tokenizer, report, corpus, root)
    assert caught.value.hint
    assert not root.exists()


def test_model_placed_by_the_user_is_found(root: Path, tokenizer: Tokenizer) -> None:
    (root / "mine").mkdir(parents=True)
    (root / "mine" / MODEL).write_bytes(tokenizer.serialized)
    found = find_tokenizer("mine", root)
    assert (found.tokenizer.serialized, found.metadata) == (tokenizer.serialized, {})


def test_saving_removes_leftovers_of_a_killed_writer(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus
) -> None:
    leftover = root / ".tmp-book-4711-0123abcd"
    leftover.mkdir(parents=True)
    (leftover / MODEL).write_bytes(b"half a mod")
    save_tokenizer("book", tokenizer, report, corpus, root)
    assert not leftover.exists()


def test_concurrent_save_is_refused(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus
) -> None:
    with lock(root, doing="saving another"), pytest.raises(ConflictError) as caught:
        save_tokenizer("book", tokenizer, report, corpus, root)
    assert "saving another" in (caught.value.why or "")
    assert list_tokenizers(root) == []


# --- listing ------------------------------------------------------------------------------------


def test_tokenizers_are_listed_in_order(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus
) -> None:
    assert list_tokenizers(root) == []
    for name in ("b", "a", "c"):
        save_tokenizer(name, tokenizer, report, corpus, root)
    (root / "README.md").write_text("no tokenizer")
    (root / "empty").mkdir()
    assert list_tokenizers(root) == ["a", "b", "c"]


def test_leftovers_of_a_killed_writer_are_not_listed(saved: SavedTokenizer, root: Path) -> None:
    leftover = root / ".tmp-book-4711-0123abcd"
    leftover.mkdir()
    (leftover / MODEL).write_bytes(saved.tokenizer.serialized)
    assert list_tokenizers(root) == ["book"]


# --- missing or damaged -------------------------------------------------------------------------


def test_similar_name_is_suggested(saved: SavedTokenizer, root: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_tokenizer("bock", root)
    assert "bock" in caught.value.what
    assert "book" in (caught.value.hint or "")


def test_without_any_tokenizer_the_hint_is_how_to_train_one(root: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_tokenizer("book", root)
    assert caught.value.why
    assert "tfcli tokenizer train" in (caught.value.hint or "")
    assert "--name book" in (caught.value.hint or "")


def test_without_a_similar_name_the_hint_is_how_to_train_one(
    saved: SavedTokenizer, root: Path
) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_tokenizer("zzz", root)
    assert caught.value.why is None
    assert "--name zzz" in (caught.value.hint or "")


def test_folder_without_a_model_is_not_found(root: Path) -> None:
    (root / "empty").mkdir(parents=True)
    with pytest.raises(NotFoundError):
        find_tokenizer("empty", root)
    with pytest.raises(NotFoundError):
        find_tokenizer(str(root / "empty"), root / "elsewhere")


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 300, "nul\0"])
def test_invalid_name_is_not_found(saved: SavedTokenizer, root: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        find_tokenizer(name, root)


@pytest.mark.parametrize("file", [MODEL, METADATA])
@pytest.mark.parametrize("position", [0, 100, -1])
def test_flipped_bit_is_detected(
    saved: SavedTokenizer, root: Path, file: str, position: int
) -> None:
    data = bytearray((saved.path / file).read_bytes())
    data[position] ^= 1
    (saved.path / file).write_bytes(data)
    with pytest.raises(DamagedError) as caught:
        find_tokenizer("book", root)
    assert file in caught.value.what


def test_truncated_file_is_detected(saved: SavedTokenizer, root: Path) -> None:
    data = (saved.path / MODEL).read_bytes()
    (saved.path / MODEL).write_bytes(data[:-1])
    with pytest.raises(DamagedError):
        find_tokenizer("book", root)


@pytest.mark.parametrize("metadata", [b"", b"{", b"[]", b"\xff"])
def test_unreadable_metadata_is_ignored(root: Path, tokenizer: Tokenizer, metadata: bytes) -> None:
    """In a folder that the user made, which has no manifest."""
    (root / "mine").mkdir(parents=True)
    (root / "mine" / MODEL).write_bytes(tokenizer.serialized)
    (root / "mine" / METADATA).write_bytes(metadata)
    assert find_tokenizer("mine", root).metadata == {}


def test_invalid_model_file_is_named(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "some.model"
    path.write_text("no model")
    with pytest.raises(DataError) as caught:
        find_tokenizer(str(path), root)
    assert str(path) in caught.value.what


# --- measures -----------------------------------------------------------------------------------


def test_measures_are_of_the_held_out_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    held_out = b"".join(chunk.data for chunk in corpus.held_out())
    ids = tokenizer.encode(held_out)
    bytes_used = [i for i in ids if FIRST_BYTE <= i < FIRST_BYTE + BYTE_PIECES]
    pieces = tokenizer.vocab_size - FIRST_BYTE - BYTE_PIECES
    unused = pieces - len({i for i in ids if i >= FIRST_BYTE + BYTE_PIECES})
    measures = measure(tokenizer, corpus)
    assert measures["bytes"] == len(held_out)
    assert measures["bytes_per_token"] == pytest.approx(len(held_out) / len(ids), abs=1e-3)
    assert measures["tokens_per_word"] == pytest.approx(len(ids) / len(held_out.split()), abs=1e-3)
    assert measures["byte_token_share"] == pytest.approx(len(bytes_used) / len(ids), abs=1e-5)
    assert measures["unused_piece_share"] == pytest.approx(unused / pieces, abs=1e-3)


def test_text_in_an_unseen_script_is_encoded_as_bytes(tokenizer: Tokenizer, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, "ᚠᛇᚻ" * 100)
    measures = measure(tokenizer, corpus)
    assert measures["byte_token_share"] == 1.0
    assert measures["bytes_per_token"] == 1.0
    assert measures["unused_piece_share"] == 1.0


def test_only_the_beginning_of_a_large_text_is_measured(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path, "word " * 700_000, held_out=0.9)
    measures = measure(tokenizer, corpus, limit=1000)
    assert 1000 <= measures["bytes"] < corpus.scan.bytes - corpus.scan.training_bytes


@pytest.mark.parametrize(("text", "held_out"), [("word " * 10, 0.0), ("😀", 0.5)])
def test_without_held_out_words_measures_are_zero(
    tokenizer: Tokenizer, tmp_path: Path, text: str, held_out: float
) -> None:
    measures = measure(tokenizer, make_corpus(tmp_path, text, held_out=held_out))
    assert measures == {
        "bytes": 0,
        "bytes_per_token": 0.0,
        "tokens_per_word": 0.0,
        "byte_token_share": 0.0,
        "unused_piece_share": 1.0,
    }
