"""Beginning a run and taking one up again: everything between the command line and the loop."""

from __future__ import annotations

import datetime
import itertools
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tfcli.errors import DamagedError, DataError, NotFoundError, UsageError
from tfcli.model.config import ModelConfig
from tfcli.model.cost import count_parameters, training_bytes, training_flops_per_token
from tfcli.model.transformer import Transformer
from tfcli.runs.run import Run
from tfcli.text.corpus import Corpus, Part, Scan, join_parts, open_corpus
from tfcli.text.token_cache import open_token_cache, tokenize_corpus
from tfcli.training.bigram_init import can_init_from_bigrams, init_from_bigrams
from tfcli.training.examples import Sampler, WindowSampler
from tfcli.training.loop import Trainer
from tfcli.training.machine import (
    available_memory,
    choose_device,
    choose_precision,
    describe_machine,
)
from tfcli.training.objectives import NextToken
from tfcli.training.optimizers import Optimizer
from tfcli.training.options import TrainOptions
from tfcli.training.packing import PackedSampler
from tfcli.training.parallel import ALONE, Processes, shard
from tfcli.training.plan import Plan, Resources, make_plan
from tfcli.training.probe import Probe, can_compile
from tfcli.training.sizing import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.baselines import Baselines
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.machine import Device


# A GPU is idle most of the time with as few tokens as a CPU takes half a second for.
BATCH_TOKENS = {"cpu": 2048, "mps": 4096, "cuda": 16384}


PROGRAM_BYTES = 300 << 20  # Python and torch themselves


@dataclass(frozen=True)
class Base:
    """The run and the step whose weights another run begins with."""

    run: Run
    step: ValidStep


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """A training that is decided and not yet begun: for the user to look at, then to start."""

    model_config: ModelConfig
    plan: Plan
    corpus: TokenizedCorpus
    tokenizer: Tokenizer
    device: torch.device
    seed: int
    processes: Processes = ALONE
    base: Base | None = None
    baselines: Baselines | None = None
    steps: int | None = None
    peak: float | None = None

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return count_parameters(self.model_config)

    @property
    def memory_bytes(self) -> int:
        """About what training will take of each process's memory."""
        tokens = self.plan.micro_rows * self.model_config.context_length
        shards = self.processes.count if self.processes.sharded else 1
        return PROGRAM_BYTES + training_bytes(self.model_config, tokens, shards=shards)

    @property
    def batch_tokens(self) -> int:
        """Tokens in an update."""
        return self.plan.rows * self.model_config.context_length

    @property
    def epochs(self) -> float | None:
        """How often each token will be seen, where the number of steps is known."""
        if self.steps is None:
            return None
        return self.steps * self.batch_tokens / len(self.corpus.training)

    def metadata(self, corpus: Corpus) -> dict[str, Any]:
        """What `run.json` says of it."""
        return {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "model": self.model_config.to_json(),
            "plan": self.plan.to_json(),
            "seed": self.seed,
            "parameters": self.parameters,
            "from": self.base and f"{self.base.run.name}/{self.base.step.path.name}",
            "training_flops_per_token": training_flops_per_token(self.model_config),
            "baselines": asdict(self.baselines) if self.baselines else None,
            "tokenizer": {
                "vocab_size": self.tokenizer.vocab_size,
                "fingerprint": self.tokenizer.fingerprint,
            },
            "corpus": _corpus_metadata(corpus, self.corpus),
            "machine": describe_machine(self.device),
        }

    def _sampler(self) -> Sampler:
        context, rows = self.model_config.context_length, self.plan.rows
        special = self.tokenizer.special
        if self.plan.documents_apart:
            return PackedSampler(
                self.corpus.training, context=context, rows=rows, special=special, seed=self.seed
            )
        return WindowSampler(
            self.corpus.training,
            context=context,
            rows=rows,
            special=special,
            seed=self.seed,
            ends=self.corpus.ends,
            weights=self.corpus.weights,
        )

    def _first_weights(self, model: Transformer) -> None:
        model.init_weights(self.seed)
        if can_init_from_bigrams(self.model_config):
            if self.processes.is_first:
                init_from_bigrams(model, self.corpus.training, seed=self.seed)
            self.processes.copy_first([model.embedding.weight.data, model.head.weight.data])

    def trainer(self, run: Run, *, started: float, fresh: bool = True, **state: Any) -> Trainer:
        """Builds the model and all that trains it.

        Args:
            fresh: whether it is to get first weights; else they are still to be loaded.
            state: as in `Trainer`.

        """
        precision = getattr(torch, self.plan.precision)
        model = Transformer(self.model_config, self.plan.dropout, precision)
        if fresh:
            self._first_weights(model)
        model.to(self.device)
        if self.processes.sharded:
            shard(model)
        return Trainer(
            run=run,
            plan=self.plan,
            model=model,
            optimizer=Optimizer(model, self.plan.optimizer, precision),
            sampler=self._sampler(),
            objective=NextToken(
                self.tokenizer.special,
                token_dropout=self.plan.token_dropout,
                document_mask=self.plan.documents_apart,
            ),
            corpus=self.corpus,
            tokenizer=self.tokenizer,
            seed=self.seed,
            processes=self.processes,
            peak=self.peak,
            started=started,
            **state,
        )


def _corpus_metadata(corpus: Corpus, tokens: TokenizedCorpus) -> dict[str, Any]:
    metadata = {
        "sources": [str(source.resolve()) for source in corpus.sources],
        "bytes": corpus.scan.bytes,
        "documents": corpus.scan.documents,
        "fingerprint": corpus.scan.fingerprint,
        "training_bytes": corpus.scan.training_bytes,
        "training_tokens": len(tokens.training),
        "held_out_bytes": tokens.held_out_bytes,
        "token_cache": tokens.key,
    }
    if len(corpus.parts) > 1:
        metadata["parts"] = [
            {"sources": len(part.sources), "weight": part.weight, **asdict(part.scan)}
            for part in corpus.parts
        ]
    return metadata


def prepare(
    options: TrainOptions,
    corpus: TokenizedCorpus,
    tokenizer: Tokenizer,
    *,
    seed: int,
    device: Device = "auto",
    processes: Processes = ALONE,
    base: Base | None = None,
    baselines: Baselines | None = None,
    started: float | None = None,
) -> TrainingJob:
    """Makes the plan for a new run.

    Args:
        base: what it begins with, if not from nothing.
        baselines: what other methods make of the same text, for the record.
        started: `time.monotonic()` when the time to train in began to run.
        processes: who will train it; the weights are shared out where one cannot hold them all.

    Raises:
        DataError, UsageError: no plan can be made of this.

    """
    chosen = choose_device(device, processes.local_rank)
    probe = Probe(chosen)
    means = Resources(
        precision=options.dtype or choose_precision(chosen),
        batch_tokens=BATCH_TOKENS[chosen.type],
        memory=_memory(chosen, processes),
        processes=processes.count,
        compiles=processes.count == 1 and can_compile(chosen),
        step_seconds=probe.step_seconds,
        spent=time.monotonic() - started if started is not None else 0.0,
    )
    decision = make_plan(
        options,
        corpus,
        means,
        vocab_size=tokenizer.vocab_size,
        base=base.run.model_config if base else None,
    )
    return TrainingJob(
        model_config=decision.model,
        plan=decision.plan,
        corpus=corpus,
        tokenizer=tokenizer,
        device=chosen,
        seed=seed,
        processes=replace(processes, sharded=decision.sharded),
        steps=decision.steps,
        peak=probe.peak(decision.plan.precision),
        base=base,
        baselines=baselines,
    )


def _memory(device: torch.device, processes: Processes) -> int | None:
    """Bytes for each process."""
    memory = available_memory(device)
    if memory is not None and device.type == "cpu":
        memory //= processes.count  # all of them on this machine, for all we know
    return memory


def reopen(
    run: Run,
    *,
    cache: Path,
    more_seconds: float | None = None,
    more_steps: int | None = None,
    device: Device = "auto",
    processes: Processes = ALONE,
    shard: bool | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> TrainingJob:
    """Makes the job of a run that was begun before, from its `run.json`.

    Args:
        shard: whether the weights are shared out among the processes; None leaves it to the memory.
        more_seconds, more_steps: added to its budget; as the run's own budget counts.

    Raises:
        NotFoundError, DataError: its text is gone, or is another now.
        UsageError: the budget is of the other kind.

    """
    if run.metadata.get("imported"):
        raise UsageError(
            f"the run {run.name} was imported: there is no training to go on with",
            hint=f"tfcli train FILE --from {run.name} --time 5m",
        )
    tokenizer = run.tokenizer()
    plan = Plan.from_json(run.metadata["plan"])
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
    if plan.rows < processes.count:
        raise UsageError(
            f"the {plan.rows} rows of a batch of {run.name} cannot be shared by "
            f"{processes.count} processes",
            hint="start fewer of them",
        )
    _, sharded = fit(
        run.model_config,
        plan.rows,
        memory=_memory(chosen, processes),
        processes=processes.count,
        wanted=shard,
    )
    return TrainingJob(
        model_config=run.model_config,
        plan=plan,
        corpus=_tokens_of(run, tokenizer, cache, progress),
        tokenizer=tokenizer,
        device=chosen,
        seed=run.metadata["seed"],
        steps=int(plan.budget.amount) if plan.budget.kind == "steps" else None,
        peak=Probe(chosen).peak(plan.precision) if processes.is_first else None,
        processes=replace(processes, sharded=sharded),
    )


def _tokens_of(
    run: Run, tokenizer: Tokenizer, cache: Path, progress: Callable[[int], None]
) -> TokenizedCorpus:
    """The text of a run: from the cache, or tokenised again from the same files."""
    noted = run.metadata["corpus"]
    parts = list(_parts_of(noted))
    weights = tuple(part.weight for part in parts)
    try:
        return open_token_cache(noted["token_cache"], cache=cache, weights=weights)
    except (NotFoundError, DamagedError):
        pass  # deleted or damaged: it can be made again
    for part in parts:
        found = open_corpus(part.sources, cache=cache)
        if found.scan.fingerprint != part.scan.fingerprint:
            raise DataError(
                f"the text of {run.name} is not what it was when the run began",
                why="its SHA-256 differs, and the tokens made then are no longer in the cache",
                hint=f"bring the old text back, or begin a new run: tfcli train {part.sources[0]}",
            )
    return tokenize_corpus(join_parts(parts), tokenizer, cache=cache, progress=progress)


def _parts_of(noted: dict[str, Any]) -> Iterator[Part]:
    """The parts of a corpus as `run.json` notes them; one, where none had a weight."""
    sources = iter(map(Path, noted["sources"]))
    whole = noted | {"sources": len(noted["sources"]), "weight": 1.0}
    for part in noted.get("parts", [whole]):
        scan = Scan(**{field.name: part[field.name] for field in fields(Scan)})
        yield Part(tuple(itertools.islice(sources, part["sources"])), scan, part["weight"])
