"""Texts with their scores: as a whole, or many on their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.generation.scoring import score
from tfcli.options import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tfcli.generation.engines.engine import Engine
    from tfcli.text.tokenizer import Tokenizer

ROWS = 16  # windows per batch


@dataclass(frozen=True)
class Scored:
    """A text with the log-probability of each of its tokens."""

    ids: list[int]
    logprobs: list[float]
    bytes: int

    @property
    def nats(self) -> float:
        """Of the whole text."""
        return 0.0 - math.fsum(self.logprobs)

    @property
    def nats_per_byte(self) -> float:
        """0 for an empty text."""
        return self.nats / self.bytes if self.bytes else 0.0

    @property
    def perplexity(self) -> float:
        """Per token; 1 for an empty text."""
        each = self.nats / len(self.ids) if self.ids else 0.0
        return math.exp(min(each, 700.0))

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "nats": self.nats,
            "nats_per_byte": self.nats_per_byte,
            "perplexity": self.perplexity,
            "bytes": self.bytes,
            "tokens": len(self.ids),
        }


class Scorer:
    """Scores texts with one model."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, stride: int | None) -> None:
        self.tokenizer = tokenizer
        self._engine = engine
        context = engine.context_length
        if stride is not None and stride > context:
            raise OptionError(
                "stride", f"must be at most {context}, the context length, not {stride}"
            )
        self._stride = stride or max(1, context // 2)
        self.protocol = {"context": context, "stride": self._stride}

    def whole(self, documents: list[str]) -> Scored:
        """All documents together, each scored on its own."""
        ids: list[int] = []
        logprobs: list[float] = []
        size = 0
        for scored in self._score(documents):
            ids += scored.ids
            logprobs += scored.logprobs
            size += scored.bytes
        return Scored(ids, logprobs, size)

    def lines(self, groups: Iterable[list[str]]) -> Iterator[tuple[str, Scored]]:
        """Each line as a separate text; those of a group are scored together."""
        for group in groups:
            yield from zip(group, self._score(group), strict=True)

    def _score(self, texts: list[str]) -> Iterator[Scored]:
        ids = [self.tokenizer.encode(text) for text in texts]
        scores = score(self._engine, ids, self.tokenizer.special, rows=ROWS, stride=self._stride)
        for text, own, logprobs in zip(texts, ids, scores, strict=True):
            yield Scored(own, logprobs.tolist(), len(text.encode()))
