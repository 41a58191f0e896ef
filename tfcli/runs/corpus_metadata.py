"""What `run.json` records about the text that a run was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcli.files import read_record
from tfcli.runs.source_names import list_sources
from tfcli.text.pairs import PairScan
from tfcli.text.reading_options import ADDED_LATER, ReadingOptions


@dataclass(frozen=True)
class PartMetadata:
    """What `run.json` records about a part of the text with a weight of its own.

    Attributes:
        sources: how many of the sources are its own.
        held_out: stretches of its bytes.

    """

    sources: int
    weight: float
    bytes: int
    documents: int
    training_bytes: int
    held_out: tuple[tuple[int, int], ...]
    fingerprint: str


@dataclass(frozen=True)
class ValMetadata:
    """What `run.json` records about a text that was given to be held out."""

    sources: tuple[str, ...]
    bytes: int
    documents: int
    fingerprint: str


@dataclass(frozen=True)
class SourceFile:
    """What `run.json` records about a file of the text, as it was when the run began."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class CorpusMetadata:
    """What `run.json` records about the text: enough to find its tokens, or to make them again.

    Attributes:
        held_out: stretches of all its bytes.
        reading: how its files were read; None by their suffixes, as at first.
        parts: only where some have weights of their own.
        arguments, exclude: what the sources were found by; none in runs of earlier releases.
        pairs: where it is pairs of prompt and answer.
        files: of each source, what it was; none in runs of earlier releases.

    """

    sources: tuple[str, ...]
    bytes: int
    documents: int
    fingerprint: str
    training_bytes: int
    training_tokens: int
    held_out: tuple[tuple[int, int], ...]
    held_out_bytes: int
    token_cache: str
    reading: ReadingOptions | None
    parts: tuple[PartMetadata, ...]
    val: ValMetadata | None
    arguments: tuple[str, ...]
    exclude: tuple[str, ...]
    pairs: PairScan | None
    files: tuple[SourceFile, ...] = ()

    @property
    def held_out_text(self) -> str | None:
        """What was held out, in words."""
        if self.val:
            return list_sources(self.val.sources)
        names = list_sources(self.sources)
        if self.pairs and self.pairs.held_out_pairs:
            return f"{self.pairs.held_out_pairs:,} pairs of {names}, chosen at random"
        if not self.held_out:
            return None
        if self.documents == 1:
            return f"the end of {names}"
        if self.documents <= len(self.sources) and len(self.held_out) == len(self.sources):
            return f"the ends of {names}"
        if len(self.sources) > 3:
            names = f"{len(self.sources):,} files"
        return f"{len(self.held_out):,} {'part' if len(self.held_out) == 1 else 'parts'} of {names}"

    @classmethod
    def from_json(cls, value: object) -> CorpusMetadata:
        """Reads it, of earlier releases too.

        Raises:
            ValueError: it does not describe a text.

        """
        if isinstance(value, dict):
            known: dict[str, Any] = {
                "reading": None, "parts": [], "val": None, "arguments": [], "exclude": [],
                "pairs": None, "files": [],
            }  # fmt: skip
            known |= _with_held_out(value)
            if isinstance(known["reading"], dict):
                known["reading"] = ADDED_LATER | known["reading"]
            if isinstance(known["parts"], list):
                known["parts"] = [_with_held_out(part) for part in known["parts"]]
            value = known
        corpus = read_record(cls, value)
        if corpus.parts and sum(part.sources for part in corpus.parts) != len(corpus.sources):
            raise ValueError("parts and sources do not match")
        if corpus.files and len(corpus.files) != len(corpus.sources):
            raise ValueError("files and sources do not match")
        return corpus


def _with_held_out(value: Any) -> Any:
    """At first, the end of a text was held out, and only where it began was recorded."""
    if isinstance(value, dict) and {"training_bytes", "bytes"} <= value.keys():
        start, end = value["training_bytes"], value["bytes"]
        return {"held_out": [[start, end]] if start != end else []} | value
    return value
