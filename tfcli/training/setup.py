"""Setting up a training job, new or resumed: everything between the command line and the loop."""

from __future__ import annotations

import datetime
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tfcli.errors import DamagedError, UsageError
from tfcli.model.config import ModelConfig
from tfcli.model.cost import count_parameters, training_bytes, training_flops_per_token
from tfcli.model.transformer import Transformer
from tfcli.runs.infill_tokens import find_run_infill_tokens, infill_metadata
from tfcli.runs.run import Run
from tfcli.runs.tokenizer_of_run import TokenizerMetadata
from tfcli.runs.weights import weights_dtype
from tfcli.runtime.device import choose_device, describe_machine
from tfcli.runtime.distributed import SINGLE_PROCESS, DistributedContext, copy_full_tensor, shard
from tfcli.runtime.dtype import choose_dtype
from tfcli.runtime.memory import return_freed_memory
from tfcli.text.corpus import Corpus
from tfcli.text.infill_tokens import require_infill_tokens
from tfcli.training.bigram_init import bigram_tables
from tfcli.training.callbacks import NO_CALLBACKS, Callbacks, ResumePoint
from tfcli.training.fine_tuning import BaseModel
from tfcli.training.loop import Trainer
from tfcli.training.micro_batch import choose_micro_batch, usable_memory
from tfcli.training.objectives import make_objective
from tfcli.training.optimizers import Optimizer
from tfcli.training.options import TrainOptions
from tfcli.training.pairs import PairTokens, for_pairs
from tfcli.training.plan import Plan, Resources, make_plan, with_micro_batch
from tfcli.training.probe import Probe, compiling_may_pay
from tfcli.training.run_text import corpus_metadata, tokens_of
from tfcli.training.samplers import make_sampler
from tfcli.training.sizing import can_init_from_bigrams

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.runs.valid_steps import ValidStep
    from tfcli.runtime.device import Device
    from tfcli.text.baselines import Baselines
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.sources import Sources
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.examples import Sampler
    from tfcli.training.objectives import Objective

# Tokens in an optimizer step per device. With as few as keep a CPU busy, a GPU is mostly idle.
BATCH_TOKENS = {"cpu": 2048, "mps": 4096, "cuda": 16384}

USUAL_MFU = 0.5  # of a large model on a CPU

PROGRAM_BYTES = 300 << 20  # Python and torch themselves


@dataclass(frozen=True)
class Base:
    """The run and the step that another run is initialized from."""

    run: Run
    step: ValidStep

    def model(self) -> BaseModel:
        """Its model."""
        trained_here = not self.run.metadata.get("imported")
        plan = Plan.from_json(self.run.metadata["plan"]) if trained_here else None
        return BaseModel(
            config=self.run.model_config,
            optimizer=plan.optimizer.kind if plan else "adamw",
            saved_dtype=weights_dtype(self.step.path),
        )


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """A training run that is planned but not begun: for the user to look at, then to start."""

    model_config: ModelConfig
    plan: Plan
    corpus: TokenizedCorpus
    tokenizer: Tokenizer
    device: torch.device
    seed: int
    processes: DistributedContext = SINGLE_PROCESS
    infill_tokens: InfillTokens | None = None  # if it is trained to fill gaps
    base: Base | None = None
    baselines: Baselines | None = None
    steps: int | None = None
    peak_flops: float | None = None
    ends_early: bool = False  # a time budget would be more epochs than are enough

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return count_parameters(self.model_config)

    @property
    def memory_bytes(self) -> int:
        """About how much memory training takes in each process."""
        tokens = self.plan.micro_batch_size * self.model_config.context_length
        shards = self.processes.world_size if self.processes.sharded else 1
        return PROGRAM_BYTES + training_bytes(
            self.model_config, tokens, shards=shards, checkpointing=self.plan.checkpointing,
            teacher=self.plan.student is not None,
        )  # fmt: skip

    @property
    def batch_tokens(self) -> int:
        """Tokens in an optimizer step."""
        return self.plan.batch_size * self.model_config.context_length

    @property
    def tokens(self) -> int | None:
        """How many it will be trained on; None where the number of steps is not known."""
        return None if self.steps is None else self.steps * self.batch_tokens

    @property
    def seconds(self) -> float | None:
        """About how long a budget of steps takes, by the speed of products; None: not known."""
        if self.tokens is None or not self.peak_flops or self.plan.budget.kind == "seconds":
            return None
        passes = 4 / 3 if self.plan.checkpointing else 1.0  # the forward pass is a third
        each = passes * training_flops_per_token(self.model_config)
        return self.tokens * each / (USUAL_MFU * self.peak_flops * self.processes.world_size)

    @property
    def epochs(self) -> float | None:
        """How often each token will be seen; None where the number of steps is not known."""
        return None if self.tokens is None else self.tokens / len(self.corpus.training)

    def pairs(self) -> PairTokens | None:
        """The pairs to train on; None: it is text."""
        return PairTokens.to_train_on(self.corpus, self.tokenizer.special)

    def held_out_pairs(self) -> PairTokens:
        """The pairs that are held out; none, where it is text."""
        return PairTokens.held_out(self.corpus, self.tokenizer.special)

    def metadata(self, corpus: Corpus) -> dict[str, Any]:
        """What `run.json` records of it."""
        return {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "model": self.model_config.to_json(),
            "plan": self.plan.to_json(),
            **infill_metadata(self.infill_tokens),
            "seed": self.seed,
            "parameters": self.parameters,
            "from": self.base and f"{self.base.run.name}/{self.base.step.path.name}",
            "training_flops_per_token": training_flops_per_token(self.model_config),
            "baselines": asdict(self.baselines) if self.baselines else None,
            "tokenizer": TokenizerMetadata.of(self.tokenizer).to_json(),
            "corpus": corpus_metadata(corpus, self.corpus),
            "machine": describe_machine(self.device),
        }

    def sampler(self) -> Sampler:
        """What chooses the examples of each step."""
        return make_sampler(
            self.corpus, self.plan, context=self.model_config.context_length,
            special=self.tokenizer.special, seed=self.seed,
        )  # fmt: skip

    def build_model(self, *, fresh: bool = True) -> Transformer:
        """The model, on its device, and where it is sharded this process's part of it.

        Sharded, no process holds more than its part and one whole weight at any time.

        Args:
            fresh: whether to initialize the weights; otherwise they are loaded later.

        """
        dtype = getattr(torch, self.plan.dtype)
        with torch.device("meta" if self.processes.sharded else "cpu"):
            model = Transformer(
                self.model_config, self.plan.dropout, dtype, checkpointing=self.plan.checkpointing
            )
        if self.processes.sharded:
            shard(model, model.blocks, self.device)
        if fresh:
            model.init_weights(self.seed, copy_full_tensor)
            if self.plan.init == "bigrams" and can_init_from_bigrams(self.model_config):
                self._init_from_bigrams(model)
        return model.to(self.device)

    def _student_job(self) -> TrainingJob:
        """The job of the student of self-distillation: another model, from another seed."""
        own = self.plan.student
        assert own is not None, "the plan has a single model"
        plan = replace(self.plan, dropout=own.dropout, token_dropout=own.token_dropout)
        return replace(self, plan=plan, seed=self.seed + 1)

    def _build_training(self, *, fresh: bool) -> tuple[Transformer, Optimizer, Objective]:
        """A model, and what trains it."""
        model = self.build_model(fresh=fresh)
        dtype = getattr(torch, self.plan.dtype)
        optimizer = Optimizer(model, self.plan.optimizer, dtype)
        objective = make_objective(self.plan, self.tokenizer, self.infill_tokens)
        return model, optimizer, objective

    def _init_from_bigrams(self, model: Transformer) -> None:
        weights = model.embedding.weight, model.head.weight
        tables = torch.empty(weights[0].shape), torch.empty(weights[1].shape)
        if self.processes.is_main:
            tables = bigram_tables(self.model_config, self.corpus.training, seed=self.seed)
        self.processes.broadcast_tensors(tables)
        for weight, table in zip(weights, tables, strict=True):
            copy_full_tensor(weight, table)

    def build_trainer(
        self,
        run: Run,
        *,
        started: float,
        callbacks: Callbacks = NO_CALLBACKS,
        resume_from: ResumePoint | None = None,
    ) -> Trainer:
        """Builds the model and everything that trains it.

        The arguments are those of `Trainer`. Where a run resumes, the weights are loaded later.
        """
        if self.plan.checkpointing:  # memory is short
            return_freed_memory()
        student = resume_from is not None and resume_from.student_since is not None
        job = self._student_job() if student else self
        model, optimizer, objective = job._build_training(fresh=resume_from is None)
        return Trainer(
            run=run,
            plan=self.plan,
            model=model,
            optimizer=optimizer,
            sampler=self.sampler(),
            objective=objective,
            make_student=lambda: self._student_job()._build_training(fresh=True),
            corpus=self.corpus,
            tokenizer=self.tokenizer,
            seed=self.seed,
            processes=self.processes,
            peak_flops=self.peak_flops,
            started=started,
            callbacks=callbacks,
            resume_from=resume_from,
        )


def plan_job(
    options: TrainOptions,
    corpus: TokenizedCorpus,
    tokenizer: Tokenizer,
    *,
    seed: int,
    device: Device = "auto",
    processes: DistributedContext = SINGLE_PROCESS,
    base: Base | None = None,
    baselines: Baselines | None = None,
    started: float | None = None,
) -> TrainingJob:
    """Makes the plan for a new run.

    Args:
        base: what to initialize from; None: from scratch.
        baselines: the loss of simpler methods on the same text, for the record.
        started: `time.monotonic()` when the time budget began to run.
        processes: who will train it; the weights are sharded where one cannot hold them all.

    Raises:
        DataError, UsageError: no plan can be made of this.

    """
    base_config = base.run.model_config if base else None
    options = for_pairs(options, corpus, tokenizer.special, base_config)
    infill_tokens = require_infill_tokens(tokenizer) if options.infill else None
    chosen = choose_device(device, processes.local_rank)
    model = base.model() if base else None
    probe = Probe(chosen, options.optimizer or (model.optimizer if model else "muon"))
    resources = Resources(
        dtype=options.dtype or choose_dtype(chosen),
        batch_tokens=BATCH_TOKENS[chosen.type],
        memory=usable_memory(chosen, processes),
        shared=chosen.type != "cuda",
        world_size=processes.world_size,
        compiles=processes.world_size == 1 and compiling_may_pay(chosen),
        step_seconds=probe.step_seconds,
        spent=time.monotonic() - started if started is not None else 0.0,
    )
    planned = make_plan(
        options,
        corpus,
        resources,
        vocab_size=tokenizer.vocab_size,
        unknown_token=tokenizer.special.unk is not None,
        base=model,
    )
    return TrainingJob(
        model_config=planned.model,
        plan=planned.plan,
        corpus=corpus,
        tokenizer=tokenizer,
        device=chosen,
        seed=seed,
        processes=replace(processes, sharded=planned.sharded),
        steps=planned.steps,
        infill_tokens=infill_tokens,
        peak_flops=probe.peak(planned.plan.dtype),
        base=base,
        baselines=baselines,
        ends_early=planned.plan.budget.amount < (options.time_budget or 0),
    )


def reopen_job(
    run: Run,
    *,
    cache: Path,
    sources: Sources | None = None,
    more_seconds: float | None = None,
    more_steps: int | None = None,
    device: Device = "auto",
    processes: DistributedContext = SINGLE_PROCESS,
    shard: bool | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> TrainingJob:
    """Sets up the job of an existing run again, from its `run.json`.

    Args:
        sources: where its text is now; None: where it was.
        more_seconds, more_steps: added to its budget; only of the kind that its budget is.
        shard: whether the weights are sharded; None leaves it to the memory.

    Raises:
        NotFoundError, DataError: its text is gone or has changed.
        UsageError: the budget is of the other kind, or not even one row fits into the memory.

    """
    if run.metadata.get("imported"):
        raise UsageError(
            f"the run {run.name} was imported: there is no training to resume",
            hint=f"tfcli train FILE --from {run.name} --time 5m",
        )
    tokenizer = run.tokenizer()
    plan = Plan.from_json(run.metadata["plan"])
    rows = max(1, run.metadata["corpus"]["training_tokens"] // run.model_config.context_length)
    if plan.batch_size > rows:
        raise DamagedError(
            "run.json holds no valid plan",
            why=f"a step of {plan.batch_size:,} rows, where the text has {rows:,}",
        )
    for kind, more in (("seconds", more_seconds), ("steps", more_steps)):
        if more is None:
            continue
        if plan.budget.kind != kind:
            raise UsageError(
                f"the budget of {run.name} is in {plan.budget.kind}, not in {kind}",
                hint="add --time 2m" if plan.budget.kind == "seconds" else "add --steps 200",
            )
        plan = replace(plan, budget=plan.budget.extended(more))
    chosen = choose_device(device, processes.local_rank)
    # As many rows at once as before, so that the sums come out the same to the bit, unless the
    # memory is too small now. The step stays the same, up to the order in which it is added up.
    micro_batch = choose_micro_batch(
        run.model_config,
        min(plan.micro_batch_size, -(-plan.batch_size // processes.world_size)),
        memory=usable_memory(chosen, processes),
        checkpointing=plan.checkpointing or None,
        world_size=processes.world_size,
        sharded=shard,
        resumed=run.name,
    )
    return TrainingJob(
        model_config=run.model_config,
        plan=with_micro_batch(plan, micro_batch),
        corpus=tokens_of(run, tokenizer, cache, sources, progress).first(
            run.corpus.training_tokens  # without what it keeps out; see tfcli.generation.memory
        ),
        tokenizer=tokenizer,
        device=chosen,
        seed=run.metadata["seed"],
        infill_tokens=find_run_infill_tokens(run.metadata, tokenizer),
        steps=int(plan.budget.amount) if plan.budget.kind == "steps" else None,
        peak_flops=Probe(chosen).peak(plan.dtype) if processes.is_main else None,
        processes=replace(processes, sharded=micro_batch.sharded),
    )
