"""The training loop, as a generator of events.

    for every step:  batch -> loss -> gradients -> update
    now and then:    measure on held-out text, save, write a sample

Everything random is a function of (seed, step): which rows, which dropout. So a run that was cut
anywhere goes on from its last saved step to the same bits as one that never stopped.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import torch

from tfcli.errors import DataError
from tfcli.runs.metrics import append_metrics
from tfcli.runs.run import prune
from tfcli.runs.step import StepState, save_step
from tfcli.training.evaluation import evaluate_tokens
from tfcli.training.events import Evaluated, Sampled, Saved, StepFinished, Stopped, to_row
from tfcli.training.plan import EVALUATIONS, LONGEST_UNSAVED, learning_rate_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run
    from tfcli.runs.step import HeldOut
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.batches import Batches
    from tfcli.training.events import Event, Reason
    from tfcli.training.optimizers import Optimizer
    from tfcli.training.plan import Plan

STEPS_KEPT = 2  # besides the best
LEAVING_SECONDS = 0.3
FINAL_SHARE = 0.1  # of a time budget, at most, for the last measurement


@dataclass(kw_only=True)
class Trainer:
    """One session of training a run: what it works with, and where it stands.

    Attributes:
        started: `time.monotonic()` when this session began to spend its budget.
        stop: asked before every step; True saves and ends.
        sample: writes a piece of text with the model as it is, or None.
        step, tokens_seen, seconds_before, best: the state that the session begins with.

    """

    run: Run
    plan: Plan
    model: Transformer
    optimizer: Optimizer
    batches: Batches
    corpus: TokenizedCorpus
    tokenizer: Tokenizer
    seed: int
    started: float
    stop: Callable[[], bool] = lambda: False
    sample: Callable[[Transformer], str] | None = None
    step: int = 0
    tokens_seen: int = 0
    seconds_before: float = 0.0
    best: float = math.inf
    _held_out: HeldOut | None = None
    _held_out_final: HeldOut | None = None
    _saved_step: int = -1
    _saved_at: float = field(default_factory=time.monotonic)
    _step_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=15))
    _token_seconds: float = math.inf  # to measure on one token, at the fastest so far
    _saving_seconds: float = 0.0

    def events(self) -> Iterator[Event]:
        """Trains to the end of the budget; every event is in `metrics.jsonl` before it is seen."""
        for event in self._train():
            append_metrics(self.run.path, to_row(event))
            yield event

    # --- the loop -------------------------------------------------------------------------------

    def _train(self) -> Iterator[Event]:
        self.model.train()
        reason: Reason = "finished"
        while not self._over():
            if self.stop():
                reason = "interrupted"
                break
            before = self._progress()
            yield self._update()
            if self._over():
                break
            if self._evaluation_due(before):
                yield from self._measure()
            if self._save_due(before):
                yield from self._save()
        if reason == "finished":
            yield from self._measure()
            yield from self._measure_finally()
        yield from self._save()
        yield Stopped(step=self.step, reason=reason, seconds=self.seconds)

    def _update(self) -> StepFinished:
        """One step: gradients summed over the micro-batches, then one update."""
        began = time.perf_counter()
        progress = self._progress()
        scale = learning_rate_scale(self.step, progress)
        torch.manual_seed(self.seed * 1_000_003 + self.step)  # dropout
        loss = self._accumulate_gradients()
        norm = self.optimizer.step(scale)
        if not math.isfinite(loss + norm):
            raise self._diverged(f"loss {loss}, gradient norm {norm}; this step was not made")
        self.step += 1
        tokens = self.plan.rows * self.model.config.context_length
        self.tokens_seen += tokens
        self._held_out = self._held_out_final = None  # those weights are gone
        elapsed = time.perf_counter() - began
        self._step_seconds.append(elapsed)
        return StepFinished(
            step=self.step,
            loss=loss,
            nats_per_byte=loss / self.corpus.bytes_per_token,
            gradient_norm=norm,
            learning_rate_scale=scale,
            tokens_per_second=tokens / elapsed,
            progress=self._progress(),
            seconds=self.seconds,
        )

    def _accumulate_gradients(self) -> float:
        batch = self.batches.batch(self.step)
        device = next(self.model.parameters()).device
        half = self.plan.precision == "bfloat16"
        total = 0.0
        for first in range(0, self.plan.rows, self.plan.micro_rows):
            part = slice(first, first + self.plan.micro_rows)
            inputs = torch.from_numpy(batch.inputs[part]).to(device)
            targets = torch.from_numpy(batch.targets[part]).to(device)
            with torch.autocast(device.type, torch.bfloat16) if half else contextlib.nullcontext():
                loss = self.model.loss(inputs, targets) * (len(inputs) / self.plan.rows)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    def _diverged(self, why: str) -> DataError:
        return DataError(
            f"the training diverged at step {self.step + 1}: its loss is no number any more",
            why=why,
            mend="begin another run with half the --learning-rate",
        )

    # --- the budget -----------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Time spent on this run, all sessions together."""
        return self.seconds_before + time.monotonic() - self.started

    @property
    def _closing_seconds(self) -> float:
        """What the end will take: the last measurement, the last save, leaving the program."""
        tokens = min(self.plan.evaluation_tokens, len(self.corpus.held_out))
        if tokens < len(self.corpus.held_out):
            tokens += self._final_tokens()
        measuring = 0.0 if math.isinf(self._token_seconds) else tokens * self._token_seconds
        return measuring + self._saving_seconds + LEAVING_SECONDS

    def _final_tokens(self) -> int:
        """How much of the held-out text is measured at the end.

        All of it, unless that took more than a tenth of a time budget.
        """
        tokens = len(self.corpus.held_out)
        if self.plan.budget.kind == "steps":
            return tokens
        affordable = FINAL_SHARE * self.plan.budget.amount / self._token_seconds
        return int(min(tokens, max(affordable, self.plan.evaluation_tokens)))

    def _progress(self) -> float:
        """The share of the budget that is spent, from 0 to 1."""
        budget = self.plan.budget
        if budget.kind == "steps":
            return min(1.0, self.step / budget.amount)
        return min(1.0, self.seconds / max(budget.amount - self._closing_seconds, 1e-9))

    def _over(self) -> bool:
        budget = self.plan.budget
        if budget.kind == "steps":
            return self.step >= budget.amount
        left = budget.amount - self._closing_seconds - self.seconds
        # the median: one step that the machine held up must not end the training
        return bool(self._step_seconds) and left < median(self._step_seconds)

    # --- now and then ---------------------------------------------------------------------------

    def _evaluation_due(self, progress_before: float) -> bool:
        if self.plan.evaluate_every:
            return self.step % self.plan.evaluate_every == 0
        return self._passed_a_mark(progress_before)

    def _save_due(self, progress_before: float) -> bool:
        if self.plan.save_every:
            return self.step % self.plan.save_every == 0
        late = time.monotonic() - self._saved_at > LONGEST_UNSAVED
        return late or self._passed_a_mark(progress_before)

    def _passed_a_mark(self, progress_before: float) -> bool:
        return int(self._progress() * EVALUATIONS) > int(progress_before * EVALUATIONS)

    def _measure(self) -> Iterator[Event]:
        """On the same part of the held-out text each time; and a sample, if wanted."""
        if self._held_out is not None or not len(self.corpus.held_out):
            return
        began = time.monotonic()
        held_out = evaluate_tokens(
            self.model,
            self.corpus.held_out,
            self.tokenizer,
            limit=self.plan.evaluation_tokens,
        )
        if held_out is None:
            return
        self._token_seconds = min(self._token_seconds, (time.monotonic() - began) / held_out.tokens)
        self._held_out = held_out
        best = held_out.nats_per_byte < self.best
        self.best = min(self.best, held_out.nats_per_byte)
        yield Evaluated(step=self.step, held_out=held_out, best=best, seconds=self.seconds)
        if self.sample is not None:
            self.model.eval()
            yield Sampled(step=self.step, text=self.sample(self.model))
            self.model.train()

    def _measure_finally(self) -> Iterator[Event]:
        """On all of the held-out text."""
        if self._held_out is None or self._held_out.whole:
            return
        held_out = evaluate_tokens(
            self.model, self.corpus.held_out, self.tokenizer, limit=self._final_tokens()
        )
        assert held_out is not None
        self._held_out_final = held_out
        best = self._held_out.nats_per_byte <= self.best
        yield Evaluated(step=self.step, held_out=held_out, best=best, seconds=self.seconds)

    def _save(self) -> Iterator[Event]:
        if self._saved_step == self.step:
            return
        if not all(parameter.isfinite().all() for parameter in self.model.parameters()):
            raise self._diverged("a weight is no number; nothing was saved of it")
        state = StepState(
            step=self.step,
            tokens_seen=self.tokens_seen,
            seconds=self.seconds,
            held_out=self._held_out,
            held_out_final=self._held_out_final,
        )
        began = time.monotonic()
        weights = {name: p.numpy(force=True) for name, p in self.model.named_parameters()}
        path = save_step(self.run.path, state, weights, self.optimizer.state())
        self._saved_step, self._saved_at = self.step, time.monotonic()
        prune(self.run, keep=STEPS_KEPT)
        self._saving_seconds = time.monotonic() - began
        yield Saved(step=self.step, path=path, seconds=self.seconds)
