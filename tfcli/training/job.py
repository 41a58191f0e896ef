"""Beginning a run and taking one up again: everything between the command line and the loop."""

from __future__ import annotations

import datetime
import itertools
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tfcli.errors import DamagedError, DataError, NotFoundError, TfcliError, UsageError
from tfcli.files import sweep
from tfcli.model.config import ModelConfig
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.model.transformer import Transformer
from tfcli.runs.run import (
    Run,
    ValidStep,
    create_run,
    newest_valid_step,
    open_run,
    open_step,
    steps_by_merit,
    write_card,
)
from tfcli.runs.step import MODEL, OPTIMIZER, load_arrays, read_state, step_path
from tfcli.text.corpus import Corpus, Part, Scan, join_parts, open_corpus
from tfcli.text.token_cache import open_token_cache, tokenize_corpus
from tfcli.training.batches import Batches
from tfcli.training.loop import Trainer
from tfcli.training.machine import (
    available_memory,
    choose_device,
    choose_precision,
    describe_machine,
)
from tfcli.training.optimizers import Optimizer
from tfcli.training.parallel import ALONE, Processes, local, part_like, shard
from tfcli.training.plan import Plan, Wishes, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.machine import Device


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training that is decided and not yet begun: for the user to look at, then to start."""

    model_config: ModelConfig
    plan: Plan
    corpus: TokenizedCorpus
    tokenizer: Tokenizer
    device: torch.device
    seed: int
    processes: Processes = ALONE

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return count_parameters(self.model_config)

    @property
    def batch_tokens(self) -> int:
        """Tokens in an update."""
        return self.plan.rows * self.model_config.context_length

    @property
    def epochs(self) -> float | None:
        """How often each token will be seen, where the budget is in steps."""
        if self.plan.budget.kind != "steps":
            return None
        return self.plan.budget.amount * self.batch_tokens / len(self.corpus.training)

    def card(self, corpus: Corpus) -> dict[str, Any]:
        """What `run.json` says of it."""
        return {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "model": self.model_config.to_json(),
            "plan": self.plan.to_json(),
            "seed": self.seed,
            "parameters": self.parameters,
            "training_flops_per_token": training_flops_per_token(self.model_config),
            "tokenizer": {
                "vocab_size": self.tokenizer.vocab_size,
                "fingerprint": self.tokenizer.fingerprint,
            },
            "corpus": _corpus_card(corpus, self.corpus),
            "machine": describe_machine(self.device),
        }

    def trainer(self, run: Run, *, started: float, **state: Any) -> Trainer:
        """Builds the model and all that trains it; `state` as in `Trainer`."""
        precision = getattr(torch, self.plan.precision)
        model = Transformer(self.model_config, self.plan.dropout, precision)
        model.initialize(self.seed)
        model.to(self.device)
        if self.processes.sharded:
            shard(model)
        batches = Batches(
            self.corpus.training,
            context=self.model_config.context_length,
            rows=self.plan.rows,
            seed=self.seed,
            ends=self.corpus.ends,
            weights=self.corpus.weights,
        )
        return Trainer(
            run=run,
            plan=self.plan,
            model=model,
            optimizer=Optimizer(model, self.plan.optimizer, precision),
            batches=batches,
            corpus=self.corpus,
            tokenizer=self.tokenizer,
            seed=self.seed,
            processes=self.processes,
            started=started,
            **state,
        )


def _corpus_card(corpus: Corpus, tokens: TokenizedCorpus) -> dict[str, Any]:
    card = {
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
        card["parts"] = [
            {"sources": len(part.sources), "weight": part.weight, **asdict(part.scan)}
            for part in corpus.parts
        ]
    return card


def prepare(
    wishes: Wishes,
    corpus: TokenizedCorpus,
    tokenizer: Tokenizer,
    *,
    seed: int,
    device: Device = "auto",
    processes: Processes = ALONE,
) -> Job:
    """Makes the plan for a new run.

    Args:
        processes: who will train it; the weights are shared out where one cannot hold them all.

    Raises:
        DataError, UsageError: no plan can be made of this.

    """
    chosen = choose_device(device, processes.local_rank)
    memory = available_memory(chosen)
    if memory is not None and chosen.type == "cpu":
        memory //= processes.count  # all of them on this machine, for all we know
    config, plan, sharded = make_plan(
        wishes,
        corpus,
        vocab_size=tokenizer.vocab_size,
        precision=choose_precision(chosen) if wishes.precision is None else wishes.precision,
        memory=memory,
        processes=processes.count,
    )
    return Job(
        model_config=config,
        plan=plan,
        corpus=corpus,
        tokenizer=tokenizer,
        device=chosen,
        seed=seed,
        processes=replace(processes, sharded=sharded),
    )


def begin(job: Job, path: Path, corpus: Corpus, *, started: float, **watching: Any) -> Trainer:
    """Makes the run's folder and what trains it. To be called under the folder's lock.

    Args:
        watching: `stop` and `sample`, as in `Trainer`.

    Raises:
        ConflictError: there is a run of that name.

    """
    sweep(path)
    run = create_run(path, job.card(corpus), job.tokenizer)
    return _start(job, run, None, started=started, **watching)


def reopen(
    run: Run,
    *,
    cache: Path,
    more_seconds: float | None = None,
    more_steps: int | None = None,
    device: Device = "auto",
    processes: Processes = ALONE,
    progress: Callable[[int], None] = lambda _: None,
) -> Job:
    """Makes the job of a run that was begun before, from its `run.json`.

    Args:
        more_seconds, more_steps: added to its budget; as the run's own budget counts.

    Raises:
        NotFoundError, DataError: its text is gone, or is another now.
        UsageError: the budget is of the other kind.

    """
    tokenizer = run.tokenizer()
    plan = Plan.from_json(run.card["plan"])
    for kind, more in (("seconds", more_seconds), ("steps", more_steps)):
        if more is None:
            continue
        if plan.budget.kind != kind:
            raise UsageError(
                f"the budget of {run.name} is in {plan.budget.kind}, not in {kind}",
                mend="add --time 2m" if plan.budget.kind == "seconds" else "add --steps 200",
            )
        plan = replace(plan, budget=plan.budget.extended(more))
    return Job(
        model_config=run.model_config,
        plan=plan,
        corpus=_tokens_of(run, tokenizer, cache, progress),
        tokenizer=tokenizer,
        device=choose_device(device, processes.local_rank),
        seed=run.card["seed"],
        processes=processes,
    )


def _tokens_of(
    run: Run, tokenizer: Tokenizer, cache: Path, progress: Callable[[int], None]
) -> TokenizedCorpus:
    """The text of a run: from the cache, or tokenised again from the same files."""
    noted = run.card["corpus"]
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
                mend=f"bring the old text back, or begin a new run: tfcli train {part.sources[0]}",
            )
    return tokenize_corpus(join_parts(parts), tokenizer, cache=cache, progress=progress)


def _parts_of(noted: dict[str, Any]) -> Iterator[Part]:
    """The parts of a corpus as `run.json` notes them; one, where none had a weight."""
    sources = iter(map(Path, noted["sources"]))
    whole = noted | {"sources": len(noted["sources"]), "weight": 1.0}
    for part in noted.get("parts", [whole]):
        scan = Scan(**{field.name: part[field.name] for field in fields(Scan)})
        yield Part(tuple(itertools.islice(sources, part["sources"])), scan, part["weight"])


def resume(
    job: Job, run: Run, *, started: float, damaged: Callable[[TfcliError], None], **watching: Any
) -> Trainer:
    """Takes a run up at its newest valid step. To be called under the folder's lock.

    An extended budget is written into `run.json`. A run without any step begins anew.

    Raises:
        DamagedError: the step does not fit the run's configuration.

    """
    sweep(run.path)
    if job.plan != Plan.from_json(run.card["plan"]):
        run.card["plan"] = job.plan.to_json()
        write_card(run.path, run.card)
    step = newest_valid_step(run, damaged=damaged)
    return _start(job, run, step, started=started, **watching)


def follow(*, cache: Path, device: Device, processes: Processes, started: float) -> Trainer | None:
    """What the other processes of a training do: they take up what the first has begun.

    Returns:
        None where the first began nothing.

    """
    message = processes.say("")
    if not message:
        return None
    told = json.loads(message)
    run = open_run(Path(told["run"]))
    processes = replace(processes, sharded=told["sharded"])
    job = reopen(run, cache=cache, device=device, processes=processes)
    step = open_step(step_path(run.path, told["step"])) if told["step"] else None
    return _start(job, run, step, started=started)


def _start(
    job: Job, run: Run, step: ValidStep | None, *, started: float, **watching: Any
) -> Trainer:
    """Builds the trainer as it was at a step, in every process."""
    if job.processes.is_first:
        told = {"run": str(run.path.resolve()), "sharded": job.processes.sharded}
        job.processes.say(json.dumps(told | {"step": step.state.step if step else 0}))
    if step is None:
        return job.trainer(run, started=started, **watching)
    trainer = job.trainer(
        run,
        started=started,
        **watching,
        step=step.state.step,
        tokens_seen=step.state.tokens_seen,
        seconds_before=step.state.seconds,
        best=_best_so_far(run),
    )
    load_weights(trainer.model, load_arrays(step.path / MODEL), step.path / MODEL)
    try:
        trainer.optimizer.load_state(load_arrays(step.path / OPTIMIZER))
    except ValueError as error:
        raise DamagedError(f"{step.path / OPTIMIZER} does not fit", why=str(error)) from None
    return trainer


def _best_so_far(run: Run) -> float:
    for path in steps_by_merit(run)[:1]:
        try:
            held_out = read_state(path).held_out
        except TfcliError:
            break
        if held_out:
            return held_out.nats_per_byte
    return float("inf")


@torch.no_grad()
def load_weights(model: Transformer, arrays: dict[str, np.ndarray[Any, Any]], path: Path) -> None:
    """Fills a model with saved weights, each checked to be there with its shape.

    Raises:
        DamagedError: a weight is missing, has another shape, or is one too many.

    """
    parameters = dict(model.named_parameters())
    wrong = [
        name
        for name in sorted(parameters.keys() | arrays.keys())
        if name not in parameters
        or name not in arrays
        or tuple(parameters[name].shape) != arrays[name].shape
    ]
    if wrong:
        raise DamagedError(
            f"{path} does not hold the weights that run.json describes",
            why=f"{len(wrong)} do not fit, the first is {wrong[0]}",
        )
    for name, parameter in parameters.items():
        saved = torch.from_numpy(arrays[name]).to(parameter.device)
        local(parameter).copy_(part_like(saved, parameter))
