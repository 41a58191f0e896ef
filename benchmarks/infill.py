"""What training with gaps costs, and what it gains.

    python -m benchmarks.infill PLAIN:GAPS ... --text TEXT
    python -m benchmarks.infill --stories RUN

PLAIN and GAPS are runs of the same text, seed and steps, trained with `--infill 0` and with
`--infill 0.5`; docs/infill.md has the commands. For each pair: the loss from left to right, and the
loss of the middles of held-out pieces of text, read with what is behind them and without. The
interval is of the mean difference, 95 %, over the pieces.

With --stories: the loss of what is missing in stories that `tfcli demo` could tell but the run has
not seen, beside the nats of the exact posterior of the grammar; of gaps cut anywhere, and of gaps
of whole words. And what the run writes there: how often that makes a story of the grammar, and how
often it is what was there.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import number_tokenizer, start_training
from benchmarks.story_gaps import StoryGap, TooManyWaysError, is_story
from tfcli import open_run
from tfcli.generation.filling import infill_tokens_of
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.generation.sampling import log_softmax
from tfcli.model.config import named_config
from tfcli.runs.run import find_run
from tfcli.runs.summary import summarize
from tfcli.stories import load_grammar, tell_stories

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.generation.fill_request import Order
    from tfcli.runs.run import Run
    from tfcli.stories.grammar import Grammar
    from tfcli.text.infill_tokens import InfillTokens

PIECES, SIDE, MIDDLE = 400, 90, 12  # how many, and the characters of each side and of the middle
STORIES, LONGEST = 200, 40  # how many, and the characters that are missing in one at most
BEST_OF = (1, 8)  # candidates for a gap
ORDERS: tuple[Order, ...] = ("spm", "psm")
OTHER_SEED = 12345  # of stories that no run has seen


class Reader:
    """A run that scores middles."""

    def __init__(self, run: Run) -> None:
        self.run, self.tokenizer = run, run.tokenizer()
        _, self._engine = open_best(
            run, None, lambda step: open_engine(run, step, device="cpu"), on_damaged=print
        )

    def nats(self, before: list[int], ids: list[int]) -> float:
        """Of some tokens after others, which begin with BOS."""
        self._engine.reset(0)
        logits = self._engine.forward_all([0], [[*before, *ids][:-1]])[len(before) - 1 :]
        return float(-log_softmax(logits)[np.arange(len(ids)), ids].sum())

    def without_suffix(self, prefix: str, middle: str) -> float:
        """The nats of the middle from left to right."""
        encode = self.tokenizer.encode_continuation
        return self.nats([*self._bos, *encode(prefix)], encode(middle))

    def with_suffix(
        self, prefix: str, middle: str, suffix: str, *, order: Order = "spm", end: bool = False
    ) -> float:
        """The nats of the middle between both sides.

        Args:
            order: in which they are read.
            end: whether that it ends there counts as well.

        """
        encode = self.tokenizer.encode_continuation
        pre, suf, mid, last = self._infill_tokens
        if order == "psm":
            before = [*self._bos, pre, *encode(prefix), suf, *encode(suffix), mid]
        else:
            before = [*self._bos, pre, suf, *encode(suffix), mid, *encode(prefix)]
        ids = encode(middle)
        if end:
            ids.append(last)
        return self.nats(before, ids)

    def fits(self, text: str) -> bool:
        """Whether a text has room in the context, with the infill tokens."""
        return len(self.tokenizer.encode(text)) + 8 <= self.run.model_config.context_length

    @property
    def _bos(self) -> list[int]:
        bos = self.tokenizer.special.bos
        return [] if bos is None else [bos]

    @property
    def _infill_tokens(self) -> InfillTokens:
        return infill_tokens_of(self.run, self.tokenizer)


def held_out_pieces(run: Run, text: Path, count: int) -> list[tuple[str, str, str]]:
    """Prefix, middle and suffix of places drawn from the held-out text."""
    data = text.read_bytes()
    parts = b"".join(data[start:end] for start, end in run.corpus.held_out)
    held_out = parts.decode(errors="ignore")
    draw, length = random.Random(1), 2 * SIDE + MIDDLE
    starts = [draw.randrange(len(held_out) - length) for _ in range(count)]
    return [
        (held_out[a : a + SIDE], held_out[a + SIDE : a + SIDE + MIDDLE],
         held_out[a + SIDE + MIDDLE : a + length])
        for a in starts
    ]  # fmt: skip


def mean_interval(values: Sequence[float]) -> str:
    """The mean and its 95 % interval, by the normal distribution."""
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):+.3f} ± {half:.3f}"


def compare(plain: Run, gaps: Run, text: Path, count: int) -> list[str]:
    """A row of the table of a pair of runs."""
    losses = [summarize(run)["held_out"]["nats_per_byte"] for run in (plain, gaps)]
    reader, other = Reader(gaps), Reader(plain)
    pieces = held_out_pieces(gaps, text, count)
    sizes = [len(middle.encode()) for _, middle, _ in pieces]
    spm, psm = (
        [reader.with_suffix(*p, order=order) / n for p, n in zip(pieces, sizes, strict=True)]
        for order in ORDERS
    )
    without = [
        reader.without_suffix(*piece[:2]) / size for piece, size in zip(pieces, sizes, strict=True)
    ]
    left = [
        other.without_suffix(*piece[:2]) / size for piece, size in zip(pieces, sizes, strict=True)
    ]
    difference = [a - b for a, b in zip(spm, without, strict=True)]
    return [
        gaps.name, *(f"{loss:.4f}" for loss in losses), f"{losses[1] - losses[0]:+.4f}",
        *(f"{statistics.mean(each):.3f}" for each in (left, without, psm, spm)),
        mean_interval(difference),
    ]  # fmt: skip


def story_gap(text: str, draw: random.Random, *, words: bool) -> tuple[str, str, str]:
    """Prefix, middle and suffix of a gap in the later half of a story, cut anywhere or at words."""
    length = draw.randint(1, LONGEST)
    start = draw.randrange(len(text) // 2, len(text) - length)
    end = start + length
    if words:
        start, end = text.rindex(" ", 0, start + 1), text.rindex(" ", 0, end + 1)
    return text[:start], text[start:end], text[end:]


def story_rows(run: Run, count: int, *, words: bool) -> Iterator[list[str]]:
    """The nats of gaps in stories, by the grammar and by the run."""
    sys.setrecursionlimit(20_000)  # a story is told part by part
    grammar, draw, reader = load_grammar("en"), random.Random(1), Reader(run)
    exact: list[float] = []
    alone: list[float] = []
    ends: list[float] = []
    found: dict[Order, list[float]] = {order: [] for order in ORDERS}
    gaps: list[tuple[str, str, str]] = []
    tried = 0
    for story in tell_stories("en", OTHER_SEED):
        if len(exact) == count:
            break
        if not reader.fits(story.text):
            continue
        prefix, middle, suffix = story_gap(story.text, draw, words=words)
        if not middle:
            continue
        tried += 1
        try:
            exact.append(StoryGap(grammar, prefix, suffix).nats(story.nats))
        except TooManyWaysError:
            continue
        for order in ORDERS:
            found[order].append(reader.with_suffix(prefix, middle, suffix, order=order, end=True))
        ends.append(found["spm"][-1] - reader.with_suffix(prefix, middle, suffix))
        alone.append(reader.without_suffix(prefix, middle))
        gaps.append((prefix, middle, suffix))
    yield ["stories", f"{len(exact)} of {tried}"]
    for name, values in (
        ("the grammar's posterior", exact), ("left to right, its end not counted", alone),
        ("PSM", found["psm"]), ("SPM", found["spm"]),
        ("of this, where it ends", ends),
    ):  # fmt: skip
        yield [f"nats of a gap: {name}", f"{statistics.mean(values):.3f}"]
    above = [a - b for a, b in zip(found["spm"], exact, strict=True)]
    yield ["SPM above the posterior", mean_interval(above)]
    chance = statistics.mean(math.exp(-nats) for nats in exact)
    yield ["filled: drawn from the posterior", f"all are stories, {chance:.0%} as it was"]
    yield from fill_rows(run, gaps, grammar)


def fill_rows(
    run: Run, gaps: Sequence[tuple[str, str, str]], grammar: Grammar
) -> Iterator[list[str]]:
    """What a run writes into gaps of stories: the share of stories, and of what was there."""
    model, count = open_run(run.path, device="cpu"), len(gaps)
    for best_of in BEST_OF:
        stories = same = 0
        for seed, (prefix, middle, suffix) in enumerate(gaps):
            fill = model.fill_between(prefix, suffix, seed=seed, best_of=best_of)
            stories += is_story(grammar, prefix + fill + suffix)
            same += fill == middle
        shares = f"{stories / count:.0%} are stories, {same / count:.0%} as it was"
        yield [f"filled: best of {best_of}", shares]


def tiny_runs(folder: Path) -> Iterator[tuple[Run, Path]]:
    """A run without gaps and one with, of a random text."""
    tokenizer = number_tokenizer(320)
    config = named_config(
        "nano", vocab_size=320, context_length=128, num_layers=1, d_model=32, num_heads=1
    )
    for share in (0.0, 0.5):
        trainer = start_training(
            config, tokenizer, folder / f"tiny-{share:g}", device="cpu", steps=1,
            batch_tokens=1024, dtype="float32", infill=share,
        )  # fmt: skip
        for _ in trainer.events():
            pass
        yield trainer.run, folder / f"tiny-{share:g}.txt"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("pairs", nargs="*", metavar="PLAIN:GAPS")
    parser.add_argument("--text", type=Path, help="the text of these runs")
    parser.add_argument("--stories", metavar="RUN")
    parser.add_argument("--count", type=int, help="pieces, or stories")
    wanted = parser.parse_args(arguments)
    print_heading("infill", arguments)
    if wanted.stories:
        run = find_run(wanted.stories)[0]
        for words in (False, True):
            name = "gaps of whole words" if words else "gaps cut anywhere"
            print_table([name, run.name], story_rows(run, wanted.count or STORIES, words=words))
        return
    count = 4 if wanted.tiny else wanted.count or PIECES
    columns = ["run", "loss without gaps", "with", "difference", "middles: without gaps",
               "no suffix", "PSM", "SPM", "SPM - no suffix"]  # fmt: skip
    if wanted.tiny:
        with tempfile.TemporaryDirectory() as name:
            (plain, _), (gaps, text) = tiny_runs(Path(name))
            print_table(columns, [compare(plain, gaps, text, count)])
        return
    pairs = [pair.split(":") for pair in wanted.pairs]
    print_table(
        columns,
        (
            compare(find_run(plain)[0], find_run(gaps)[0], wanted.text, count)
            for plain, gaps in pairs
        ),
    )


if __name__ == "__main__":
    main()
