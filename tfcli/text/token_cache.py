"""A corpus as token ids on the disk, memory-mapped: made once, found again by fingerprint."""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files import new_folder, read_json, require_space, to_json, verify_folder
from tfcli.text.checked_tokens import BlockDigests, CheckedTokens, map_tokens
from tfcli.text.checked_tokens import Tokens as Tokens
from tfcli.text.corpus import Fingerprint, remove_cache_leftovers
from tfcli.text.tokenizer import END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from tfcli.files import FolderWriter
    from tfcli.text.corpus import Corpus
    from tfcli.text.readers import Chunk
    from tfcli.text.tokenizer import Tokenizer

SCHEMA = 1  # of what the key is made of
METADATA_SCHEMA = 2
METADATA, TRAINING, DIGESTS, HELD_OUT = (
    "tokens.json",
    "training.bin",
    "training.sha256",
    "held_out.bin",
)
CHECKED_AT_ONCE = 64 << 20  # bytes of training ids that are checked on opening: 0.04 s
GROUP = 4 << 20  # bytes of text that are tokenised at a time, by all threads together
GROUP_PIECES = 1 << 14  # where documents are short


@dataclass(frozen=True)
class TokenizedCorpus:
    """The training and the held-out part as two streams of ids; each document ends with `</s>`.

    Attributes:
        training: memory-mapped, each block checked when first read.
        held_out: shape (tokens,), memory-mapped.
        training_bytes, held_out_bytes: the UTF-8 text they stand for.
        documents: in both parts together.
        key: what this cache is called; the same text and tokenizer give the same key.
        ends: where the training ids of each part of the corpus end; empty means a single part.
        weights: how often those of each part come in an epoch.

    """

    training: Tokens | CheckedTokens
    held_out: Tokens
    training_bytes: int
    held_out_bytes: int
    documents: int
    key: str
    ends: tuple[int, ...] = ()
    weights: tuple[float, ...] = (1.0,)

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
    threads: int | None = None,
) -> TokenizedCorpus:
    """Tokenises a corpus, or finds the result of an earlier time.

    Args:
        cache: the folder of caches; this one becomes `tokens/KEY` in it.
        progress: called with the number of bytes done so far.
        threads: how many tokenise; None for as many as there are cores. The ids are the same.

    Raises:
        DataError: the text changed while it was read.
        InputOutputError: the disk refused, or has no room.

    """
    scan = corpus.scan
    key = cache_key(scan.fingerprint, scan.training_bytes, tokenizer.fingerprint)
    try:
        return open_token_cache(key, cache=cache, weights=corpus.weights)
    except (NotFoundError, DamagedError):
        pass  # not there, or of no use: make it
    dtype: np.dtype[Any] = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    path = cache / "tokens" / key
    remove_cache_leftovers(cache)
    # a token is at least one byte of text, or the end of a document
    require_space(path, (scan.bytes + scan.documents) * dtype.itemsize)
    encode = _Encoder(tokenizer, dtype, threads or count_cores())
    with new_folder(path) as folder:
        metadata = _write_tokens(folder, corpus, encode, progress)
        metadata["ends"] = [end // dtype.itemsize for end in metadata["ends"]]
        folder.write(
            METADATA, to_json({"schema": METADATA_SCHEMA, "dtype": dtype.name, **metadata})
        )
    return open_token_cache(key, cache=cache, weights=corpus.weights)


def open_token_cache(
    key: str, *, cache: Path, weights: tuple[float, ...] = (1.0,)
) -> TokenizedCorpus:
    """Opens a cache that was made before.

    Its training ids are checked now if they are few, else block by block when they are read.

    Args:
        weights: how often each part of the corpus is to come in an epoch.

    Raises:
        NotFoundError: it was not, or was deleted.
        DamagedError: its bytes are not those that were written, or an older tfcli wrote it.

    """
    path = cache / "tokens" / key
    if not path.is_dir():
        raise NotFoundError(f"{path} is not there")
    verify_folder(path, only_size_of=TRAINING)
    metadata = read_json(path / METADATA)
    if metadata["schema"] != METADATA_SCHEMA or len(metadata["ends"]) != len(weights):
        raise DamagedError(f"{path} was made by another tfcli")
    dtype = np.dtype(metadata["dtype"])
    training = CheckedTokens(path / TRAINING, dtype, (path / DIGESTS).read_bytes())
    if training.nbytes <= CHECKED_AT_ONCE:
        training[:]
    return TokenizedCorpus(
        training=training,
        held_out=map_tokens(path / HELD_OUT, dtype),
        training_bytes=metadata["training_bytes"],
        held_out_bytes=metadata["held_out_bytes"],
        documents=metadata["documents"],
        key=key,
        ends=tuple(metadata["ends"]),
        weights=weights,
    )


def count_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _write_tokens(
    folder: FolderWriter,
    corpus: Corpus,
    encode: Callable[[Sequence[Chunk]], bytes],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Writes the ids of all parts of a corpus; returns what the card says of them."""
    training_bytes = held_out_bytes = 0
    ends = []  # in bytes
    digests = BlockDigests()
    with folder.new_file(TRAINING) as training, folder.new_file(HELD_OUT) as held_out:
        for part in corpus.parts:
            fingerprint = Fingerprint()
            for pieces, is_held_out in _group(part.split()):
                ids = encode(pieces)
                size = sum(len(piece.data) for piece in pieces)
                if is_held_out:
                    held_out.write(ids)
                    held_out_bytes += size
                else:
                    training.write(ids)
                    digests.add(ids)
                    training_bytes += size
                for piece in pieces:
                    fingerprint.add(piece)
                progress(training_bytes + held_out_bytes)
            if fingerprint.hexdigest() != part.scan.fingerprint:
                raise DataError("the text changed while it was read", hint="run the command again")
            ends.append(training.bytes)
    folder.write(DIGESTS, digests.digests())
    return {
        "training_bytes": training_bytes,
        "held_out_bytes": held_out_bytes,
        "documents": corpus.scan.documents,
        "ends": ends,
    }


def _group(pieces: Iterable[tuple[Chunk, bool]]) -> Iterator[tuple[list[Chunk], bool]]:
    """Gathers pieces of one part, training or held-out, into work for all threads."""
    for is_held_out, run in itertools.groupby(pieces, key=lambda pair: pair[1]):
        group: list[Chunk] = []
        size = 0
        for piece, _ in run:
            group.append(piece)
            size += len(piece.data)
            if size >= GROUP or len(group) == GROUP_PIECES:
                yield group, is_held_out
                group, size = [], 0
        if group:
            yield group, is_held_out


class _Encoder:
    """Makes ids of pieces, which come in the order of the text."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], threads: int) -> None:
        self._tokenizer, self._dtype, self._threads = tokenizer, dtype, threads
        self._begins = True  # whether the next piece begins a document

    def __call__(self, pieces: Sequence[Chunk]) -> bytes:
        """The ids of pieces as bytes, documents ended with `</s>`."""
        end = np.array([END], np.int32)
        prefix = self._tokenizer.prefix.encode()
        begins = [self._begins, *(piece.last for piece in pieces)]
        self._begins = begins.pop()
        texts = [prefix * begin + piece.data for begin, piece in zip(begins, pieces, strict=True)]
        arrays = []
        encoded = self._tokenizer.encode_many(texts, threads=self._threads)
        for piece, parts in zip(pieces, encoded, strict=True):
            arrays += parts
            if piece.last:
                arrays.append(end)
        return np.concatenate(arrays).astype(self._dtype).tobytes()
