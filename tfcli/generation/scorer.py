"""Texts with their scores: what `tfcli.generation.scoring` computes, in terms of text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.generation.scoring import score
from tfcli.options import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.text.tokenizer import Tokenizer


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
    """Scores texts with one model.

    Args:
        rows: how many windows are read at a time.
        stride: by how much a window moves; None: by half the context.

    """

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, *, rows: int, stride: int | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self._engine, self._rows = engine, rows
        context = engine.context_length
        if stride is not None and stride > context:
            raise OptionError(
                "stride", f"must be at most {context}, the context length, not {stride}"
            )
        self._stride = stride or max(1, context // 2)
        self.protocol = {"context": context, "stride": self._stride}

    def score(self, texts: Sequence[str]) -> Iterator[Scored]:
        """Each text on its own."""
        ids = [self.tokenizer.encode(text) for text in texts]
        scores = score(
            self._engine, ids, self.tokenizer.special, rows=self._rows, stride=self._stride
        )
        for text, own, logprobs in zip(texts, ids, scores, strict=True):
            yield Scored(own, logprobs.tolist(), len(text.encode()))

    def whole(self, texts: Sequence[str]) -> Scored:
        """All texts together, each scored on its own."""
        ids: list[int] = []
        logprobs: list[float] = []
        size = 0
        for scored in self.score(texts):
            ids += scored.ids
            logprobs += scored.logprobs
            size += scored.bytes
        return Scored(ids, logprobs, size)
