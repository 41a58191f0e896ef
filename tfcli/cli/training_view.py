"""The live view of a training, and its plan."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.cli.charts.sparkline import draw_losses
from tfcli.cli.humanize import format_bytes, format_count, format_duration, format_epochs
from tfcli.cli.pair_notes import describe_pairs
from tfcli.cli.render import LINE_EVERY, console
from tfcli.cli.training_pace import PaceWatch
from tfcli.generation.streaming import make_visible
from tfcli.quantities import counted, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType
    from rich.live import Live
    from rich.text import Text

    from tfcli.training.events import Evaluated, Event, StepFinished
    from tfcli.training.setup import TrainingJob

LITTLE_TEXT = 50_000  # bytes
ENOUGH_READ = 0.5  # of the text, in the time there is
LONG = 1800.0  # seconds
FRAME = 0.25  # seconds between updates on a terminal
FIRST_LINE = 1.0  # seconds until the first plain line: the training works


FEW_STEPS = 5  # fewer teach nothing, whatever the text
FEW_FOR_SIZE = 50  # in a time budget; a plan that chooses the size itself makes more


def show_plan(job: TrainingJob, name: str, reporter: streams.Reporter, left_out: int = 0) -> None:
    """What is going to be trained, and what to expect of it; `left_out` files are not read."""
    model, plan, corpus = job.model_config, job.plan, job.corpus
    budget = plan.budget
    base = f", initialized from {job.base.run.name}" if job.base else ""
    reporter.note(
        f"Run {name}: {model.family}, {format_count(job.parameters)} parameters "
        f"({counted(model.num_layers, 'layer')} of {model.d_model}, "
        f"{counted(model.num_heads, 'head')}, "
        f"context {model.context_length}){base}"
    )
    reporter.note(
        f"Text: {format_bytes(corpus.training_bytes)} to train on = "
        f"{format_count(len(corpus.training))} tokens (vocabulary {model.vocab_size:,}); "
        f"{format_bytes(corpus.held_out_bytes)} held out; {counted(corpus.documents, 'document')}"
        + (f", {counted(left_out, 'file')} left out" if left_out else "")
    )
    for line in describe_pairs(job):
        reporter.note(line)
    length = f"{format_duration(budget.amount)} in total" if budget.kind == "seconds" else ""
    if job.steps is not None and job.epochs is not None:
        about = "about " if budget.kind == "seconds" else ""
        steps = f"{about}{counted(job.steps, 'step')} of {job.batch_tokens:,} tokens"
        if job.base:
            steps += f" = {format_count(job.tokens or 0)} tokens"
        length = ", ".join(filter(None, (length, f"{steps} ({format_epochs(job.epochs)})")))
    parts = [
        length,
        f"learning rate {_format_rate(plan.optimizer.matrix_learning_rate)}"
        + " (AdamW)" * (plan.optimizer.kind == "adamw"),
        f"dropout {plan.dropout:g}, token dropout {plan.token_dropout:g}",
        f"{plan.dtype} on {job.device}",
    ]
    if plan.student:
        parts.append("self-distillation: half of it for a teacher, half for a student")
    if plan.masked:
        parts.append(f"{percent(plan.masked)} of rows masked (bidirectional)")
    if plan.infill:
        parts.append(f"infilling {plan.infill:g}")
    if plan.compile:
        parts.append("compiled")
    if plan.checkpointing:
        parts.append("gradient checkpointing")
    if job.processes.world_size > 1:
        sharded = ", parameters sharded" if job.processes.sharded else ""
        parts.append(f"{job.processes.world_size} processes{sharded}")
    reporter.note("Plan: " + ", ".join((*parts, f"seed {job.seed}")))
    reporter.note(f"      {_format_expectation(job)}")
    _note_on_length(job, reporter)
    if note := _note_on_learning_rate(job):
        reporter.note(f"Note: {note}")
    if note := _note_on_speed(job):
        reporter.note(f"Note: {note}")
    little = corpus.training_bytes < LITTLE_TEXT and corpus.training_targets is None
    if little and job.base is None:
        reporter.note(
            f"Note: a model memorizes this little text ({format_bytes(corpus.training_bytes)}) "
            f"and learns not much else. From {format_bytes(LITTLE_TEXT)} on, it "
            "learns to spell; from a megabyte on, to write sentences."
        )


def _note_on_length(job: TrainingJob, reporter: streams.Reporter) -> None:
    """Says where there are too few steps, or too little text for them."""
    if job.steps is not None and job.steps < FEW_STEPS:
        reporter.note(
            f"Note: a training of {counted(job.steps, 'step')} is too short to learn anything; "
            "--time 2m gives it more."
        )
    elif _too_large(job):
        reporter.note(
            f"Note: in this time, a model of this size takes {counted(job.steps or 0, 'step')} and "
            "hardly learns; a smaller one, or more time, gives a lower loss."
        )
    if job.ends_early:
        reporter.note(
            f"Note: training is capped at {job.epochs:.0f} epochs on this little text and will end "
            "early; --epochs overrides this."
        )


def _too_large(job: TrainingJob) -> bool:
    """Whether a time budget is too short for the size; not known of a run that resumes."""
    timed = job.plan.budget.kind == "seconds" and job.base is None
    return timed and job.steps is not None and job.steps < FEW_FOR_SIZE


def _note_on_learning_rate(job: TrainingJob) -> str | None:
    """Says where it is far too high: there is then no loss to expect."""
    from tfcli.training.expectation import DIVERGING, learning_rate_ratio

    ratio = learning_rate_ratio(job)
    if ratio < DIVERGING:
        return None
    rate, times = job.plan.optimizer.matrix_learning_rate, float(f"{ratio:.2g}")
    return (
        f"a learning rate of {_format_rate(rate)} is {times:,.0f} times the default "
        f"({_format_rate(rate / ratio)}); the training will very probably diverge."
    )


def _format_rate(rate: float) -> str:
    """`0.013`, `100`."""
    return f"{rate:.2g}" if rate < 1 else f"{rate:g}"


def _note_on_speed(job: TrainingJob) -> str | None:
    """Says where a large model is too much for the machine, and what to do."""
    less = "a smaller model, or less text, takes less"
    if job.base is None or job.epochs is None or job.tokens is None:
        return None
    if job.plan.budget.kind == "steps":
        if (job.seconds or 0.0) < LONG:
            return None
        return f"this may take {format_duration(job.seconds or 0.0)} on this machine; {less}."
    if job.epochs >= ENOUGH_READ:
        return None
    once, share = job.plan.budget.amount / job.epochs, max(job.epochs, 0.001)
    return (
        f"in this time the model reads {percent(share, 1)} of the text. To read it once takes "
        f"about {format_duration(once)}: --epochs 1; {less}."
    )


def _format_expectation(job: TrainingJob) -> str:
    from tfcli.training.expectation import loss_range

    kind = "GPU memory" if job.device.type == "cuda" else "RAM"
    needs = f"about {format_bytes(job.memory_bytes)} of {kind}"
    if job.baselines is None or job.epochs is None:
        return needs
    simple = format_baselines(asdict(job.baselines))
    expected = loss_range(job)
    if expected is None:
        return f"{needs}; baselines on held-out text: {simple}"
    low, high = expected
    return f"{needs}; expected held out: {low:.2f} to {high:.2f} nats/byte (baselines: {simple})"


def format_baselines(baselines: Mapping[str, Any]) -> str:
    """The loss of simple methods on held-out text."""
    ngram = f"{baselines['ngram_order']}-gram model {baselines['ngram']:.2f}"
    return f"gzip {baselines['gzip']:.2f}, {ngram}"


class TrainingView:
    """Shows the events of a training: live on a terminal, as plain lines elsewhere."""

    def __init__(self, job: TrainingJob, name: str, *, quiet: bool) -> None:
        self._job = job
        self._name = name
        self._quiet = quiet
        self._losses: list[float] = []
        self._evaluations: list[tuple[int, float]] = []  # steps so far, loss
        self._last: StepFinished | None = None
        self._evaluated: Evaluated | None = None
        self._evaluated_bytes = 0  # in each evaluation but the last
        self._best: float | None = None
        self._sample = ""
        self._next_line = time.monotonic() + FIRST_LINE
        self._printed: int | None = None  # the step of the line that was printed last
        self._drawn = 0.0
        self._pace = PaceWatch(job.steps, job.plan.budget)
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
            if (note := self._pace.note(event)) and not self._quiet:
                streams.say(f"Note: {note}.")
            self._losses.append(event.nats_per_byte)
        elif isinstance(event, Evaluated):
            if not self._evaluated_bytes:
                self._evaluated_bytes = event.held_out.bytes
            self._evaluated = event
            self._evaluations.append((len(self._losses), event.held_out.nats_per_byte))
            if event.best:
                self._best = event.held_out.nats_per_byte
        elif isinstance(event, Sampled):
            self._sample = event.text
        if self._quiet:
            return
        self._report_trouble(event)
        if self._live:
            if not isinstance(event, StepFinished) or time.monotonic() - self._drawn > FRAME:
                self._live.update(self._panel())
                self._drawn = time.monotonic()
        elif isinstance(event, Evaluated) or (
            isinstance(event, StepFinished) and time.monotonic() > self._next_line
        ):
            self._print_line(event)

    def _report_trouble(self, event: Event) -> None:
        from tfcli.training.events import MemoryExceeded, NotCompiled, NotEvaluated, StudentBegun

        if isinstance(event, MemoryExceeded):
            streams.say(
                f"Note: out of memory; the micro-batch is now {event.micro_batch_size}, "
                "the batch size is unchanged."
            )
        elif isinstance(event, NotEvaluated):
            streams.say(f"Note: evaluation skipped at step {event.step:,}: {event.why}")
        elif isinstance(event, StudentBegun):
            streams.say(
                f"From step {event.step + 1:,} on, a student is trained: on the text and on the "
                "predictions of the model so far. Its loss is higher at first."
            )
        elif isinstance(event, NotCompiled):
            streams.say(f"Note: continuing without torch.compile: {event.why}")

    def _print_line(self, event: StepFinished | Evaluated) -> None:
        self._next_line = time.monotonic() + LINE_EVERY
        held_out = ""
        if hasattr(event, "held_out"):
            measured = event.held_out
            final = measured.bytes > self._evaluated_bytes  # more of it than before
            part = "all" if measured.whole else f"final, {format_bytes(measured.bytes)}"
            label = f" ({part})" if measured.whole or final else ""
            held_out = f"  held out{label} {measured.nats_per_byte:z.4f} nats/byte"
        again, self._printed = self._printed == event.step, event.step
        if self._last is None or (again and held_out):  # evaluated once more, on more text
            streams.say(f"{' ' * 7 * (self._last is not None)}step {event.step:,}{held_out}")
            return
        percent = round(100 * self._last.progress)
        pace = f"  {self._last.tokens_per_second:,.0f} tokens/s"
        left = f"  {self._time_left()} left" if percent < 100 else ""  # then it is evaluated
        streams.say(
            f"{percent:3} %  step {event.step:,}  "
            f"train loss {self._recent_loss():z.4f} nats/byte{held_out}{pace}{left}"
        )

    def _places(self) -> list[tuple[float, float]]:
        return [(steps / len(self._losses), loss) for steps, loss in self._evaluations]

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
            return Text("Starting ...")
        # two columns narrower: room for the ^C of an impatient person
        width = max((self._live.console.width if self._live else 80) - 2, 24)
        held_out = self._evaluated.held_out.nats_per_byte if self._evaluated else None
        facts = {
            "step": f"{last.step:,}",
            "train loss": f"{self._recent_loss():z.4f}",
            "held out": _figure(held_out),
            "best": _figure(self._best),
            "tokens/s": f"{last.tokens_per_second:,.0f}",
            "MFU": "-" if last.mfu is None else f"{100 * last.mfu:.0f} %",
            "memory": _format_memory(),
            "left": self._time_left() if round(100 * last.progress) < 100 else "-",
        }
        if width < 76:
            del facts["MFU"], facts["memory"]
        if width < 56:
            del facts["tokens/s"]
        figures = Table.grid(padding=(0, 3 if width >= 76 else 2))
        figures.add_row(*(Text(heading, "dim") for heading in facts))
        figures.add_row(*facts.values())
        chart = min(66, width - 14)
        lines = draw_losses(self._losses, self._places(), width=chart, height=7)
        parts: list[RenderableType] = [
            Padding(ProgressBar(total=1.0, completed=last.progress), 0),  # it does not end its line
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


def _format_memory() -> str:
    """The peak memory of the process, or of the GPU if it uses one."""
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
    return "-" if value is None else f"{value:z.4f}"


def _sample_text(sample: str, lines: int = 6) -> Text:
    from rich.text import Text

    shown = "\n".join(make_visible(sample).splitlines()[:lines])
    return Text(shown, "italic", overflow="ellipsis")
