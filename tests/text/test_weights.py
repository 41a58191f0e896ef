"""Weighted sources: each is a part with its own held-out end; without weights, nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tfcli.errors import DataError, NotFoundError, UsageError
from tfcli.text.corpus import Corpus, open_corpus, open_sources
from tfcli.text.sources import find_sources, split_weight
from tfcli.text.token_cache import open_token_cache, tokenize_corpus
from tfcli.text.tokenizer import Tokenizer

from .helpers import join


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a.txt of 1,000 bytes, b.txt of 100."""
    (tmp_path / "a.txt").write_text("a fox. ship\n"[:10] * 100)
    (tmp_path / "b.txt").write_text("b owl noon"[:10] * 10)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def open_files(*arguments: str) -> Corpus:
    return open_sources(find_sources(arguments), cache=Path("cache"))


# --- the suffix of an argument ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("a.txt", ("a.txt", 1.0)),
        ("a.txt:2", ("a.txt", 2.0)),
        ("a.txt:0.5", ("a.txt", 0.5)),
        ("a.txt:.5", ("a.txt", 0.5)),
        ("-:3", ("-", 3.0)),
        ("texts/*.txt:3", ("texts/*.txt", 3.0)),
        ("a:b:2", ("a:b", 2.0)),
        ("a.txt:two", ("a.txt:two", 1.0)),
        ("a.txt:", ("a.txt:", 1.0)),
        (":2", (":2", 1.0)),
        ("a.txt:-1", ("a.txt:-1", 1.0)),
        ("a.txt:٢", ("a.txt:٢", 1.0)),
    ],
)
def test_weight_follows_a_colon(folder: Path, argument: str, expected: tuple[str, float]) -> None:
    assert split_weight(argument) == expected


def test_existing_file_with_that_name_wins(folder: Path) -> None:
    (folder / "a.txt:2").write_text("the file itself")
    assert split_weight("a.txt:2") == ("a.txt:2", 1.0)
    assert split_weight("a.txt:2:3") == ("a.txt:2", 3.0)
    assert find_sources(["a.txt:2"]).files == (Path("a.txt:2"),)


@pytest.mark.parametrize("weight", ["0", "0.0", "0.001", "101", "9" * 400])
def test_invalid_weight_is_refused(folder: Path, weight: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_sources([f"a.txt:{weight}", "b.txt"])
    assert "a.txt" in caught.value.what


def test_missing_file_is_named_without_its_weight(folder: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_sources(["c.txt:2"])
    assert "'c.txt'" in caught.value.what


# --- the corpus ---------------------------------------------------------------------------------


def test_equal_weights_are_the_same_as_none(folder: Path) -> None:
    plain = open_corpus([Path("a.txt"), Path("b.txt")], cache=Path("cache"))
    for given in (("a.txt", "b.txt"), ("a.txt:2", "b.txt:2"), ("a.txt:3", "b.txt:3.0")):
        assert replace(open_files(*given), arguments=()) == plain
    assert open_files("a.txt:5").weights == (1.0,)


def test_each_argument_is_a_part_with_its_own_held_out_end(folder: Path) -> None:
    corpus = open_files("a.txt", "b.txt:2")
    a, b = Path("a.txt").read_bytes(), Path("b.txt").read_bytes()
    assert corpus.weights == (1.0, 2.0)
    assert corpus.sources == (Path("a.txt"), Path("b.txt"))
    assert join(corpus.training()) == a[:900] + b[:90]
    assert join(corpus.held_out()) == a[900:] + b[90:]
    assert (corpus.scan.bytes, corpus.scan.training_bytes) == (1100, 990)
    assert corpus.scan.documents == 2


def test_argument_without_text_is_named(folder: Path) -> None:
    (folder / "empty.txt").touch()
    with pytest.raises(DataError) as caught:
        open_files("a.txt", "empty.txt:2")
    assert "empty.txt" in caught.value.what


def test_progress_continues_across_parts(folder: Path) -> None:
    told: list[int] = []
    sources = find_sources(["a.txt", "b.txt:2"])
    open_sources(sources, cache=Path("cache"), progress=told.append)
    assert told == [1000, 1100]


# --- tokens -------------------------------------------------------------------------------------


def test_ids_of_each_part_decode_to_its_text(folder: Path, tokenizer: Tokenizer) -> None:
    corpus = open_files("a.txt", "b.txt:2")
    tokens = tokenize_corpus(corpus, tokenizer, cache=Path("cache"))
    end_of_a, end_of_b = tokens.ends
    assert end_of_b == len(tokens.training)
    a, b = tokens.training[:end_of_a].tolist(), tokens.training[end_of_a:].tolist()
    assert tokenizer.decode(a) == Path("a.txt").read_bytes()[:900]
    assert tokenizer.decode(b) == Path("b.txt").read_bytes()[:90]
    assert tokenizer.decode(tokens.held_out.tolist()) == join(corpus.held_out())
    assert tokens.weights == (1.0, 2.0)


def test_other_weights_use_the_same_cache(folder: Path, tokenizer: Tokenizer) -> None:
    made = tokenize_corpus(open_files("a.txt", "b.txt:2"), tokenizer, cache=Path("cache"))
    read: list[int] = []
    found = tokenize_corpus(
        open_files("a.txt:3", "b.txt"), tokenizer, cache=Path("cache"), progress=read.append
    )
    assert (found.key, found.weights, read) == (made.key, (3.0, 1.0), [])
    assert open_token_cache(made.key, cache=Path("cache"), weights=(1.0, 2.0)).ends == made.ends


def test_part_that_changes_between_reads_is_detected(folder: Path, tokenizer: Tokenizer) -> None:
    corpus = open_files("a.txt", "b.txt:2")
    (folder / "b.txt").write_text("b owl dusk" * 10)
    with pytest.raises(DataError) as caught:
        tokenize_corpus(corpus, tokenizer, cache=Path("cache"))
    assert "changed" in caught.value.what
    assert not list(Path("cache").glob("tokens/*"))
