"""Saved tokenizers, each a folder `tokenizers/NAME/`.

tokenizer.model  SentencePiece; byte_level.json for byte-level BPE
tokenizer.json   how it was made
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.errors import ConflictError, DamagedError, NotFoundError, closest_match
from tfcli.files import (
    MANIFEST,
    NAME,
    check_name,
    lock,
    new_folder,
    read_folder,
    read_json,
    remove_leftovers,
    slugify,
    to_json,
    verify_folder,
)
from tfcli.text.sandbox import open_sandboxed
from tfcli.text.tokenizer_file import is_byte_level, load_tokenizer, open_tokenizer

if TYPE_CHECKING:
    from tfcli.text.corpus import Corpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.text.tokenizer_training import TokenizerReport

ROOT = Path("tokenizers")
MODEL, BYTE_LEVEL = FILES = ("tokenizer.model", "byte_level.json")
METADATA = "tokenizer.json"
SCHEMA = 1


@dataclass(frozen=True)
class SavedTokenizer:
    """A tokenizer, its folder, and its metadata: options, fingerprint of the text, measurements."""

    path: Path
    tokenizer: Tokenizer
    metadata: dict[str, Any]


def save_tokenizer(
    name: str, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus, root: Path = ROOT
) -> SavedTokenizer:
    """Saves a tokenizer under `name`; replaces one of that name.

    Raises:
        UsageError: `name` is not a valid name.
        InputOutputError: it could not be written.

    """
    path = root / check_name(name, "tokenizer")
    metadata = {
        "schema": SCHEMA,
        **asdict(report),
        "user_defined_symbols": list(report.user_defined_symbols),  # as JSON gives it back
        "corpus": {"bytes": corpus.scan.bytes, "fingerprint": corpus.scan.fingerprint},
        "tokenizer_fingerprint": tokenizer.fingerprint,
        "measures": measure(tokenizer, corpus),
    }
    return _save(path, tokenizer, metadata)


def keep_tokenizer(name: str, tokenizer: Tokenizer, root: Path = ROOT) -> SavedTokenizer:
    """Saves a tokenizer from elsewhere under `name`; how it was made is not known.

    Raises:
        UsageError: `name` is not a valid name.
        ConflictError: `name` already exists.
        InputOutputError: it could not be written.

    """
    metadata = {"schema": SCHEMA, "tokenizer_fingerprint": tokenizer.fingerprint}
    return _save(root / check_name(name, "tokenizer"), tokenizer, metadata, replace=False)


def _save(
    path: Path, tokenizer: Tokenizer, metadata: dict[str, Any], *, replace: bool = True
) -> SavedTokenizer:
    with lock(path.parent, doing=f"saving the tokenizer {path.name}"):
        remove_leftovers(path.parent)
        if path.exists() and not replace:
            raise ConflictError(
                f"tokenizer {path.name!r} already exists", hint="choose another --name"
            )
        with new_folder(path) as folder:
            folder.write(FILES[is_byte_level(tokenizer.serialized)], tokenizer.serialized)
            folder.write(METADATA, to_json(metadata))
    return SavedTokenizer(path, tokenizer, metadata)


def measure(tokenizer: Tokenizer, corpus: Corpus, limit: int = 2 << 20) -> dict[str, float | int]:
    """How well a tokenizer fits text that it was not trained on: the start of the held-out part.

    Args:
        limit: bytes of text after which measuring stops.

    Returns:
        Bytes measured; bytes per token; tokens per word (words are separated by whitespace); the
        share of tokens that are single bytes of a character without a token of its own; the share
        of all other tokens that were never used.

    """
    total = words = tokens = spelled = 0
    used: set[int] = set()
    for chunk in corpus.held_out() if corpus.scan.training_bytes < corpus.scan.bytes else ():
        ids = tokenizer.encode(chunk.data)
        total += len(chunk.data)
        words += len(chunk.data.split())
        tokens += len(ids)
        spelled += sum(i in tokenizer.byte_ids for i in ids)
        used.update(ids)
        if total >= limit:
            break
    pieces = set(range(tokenizer.vocab_size)) - tokenizer.byte_ids - tokenizer.special.control
    return {
        "bytes": total,
        "bytes_per_token": round(total / max(tokens, 1), 3),
        "tokens_per_word": round(tokens / max(words, 1), 3),
        "byte_token_share": round(spelled / max(tokens, 1), 5),
        "unused_piece_share": round(1 - len(used & pieces) / max(len(pieces), 1), 3),
    }


def find_tokenizer(name: str, root: Path = ROOT) -> SavedTokenizer:
    """Opens a tokenizer by its name, or by the path of its folder or model file.

    Raises:
        NotFoundError: there is none; the message suggests the closest name.
        DamagedError: its files are not as they were written.

    """
    for path in (root / name, Path(name)):
        with contextlib.suppress(NotFoundError):
            return read_folder(path, _open)
    known = [other for other in list_tokenizers(root) if other != name]
    similar = closest_match(name, known)
    raise NotFoundError(
        f"tokenizer {name!r} not found in {root}/",
        why=None if known else "there are no tokenizers yet",
        hint=f"did you mean {similar!r}?" if similar
        else f"tfcli tokenizer train FILE --name {slugify(name)}",
    )  # fmt: skip


def _open(path: Path) -> SavedTokenizer:
    if _is_file(path):
        return SavedTokenizer(path, load_tokenizer(path, open_sandboxed), {})
    file = next((path / name for name in FILES if _is_file(path / name)), None)
    if file is None:
        raise NotFoundError(f"no tokenizer found in {path}")
    ours = (path / MANIFEST).is_file()
    if ours:
        verify_folder(path)
    tokenizer = load_tokenizer(file, open_tokenizer if ours else open_sandboxed)
    try:
        metadata = read_json(path / METADATA)
    except (NotFoundError, DamagedError):
        metadata = {}  # a folder that only holds a model is fine
    return SavedTokenizer(
        path, tokenizer, metadata if ours and "tokenizer_fingerprint" in metadata else {}
    )


def list_tokenizers(root: Path = ROOT) -> list[str]:
    """The names of all tokenizers, sorted."""
    names = {path.parent.name for file in FILES for path in root.glob(f"*/{file}")}
    return sorted(name for name in names if NAME.fullmatch(name))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # not a possible file name
        return False
