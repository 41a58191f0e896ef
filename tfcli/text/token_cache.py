"""A corpus as token ids on the disk, memory-mapped: made once, found again by fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files import new_folder, read_json, require_space, to_json, verify_folder
from tfcli.text.corpus import Fingerprint
from tfcli.text.tokenizer import END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tfcli.files import FolderWriter
    from tfcli.text.corpus import Corpus
    from tfcli.text.readers import Piece
    from tfcli.text.tokenizer import Tokenizer

SCHEMA = 1
CARD = "tokens.json"

Tokens = np.ndarray[tuple[int], np.dtype[np.uint16 | np.uint32]]


@dataclass(frozen=True)
class TokenizedCorpus:
    """The training and the held-out part as two streams of ids; each document ends with `</s>`.

    Attributes:
        training, held_out: shape (tokens,), memory-mapped.
        training_bytes, held_out_bytes: the UTF-8 text they stand for.
        documents: in both parts together.
        key: what this cache is called; the same text and tokenizer give the same key.

    """

    training: Tokens
    held_out: Tokens
    training_bytes: int
    held_out_bytes: int
    documents: int
    key: str

    @property
    def bytes_per_token(self) -> float:
        """Bytes of training text that a token stands for, on average."""
        return self.training_bytes / max(len(self.training), 1)


def cache_key(corpus_fingerprint: str, training_bytes: int, tokenizer_fingerprint: str) -> str:
    """The name of a cache: a hash of all that decides its content."""
    parts = f"{SCHEMA} {corpus_fingerprint} {training_bytes} {tokenizer_fingerprint}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def tokenize_corpus(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    cache: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> TokenizedCorpus:
    """Tokenises a corpus, or finds the result of an earlier time.

    Args:
        cache: the folder of caches; this one becomes `tokens/KEY` in it.
        progress: called with the number of bytes done so far.

    Raises:
        DataError: the text changed while it was read.
        InputOutputError: the disk refused, or has no room.

    """
    scan = corpus.scan
    key = cache_key(scan.fingerprint, scan.training_bytes, tokenizer.fingerprint)
    try:
        return open_token_cache(key, cache=cache)
    except (NotFoundError, DamagedError):
        pass  # not there, or of no use: make it
    dtype: np.dtype[Any] = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    path = cache / "tokens" / key
    # a token is at least one byte of text, or the end of a document
    require_space(path, (scan.bytes + scan.documents) * dtype.itemsize)
    done = 0

    fingerprint = Fingerprint()

    def count(piece: Piece) -> None:
        nonlocal done
        fingerprint.add(piece)
        done += len(piece.data)
        progress(done)

    with new_folder(path) as folder:
        training_bytes = _encode(folder, "training.bin", corpus.training(), tokenizer, dtype, count)
        held_out_bytes = _encode(folder, "held_out.bin", corpus.held_out(), tokenizer, dtype, count)
        if fingerprint.hexdigest() != scan.fingerprint:
            raise DataError("the text changed while it was read", mend="run the command again")
        card = {
            "schema": SCHEMA,
            "dtype": dtype.name,
            "training_bytes": training_bytes,
            "held_out_bytes": held_out_bytes,
            "documents": scan.documents,
        }
        folder.write(CARD, to_json(card))
    return open_token_cache(key, cache=cache)


def open_token_cache(key: str, *, cache: Path) -> TokenizedCorpus:
    """Opens a cache that was made before.

    Raises:
        NotFoundError: it was not, or was deleted.
        DamagedError: its bytes are not those that were written.

    """
    path = cache / "tokens" / key
    if not path.is_dir():
        raise NotFoundError(f"{path} is not there")
    verify_folder(path)
    card = read_json(path / CARD)
    dtype = np.dtype(card["dtype"])
    return TokenizedCorpus(
        training=_map(path / "training.bin", dtype),
        held_out=_map(path / "held_out.bin", dtype),
        training_bytes=card["training_bytes"],
        held_out_bytes=card["held_out_bytes"],
        documents=card["documents"],
        key=key,
    )


def _encode(
    folder: FolderWriter,
    name: str,
    pieces: Iterable[Piece],
    tokenizer: Tokenizer,
    dtype: np.dtype[Any],
    count: Callable[[Piece], None],
) -> int:
    total = 0
    with folder.new_file(name) as file:
        for piece in pieces:
            ids = tokenizer.encode(piece.data)
            if piece.last:
                ids.append(END)
            file.write(np.asarray(ids, dtype).tobytes())
            total += len(piece.data)
            count(piece)
    return total


def _map(path: Path, dtype: np.dtype[Any]) -> Tokens:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")
