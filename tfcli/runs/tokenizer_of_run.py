"""The tokenizer that a run keeps a copy of: its file, and what `run.json` records about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError
from tfcli.files import read_record
from tfcli.text.tokenizer_file import RUN_FILES, load_tokenizer, open_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class TokenizerMetadata:
    """What `run.json` records about the tokenizer.

    Attributes:
        other_eos: further ids that end a text, which its file does not know.

    """

    vocab_size: int
    fingerprint: str
    other_eos: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> TokenizerMetadata:
        """What to record about a tokenizer."""
        other_eos = tuple(sorted(tokenizer.special.other_eos))
        return cls(tokenizer.vocab_size, tokenizer.fingerprint, other_eos)

    @classmethod
    def from_json(cls, value: object) -> TokenizerMetadata:
        """Reads it, of earlier releases too.

        Raises:
            ValueError: it does not describe a tokenizer.

        """
        if isinstance(value, dict):
            value = {"other_eos": [], **value}
        return read_record(cls, value)

    def to_json(self) -> dict[str, Any]:
        """As `run.json` has it."""
        others = {"other_eos": list(self.other_eos)} if self.other_eos else {}
        return {"vocab_size": self.vocab_size, "fingerprint": self.fingerprint} | others


def find_tokenizer_file(run: Path) -> Path:
    """The file in a run's folder; where there is none, what it mostly is called."""
    paths = [run / name for name in RUN_FILES]
    return next((path for path in paths if path.exists()), paths[0])


def open_tokenizer_of_run(run: Path, recorded: TokenizerMetadata) -> Tokenizer:
    """Opens the file in a run's folder, after comparing its hash with the recorded one.

    Raises:
        NotFoundError: the file does not exist.
        DamagedError: it is not the tokenizer that the run was trained with.

    """

    def open_checked(serialized: bytes) -> Tokenizer:
        if hashlib.sha256(serialized).hexdigest() != recorded.fingerprint:
            raise DamagedError(
                "not the tokenizer that the run was trained with",
                why="its SHA-256 does not match the one in run.json",
                hint=f"tfcli runs repair {run.resolve().name}   "
                "# restores it if there is another copy",
            )
        return open_tokenizer(serialized)

    path = find_tokenizer_file(run)
    tokenizer = load_tokenizer(path, open_checked)
    if not all(0 <= token < tokenizer.vocab_size for token in recorded.other_eos):
        raise DamagedError(f"{path} lacks a token that ends a text, by run.json")
    if recorded.other_eos:
        other_eos = frozenset(recorded.other_eos)
        tokenizer.special = replace(tokenizer.special, other_eos=other_eos)
    return tokenizer
