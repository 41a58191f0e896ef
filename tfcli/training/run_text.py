"""The text of a run: how `run.json` records it, and its tokens where the run is resumed."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files import hash_file
from tfcli.runs.corpus_metadata import CorpusMetadata, PartMetadata
from tfcli.runs.run import Run, write_metadata
from tfcli.text.corpus import (
    Corpus,
    Part,
    begins_with,
    join_parts,
    open_corpus,
    open_sources,
)
from tfcli.text.reading_options import READ_BY_SUFFIX
from tfcli.text.scan import Scan
from tfcli.text.token_cache import open_token_cache, tokenize_corpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tfcli.text.sources import Sources
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer


def tokens_of(
    run: Run,
    tokenizer: Tokenizer,
    cache: Path,
    sources: Sources | None,
    progress: Callable[[int], None],
    command: str = "train --resume",
) -> TokenizedCorpus:
    """The text of a run: all of it, also what it keeps out of its training.

    Args:
        sources: where it is now; None: where it was.
        command: what takes the run and the text's new place, for the hints of errors.

    Raises:
        NotFoundError, DataError: it is gone or has changed.

    """
    corpus = corpus_of(run.corpus)
    if sources is not None:
        corpus = _moved(run, corpus, sources, cache, command)
    try:
        return open_token_cache(run.corpus.token_cache, cache=cache, weights=corpus.weights)
    except (NotFoundError, DamagedError):
        pass  # deleted or damaged: tokenized again below
    for part in corpus.all_parts:
        try:
            found = open_corpus(part.sources, part.reading, cache=cache)
        except NotFoundError as error:
            raise NotFoundError(
                f"the text of {run.name} is gone: {part.sources[0]}",
                why="and the tokens made of it are no longer in the cache",
                hint=f"tfcli {command} {run.name} FILE   # where the same text is now",
            ) from error
        _require_same(run, part, found.parts[0], command)
    return tokenize_corpus(corpus, tokenizer, cache=cache, progress=progress)


def _moved(run: Run, corpus: Corpus, sources: Sources, cache: Path, command: str) -> Corpus:
    """The text of a run with other places of its files.

    Raises:
        DataError: there is another text.

    """
    found = open_sources(sources, corpus.parts[0].reading, cache=cache)
    if len(found.parts) != len(corpus.parts):
        raise DataError(
            f"the text of {run.name} has {len(corpus.parts)} parts, these files have "
            f"{len(found.parts)}",
            why="each part with a weight of its own was one argument",
        )
    parts = []
    for old, new in zip(corpus.parts, found.parts, strict=True):
        _require_same(run, old, new, command, partial(_in_cache, run, corpus, cache))
        parts.append(replace(old, sources=new.sources))
    run.metadata["corpus"]["sources"] = [
        str(source.resolve()) for part in parts for source in part.sources
    ]
    run.metadata["corpus"] |= {
        "arguments": [*sources.arguments],
        "exclude": [*sources.exclude],
        "files": _files([source for part in parts for source in part.sources]),
    }
    write_metadata(run.path, run.metadata)
    return replace(corpus, parts=tuple(parts))


def _in_cache(run: Run, corpus: Corpus, cache: Path) -> bool:
    """Whether a run goes on without its text: its tokens are there."""
    try:
        open_token_cache(run.corpus.token_cache, cache=cache, weights=corpus.weights)
    except (NotFoundError, DamagedError):
        return False
    return True


def _another_text(run: Run, new: Part, command: str) -> DataError:
    """The error for files that are not a run's text, which it does not need."""
    source = str(new.sources[0])
    if "resume" not in command:
        hint = f"tfcli {command} {run.name}   # without FILE: its tokens are in the cache"
    else:
        train = shlex.join(["tfcli", "train", source, "--from", run.name])
        hint = f"tfcli {command} {run.name}   # without FILE; or {train}"
    return DataError(
        f"{source} is not the text of {run.name}",
        why="it differs from what the run was trained on, whose tokens are in the cache",
        hint=hint,
    )


def _require_same(
    run: Run, old: Part, new: Part, command: str, in_cache: Callable[[], bool] = lambda: False
) -> None:
    """Raises DataError where the text of a run has changed.

    Args:
        in_cache: whether its tokens are there all the same.

    """
    if new.scan.fingerprint == old.scan.fingerprint:
        return
    source = shlex.quote(str(new.sources[0]))
    if new.scan.bytes > old.scan.bytes and begins_with(new, old.scan):
        raise DataError(
            f"the text of {run.name} has grown by {new.scan.bytes - old.scan.bytes:,} bytes",
            why="this is only for the text that the run was trained on, to the byte",
            hint=f"tfcli train {source} --from {run.name}   # goes on with all of it",
        )
    if in_cache():
        raise _another_text(run, new, command)
    raise DataError(
        f"the text of {run.name} has changed since the run started",
        why="its SHA-256 differs, and the tokens made then are no longer in the cache",
        hint=f"tfcli {command} {run.name} FILE   # where the old text is; "
        f"or a new run: tfcli train {source}",
    )


def corpus_of(noted: CorpusMetadata) -> Corpus:
    """The text of a run as `run.json` records it."""
    sources = iter(map(Path, noted.sources))
    reading = noted.reading or READ_BY_SUFFIX
    whole = PartMetadata(
        sources=len(noted.sources), weight=1.0, bytes=noted.bytes, documents=noted.documents,
        training_bytes=noted.training_bytes, held_out=noted.held_out,
        fingerprint=noted.fingerprint,
    )  # fmt: skip
    corpus = join_parts(
        [
            Part(
                tuple(itertools.islice(sources, part.sources)),
                Scan(part.bytes, part.documents, part.fingerprint, part.held_out, noted.pairs),
                part.weight,
                reading,
            )
            for part in noted.parts or (whole,)
        ]
    )
    if val := noted.val:
        scan = Scan(val.bytes, val.documents, val.fingerprint, (), noted.pairs).all_held_out()
        corpus = replace(corpus, val=Part(tuple(map(Path, val.sources)), scan, reading=reading))
    return corpus


def corpus_metadata(corpus: Corpus, tokens: TokenizedCorpus) -> dict[str, Any]:
    """What `run.json` records of a text."""
    metadata = {
        "sources": [str(source.resolve()) for source in corpus.sources],
        "bytes": corpus.scan.bytes,
        "documents": corpus.scan.documents,
        "fingerprint": corpus.scan.fingerprint,
        "training_bytes": corpus.scan.training_bytes,
        "training_tokens": len(tokens.training),
        "held_out": corpus.scan.held_out,
        "held_out_bytes": tokens.held_out_bytes,
        "token_cache": tokens.key,
        "reading": asdict(corpus.parts[0].reading),
        "arguments": [*corpus.arguments],
        "exclude": [*corpus.exclude],
        "pairs": asdict(corpus.scan.pairs) if corpus.scan.pairs else None,
        "files": _files(corpus.sources),
    }
    if len(corpus.parts) > 1:
        metadata["parts"] = [
            {
                "sources": len(part.sources),
                "weight": part.weight,
                "training_bytes": part.scan.training_bytes,
                **{name: v for name, v in asdict(part.scan).items() if name != "pairs"},
            }
            for part in corpus.parts
        ]
    if val := corpus.val:
        metadata["val"] = {
            "sources": [str(source.resolve()) for source in val.sources],
            "bytes": val.scan.bytes,
            "documents": val.scan.documents,
            "fingerprint": val.scan.fingerprint,
        }
    return metadata


def _files(sources: Iterable[Path]) -> list[dict[str, object]]:
    """The size and the hash of each file; none if one cannot be read."""
    hashed = [hash_file(source) for source in sources]
    found: list[dict[str, object]] = [each._asdict() for each in hashed if each]
    return found if len(found) == len(hashed) else []
