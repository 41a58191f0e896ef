"""What a person sees: progress, tables, the live view of a training. The only importer of rich.

Model text is put in as plain `Text`, never as markup, and with its control characters shown.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.cli.formatting import format_bytes, format_count, format_duration
from tfcli.cli.sparkline import draw_losses
from tfcli.cli.streams import counted
from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

    from tfcli.training.events import Evaluated, Event, StepFinished
    from tfcli.training.setup import TrainingJob

PATIENCE = 2.0  # seconds; what takes longer shows progress
FRAME = 0.25  # seconds between pictures of a training on a terminal
LINE_EVERY = 10.0  # seconds between plain lines of a training
FIRST_LINE = 1.0  # seconds until the first: it goes well


def console() -> Console:
    """A console on stderr."""
    from rich.console import Console

    return Console(
        file=sys.stderr, highlight=False, markup=False, no_color=not streams.wants_color()
    )


# --- progress -----------------------------------------------------------------------------------


@contextlib.contextmanager
def progress(
    what: str, *, total: int | None = None, quiet: bool
) -> Iterator[Callable[[int], None]]:
    """Shows how far a long work is, once it has taken two seconds.

    Yields:
        what to call with the number of bytes done so far.

    """
    if quiet:
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        console=console(), transient=True,
    )  # fmt: skip
    task = bar.add_task(what, total=total)
    began = shown = time.monotonic()
    on_terminal = streams.is_terminal(sys.stderr)

    def report(done: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - began < PATIENCE:
            return
        if on_terminal:
            if not bar.live.is_started:
                bar.start()
            bar.update(task, completed=done)
        elif now - shown > LINE_EVERY:
            shown = now
            share = f" of {format_bytes(total)}" if total else ""
            streams.say(f"{what}: {format_bytes(done)}{share}")

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()


# --- tables -------------------------------------------------------------------------------------


def show_facts(facts: Mapping[str, object]) -> None:
    """Names and values, a line each, on stdout."""
    width = max(map(len, facts))
    lines = [f"{name:<{width}}  {_cell(value)}" for name, value in facts.items()]
    streams.write_result(("\n".join(lines) + "\n").encode())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return make_visible(str(value))


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (headings, *rows)
    ]
    streams.write_result(("\n".join(lines) + "\n").encode())


# --- a training ---------------------------------------------------------------------------------


def show_plan(job: TrainingJob, name: str, reporter: streams.Reporter) -> None:
    """What is going to be trained, and what to expect of it, before it begins."""
    model, plan, corpus = job.model_config, job.plan, job.corpus
    budget = plan.budget
    begun = f", begun as {job.base.run.name}" if job.base else ""
    reporter.note(
        f"Run {name}: {model.family}, {format_count(job.parameters)} parameters "
        f"({counted(model.num_layers, 'layer')} of {model.d_model}, "
        f"{counted(model.num_heads, 'head')}, "
        f"context {model.context_length}){begun}"
    )
    reporter.note(
        f"Text: {format_bytes(corpus.training_bytes)} to train on = "
        f"{format_count(len(corpus.training))} tokens of a vocabulary of {model.vocab_size:,}; "
        f"{format_bytes(corpus.held_out_bytes)} held out; {counted(corpus.documents, 'document')}"
    )
    length = f"{format_duration(budget.amount)} in all" if budget.kind == "seconds" else ""
    if job.steps is not None and job.epochs is not None:
        about = "about " if budget.kind == "seconds" else ""
        steps = f"{about}{counted(job.steps, 'step')} of {job.batch_tokens:,} tokens"
        length = ", ".join(filter(None, (length, f"{steps} ({job.epochs:.1f} epochs)")))
    parts = [
        length,
        f"dropout {plan.dropout:g} and {plan.token_dropout:g} of the tokens",
        f"{plan.precision} on {job.device}",
    ]
    if plan.compile:
        parts.append("compiled")
    if job.processes.count > 1:
        sharded = ", weights shared out" if job.processes.sharded else ""
        parts.append(f"{job.processes.count} processes{sharded}")
    reporter.note("Plan: " + ", ".join((*parts, f"seed {job.seed}")))
    reporter.note(f"      {_say_expectation(job)}")


def _say_expectation(job: TrainingJob) -> str:
    from tfcli.training.sizing import expected_loss

    needs = f"about {format_bytes(job.memory_bytes)} of memory"
    simple = format_baselines(asdict(job.baselines)) if job.baselines else ""
    if job.baselines is None or job.epochs is None:
        return needs
    tokens = job.epochs * len(job.corpus.training)
    expected = expected_loss(job.baselines.ngram, job.baselines.gzip, tokens)
    if expected is None:
        return f"{needs}; on the held-out text {simple}"
    low, high = expected
    return f"{needs}; held out, expect {low:.2f} to {high:.2f} nats/byte ({simple})"


def format_baselines(baselines: Mapping[str, Any]) -> str:
    """What simple methods make of the held-out text."""
    return (
        f"gzip {baselines['gzip']:.2f}, {baselines['ngram_order']}-grams {baselines['ngram']:.2f}"
    )


class TrainingView:
    """Shows the events of a training: live on a terminal, as plain lines elsewhere."""

    def __init__(self, job: TrainingJob, name: str, *, quiet: bool) -> None:
        self._job = job
        self._name = name
        self._quiet = quiet
        self._losses: list[float] = []
        self._measured: list[tuple[int, float]] = []  # steps of this session, loss
        self._last: StepFinished | None = None
        self._evaluated: Evaluated | None = None
        self._best: float | None = None
        self._sample = ""
        self._next_line = time.monotonic() + FIRST_LINE
        self._drawn = 0.0
        self._live: Live | None = None

    def __enter__(self) -> TrainingView:
        if not self._quiet and streams.wants_color():
            from rich.live import Live

            self._live = Live(console=console(), refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Takes in one event."""
        from tfcli.training.events import Evaluated, Sampled, StepFinished

        if isinstance(event, StepFinished):
            self._last = event
            self._losses.append(event.nats_per_byte)
        elif isinstance(event, Evaluated):
            self._evaluated = event
            self._measured.append((len(self._losses), event.held_out.nats_per_byte))
            if event.best:
                self._best = event.held_out.nats_per_byte
        elif isinstance(event, Sampled):
            self._sample = event.text
        if self._quiet:
            return
        self._say_trouble(event)
        if self._live:
            if not isinstance(event, StepFinished) or time.monotonic() - self._drawn > FRAME:
                self._live.update(self._panel())
                self._drawn = time.monotonic()
        elif isinstance(event, Evaluated) or (
            isinstance(event, StepFinished) and time.monotonic() > self._next_line
        ):
            self._say_line(event)

    def _say_trouble(self, event: Event) -> None:
        from tfcli.training.events import MemoryExceeded, NotCompiled, NotEvaluated

        if isinstance(event, MemoryExceeded):
            streams.say(
                f"Note: the memory is too small for so many rows at once: now {event.micro_rows}, "
                "in batches as large as before."
            )
        elif isinstance(event, NotEvaluated):
            streams.say(f"Note: evaluation skipped at step {event.step:,}: {event.why}")
        elif isinstance(event, NotCompiled):
            streams.say(f"Note: going on without compiled code: {event.why}")

    def _say_line(self, event: StepFinished | Evaluated) -> None:
        self._next_line = time.monotonic() + LINE_EVERY
        held_out = (
            f"  held out{' (all)' if event.held_out.whole else ''} "
            f"{event.held_out.nats_per_byte:.4f} nats/byte"
            if hasattr(event, "held_out")
            else ""
        )
        if self._last is None:
            streams.say(f"step {event.step:,}{held_out}")
            return
        streams.say(
            f"{100 * self._last.progress:3.0f} %  step {event.step:,}  "
            f"loss {self._recent_loss():.4f} nats/byte{held_out}  "
            f"{self._last.tokens_per_second:,.0f} tokens/s  {self._time_left()} left"
        )

    def _places(self) -> list[tuple[float, float]]:
        return [(steps / len(self._losses), loss) for steps, loss in self._measured]

    def _recent_loss(self) -> float:
        recent = self._losses[-50:]
        return sum(recent) / len(recent)

    def _time_left(self) -> str:
        assert self._last is not None
        if self._last.progress <= 0:
            return "?"
        budget = self._job.plan.budget
        if budget.kind == "seconds":
            return format_duration(max(0.0, budget.amount - self._last.seconds))
        steps = budget.amount - self._last.step
        tokens = steps * self._job.batch_tokens
        return format_duration(max(0.0, tokens / self._last.tokens_per_second))

    def _panel(self) -> RenderableType:
        from rich.console import Group
        from rich.padding import Padding
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        last = self._last
        if last is None:
            return Text("Beginning ...")
        # narrower by the two columns that the ^C of an impatient person takes at its end
        width = max((self._live.console.width if self._live else 80) - 2, 24)
        held_out = self._evaluated.held_out.nats_per_byte if self._evaluated else None
        facts = {
            "step": f"{last.step:,}",
            "train loss": f"{self._recent_loss():.4f}",
            "held out": _figure(held_out),
            "best": _figure(self._best),
            "tokens/s": f"{last.tokens_per_second:,.0f}",
            "MFU": "-" if last.mfu is None else f"{100 * last.mfu:.0f} %",
            "memory": _say_memory(),
            "left": self._time_left(),
        }
        if width < 76:
            del facts["MFU"], facts["memory"]
        figures = Table.grid(padding=(0, 3 if width >= 76 else 2))
        figures.add_row(*(Text(heading, "dim") for heading in facts))
        figures.add_row(*facts.values())
        chart = min(66, width - 14)
        lines = draw_losses(self._losses, self._places(), width=chart, height=7)
        parts: list[RenderableType] = [
            Padding(ProgressBar(total=1.0, completed=last.progress), 0),  # it ends no line itself
            figures,
            Text("\n".join(lines), "cyan"),
        ]
        if self._job.baselines:
            simple = format_baselines(asdict(self._job.baselines))
            parts.append(Text(f"\u25cf held out   baselines: {simple}", "dim"))
        if self._sample:
            parts.append(_sample_text(self._sample))
        return Panel(
            Group(*parts), title=self._name, title_align="left", padding=(0, 1), width=width
        )


def _say_memory() -> str:
    """The most memory that the process has had, in RAM or, of a GPU, there."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return format_bytes(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return "-"
    unit = 1 if sys.platform == "darwin" else 1024
    return format_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _sample_text(sample: str, lines: int = 6) -> Text:
    from rich.text import Text

    shown = "\n".join(make_visible(sample).splitlines()[:lines])
    return Text(shown, "italic", overflow="ellipsis")


def show_checks(checks: Sequence[tuple[bool, str, str]]) -> None:
    """The findings of `doctor` on stdout: a mark, what was looked at, what was found."""
    rows = [(("ok" if good else "!!"), what, found) for good, what, found in checks]
    width = max(len(what) for _, what, _ in rows)
    lines = [f"{mark}  {what:<{width}}  {make_visible(found)}" for mark, what, found in rows]
    streams.write_result(("\n".join(lines) + "\n").encode())
