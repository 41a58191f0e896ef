"""The token cache holds exactly the corpus, is built once, and detects damage and changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.errors import DamagedError, DataError, InputOutputError, NotFoundError
from tfcli.files import new_folder, to_json
from tfcli.text.corpus import Corpus, open_corpus
from tfcli.text.sentencepiece_tokenizer import END, SentencePieceTokenizer
from tfcli.text.sentencepiece_trainer import TokenizerType
from tfcli.text.token_cache import TokenizedCorpus, cache_key, open_token_cache, tokenize_corpus
from tfcli.text.tokenizer import Tokenizer

from .conftest import MIXED
from .helpers import any_text, append_piece, blocks_of, documents, join


def make_corpus(folder: Path, *texts: str, held_out: float = 0.1) -> Corpus:
    """A corpus of these texts, one JSONL row each, with an empty cache."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for note in folder.glob("notes/scans/*"):
        note.unlink()
    return open_corpus([path], cache=folder / "notes", val_fraction=held_out)


def make(folder: Path, tokenizer: Tokenizer, *texts: str) -> tuple[Corpus, TokenizedCorpus]:
    corpus = make_corpus(folder, *texts)
    return corpus, tokenize_corpus(corpus, tokenizer, cache=folder)


def bytes_read(corpus: Corpus, tokenizer: Tokenizer, cache: Path) -> int:
    """Bytes of text read in order to get its ids."""
    read = [0]
    tokenize_corpus(corpus, tokenizer, cache=cache, progress=read.append)
    return read[-1]


# --- contents -----------------------------------------------------------------------------------


def says_something(text: str) -> bool:
    """White space alone is no text of a row: see `tfcli.text.rows`."""
    return bool(text.strip())


@given(
    texts=st.lists(any_text, min_size=1, max_size=5).filter(
        lambda texts: any(map(says_something, texts))
    ),
    block=st.integers(8, 60),
)
@settings(max_examples=40, deadline=None)
def test_ids_decode_to_the_texts(
    tokenizer: Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    block: int,
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with blocks_of(block):
        corpus, tokens = make(folder, tokenizer, *texts)
        training, held_out = join(corpus.training()), join(corpus.held_out())
    assert tokenizer.decode(tokens.training[:].tolist()) == training
    assert tokenizer.decode(tokens.held_out.tolist()) == held_out
    assert (tokens.training_bytes, tokens.held_out_bytes) == (len(training), len(held_out))
    assert tokens.documents == sum(map(says_something, texts))


def test_each_document_ends_with_eos(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = [f"The fox number {n}." for n in range(60)]
    corpus, tokens = make(tmp_path, tokenizer, *texts)
    for ids, chunks in ((tokens.training, corpus.training()), (tokens.held_out, corpus.held_out())):
        expected = [i for text in documents(chunks) for i in [*tokenizer.encode(text), END]]
        assert ids[:].tolist() == expected


def test_document_that_is_cut_is_ended_before_the_next(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Else what is trained on would go on from one text to another."""
    corpus, tokens = make(tmp_path, tokenizer, "The fox saw a ship. " * 9, "Nobody saw it. " * 9)
    first, second = (text for text, apart in corpus.parts[0].split() if not apart)
    expected = [*tokenizer.encode(first.data), END, *tokenizer.encode(second.data)]
    assert tokens.training[:].tolist() == expected


def test_split_document_has_one_eos(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """In the held-out part, where it ends; not where its chunks are split."""
    with blocks_of(64):
        _, tokens = make(tmp_path, tokenizer, MIXED)
    assert END not in tokens.training[:]
    assert tokens.held_out.tolist().count(END) == 1
    assert tokens.held_out[-1] == END


def test_without_a_held_out_part_its_ids_are_empty(tokenizer: Tokenizer, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, "The fox.", held_out=0.0)
    tokens = tokenize_corpus(corpus, tokenizer, cache=tmp_path)
    assert tokens.held_out.tolist() == []
    assert tokens.held_out.dtype == tokens.training.dtype
    assert tokens.held_out_bytes == 0


def test_bytes_per_token_is_of_the_training_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    _, tokens = make(tmp_path, tokenizer, MIXED)
    assert tokens.bytes_per_token == tokens.training_bytes / len(tokens.training)
    assert 1 < tokens.bytes_per_token < 10


def test_small_vocabulary_takes_two_bytes_per_id(tokenizer: Tokenizer, tmp_path: Path) -> None:
    _, tokens = make(tmp_path, tokenizer, MIXED)
    assert tokens.training.dtype == tokens.held_out.dtype == np.uint16


def with_vocabulary_of(size: int, tokenizers: dict[TokenizerType, Tokenizer]) -> Tokenizer:
    """A character tokenizer with Chinese characters added up to a vocabulary of `size`."""
    small = tokenizers["char"]
    pieces = (chr(0x20000 + n).encode() for n in range(size - small.vocab_size))
    model = small.serialized + b"".join(append_piece(b"", piece) for piece in pieces)
    tokenizer = SentencePieceTokenizer(model)
    assert tokenizer.vocab_size == size
    return tokenizer


@pytest.mark.parametrize(("size", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_ids_are_as_wide_as_the_vocabulary_needs(
    tokenizers: dict[TokenizerType, Tokenizer],
    tmp_path: Path,
    size: int,
    dtype: type[np.unsignedinteger],
) -> None:
    tokenizer = with_vocabulary_of(size, tokenizers)
    last = tokenizer.token_bytes[-1].decode()
    _, tokens = make(tmp_path, tokenizer, f"a{last}" * 50)
    assert tokens.training.dtype == dtype
    assert tokens.training[:].max() == size - 1
    assert tokenizer.decode(tokens.held_out.tolist()).decode() == f"a{last}" * 5


# --- reuse --------------------------------------------------------------------------------------


def test_text_is_read_once_and_then_taken_from_the_cache(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path, MIXED)
    assert bytes_read(corpus, tokenizer, tmp_path) == corpus.scan.bytes
    assert bytes_read(corpus, tokenizer, tmp_path) == 0


def test_cache_is_opened_by_its_key(tokenizer: Tokenizer, tmp_path: Path) -> None:
    _, made = make(tmp_path, tokenizer, MIXED)
    opened = open_token_cache(made.key, cache=tmp_path)
    assert np.array_equal(opened.training[:], made.training[:])
    assert np.array_equal(opened.held_out, made.held_out)
    assert opened.training_bytes == made.training_bytes
    assert (opened.documents, opened.key) == (made.documents, made.key)


def test_same_text_at_another_path_uses_the_same_cache(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    make(tmp_path, tokenizer, MIXED)
    (tmp_path / "elsewhere").mkdir()
    copy = make_corpus(tmp_path / "elsewhere", MIXED)
    assert bytes_read(copy, tokenizer, tmp_path) == 0


def test_key_depends_on_text_split_and_tokenizer() -> None:
    keys = {
        cache_key(text, split, tokenizer)
        for text in ("one", "two")
        for split in ("8", "9")
        for tokenizer in ("bpe", "char")
    }
    assert len(keys) == 8
    assert cache_key("one", "8", "bpe") in keys


def test_key_is_that_of_the_first_release() -> None:
    """So that older caches remain usable."""
    assert cache_key("one", "8", "bpe") == "958a410802db8b2d4f61a44b8b4333b6"


def test_another_tokenizer_gets_another_cache(
    tokenizers: dict[TokenizerType, Tokenizer], tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path, MIXED)
    bpe, char = (tokenize_corpus(corpus, tokenizers[t], cache=tmp_path) for t in ("bpe", "char"))
    assert bpe.key != char.key
    assert len(bpe.training) < len(char.training)


def test_unknown_key_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_token_cache("0" * 32, cache=tmp_path)


# --- damage, changes, full disks ----------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["training.bin", "training.sha256", "held_out.bin", "tokens.json", "MANIFEST.json"]
)
@pytest.mark.parametrize("damage", ["a bit", "shorter", "longer", "gone"])
def test_damage_is_detected_and_the_cache_rebuilt(
    tokenizer: Tokenizer, tmp_path: Path, name: str, damage: str
) -> None:
    corpus, made = make(tmp_path, tokenizer, MIXED)
    ids = made.training[:].tolist()
    path = tmp_path / "tokens" / made.key / name
    data = path.read_bytes()
    changed = {"a bit": bytes([data[0] ^ 1]) + data[1:], "shorter": data[:-2], "longer": data * 2}
    path.unlink()
    if damage in changed:
        path.write_bytes(changed[damage])
    with pytest.raises(DamagedError):
        open_token_cache(made.key, cache=tmp_path)
    assert tokenize_corpus(corpus, tokenizer, cache=tmp_path).training[:].tolist() == ids
    assert open_token_cache(made.key, cache=tmp_path).training[:].tolist() == ids


def change(corpus: Corpus, old: str, new: str) -> None:
    """Changes the file of a corpus after its first reading."""
    (path,) = corpus.sources
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fox", "foxes"),  # longer
        ("fox", "fo"),  # shorter
        ("fox", "owl"),  # same length, in both parts
        ("The beginning", "The breginnin"),  # same length, in the training part
        ("the end", "the dne"),  # same length, in the held-out part
    ],
)
def test_text_that_changes_between_reads_is_detected(
    tokenizer: Tokenizer, tmp_path: Path, old: str, new: str
) -> None:
    corpus = make_corpus(tmp_path, "The beginning." + "The fox. " * 100 + "And the end.")
    change(corpus, old, new)
    with pytest.raises(DataError) as caught:
        tokenize_corpus(corpus, tokenizer, cache=tmp_path)
    assert "changed" in caught.value.what
    assert not list(tmp_path.glob("tokens/*"))


def test_document_boundaries_that_move_between_reads_are_detected(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path, *["The fox. "] * 20)
    make_corpus(tmp_path, *["The fox. The fox. "] * 10)
    with pytest.raises(DataError):
        tokenize_corpus(corpus, tokenizer, cache=tmp_path)


def test_text_that_disappears_between_reads_is_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, MIXED)
    corpus.sources[0].unlink()
    with pytest.raises(NotFoundError) as caught:
        tokenize_corpus(corpus, tokenizer, cache=tmp_path)
    assert "rows.jsonl" in caught.value.what
    assert not list(tmp_path.glob("tokens/*"))


def test_disk_space_is_required_for_ends_of_documents_too(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document of one byte becomes two ids of two bytes each."""
    corpus = make_corpus(tmp_path, *"abc" * 400)
    almost_enough = shutil.disk_usage(tmp_path)._replace(free=3 * corpus.scan.bytes)
    monkeypatch.setattr("shutil.disk_usage", lambda path: almost_enough)
    with pytest.raises(InputOutputError):
        tokenize_corpus(corpus, tokenizer, cache=tmp_path)


def test_full_disk_is_reported_before_anything_is_written(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(tmp_path, MIXED)
    small_disk = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: small_disk)
    with pytest.raises(InputOutputError) as caught:
        tokenize_corpus(corpus, tokenizer, cache=tmp_path)
    assert "1,000" in (caught.value.why or "")
    assert not list(tmp_path.glob("tokens/*"))


# --- large caches -------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [1, 100, 1 << 22])
def test_threads_and_batches_change_no_byte(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    texts = ["The fox.", MIXED, "", "x", *["a ship "] * 30]
    _, serial = make(tmp_path, tokenizer, *texts)
    files = {path.name: path.read_bytes() for path in (tmp_path / "tokens" / serial.key).iterdir()}
    shutil.rmtree(tmp_path / "tokens")
    monkeypatch.setattr("tfcli.text.token_cache.GROUP", group)
    monkeypatch.setattr("tfcli.text.token_cache.GROUP_CHUNKS", 7)
    with blocks_of(200):
        corpus = make_corpus(tmp_path, *texts)
        tokenize_corpus(corpus, tokenizer, cache=tmp_path, threads=3)
    assert files == {
        path.name: path.read_bytes() for path in (tmp_path / "tokens" / serial.key).iterdir()
    }


def test_damage_in_a_large_cache_is_detected_on_reading(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfcli.text.token_cache.CHECKED_AT_ONCE", 1000)
    _, made = make(tmp_path, tokenizer, MIXED * 80)
    assert made.training.nbytes > 3 << 16
    path = tmp_path / "tokens" / made.key / "training.bin"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    opened = open_token_cache(made.key, cache=tmp_path)
    assert opened.training[:1000].tolist()
    with pytest.raises(DamagedError) as caught:
        opened.training[-1]
    assert str(path.parent) in (caught.value.hint or "")


def test_cache_of_an_older_version_is_rebuilt(tokenizer: Tokenizer, tmp_path: Path) -> None:
    corpus, made = make(tmp_path, tokenizer, MIXED)
    ids = made.training[:].tolist()
    path = tmp_path / "tokens" / made.key
    metadata = json.loads((path / "tokens.json").read_bytes())
    del metadata["ends"]
    with new_folder(path) as folder:  # as before digests were added
        folder.write("tokens.json", to_json(metadata | {"schema": 1}))
        folder.write("training.bin", np.array(ids, np.uint16).tobytes())
        folder.write("held_out.bin", made.held_out.tobytes())
    with pytest.raises(DamagedError):
        open_token_cache(made.key, cache=tmp_path)
    again = tokenize_corpus(corpus, tokenizer, cache=tmp_path)
    assert (again.key, again.training[:].tolist()) == (made.key, ids)
