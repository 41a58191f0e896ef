"""What killed processes leave in the cache is removed by the next use; others keep writing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import BOOK
from tfcli.text.corpus import find_cache_leftovers, open_corpus, remove_cache_leftovers
from tfcli.text.token_cache import open_token_cache, tokenize_corpus
from tfcli.text.tokenizer import Tokenizer

SPOOL = """
import sys
from pathlib import Path
from tfcli.text.corpus import open_corpus
from tfcli.text.byte_streams import STDIN

open_corpus([STDIN], cache=Path(sys.argv[1]), progress=lambda done: print("writing", flush=True))
"""
TOKENIZE = """
import sys
from pathlib import Path
from tfcli.text.corpus import open_corpus
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer

def wait(done):
    print("writing", flush=True)
    sys.stdin.read()

cache, book, model = map(Path, sys.argv[1:])
corpus = open_corpus([book], cache=cache)
tokenize_corpus(corpus, SentencePieceTokenizer(model.read_bytes()), cache=cache, progress=wait)
"""


@contextmanager
def writing(script: str, *arguments: Path, text: bytes = b"") -> Iterator[subprocess.Popen[bytes]]:
    """A process in the middle of writing into the cache; it finishes when its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(text)
        process.stdin.flush()
        assert process.stdout.readline() == b"writing\n"
        yield process
    finally:
        process.communicate()


def test_copy_of_a_pipe_in_progress_is_kept_and_that_of_a_killed_process_removed(
    tmp_path: Path,
) -> None:
    cache, book = tmp_path / "cache", tmp_path / "book.txt"
    book.write_text(BOOK)
    text = b"a line of text\n" * 100_000  # more than a block
    with writing(SPOOL, cache, text=text) as killed:
        (left,) = cache.glob("piped/.tmp-*")
        with writing(SPOOL, cache, text=text) as running:
            assert find_cache_leftovers(cache) == []
            killed.kill()
            killed.wait()
            assert find_cache_leftovers(cache) == [left]
            open_corpus([book], cache=cache)
            (kept,) = cache.glob("piped/.tmp-*")
            assert kept != left
    assert running.returncode == 0
    (piped,) = (cache / "piped").iterdir()
    assert piped.read_bytes() == text


def test_tokens_in_progress_are_kept_and_those_of_a_killed_process_removed(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    cache, book, model = tmp_path / "cache", tmp_path / "book.txt", tmp_path / "tokenizer.model"
    book.write_text(BOOK)
    model.write_bytes(tokenizer.serialized)
    with writing(TOKENIZE, cache, book, model) as killed:
        (left,) = cache.glob("tokens/.tmp-*")
        with writing(TOKENIZE, cache, book, model) as running:
            assert find_cache_leftovers(cache) == []
            killed.kill()
            killed.wait()
            assert find_cache_leftovers(cache) == [left]
            tokens = tokenize_corpus(open_corpus([book], cache=cache), tokenizer, cache=cache)
            (kept,) = cache.glob("tokens/.tmp-*")
            assert kept != left
    assert running.returncode == 0
    assert [path.name for path in (cache / "tokens").iterdir()] == [tokens.key]
    assert open_token_cache(tokens.key, cache=cache).training_bytes == tokens.training_bytes


@pytest.mark.parametrize("place", ["", "scans", "piped", "tokens", "demo"])
def test_leftovers_are_found_in_every_folder_of_the_cache(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    left = folder / ".tmp-x.json-1-a"
    left.write_bytes(b"")
    assert find_cache_leftovers(tmp_path) == [left]
    assert remove_cache_leftovers(tmp_path) == [left]
    assert not left.exists()
