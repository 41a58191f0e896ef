"""Texts with their scores: what `tfcli.generation.scoring` computes, in terms of text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.options import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.scoring import Window
    from tfcli.text.pairs import PairForm
    from tfcli.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Scored:
    """A text with the log-probability of each of its tokens.

    Attributes:
        bytes: of the text.
        alternatives: for each token the likeliest others, as id and log-probability; empty if they
            were not asked for.

    """

    ids: list[int]
    logprobs: list[float]
    bytes: int
    alternatives: list[list[tuple[int, float]]]

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
        """The figures of the text, for `--json`."""
        return {
            "nats": self.nats,
            "nats_per_byte": self.nats_per_byte,
            "perplexity": self.perplexity,
            "bytes": self.bytes,
            "tokens": len(self.ids),
        }


def token_text(tokenizer: Tokenizer, token: int) -> str:
    r"""What a token stands for; bytes that are no whole character escaped, as `\xe2`."""
    return tokenizer.token_bytes[token].decode(errors="backslashreplace")


class Scorer:
    """Scores texts with one model.

    Args:
        rows: how many windows are read at a time.
        stride: by how much a window moves; None: by half the context.
        top: how many alternatives each token gets.
        form: of a model that was trained on pairs: its prompts are framed as there.
        many_documents: whether it was trained on several documents; then a text without a prompt
            is scored as one that begins.

    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        rows: int,
        stride: int | None = None,
        top: int = 0,
        form: PairForm | None = None,
        many_documents: bool = False,
    ) -> None:
        from tfcli.generation.scoring import Alternatives, document_start

        self.tokenizer, self.form = tokenizer, form
        self._engine, self._rows, self._top = engine, rows, top
        begins = many_documents and form is None
        self._start = document_start(tokenizer.special, many_documents=begins)
        hidden = set(tokenizer.special.suppressed)
        others = [i for i in range(tokenizer.vocab_size) if i not in hidden] if top else []
        self._alternatives = Alternatives(top, others)
        context = engine.context_length
        if stride is not None and stride > context:
            raise OptionError(
                "stride", f"must be at most {context}, the context length, not {stride}",
                hint=f"--stride {context // 2}",
            )  # fmt: skip
        self._stride = stride or max(1, context // 2)
        self.protocol = {"context": context, "stride": self._stride}

    def score(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] = (),
        progress: Callable[[int], None] = lambda _: None,
        *,
        framed: bool = False,
    ) -> Iterator[Scored]:
        """Each text on its own.

        Args:
            prompts: what comes before each text and is not scored; it is split into tokens on its
                own, as `generate` does.
            progress: is told how many bytes have been scored so far.
            framed: whether prompts are framed already.

        """
        from tfcli.generation.scoring import score_tokens

        if self.form and not framed:
            prompts = [self.form.frame(prompt) if prompt else "" for prompt in prompts]
        read = [self.tokenizer.encode(prompt) for prompt in prompts] or [[] for _ in texts]
        own = [
            self.tokenizer.encode_continuation(text) if prompt else self.tokenizer.encode(text)
            for text, prompt in zip(texts, read, strict=True)
        ]
        before = [prompt or self._start for prompt in read]
        together = [prompt + ids for prompt, ids in zip(before, own, strict=True)]
        spelled = self.tokenizer.token_bytes
        done = 0

        def report(window: Window) -> None:
            nonlocal done
            done += sum(len(spelled[i]) for i in together[window.text][window.scored : window.end])
            progress(done)

        scores = score_tokens(
            self._engine, together, self.tokenizer.special, rows=self._rows, stride=self._stride,
            prompts=list(map(len, before)), alternatives=self._alternatives, progress=report,
        )  # fmt: skip
        for text, own_ids, found in zip(texts, own, scores, strict=True):
            top = zip(found.top_ids.tolist(), found.top_logprobs.tolist(), strict=True)
            alternatives = [list(zip(*each, strict=True)) for each in top] if self._top else []
            yield Scored(own_ids, found.logprobs.tolist(), len(text.encode()), alternatives)

    def whole(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] = (),
        progress: Callable[[int], None] = lambda _: None,
    ) -> Scored:
        """All texts together, each scored on its own.

        Args:
            prompts: framed already.

        """
        return joined(self.score(texts, prompts, progress, framed=True))


def joined(texts: Iterable[Scored]) -> Scored:
    """Several texts as one."""
    ids: list[int] = []
    logprobs: list[float] = []
    alternatives: list[list[tuple[int, float]]] = []
    size = 0
    for text in texts:
        ids += text.ids
        logprobs += text.logprobs
        alternatives += text.alternatives
        size += text.bytes
    return Scored(ids, logprobs, size, alternatives)
