"""A saved tokenizer is found again as it was, or the damage is told."""

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
    return open_corpus([path], cache=folder / "cache", held_out_fraction=held_out)


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


# --- saved and found again ----------------------------------------------------------------------


def test_a_tokenizer_is_found_by_its_name(saved: SavedTokenizer, root: Path) -> None:
    found = find_tokenizer("book", root)
    assert found.path == root / "book"
    assert found.tokenizer.serialized == saved.tokenizer.serialized
    assert found.metadata == saved.metadata


def test_a_tokenizer_is_found_by_the_path_of_its_folder(
    saved: SavedTokenizer, tmp_path: Path
) -> None:
    found = find_tokenizer(str(saved.path), tmp_path / "elsewhere")
    assert (found.path, found.metadata) == (saved.path, saved.metadata)


def test_a_tokenizer_is_found_by_the_path_of_its_model(
    saved: SavedTokenizer, tmp_path: Path
) -> None:
    found = find_tokenizer(str(saved.path / MODEL), tmp_path / "elsewhere")
    assert found.tokenizer.serialized == saved.tokenizer.serialized
    assert found.metadata == {}


def test_a_name_comes_before_a_path(
    saved: SavedTokenizer, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "book").write_text("a text of the same name")
    monkeypatch.chdir(tmp_path)
    assert find_tokenizer("book", root).path == saved.path


def test_metadata_says_how_it_was_made(saved: SavedTokenizer, corpus: Corpus) -> None:
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


def test_a_tokenizer_set_aside_by_a_killed_writer_is_found(
    saved: SavedTokenizer, root: Path
) -> None:
    saved.path.rename(root / ".old-book")
    for name in ("book", str(saved.path), os.path.relpath(saved.path)):
        assert find_tokenizer(name, root).tokenizer.fingerprint == saved.tokenizer.fingerprint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
@pytest.mark.parametrize("file", [MODEL, METADATA, MANIFEST])
def test_a_pipe_in_place_of_a_file_does_not_block(
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
def test_metadata_of_others_is_ignored(root: Path, tokenizer: Tokenizer, manifest: bool) -> None:
    with new_folder(root / "theirs") as folder:
        folder.write(MODEL, tokenizer.serialized)
        folder.write(METADATA, b'{"version": "1.0", "measures": [1]}')
    if not manifest:
        (root / "theirs" / MANIFEST).unlink()
    assert find_tokenizer("theirs", root).metadata == {}


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "-rf", "x" * 65, "mein büchlein"])
def test_what_is_no_name_is_refused(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus, name: str
) -> None:
    with pytest.raises(UsageError) as caught:
        save_tokenizer(name, tokenizer, report, corpus, root)
    assert caught.value.hint
    assert not root.exists()


def test_a_model_of_the_users_own_is_welcome(root: Path, tokenizer: Tokenizer) -> None:
    (root / "mine").mkdir(parents=True)
    (root / "mine" / MODEL).write_bytes(tokenizer.serialized)
    found = find_tokenizer("mine", root)
    assert (found.tokenizer.serialized, found.metadata) == (tokenizer.serialized, {})


def test_saving_takes_away_what_a_killed_writer_left(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus
) -> None:
    left = root / ".tmp-book-4711-0123abcd"
    left.mkdir(parents=True)
    (left / MODEL).write_bytes(b"half a mod")
    save_tokenizer("book", tokenizer, report, corpus, root)
    assert not left.exists()


def test_two_do_not_save_at_the_same_time(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus
) -> None:
    with lock(root, doing="saving another"), pytest.raises(ConflictError) as caught:
        save_tokenizer("book", tokenizer, report, corpus, root)
    assert "saving another" in (caught.value.why or "")
    assert list_tokenizers(root) == []


# --- listed -------------------------------------------------------------------------------------


def test_all_tokenizers_are_listed_in_order(
    root: Path, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus
) -> None:
    assert list_tokenizers(root) == []
    for name in ("b", "a", "c"):
        save_tokenizer(name, tokenizer, report, corpus, root)
    (root / "README.md").write_text("no tokenizer")
    (root / "empty").mkdir()
    assert list_tokenizers(root) == ["a", "b", "c"]


def test_what_a_killed_writer_left_is_not_listed(saved: SavedTokenizer, root: Path) -> None:
    left = root / ".tmp-book-4711-0123abcd"
    left.mkdir()
    (left / MODEL).write_bytes(saved.tokenizer.serialized)
    assert list_tokenizers(root) == ["book"]


# --- not there, or damaged ----------------------------------------------------------------------


def test_a_name_that_is_nearly_right_is_offered(saved: SavedTokenizer, root: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_tokenizer("bock", root)
    assert "bock" in caught.value.what
    assert "book" in (caught.value.hint or "")


def test_where_there_is_none_at_all_the_way_to_one_is_told(root: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_tokenizer("book", root)
    assert caught.value.why
    assert "tfcli tokenizer train" in (caught.value.hint or "")
    assert "--name book" in (caught.value.hint or "")


def test_a_name_like_no_other_is_told_how_to_make_one(saved: SavedTokenizer, root: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_tokenizer("zzz", root)
    assert caught.value.why is None
    assert "--name zzz" in (caught.value.hint or "")


def test_a_folder_without_a_model_is_no_tokenizer(root: Path) -> None:
    (root / "empty").mkdir(parents=True)
    with pytest.raises(NotFoundError):
        find_tokenizer("empty", root)
    with pytest.raises(NotFoundError):
        find_tokenizer(str(root / "empty"), root / "elsewhere")


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 300, "nul\0"])
def test_what_is_no_name_is_not_found(saved: SavedTokenizer, root: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        find_tokenizer(name, root)


@pytest.mark.parametrize("file", [MODEL, METADATA])
@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_changed_bit_is_noticed(saved: SavedTokenizer, root: Path, file: str, place: int) -> None:
    data = bytearray((saved.path / file).read_bytes())
    data[place] ^= 1
    (saved.path / file).write_bytes(data)
    with pytest.raises(DamagedError) as caught:
        find_tokenizer("book", root)
    assert file in caught.value.what


def test_a_file_cut_short_is_noticed(saved: SavedTokenizer, root: Path) -> None:
    data = (saved.path / MODEL).read_bytes()
    (saved.path / MODEL).write_bytes(data[:-1])
    with pytest.raises(DamagedError):
        find_tokenizer("book", root)


@pytest.mark.parametrize("metadata", [b"", b"{", b"[]", b"\xff"])
def test_unreadable_metadata_is_ignored(root: Path, tokenizer: Tokenizer, metadata: bytes) -> None:
    """In a folder of the user's own, which has no manifest."""
    (root / "mine").mkdir(parents=True)
    (root / "mine" / MODEL).write_bytes(tokenizer.serialized)
    (root / "mine" / METADATA).write_bytes(metadata)
    assert find_tokenizer("mine", root).metadata == {}


def test_a_file_that_is_no_model_is_named(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "some.model"
    path.write_text("no model")
    with pytest.raises(DataError) as caught:
        find_tokenizer(str(path), root)
    assert str(path) in caught.value.what


# --- measures -----------------------------------------------------------------------------------


def test_measures_are_those_of_the_held_out_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    held_out = b"".join(piece.data for piece in corpus.held_out())
    ids = tokenizer.encode(held_out)
    bytes_used = [i for i in ids if FIRST_BYTE <= i < FIRST_BYTE + BYTE_PIECES]
    pieces = tokenizer.vocab_size - FIRST_BYTE - BYTE_PIECES
    unused = pieces - len({i for i in ids if i >= FIRST_BYTE + BYTE_PIECES})
    found = measure(tokenizer, corpus)
    assert found["bytes"] == len(held_out)
    assert found["bytes_per_token"] == pytest.approx(len(held_out) / len(ids), abs=1e-3)
    assert found["tokens_per_word"] == pytest.approx(len(ids) / len(held_out.split()), abs=1e-3)
    assert found["byte_token_share"] == pytest.approx(len(bytes_used) / len(ids), abs=1e-5)
    assert found["unused_piece_share"] == pytest.approx(unused / pieces, abs=1e-3)


def test_text_that_nobody_trained_on_is_spelled_in_bytes(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path, "ᚠᛇᚻ" * 100)
    found = measure(tokenizer, corpus)
    assert found["byte_token_share"] == 1.0
    assert found["bytes_per_token"] == 1.0
    assert found["unused_piece_share"] == 1.0


def test_only_the_beginning_of_a_large_text_is_measured(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path, "word " * 700_000, held_out=0.9)
    found = measure(tokenizer, corpus, limit=1000)
    assert 1000 <= found["bytes"] < corpus.scan.bytes - corpus.scan.training_bytes


@pytest.mark.parametrize(("text", "held_out"), [("word " * 10, 0.0), ("😀", 0.5)])
def test_where_nothing_is_held_out_nothing_is_measured(
    tokenizer: Tokenizer, tmp_path: Path, text: str, held_out: float
) -> None:
    found = measure(tokenizer, make_corpus(tmp_path, text, held_out=held_out))
    assert found == {
        "bytes": 0,
        "bytes_per_token": 0.0,
        "tokens_per_word": 0.0,
        "byte_token_share": 0.0,
        "unused_piece_share": 1.0,
    }
