"""From text to a trained run, step by step, with its messages: for `train` and `demo`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tfcli.cli import streams
from tfcli.cli.environment import world_size
from tfcli.cli.new_memory import add_memory, keep_out, leave_time
from tfcli.cli.pair_notes import note_shared_prompts
from tfcli.cli.signals import StopSignals
from tfcli.cli.training_notes import (
    format_left,
    opening_words,
    report_fit,
    report_left_out,
    report_newer_text,
    report_no_lock,
    report_reading,
    report_saved,
    run_path,
    show_resumed,
)
from tfcli.text.reading_options import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.model.transformer import Transformer
    from tfcli.runs.run import Run
    from tfcli.runtime.device import Device
    from tfcli.runtime.distributed import DistributedContext
    from tfcli.text.corpus import Corpus
    from tfcli.text.pairs import PairForm
    from tfcli.text.reading_options import ReadingOptions
    from tfcli.text.sentencepiece_trainer import TokenizerType
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.callbacks import Callbacks
    from tfcli.training.loop import Trainer
    from tfcli.training.options import TrainOptions
    from tfcli.training.setup import Base, TrainingJob


TOKENIZER_SHARE = 0.15  # of a time budget, for one try at a tokenizer


class TrainingSession:
    """One call of `train`: the steps from text to trained run, and their messages."""

    def __init__(
        self,
        *,
        reporter: streams.Reporter,
        started: float,
        sample_prompt: str = "",
        json: bool = False,
        suggest_next: bool = True,
        memory: bool = False,
    ) -> None:
        self.reporter = reporter
        self.started = started
        self.sample_prompt = sample_prompt
        self.json = json
        self.suggest_next = suggest_next
        self.memory = memory
        self.processes: DistributedContext | None = None
        self._started_training = False
        self._left_out: list[Path] = []  # files in folders that turned out not to be text

    @contextlib.contextmanager
    def join_processes(self) -> Iterator[bool]:
        """Joins the other processes that torchrun started, if any.

        Yields:
            whether this is the main process; the others call `run_worker`.

        """
        if world_size() == 1:  # known before torch is loaded
            yield True
            return
        from tfcli.runs.run import ROOT
        from tfcli.runtime.distributed import init, shutdown

        self.processes = init(ROOT)
        well = False
        try:
            yield self.processes.is_main
            well = True
        except typer.Exit:  # a training that was interrupted, and saved
            well = True
            raise
        finally:
            if self.processes.is_main and not self._started_training:
                self.processes.broadcast_text("")  # nothing came of it: the others need not wait
            shutdown(barrier=well and self._started_training)

    def run_worker(self, device: Device) -> None:
        """Trains along with the main process, silently."""
        from tfcli.text.corpus import CACHE
        from tfcli.training.start import join_run

        assert self.processes is not None
        with StopSignals(streams.Reporter(quiet=True)):  # the main process decides what they mean
            trainer = join_run(
                cache=CACHE, device=device, processes=self.processes, started=self.started
            )
            self._started_training = trainer is not None
            for _ in trainer.events() if trainer else ():
                pass

    @contextlib.contextmanager
    def open_text(
        self,
        files: Sequence[str],
        name: str | None,
        reading: ReadingOptions = DEFAULT,
        *,
        val_fraction: float = 0.1,
        val: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Iterator[tuple[Path, Corpus]]:
        """Finds the text, locks the run's folder, and scans the text: counts and hashes it.

        The folder is removed if no run comes of it.
        """
        from tfcli.cli.render import progress
        from tfcli.files import lock, remove_unused
        from tfcli.runs.run import RUN_JSON, require_new
        from tfcli.text.corpus import CACHE, open_sources
        from tfcli.text.sources import find_sources, without_held_out

        sources = find_sources(files, exclude)
        apart = find_sources(val, exclude) if val else None
        if apart:
            sources = without_held_out(sources, apart)
        reading.require_named([*sources.met, *(apart.met if apart else ())])
        report_left_out(sources, exclude, self.reporter)
        path = run_path(name, files[0])
        require_new(path)
        with lock(path, doing="training") as alone:
            report_no_lock(path, alone, self.reporter)
            require_new(path)
            try:
                with progress("Reading", quiet=self.reporter.quiet) as read:
                    corpus = open_sources(
                        sources, reading,
                        cache=CACHE, val_fraction=val_fraction, val=apart, progress=read,
                    )  # fmt: skip
                report_reading(corpus, self.reporter)
                kept = {*corpus.sources}
                self._left_out = [each for each in sources.files if each in sources.found - kept]
                if not all(source.is_file() for source in sources.files):
                    self.reporter.note(
                        f"Note: a text from a pipe is kept in {CACHE / 'piped'}; without it, the "
                        "run can be resumed only with the same text in a FILE."
                    )
                yield path, corpus
            finally:
                if not (path / RUN_JSON).exists():
                    remove_unused(path)

    def choose_tokenizer(
        self, corpus: Corpus, name: str | None, type: TokenizerType, vocab_size: int | None,
        user_defined_symbols: tuple[str, ...] = (), *, seconds: float | None = None,
    ) -> Tokenizer:  # fmt: skip
        """The tokenizer of that name, or one trained on the text.

        Args:
            seconds: the time budget, of which it gets a part.

        """
        from tfcli.cli.new_tokenizer import make_tokenizer
        from tfcli.text.saved_tokenizers import find_tokenizer

        if name is not None:
            return find_tokenizer(name).tokenizer
        tokenizer, _ = make_tokenizer(
            corpus, self.reporter, type=type, vocab_size=vocab_size,
            user_defined_symbols=user_defined_symbols,
            seconds=None if seconds is None else TOKENIZER_SHARE * seconds,
        )  # fmt: skip
        return tokenizer

    def find_base(self, name: str) -> Base:
        """The run to initialize from, at its best step or the one named."""
        from tfcli.runs.run import find_run
        from tfcli.runs.valid_steps import choose_step
        from tfcli.training.setup import Base

        run, step = find_run(name)
        return Base(run, choose_step(run, step, on_damaged=self.reporter.warn))

    def plan(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        options: TrainOptions,
        *,
        name: str,
        seed: int,
        device: Device,
        base: Base | None = None,
        tokenizer_is_given: bool = False,
        is_result: bool = False,
    ) -> TrainingJob:
        """Tokenizes, plans what was left open, and shows the plan.

        Args:
            is_result: whether the plan is all that the user asked for.
            tokenizer_is_given: whether it was trained on another text, perhaps.

        """
        from tfcli.cli.training_view import show_plan
        from tfcli.text.baselines import measure_baselines
        from tfcli.training.setup import plan_job

        tokens = self._tokenize(corpus, tokenizer)
        if self.memory:
            tokens = keep_out(tokens, tokenizer)
            options = leave_time(options, len(tokens.training))
        if tokenizer_is_given:
            report_fit(tokens, tokenizer, self.reporter)
        job = plan_job(
            options, tokens, tokenizer,
            baselines=None if corpus.form else measure_baselines(tokens, tokenizer),
            seed=seed, device=device, base=base, started=self.started, **self._processes(),
        )  # fmt: skip
        quiet = self.reporter.quiet
        reporter = streams.ResultReporter(quiet=quiet) if is_result else self.reporter
        show_plan(job, name, reporter, left_out=len(self._left_out))
        if corpus.val and (note := note_shared_prompts(job)):
            self.reporter.note(note)
        return job

    def train(self, job: TrainingJob, path: Path, corpus: Corpus) -> Run:
        """Trains a run to its end. To be called while the folder is locked."""
        from tfcli.training.start import start_run

        with StopSignals(self.reporter) as stop:
            trainer = start_run(
                job, path, corpus, started=self.started,
                callbacks=self._callbacks(job, stop, corpus.form),
            )  # fmt: skip
            self._started_training = True
            return self._show(job, trainer, stop)

    def resume(
        self,
        name: str,
        options: TrainOptions,
        *,
        device: Device,
        files: Sequence[str] = (),
        dry_run: bool = False,
    ) -> None:
        """Resumes a run; the seconds or steps of the options are added to its budget.

        Args:
            files: where its text is now; none: where it was.
            dry_run: shows the plan, and changes nothing.

        """
        from tfcli.cli.render import progress
        from tfcli.cli.training_view import show_plan
        from tfcli.files import lock
        from tfcli.runs.run import find_run
        from tfcli.runs.summary import is_finished
        from tfcli.runs.valid_steps import newest_is_valid
        from tfcli.text.corpus import CACHE
        from tfcli.text.sources import find_sources

        run, _ = find_run(name)
        with lock(run.path, doing="training") as alone:
            report_no_lock(run.path, alone, self.reporter)
            from tfcli.training.setup import reopen_job
            from tfcli.training.start import resume_run

            extended = options.seconds is not None or options.steps is not None
            if not extended and is_finished(run) and newest_is_valid(run):
                self.reporter.note(f"{run.name} is already finished.")
                report_newer_text(run, CACHE, self.reporter)
                more = "--steps 500" if _counts_steps(run) else "--time 2m"
                self.reporter.next(f"tfcli train --resume {name} {more}   # extends it")
                return
            sources = find_sources(files) if files else None
            total = run.metadata["corpus"]["bytes"]
            with progress("Tokenizing", total=total, quiet=self.reporter.quiet) as done:
                job = reopen_job(
                    run, cache=CACHE, sources=sources,
                    more_seconds=options.seconds, more_steps=options.steps, device=device,
                    shard=options.sharded, progress=done, **self._processes(),
                )  # fmt: skip
            report_newer_text(run, CACHE, self.reporter)
            if dry_run:
                show_resumed(job, run, self.reporter, json=self.json)
                return
            show_plan(job, run.name, self.reporter)
            with StopSignals(self.reporter) as stop:
                trainer = resume_run(
                    job, run, started=self.started, on_damaged=self.reporter.warn,
                    callbacks=self._callbacks(job, stop, run.form),
                )  # fmt: skip
                left = format_left(job, trainer)
                self.reporter.note(f"Resuming from step {trainer.step:,}{left}.")
                self._started_training = True
                self._show(job, trainer, stop)

    def _tokenize(self, corpus: Corpus, tokenizer: Tokenizer) -> TokenizedCorpus:
        from tfcli.cli.render import progress
        from tfcli.text.corpus import CACHE
        from tfcli.text.token_cache import tokenize_corpus

        total = corpus.scan.bytes
        with progress("Tokenizing", total=total, quiet=self.reporter.quiet) as done:
            return tokenize_corpus(corpus, tokenizer, cache=CACHE, progress=done)

    def _sample_function(
        self, job: TrainingJob, form: PairForm | None
    ) -> Callable[[Transformer], str] | None:
        if job.processes.sharded:
            return None  # a sharded model generates only with all processes together
        if not self.sample_prompt and (self.reporter.quiet or not streams.is_terminal(sys.stderr)):
            return None  # nobody would see the sample
        from tfcli.generation.engines.torch_engine import TorchEngine
        from tfcli.generation.generate import generate
        from tfcli.generation.request import GenerationRequest

        prompt = form.frame(self.sample_prompt) if form else self.sample_prompt
        request = GenerationRequest(prompt=prompt, max_new_tokens=60)

        def sample(model: Transformer) -> str:
            many = job.corpus.documents > 1
            tokens = generate(TorchEngine(model), job.tokenizer, request, many_documents=many)
            written = job.tokenizer.decode_continuation(tokens)
            return self.sample_prompt + written.decode(errors="replace")

        return sample

    def _callbacks(self, job: TrainingJob, stop: StopSignals, form: PairForm | None) -> Callbacks:
        from tfcli.training.callbacks import Callbacks

        sample = self._sample_function(job, form)
        return Callbacks(stop=stop, stop_at_once=stop.at_once, sample=sample)

    def _processes(self) -> dict[str, DistributedContext]:
        return {"processes": self.processes} if self.processes else {}

    def _show(self, job: TrainingJob, trainer: Trainer, stop: StopSignals) -> Run:
        """Shows the training to its end, then its result."""
        from tfcli.cli.training_view import TrainingView
        from tfcli.runs.memory import has_memory
        from tfcli.runs.summary import summarize
        from tfcli.training.events import StepFinished, Stopped

        started: float | None = None  # the seconds that had passed after the first step
        with TrainingView(job, trainer.run.name, quiet=self.reporter.quiet) as view:
            for event in trainer.events():
                view.show(event)
                if started is None and isinstance(event, StepFinished):
                    started = event.seconds
        interrupted = isinstance(event, Stopped) and event.reason == "interrupted"
        if not interrupted:
            trainer.evaluate_best_step()
        remembers = not interrupted and (self.memory or has_memory(trainer.run.path))
        summary = summarize(trainer.run)
        report_saved(
            job, trainer, summary, event, self.reporter,
            started=started, left_out=self._left_out,
        )  # fmt: skip
        if remembers:
            add_memory(trainer.run, self.reporter, device=job.device.type)
            summary = summarize(trainer.run)
        if self.json:
            streams.write_json_result(summary)
        if interrupted and stop.received:
            self.reporter.next(f"tfcli train --resume {_reference(trainer.run)}")
            raise typer.Exit(128 + stop.received)
        if self.suggest_next:
            answers = " --greedy" * (trainer.run.form is not None)
            prompt = opening_words(job, trainer.run.form) + " --memory" * remembers + answers
            self.reporter.next(f"tfcli generate {prompt} --run {_reference(trainer.run)}")
        return trainer.run


def _reference(run: Run) -> str:
    """How to name a run from here: its name, or its path if it is elsewhere."""
    return shlex.quote(run.argument)


def _counts_steps(run: Run) -> bool:
    budget: dict[str, Any] = run.metadata["plan"].get("budget", {})
    return budget.get("kind") == "steps"
