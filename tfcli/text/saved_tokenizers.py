"""Tokenizers on the disk: `tokenizers/NAME/`, the SentencePiece model and how it was made."""

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
from tfcli.text.tokenizer import Tokenizer, load_tokenizer
from tfcli.text.tokenizer_training import TokenizerReport

if TYPE_CHECKING:
    from tfcli.text.corpus import Corpus

ROOT = Path("tokenizers")
MODEL = "tokenizer.model"
METADATA = "tokenizer.json"
SCHEMA = 1


@dataclass(frozen=True)
class SavedTokenizer:
    """A tokenizer, where it lies, and its card: options, fingerprint of the text, measures."""

    path: Path
    tokenizer: Tokenizer
    metadata: dict[str, Any]


def save_tokenizer(
    name: str, tokenizer: Tokenizer, report: TokenizerReport, corpus: Corpus, root: Path = ROOT
) -> SavedTokenizer:
    """Writes a tokenizer under `name`; one of that name makes way.

    Raises:
        UsageError: `name` cannot be a name.
        InputOutputError: the disk refused.

    """
    path = root / check_name(name, "tokenizer")
    metadata = {
        "schema": SCHEMA,
        **asdict(report),
        "corpus": {"bytes": corpus.scan.bytes, "fingerprint": corpus.scan.fingerprint},
        "tokenizer_fingerprint": tokenizer.fingerprint,
        "measures": measure(tokenizer, corpus),
    }
    return _save(path, tokenizer, metadata)


def keep_tokenizer(name: str, tokenizer: Tokenizer, root: Path = ROOT) -> SavedTokenizer:
    """Writes a tokenizer from elsewhere under `name`, of which nothing more is known.

    Raises:
        UsageError: `name` cannot be a name.
        ConflictError: there is one of that name.
        InputOutputError: the disk refused.

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
                f"there is a tokenizer {path.name!r} already", hint="choose another --name"
            )
        with new_folder(path) as folder:
            folder.write(MODEL, tokenizer.model)
            folder.write(METADATA, to_json(metadata))
    return SavedTokenizer(path, tokenizer, metadata)


def measure(tokenizer: Tokenizer, corpus: Corpus, limit: int = 2 << 20) -> dict[str, float | int]:
    """How well a tokenizer fits text that it was not trained on: the held-out part, or its start.

    Returns:
        bytes measured; bytes a token; tokens a word (words as white space parts them); the share
        of tokens that are single bytes of a character without a piece; the share of pieces never
        used there.

    """
    from tfcli.text.tokenizer import BYTE_PIECES, FIRST_BYTE

    total = words = tokens = spelled = 0
    used: set[int] = set()
    for piece in corpus.held_out() if corpus.scan.training_bytes < corpus.scan.bytes else ():
        ids = tokenizer.encode(piece.data)
        total += len(piece.data)
        words += len(piece.data.split())
        tokens += len(ids)
        spelled += sum(FIRST_BYTE <= i < FIRST_BYTE + BYTE_PIECES for i in ids)
        used.update(ids)
        if total >= limit:
            break
    pieces = tokenizer.vocab_size - FIRST_BYTE - BYTE_PIECES
    return {
        "bytes": total,
        "bytes_per_token": round(total / max(tokens, 1), 3),
        "tokens_per_word": round(tokens / max(words, 1), 3),
        "byte_token_share": round(spelled / max(tokens, 1), 5),
        "unused_piece_share": round(
            1 - sum(i >= FIRST_BYTE + BYTE_PIECES for i in used) / max(pieces, 1), 3
        ),
    }


def find_tokenizer(name: str, root: Path = ROOT) -> SavedTokenizer:
    """Opens a tokenizer by its name, or by the path of its folder or of its model file.

    Raises:
        NotFoundError: there is none; the message offers the nearest name.
        DamagedError: its bytes are not those that were written.

    """
    for path in (root / name, Path(name)):
        with contextlib.suppress(NotFoundError):
            return read_folder(path, _open)
    known = [other for other in list_tokenizers(root) if other != name]
    similar = closest_match(name, known)
    raise NotFoundError(
        f"there is no tokenizer {name!r} in {root}",
        why=None if known else "there is none at all yet",
        hint=f"did you mean {similar} ?" if similar
        else f"tfcli tokenizer train FILE --name {slugify(name)}",
    )  # fmt: skip


def _open(path: Path) -> SavedTokenizer:
    if _is_file(path):
        return SavedTokenizer(path, load_tokenizer(path, open_sandboxed), {})
    if not _is_file(path / MODEL):
        raise NotFoundError(f"there is no tokenizer in {path}")
    ours = (path / MANIFEST).is_file()
    if ours:
        verify_folder(path)
    tokenizer = load_tokenizer(path / MODEL, Tokenizer if ours else open_sandboxed)
    try:
        metadata = read_json(path / METADATA)
    except (NotFoundError, DamagedError):
        metadata = {}  # a folder with a model of the user's own is welcome
    return SavedTokenizer(
        path, tokenizer, metadata if ours and "tokenizer_fingerprint" in metadata else {}
    )


def list_tokenizers(root: Path = ROOT) -> list[str]:
    """The names of all tokenizers, in order."""
    names = (path.parent.name for path in root.glob(f"*/{MODEL}"))
    return sorted(name for name in names if NAME.fullmatch(name))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
