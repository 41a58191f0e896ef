"""The training loop, as a generator of events.

    every step:    examples -> batch -> loss -> gradients -> optimizer step
    now and then:  evaluate on held-out text, save, generate a sample

Everything random is a function of (seed, step): which rows, which dropout. So a run that was
interrupted anywhere resumes from its last saved step, bit for bit as one that never stopped.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tfcli.errors import DataError
from tfcli.model.safetensors_file import SupportsArray, written_order
from tfcli.runs.metrics import append_metrics
from tfcli.runs.run import require_exists
from tfcli.runs.step import StepState, save_step, step_path
from tfcli.runs.valid_steps import prune
from tfcli.runtime.distributed import SINGLE_PROCESS, DistributedContext, local_tensor
from tfcli.runtime.memory import is_out_of_memory
from tfcli.runtime.threads import ThreadBalancer
from tfcli.training.callbacks import NO_CALLBACKS, Callbacks, ResumePoint
from tfcli.training.clock import Clock
from tfcli.training.distillation import Teacher
from tfcli.training.energy import with_energy
from tfcli.training.evaluation import (
    evaluate_best_step,
    evaluate_held_out,
)
from tfcli.training.events import (
    Evaluated,
    MemoryExceeded,
    NotCompiled,
    NotEvaluated,
    Sampled,
    Saved,
    StepFinished,
    Stopped,
    StudentBegun,
    to_row,
)
from tfcli.training.grad_scaler import GradScaler
from tfcli.training.gradients import GradientAccumulator
from tfcli.training.micro_batch import memory_hint
from tfcli.training.plan import EVALUATIONS, MAX_SAVE_INTERVAL
from tfcli.training.saved_weights import as_saved, master_weights, saved_weights
from tfcli.training.schedule import learning_rate_scale
from tfcli.training.stages import TEACHER_SHARE, stage_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run
    from tfcli.runs.step import HeldOutLoss
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.events import Event, StopReason
    from tfcli.training.examples import Sampler
    from tfcli.training.objectives import Objective
    from tfcli.training.optimizers import Optimizer
    from tfcli.training.plan import Plan

STEPS_KEPT = 2  # besides the best


@dataclass(kw_only=True)
class Trainer:
    """One session of training a run: what it works with, and how far it has come.

    Attributes:
        started: `time.monotonic()` when this session began to spend its budget.
        processes: that train together.
        peak_flops: floating-point operations per second of a large matrix product, if measured.
        resume_from: where the run continues; None: it begins.
        step, tokens_seen: trained so far, in all sessions.
        best: the lowest held-out loss.
        own_best, evals_without_improvement: that of the model in training, teacher or student, and
            the evaluations since.
        saved_step: the newest step on disk.
        make_student: makes the student of self-distillation, and what trains it.
        student_since: the last step of its teacher; None: its training has not begun.

    """

    run: Run
    plan: Plan
    model: Transformer
    optimizer: Optimizer
    sampler: Sampler
    objective: Objective
    corpus: TokenizedCorpus
    tokenizer: Tokenizer
    seed: int
    started: float
    make_student: Callable[[], tuple[Transformer, Optimizer, Objective]]
    callbacks: Callbacks = NO_CALLBACKS
    processes: DistributedContext = SINGLE_PROCESS
    peak_flops: float | None = None
    resume_from: ResumePoint | None = None
    step: int = field(init=False, default=0)
    tokens_seen: int = field(init=False, default=0)
    best: float = field(init=False, default=math.inf)
    own_best: float = field(init=False, default=math.inf)
    evals_without_improvement: int = field(init=False, default=0)
    saved_step: int | None = field(init=False, default=None)
    student_since: int | None = field(init=False, default=None)
    grad_scaler: GradScaler = field(init=False)
    _gradients: GradientAccumulator = field(init=False)
    _clock: Clock = field(init=False)
    _balancer: ThreadBalancer | None = None
    _held_out: HeldOutLoss | None = None
    _held_out_final: HeldOutLoss | None = None
    _saved_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.grad_scaler = GradScaler(self.plan.dtype)
        # The number of threads decides the last bits of a step. A budget of steps keeps it, so that
        # the bits are the same on every run; so does compiled code, which is for that number.
        if self.plan.budget.kind == "seconds" and not self.plan.compile:
            self._balancer = ThreadBalancer.of_torch()
        if self.resume_from is not None:
            self.step = self.saved_step = self.resume_from.step
            self.tokens_seen = self.resume_from.tokens_seen
            self.student_since = self.resume_from.student_since
            self.best, self.own_best = self.resume_from.best, self.resume_from.own_best
            self.evals_without_improvement = self.resume_from.evals_without_improvement
        self._clock = Clock(
            self.plan, self.model.config, len(self.corpus.held_out), started=self.started,
            seconds_before=self.resume_from.seconds if self.resume_from else 0.0,
        )  # fmt: skip
        self._gradients = self._accumulator(self.plan.micro_batch_size)

    def _accumulator(self, micro_batch_size: int) -> GradientAccumulator:
        return GradientAccumulator(
            model=self.model, sampler=self.sampler, objective=self.objective,
            processes=self.processes, scaler=self.grad_scaler, seed=self.seed,
            batch_size=self.plan.batch_size, micro_batch_size=micro_batch_size,
            hint=memory_hint(self.run.name if self.resume_from else None),
        )  # fmt: skip

    def learn_from(self, teacher: Teacher) -> None:
        """From now on, half of each target is what a teacher predicts."""
        self._gradients.teacher = teacher

    def events(self) -> Iterator[Event]:
        """Trains to the end of the budget; each event is recorded before it is yielded."""
        device = self.model.embedding.weight.device
        for event in with_energy(self._train(), self.processes, device):
            if self.processes.is_main:
                append_metrics(self.run.path, to_row(event))
            yield event

    # --- the loop -------------------------------------------------------------------------------

    def _train(self) -> Iterator[Event]:
        self.model.train()
        if self.step == 0 and math.isinf(self.best):  # not yet evaluated
            yield from self._evaluate_start()
        if self.plan.compile:
            yield from self._compile()
        broadcast = self.processes.broadcast  # the main process decides what depends on a clock
        reason: StopReason = "finished"
        while not broadcast(self._clock.is_over(self.step)):
            if broadcast(self.callbacks.stop()):
                reason = "interrupted"
                break
            before = broadcast(self._clock.progress(self.step))
            if self._student_waits and self.step > 0 and before >= TEACHER_SHARE:
                yield from self._begin_student()
            if self._balancer:
                self._balancer.balance_torch()
            yield from self._optimizer_step(before)
            if broadcast(self._clock.is_over(self.step)):
                break
            if broadcast(self._evaluation_due(before)):
                yield from self._evaluate()
                if broadcast(self._out_of_patience()):
                    if not self._student_waits:
                        reason = "patience"
                        break
                    yield from self._begin_student()
            if broadcast(self._save_due(before) or self._is_best()):
                yield from self._save()
        if reason != "interrupted":
            yield from self._evaluate()
            yield from self._final_evaluation()
        yield from self._save()
        yield Stopped(step=self.step, reason=reason, seconds=self.seconds)

    @property
    def _student_waits(self) -> bool:
        return self.plan.student is not None and self.student_since is None

    def _begin_student(self) -> Iterator[Event]:
        """Puts a new model in the place of the first, which is saved and becomes its teacher."""
        yield from self._evaluate()
        yield from self._save()
        teacher = Teacher(self.model)
        if self.processes.is_main:
            teacher.save(self.run.path)
        self.model, self.optimizer, self.objective = self.make_student()
        self.model.train()
        self._gradients = self._accumulator(self._gradients.micro_batch_size)
        self.learn_from(teacher)
        self.student_since, self.evals_without_improvement = self.step, 0
        self.own_best = math.inf
        self._held_out = self._held_out_final = None
        yield StudentBegun(step=self.step)
        if self.plan.compile:
            yield from self._compile()

    def _evaluate_start(self) -> Iterator[Event]:
        """Evaluates and saves the first weights: a few steps can make them worse."""
        yield from self._evaluate()
        if self._held_out is not None:
            self.saved_step = None  # a step 0 that came from another run has no loss yet
            yield from self._save()

    def _out_of_patience(self) -> bool:
        return (
            self.plan.patience is not None and self.evals_without_improvement >= self.plan.patience
        )

    def _compile(self) -> Iterator[Event]:
        # with a budget of steps the same code always runs: the same bits, whatever was measured
        faster = self.plan.budget.kind == "seconds"
        with suppress(KeyboardInterrupt), self.callbacks.stop_at_once():
            if why := self._gradients.compile(only_if_faster=faster):
                yield NotCompiled(step=self.step, why=why)

    def _optimizer_step(self, progress: float) -> Iterator[Event]:
        """One optimizer step, from gradients summed over micro-batches and processes."""
        began = time.perf_counter()
        if self.plan.student:
            progress = stage_progress(progress, student=self.student_since is not None)
        own_step = self.step - (self.student_since or 0)
        scale = learning_rate_scale(own_step, progress, self.plan.warm_up_steps)
        while True:
            while (batch := self._gradients.backward(self.step)) is None:
                yield MemoryExceeded(
                    step=self.step, micro_batch_size=self._gradients.micro_batch_size
                )
            loss = batch.loss
            norm = self.optimizer.step(scale)  # which changes nothing where the norm is not finite
            if math.isfinite(norm) or not math.isfinite(loss) or not self.grad_scaler.back_off():
                break
        self.grad_scaler.advance()
        if not math.isfinite(loss + norm):
            raise self._diverged(
                f"loss {loss}, gradient norm {norm} on the batch of step {self.step + 1}; "
                "the step was skipped"
            )
        self.step += 1
        self.tokens_seen += batch.tokens
        self._held_out = self._held_out_final = None  # those weights are gone
        elapsed = time.perf_counter() - began
        self._clock.step_took(elapsed)
        flops = batch.flops / self.processes.world_size
        yield StepFinished(
            step=self.step,
            loss=loss,
            nats_per_byte=loss / (self.corpus.bytes_per_target or self.corpus.bytes_per_token),
            grad_norm=norm,
            learning_rate=scale * self.plan.optimizer.matrix_learning_rate,
            tokens_per_second=batch.tokens / elapsed,
            mfu=flops / elapsed / self.peak_flops if self.peak_flops else None,
            progress=self._clock.progress(self.step),
            seconds=self.seconds,
        )

    def _diverged(self, why: str) -> DataError:
        return DataError(
            f"training diverged at step {self.step + 1}: the loss is not finite",
            why=why,
            hint="start another run with half the --learning-rate",
        )

    @property
    def seconds(self) -> float:
        """Training time of this run, all sessions together."""
        return self._clock.seconds

    # --- now and then ---------------------------------------------------------------------------

    def _evaluation_due(self, progress_before: float) -> bool:
        if self.plan.eval_every:
            return self.step % self.plan.eval_every == 0
        return self._crossed_eighth(progress_before)

    def _save_due(self, progress_before: float) -> bool:
        if self.plan.save_every:
            return self.step % self.plan.save_every == 0
        late = time.monotonic() - self._saved_at > MAX_SAVE_INTERVAL
        return late or self._crossed_eighth(progress_before)

    def _is_best(self) -> bool:
        """Whether these weights were just evaluated, and are the best so far."""
        return self._held_out is not None and self._held_out.nats_per_byte <= self.best

    def _crossed_eighth(self, progress_before: float) -> bool:
        return int(self._clock.progress(self.step) * EVALUATIONS) > int(
            progress_before * EVALUATIONS
        )

    def _evaluate(self) -> Iterator[Event]:
        """On the same part of the held-out text each time; then a sample, if wanted."""
        if self._held_out is not None or not len(self.corpus.held_out):
            return
        began = time.perf_counter()
        try:
            held_out = self._evaluate_tokens(self.plan.evaluation_tokens)
        except RuntimeError as error:
            if not is_out_of_memory(error) or self.processes.world_size > 1:
                raise  # the other processes would wait
            yield NotEvaluated(step=self.step, why="out of memory with a single row")
            return
        if held_out is None:
            return
        self._clock.evaluation_took(time.perf_counter() - began, held_out.tokens)
        self._held_out = held_out
        best, better = (held_out.nats_per_byte < loss for loss in (self.best, self.own_best))
        self.evals_without_improvement = 0 if better else self.evals_without_improvement + 1
        self.best = min(self.best, held_out.nats_per_byte)
        self.own_best = min(self.own_best, held_out.nats_per_byte)
        yield Evaluated(step=self.step, held_out=held_out, best=best, seconds=self.seconds)
        if self.callbacks.sample is not None:
            self.model.eval()
            yield Sampled(step=self.step, text=self.callbacks.sample(self.model))
            self.model.train()

    def _final_evaluation(self) -> Iterator[Event]:
        """On the whole held-out text, unless an earlier step was better: `evaluate_best_step`."""
        held_out = self._held_out
        if held_out is None or held_out.whole or held_out.nats_per_byte > self.best:
            return
        held_out = self._evaluate_tokens(int(self.processes.broadcast(self._clock.final_tokens())))
        assert held_out is not None
        self._held_out_final = held_out
        yield Evaluated(step=self.step, held_out=held_out, best=True, seconds=self.seconds)

    def _evaluate_tokens(self, limit: int) -> HeldOutLoss | None:
        with as_saved(self.model, self.plan.saved_dtype):
            return evaluate_held_out(
                self.model, self.corpus, self.tokenizer,
                objective=self.objective, limit=limit, processes=self.processes,
            )  # fmt: skip

    def evaluate_best_step(self) -> None:
        """After training: evaluates the best step on the whole held-out text; see `evaluation`.

        With sharded weights no process has the whole model, and it is left out.
        """
        if self.processes.is_main and not self.processes.sharded:
            evaluate_best_step(
                self.run, self.corpus, self.tokenizer,
                objective=self.objective, limit=self._clock.final_tokens(),
                device=self.model.embedding.weight.device,
            )  # fmt: skip

    def _save(self) -> Iterator[Event]:
        if self.saved_step == self.step:
            return
        began = time.monotonic()
        weights = saved_weights(self.model, self.plan.saved_dtype)
        finite = all(bool(p.isfinite().all()) for p in map(local_tensor, self.model.parameters()))
        if any(self.processes.all_reduce(not finite)):
            raise self._diverged("a weight is not finite; nothing was saved")
        state = StepState(
            step=self.step,
            tokens_seen=self.tokens_seen,
            seconds=self.seconds,
            held_out=self._held_out,
            held_out_final=self._held_out_final,
            student_since=self.student_since,
        )
        remembered: dict[str, SupportsArray] = {}
        if self.step:  # before the first, no optimizer has any state
            masters = master_weights(self.model, self.plan.saved_dtype)
            remembered = {**self.optimizer.state(), **self.grad_scaler.state(), **masters}
        path = step_path(self.run.path, self.step)
        if self.processes.is_main:
            require_exists(self.run)
            save_step(self.run.path, state, weights, remembered)
            prune(self.run, keep=STEPS_KEPT)
        elif self.processes.sharded:
            for tensors in (weights, remembered):  # each is gathered from all, as it is written
                for name in written_order(tensors):
                    np.asarray(tensors[name])
        self.saved_step, self._saved_at = self.step, time.monotonic()
        self._clock.saving_took(time.monotonic() - began)
        yield Saved(step=self.step, path=path, seconds=self.seconds)
