"""A corpus as token ids on disk, memory-mapped: built once, found again by its fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files import new_folder, read_json, require_space, to_json, verify_folder
from tfcli.runtime.threads import usable_cores
from tfcli.text.checked_tokens import BlockDigests, CheckedTokens, map_tokens
from tfcli.text.checked_tokens import Tokens as Tokens
from tfcli.text.corpus import remove_cache_leftovers
from tfcli.text.scan import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from tfcli.files import FolderWriter
    from tfcli.text.chunks import Chunk
    from tfcli.text.corpus import Corpus
    from tfcli.text.tokenizer import Tokenizer

    Targets = np.ndarray[tuple[int], np.dtype[np.bool_]]

KEY_SCHEMA = 1  # of what the key is a hash of
METADATA_SCHEMA = 2
METADATA, TRAINING, DIGESTS, HELD_OUT = (
    "tokens.json",
    "training.bin",
    "training.sha256",
    "held_out.bin",
)
TARGETS = {TRAINING: "training_targets.bin", HELD_OUT: "held_out_targets.bin"}  # of pairs
CHECKED_AT_ONCE = 64 << 20  # bytes of training ids that are verified on opening: 0.04 s
GROUP = 4 << 20  # bytes of text that are tokenized at a time, by all threads together
GROUP_CHUNKS = 1 << 14  # where documents are short


@dataclass(frozen=True)
class TokenizedCorpus:
    """The training and the held-out part as two streams of ids; each document ends with `eos`.

    Attributes:
        training: memory-mapped, each block verified when first read.
        held_out: shape (tokens,), memory-mapped.
        training_bytes, held_out_bytes: size of the UTF-8 text they stand for.
        documents: in both parts together.
        key: the name of this cache; the same text and tokenizer give the same key.
        ends: where the training ids of each part of the corpus end; empty means a single part.
        weights: how often each part is seen in an epoch.
        training_targets, held_out_targets: of pairs, which ids belong to an answer or end one;
            shape (tokens,), memory-mapped. None: it is text, and all are targets.
        bytes_per_target: average number of bytes per target in training; None: `bytes_per_token`.

    """

    training: Tokens | CheckedTokens
    held_out: Tokens
    training_bytes: int
    held_out_bytes: int
    documents: int
    key: str
    ends: tuple[int, ...] = ()
    weights: tuple[float, ...] = (1.0,)
    training_targets: Targets | None = None
    held_out_targets: Targets | None = None
    bytes_per_target: float | None = None

    @property
    def bytes_per_token(self) -> float:
        """Average number of bytes of training text per token."""
        return self.training_bytes / max(len(self.training), 1)

    def first(self, count: int) -> TokenizedCorpus:
        """The same with only so many of the training ids; they stand for their share of bytes."""
        if count >= len(self.training):
            return self
        whole = self.training
        return replace(
            self,
            training=whole.first(count) if isinstance(whole, CheckedTokens) else whole[:count],
            training_bytes=round(self.training_bytes * count / len(whole)),
            ends=tuple(min(end, count) for end in self.ends),
        )


def cache_key(corpus_fingerprint: str, split: str, tokenizer_fingerprint: str) -> str:
    """The name of a cache: a hash of everything that determines its content.

    Args:
        split: what is held out, from `Corpus.split_name`.

    """
    parts = f"{KEY_SCHEMA} {corpus_fingerprint} {split} {tokenizer_fingerprint}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def tokenize_corpus(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    cache: Path,
    progress: Callable[[int], None] = lambda _: None,
    threads: int | None = None,
) -> TokenizedCorpus:
    """Tokenizes a corpus, or finds the result of an earlier call.

    Args:
        cache: the folder of caches; this one is `tokens/KEY` in it.
        progress: called with the number of bytes done so far.
        threads: how many to use; None for one per core. They make no difference to the ids.

    Raises:
        DataError: the text changed while it was read, or the tokenizer has no `eos`.
        InputOutputError: the cache could not be written, or there is no space for it.

    """
    eos = tokenizer.special.eos
    if eos is None:
        raise DataError(
            "this tokenizer cannot be used for training",
            why="it has no eos token",
            hint="tfcli tokenizer train FILE --name NAME",
        )
    scan = corpus.scan
    key = cache_key(scan.fingerprint, corpus.split_name, tokenizer.fingerprint)
    try:
        return open_token_cache(key, cache=cache, weights=corpus.weights)
    except (NotFoundError, DamagedError):
        pass  # missing or unusable: build it
    dtype: np.dtype[Any] = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32)
    path = cache / "tokens" / key
    remove_cache_leftovers(cache)
    # a token is at least one byte of text, or the end of a document
    width = dtype.itemsize + (corpus.form is not None)
    require_space(path, (scan.bytes + scan.documents) * width)
    encode = _Encoder(tokenizer, eos, dtype, threads or usable_cores())
    with new_folder(path) as folder:
        write = _write_pairs if corpus.form else _write_tokens
        metadata = write(folder, corpus, encode, progress)
        metadata["ends"] = [end // dtype.itemsize for end in metadata["ends"]]
        folder.write(
            METADATA, to_json({"schema": METADATA_SCHEMA, "dtype": dtype.name, **metadata})
        )
    return open_token_cache(key, cache=cache, weights=corpus.weights)


def open_token_cache(
    key: str, *, cache: Path, weights: tuple[float, ...] = (1.0,)
) -> TokenizedCorpus:
    """Opens a cache that was built before.

    Its training ids are verified now if they are few, else block by block when they are read.

    Args:
        weights: how often each part of the corpus is seen in an epoch.

    Raises:
        NotFoundError: there is none, or it was deleted.
        DamagedError: its bytes are not as they were written, or an older tfcli wrote it.

    """
    path = cache / "tokens" / key
    if not path.is_dir():
        raise NotFoundError(f"{path} does not exist")
    verify_folder(path, only_size_of=TRAINING)
    metadata = read_json(path / METADATA)
    if metadata["schema"] != METADATA_SCHEMA or len(metadata["ends"]) != len(weights):
        raise DamagedError(f"{path} was written by another version of tfcli")
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
        training_targets=_open_targets(path / TARGETS[TRAINING]),
        held_out_targets=_open_targets(path / TARGETS[HELD_OUT]),
        bytes_per_target=metadata.get("bytes_per_target"),
    )


def _open_targets(path: Path) -> Targets | None:
    if not path.exists():
        return None
    return map_tokens(path, np.dtype(np.uint8)).view(np.bool_)


def _write_tokens(
    folder: FolderWriter,
    corpus: Corpus,
    encode: _Encoder,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Writes the ids of all parts of a corpus; returns their metadata."""
    training_bytes = held_out_bytes = 0
    ends = []  # in bytes
    digests = BlockDigests()
    with folder.new_file(TRAINING) as training, folder.new_file(HELD_OUT) as held_out:
        for part in corpus.all_parts:
            fingerprint = Fingerprint()
            cut = was_held_out = False  # whether the last document trained on was cut
            for chunks, is_held_out in _group(part.split()):
                ids = encode(chunks)
                if not is_held_out:
                    ids = encode.eos * (was_held_out and cut) + ids
                    cut = not chunks[-1].last
                was_held_out = is_held_out
                size = sum(len(chunk.data) for chunk in chunks)
                if is_held_out:
                    held_out.write(ids)
                    held_out_bytes += size
                else:
                    training.write(ids)
                    digests.add(ids)
                    training_bytes += size
                for chunk in chunks:
                    fingerprint.add(chunk)
                progress(training_bytes + held_out_bytes)
            if fingerprint.hexdigest() != part.scan.fingerprint:
                raise DataError("the text changed while it was read", hint="run the command again")
            if part is not corpus.val:
                ends.append(training.bytes)
    folder.write(DIGESTS, digests.digests())
    return {
        "training_bytes": training_bytes,
        "held_out_bytes": held_out_bytes,
        "documents": corpus.scan.documents,
        "ends": ends,
    }


def _write_pairs(
    folder: FolderWriter,
    corpus: Corpus,
    encode: _Encoder,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """The same for pairs, with which ids are targets. Any pair may be held out."""
    sizes = {TRAINING: 0, HELD_OUT: 0}  # in bytes
    answers = targets = 0  # bytes and tokens of those trained on
    digests = BlockDigests()
    with contextlib.ExitStack() as files:
        names = [*TARGETS, *TARGETS.values()]
        opened = {name: files.enter_context(folder.new_file(name)) for name in names}
        for name, chunks in _group_pairs(corpus):
            ids, is_target = encode.pairs(chunks)
            opened[name].write(ids)
            opened[TARGETS[name]].write(is_target.tobytes())
            sizes[name] += sum(len(chunk.data) for chunk in chunks)
            if name == TRAINING:
                digests.add(ids)
                targets += int(is_target.sum())
                answers += sum(len(chunk.data) for chunk in chunks if chunk.role == "answer")
            progress(sum(sizes.values()))
        end = opened[TRAINING].bytes
    folder.write(DIGESTS, digests.digests())
    return {
        "training_bytes": sizes[TRAINING],
        "held_out_bytes": sizes[HELD_OUT],
        "documents": corpus.scan.documents,
        "ends": [end],
        "bytes_per_target": answers / max(targets, 1),
    }


def _group_pairs(corpus: Corpus) -> Iterator[tuple[str, list[Chunk]]]:
    """Chunks of whole pairs, enough work for all threads, and the file that they belong to."""
    waiting: dict[str, list[Chunk]] = {TRAINING: [], HELD_OUT: []}
    sizes = dict.fromkeys(waiting, 0)
    for part in corpus.all_parts:
        fingerprint = Fingerprint()
        for chunk, is_held_out in part.split():
            fingerprint.add(chunk)
            name = HELD_OUT if is_held_out else TRAINING
            waiting[name].append(chunk)
            sizes[name] += len(chunk.data)
            if chunk.last and (sizes[name] >= GROUP or len(waiting[name]) >= GROUP_CHUNKS):
                yield name, waiting[name]
                waiting[name], sizes[name] = [], 0
        if fingerprint.hexdigest() != part.scan.fingerprint:
            raise DataError("the text changed while it was read", hint="run the command again")
    yield from ((name, chunks) for name, chunks in waiting.items() if chunks)


def _group(chunks: Iterable[tuple[Chunk, bool]]) -> Iterator[tuple[list[Chunk], bool]]:
    """Groups chunks, all for training or all held out, into enough work for all threads."""
    for is_held_out, run in itertools.groupby(chunks, key=lambda pair: pair[1]):
        group: list[Chunk] = []
        size = 0
        for chunk, _ in run:
            group.append(chunk)
            size += len(chunk.data)
            if size >= GROUP or len(group) == GROUP_CHUNKS:
                yield group, is_held_out
                group, size = [], 0
        if group:
            yield group, is_held_out


class _Encoder:
    """Turns chunks of text, in order, into ids."""

    def __init__(self, tokenizer: Tokenizer, eos: int, dtype: np.dtype[Any], threads: int) -> None:
        self._tokenizer, self._dtype, self._threads = tokenizer, dtype, threads
        self._eos = np.array([eos], np.int32)
        self.eos = self._eos.astype(dtype).tobytes()
        self._begins = True  # whether the next chunk begins a document

    def __call__(self, chunks: Sequence[Chunk]) -> bytes:
        """The ids as bytes, with `eos` after each document."""
        prefix = self._tokenizer.prefix.encode()
        begins = [self._begins, *(chunk.last for chunk in chunks)]
        self._begins = begins.pop()
        texts = [prefix * begin + chunk.data for begin, chunk in zip(begins, chunks, strict=True)]
        arrays = []
        encoded = self._tokenizer.encode_batch(texts, threads=self._threads)
        for chunk, parts in zip(chunks, encoded, strict=True):
            arrays += parts
            if chunk.last:
                arrays.append(self._eos)
        return np.concatenate(arrays).astype(self._dtype).tobytes()

    def pairs(self, chunks: Sequence[Chunk]) -> tuple[bytes, Targets]:
        """The ids of whole pairs, and which of them are targets: the answers, and their ends.

        A prompt and its answer are tokenized each on its own, as in generation.
        """
        prefix = self._tokenizer.prefix.encode()
        begins = [True, *(chunk.last for chunk in chunks)]
        texts = [prefix * begin + chunk.data for begin, chunk in zip(begins, chunks, strict=False)]
        arrays, counts = [], []
        encoded = self._tokenizer.encode_batch(texts, threads=self._threads)
        for chunk, parts in zip(chunks, encoded, strict=True):
            arrays += [*parts, *([self._eos] if chunk.last else [])]
            counts.append(sum(map(len, parts)) + chunk.last)
        is_target = np.repeat([chunk.role == "answer" for chunk in chunks], counts)
        return np.concatenate(arrays).astype(self._dtype).tobytes(), is_target
