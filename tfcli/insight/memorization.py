"""An audit of what a model knows by heart: the figures of `tfcli audit memory`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tfcli.generation.intervals import share_interval
from tfcli.insight.canaries import Exposure, Key, exposures, exposures_to_json
from tfcli.insight.extraction import (
    CERTAINTIES,
    FREQUENCIES,
    ROWS,
    SAMPLES,
    TOP_K,
    Extraction,
    Window,
    choose_windows,
    count_occurrences,
    extract,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.insight.training_text import TrainingText
    from tfcli.text.tokenizer import Tokenizer

WORST = 5


@dataclass(frozen=True)
class Share:
    """A share of windows, with its interval of 95 %."""

    windows: int
    extractable: int

    @property
    def share(self) -> float:
        """From 0 to 1; 0 where there are no windows."""
        return self.extractable / self.windows if self.windows else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """What the share of all of the text is in, 95 times of 100."""
        if not self.windows:
            return 0.0, 1.0
        found = share_interval(self.extractable, self.windows)
        return found.low, found.high

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        low, high = self.interval
        return {
            "windows": self.windows, "extractable": self.extractable,
            "share": round(self.share, 6), "low": round(low, 6), "high": round(high, 6),
        }  # fmt: skip


@dataclass(frozen=True)
class Sampled:
    """The share that turns up in `samples` samples with probability `certainty` at least."""

    samples: int
    certainty: float
    share: float


@dataclass(frozen=True)
class Rates:
    """What was measured on some windows."""

    greedy: Share
    sampled: tuple[Sampled, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return self.greedy.to_json() | {"sampled": [asdict(each) for each in self.sampled]}


@dataclass(frozen=True)
class Passage:
    """A window of the training text, and how well the model knows it.

    Attributes:
        count: how often the training text has its second half.

    """

    window: Window
    prompt: str
    continuation: str
    extraction: Extraction
    count: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        log10 = self.extraction.log_probability / math.log(10)
        return {
            **asdict(self.window.place), "prompt": self.prompt, "continuation": self.continuation,
            "greedy": self.extraction.greedy,
            "log10_probability": round(log10, 3) if math.isfinite(log10) else None,
            "count": self.count,
        }  # fmt: skip


@dataclass(frozen=True)
class MemoryAudit:
    """What a model knows by heart.

    Attributes:
        half: bytes of each half of a window.
        held_out: the same of text it was not trained on; None if there is too little.
        by_count: the share among passages that the training text has so often.
        worst: the passages that come out most easily; none where none can come out at all.

    """

    half: int
    training: Rates
    held_out: Rates | None
    by_count: tuple[tuple[int, int | None, Share], ...]
    worst: tuple[Passage, ...]
    canaries: tuple[Exposure, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "prompt_bytes": self.half,
            "continuation_bytes": self.half,
            "top_k": TOP_K,
            "training": self.training.to_json(),
            "held_out": self.held_out and self.held_out.to_json(),
            "by_count": [
                {"least": least, "most": most} | share.to_json()
                for least, most, share in self.by_count
            ],
            "worst": [passage.to_json() for passage in self.worst],
            "canaries": exposures_to_json(self.canaries),
        }

    def summary(self) -> dict[str, Any]:
        """For the card of a run: figures alone, no passage of the text."""
        times = sorted({each.found for each in self.canaries})
        groups = {n: [each.bits for each in self.canaries if each.found == n] for n in times}
        return {
            "prompt_bytes": self.half,
            **self.training.greedy.to_json(),
            "held_out": self.held_out and self.held_out.greedy.to_json(),
            "canaries": [
                {"times": n, "canaries": len(bits), "bits": round(sum(bits) / len(bits), 3)}
                for n, bits in groups.items()
            ],
        }


def audit_memory(
    text: TrainingText,
    tokenizer: Tokenizer,
    engine: Engine,
    *,
    windows: int,
    key: Key | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> MemoryAudit | None:
    """Measures how much of the training text a model knows by heart.

    Args:
        engine: with ROWS rows at least.
        windows: how many passages are tried, of the training text and of what is held out.
        key: of canaries that were planted in the text.
        progress: is told which share of the work is done.

    Returns:
        None for a text that has no passage long enough.

    Raises:
        DataError: the text is no longer what the run was trained on.

    """
    from tfcli.generation.scorer import Scorer

    text.check(lambda done: progress(0.05 * done / text.bytes))
    context = engine.context_length
    own, half = choose_windows(
        text.blocks(), text.training_bytes, tokenizer, context=context, count=windows
    )
    if not own:
        return None
    other, _ = choose_windows(
        text.blocks(held_out=True), text.held_out_bytes, tokenizer, context=context,
        count=windows, lengths=(half,),
    )  # fmt: skip
    total = len(own) + len(other)

    def report(done: int) -> None:
        progress(0.1 + 0.8 * done / total)

    found = extract(engine, own, tokenizer.special, progress=report)
    beside = extract(engine, other, tokenizer.special,
                     progress=lambda done: report(len(own) + done))  # fmt: skip
    targets = [tokenizer.decode_continuation(window.target) for window in own]
    lines = [key.line(canary.secret).encode() for canary in key.canaries] if key else []
    counts = count_occurrences([*targets, *lines], text.blocks())
    exposed: Sequence[Exposure] = ()
    if key:
        exposed = exposures(key, counts[len(own) :], Scorer(engine, tokenizer, rows=ROWS))
    progress(1.0)
    return MemoryAudit(
        half=half,
        training=_rates(found),
        held_out=_rates(beside) if other else None,
        by_count=tuple(
            (least, most, _greedy(e for e, count in zip(found, counts, strict=False)
                                  if least <= max(count, 1) <= (most or count)))
            for least, most in FREQUENCIES
        ),
        worst=_worst(own, found, counts, tokenizer),
        canaries=tuple(exposed),
    )  # fmt: skip


def _greedy(found: Any) -> Share:
    each = list(found)
    return Share(len(each), sum(extraction.greedy for extraction in each))


def _rates(found: Sequence[Extraction]) -> Rates:
    sampled = tuple(
        Sampled(n, p, round(sum(each.possible_in(n, p) for each in found) / len(found), 6))
        for n in SAMPLES
        for p in CERTAINTIES
    )
    return Rates(_greedy(found), sampled)


def _worst(
    windows: Sequence[Window], found: Sequence[Extraction], counts: Sequence[int],
    tokenizer: Tokenizer,
) -> tuple[Passage, ...]:  # fmt: skip
    possible = [i for i, e in enumerate(found) if e.greedy or math.isfinite(e.log_probability)]
    order = sorted(
        possible, key=lambda i: (found[i].log_probability, found[i].greedy), reverse=True
    )
    worst: dict[str, Passage] = {}  # by its words: what the text repeats is named once
    for i in order:
        said = tokenizer.decode_continuation(windows[i].target).decode(errors="replace")
        if (words := " ".join(said.split())) in worst:
            continue
        prompt = tokenizer.decode(windows[i].prompt).decode(errors="replace")
        worst[words] = Passage(windows[i], prompt, said, found[i], counts[i])
        if len(worst) == WORST:
            break
    return tuple(worst.values())
