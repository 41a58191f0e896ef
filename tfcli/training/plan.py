"""The plan: everything that is decided before the first step, from the text and the budget.

A plan is written into `run.json` and followed to the end, also by a resumed run.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tfcli.errors import DamagedError, DataError, UsageError
from tfcli.files import read_record
from tfcli.model.config import ModelConfig, Size, named_config
from tfcli.model.cost import forward_flops_per_token
from tfcli.training.machine import Precision
from tfcli.training.optimizers import OptimizerConfig
from tfcli.training.options import TrainOptions
from tfcli.training.schedule import matrix_learning_rate
from tfcli.training.sizing import (
    COMPILED_SECONDS,
    COMPILED_SHARE,
    SIZE_LADDER,
    Candidate,
    choose_size,
    compiling_pays,
    fit,
    regularisation,
    rows_in_memory,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.text.token_cache import TokenizedCorpus

EVALUATIONS = 8
EVALUATION_TOKENS = 1 << 14  # at most, while training; at the end the whole held-out text is read
EVALUATION_SHARE = 0.005  # of a time budget, for one evaluation
SLOW_MACHINE = 60e9  # floating-point operations a second, to estimate that share with
MOST_EPOCHS = 1e9
FINE_TUNING = 0.3  # of the learning rates, for a model that knows something already
LONGEST_UNSAVED = 600.0  # seconds


@dataclass(frozen=True)
class Budget:
    """How long to train: until a number of updates, or of seconds (of the whole command)."""

    kind: Literal["steps", "seconds"]
    amount: float

    def extended(self, more: float) -> Budget:
        """The same budget and `more` of it."""
        return replace(self, amount=self.amount + more)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train, on how much, how fast.

    Attributes:
        budget: when it is over.
        rows: rows of `context_length` tokens in an update.
        micro_rows: rows in memory at once; several of these make an update.
        dropout: share of each block's output left out at random.
        token_dropout: share of the tokens read that are left blank at random.
        precision: number format of the matrix products; the weights are float32 always.
        optimizer: learning rates and their kin.
        documents_apart: whether no document sees another in its row.
        compile: whether the model is compiled: seconds at the start, then faster steps.
        patience: measurements in a row without a lower held-out loss that end the training; None:
            the budget is used up, and the best step is kept all the same.
        evaluate_every, save_every: steps; None: eight times in the budget, and a save at least
            every ten minutes.
        evaluation_tokens: how much of the held-out text to measure on while training.

    """

    budget: Budget
    rows: int
    micro_rows: int
    dropout: float
    token_dropout: float
    precision: Precision
    optimizer: OptimizerConfig
    eval_every: int | None
    save_every: int | None
    evaluation_tokens: int
    documents_apart: bool
    compile: bool
    patience: int | None

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary, for `run.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Plan:
        """The reverse of `to_json`.

        Raises:
            DamagedError: keys that no plan has.

        """
        try:
            plan = read_record(cls, value)
            if not (
                0 < plan.budget.amount < 1e15
                and 1 <= plan.micro_rows <= plan.rows
                and 0 <= plan.dropout < 1
                and 0 <= plan.token_dropout < 1
                and all(0 <= beta < 1 for beta in plan.optimizer.betas)
            ):
                raise ValueError("a number in it is out of range")
            return plan
        except ValueError as error:
            raise DamagedError("run.json holds no plan of ours", why=str(error)) from None


DEFAULT_CONTEXT: dict[Size, int] = {
    "nano": 128, "tiny": 256, "small": 256, "base": 512, "large": 1024,
}  # fmt: skip
DEFAULT_SECONDS = 60.0
CLOSING_SHARE = 0.04  # of a time budget: the last measurement and the last save


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What there is to train with.

    Attributes:
        precision: the number format to multiply in, where none is asked for.
        batch_tokens: tokens in an update that the device works on well.
        memory: bytes at hand for each process, or None where unknown.
        processes: that share the rows of a batch.
        compiles: whether `torch.compile` has what it needs.
        step_seconds: measures one update of a model on so many rows; None: the plan is not to
            depend on the machine's speed.
        spent: seconds of a time budget that are gone already.

    """

    precision: Precision
    batch_tokens: int = 2048
    memory: int | None = None
    processes: int = 1
    compiles: bool = False
    step_seconds: Callable[[ModelConfig, int, Precision], float] | None = None
    spent: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """A plan, the model it is for, and what is expected of it.

    Attributes:
        sharded: whether the weights have to be shared out among the processes.
        steps: updates that the budget allows; None where nobody measured.

    """

    model: ModelConfig
    plan: Plan
    sharded: bool
    steps: int | None


def make_plan(
    options: TrainOptions,
    corpus: TokenizedCorpus,
    means: Resources,
    *,
    vocab_size: int,
    base: ModelConfig | None = None,
) -> PlannedModel:
    """Decides what the user left open.

    Args:
        base: the model to go on from, whose shape is then taken.

    Raises:
        DataError: too little text to train on.
        UsageError: wishes that do not fit together, or not into the memory.

    """
    _check(options, corpus)
    tokens = len(corpus.training)
    precision = options.dtype or means.precision
    candidates = _candidates(options, tokens, vocab_size, base)
    batch_tokens = options.batch_tokens or means.batch_tokens
    if not options.batch_tokens and _is_short(options, precision):
        batch_tokens //= 2  # more updates, each from less: where time is short they count for more
    model, steps, compiled = candidates[0].config, None, bool(options.compile)
    rows = _rows(batch_tokens, model.context_length, tokens, means.processes)
    budget = _budget(options, tokens, rows * model.context_length)
    if budget.kind == "steps":
        steps = int(budget.amount)
    elif means.step_seconds is not None:
        left = budget.amount * (1 - CLOSING_SHARE) - means.spent
        if options.compile is None:
            compiled = means.compiles and compiling_pays(left, precision)
        if compiled:
            left -= COMPILED_SECONDS
        pace = choose_size(
            candidates,
            seconds=left,
            batch_tokens=rows * model.context_length,
            step_seconds=_stopwatch(batch_tokens, tokens, precision, compiled, means),
        )
        model, steps = pace.config, pace.steps
        rows = _rows(batch_tokens, model.context_length, tokens, means.processes)
    epochs = (steps or 0) * rows * model.context_length / tokens
    advice = regularisation(epochs)
    micro_rows, sharded = fit(
        model, rows, memory=means.memory, processes=means.processes, wanted=options.sharded
    )
    plan = Plan(
        budget=budget,
        rows=rows,
        micro_rows=micro_rows,
        dropout=_or(options.dropout, advice.dropout),
        token_dropout=_or(options.token_dropout, advice.token_dropout),
        precision=precision,
        optimizer=_optimizer(options, advice.weight_decay, steps, fine_tuning=base is not None),
        eval_every=options.eval_every,
        save_every=options.save_every,
        evaluation_tokens=_evaluation_tokens(budget, model),
        documents_apart=options.document_mask,
        compile=compiled,
        patience=options.patience,
    )
    return PlannedModel(model=model, plan=plan, sharded=sharded, steps=steps)


def _or(wish: float | None, advice: float) -> float:
    return advice if wish is None else wish


def _check(options: TrainOptions, corpus: TokenizedCorpus) -> None:
    if options.document_mask and len(corpus.weights) > 1:
        raise UsageError("--document-mask cannot be combined with weights of sources")
    if options.document_mask and len(corpus.training) < 4:
        raise DataError("there is too little text to keep documents apart in it")
    if len(corpus.training) < 2:
        raise DataError(
            f"there is too little text: {corpus.training_bytes} bytes to train on",
            hint="give more text, or keep less of it apart with --val-fraction 0",
        )


def _stopwatch(
    batch_tokens: int, tokens: int, precision: Precision, compiled: bool, means: Resources
) -> Callable[[ModelConfig], float]:
    """What says how long an update will take, from as many rows as fit into the memory at once."""
    measure = means.step_seconds
    assert measure is not None

    def step_seconds(config: ModelConfig) -> float:
        rows = _rows(batch_tokens, config.context_length, tokens, means.processes)
        share = -(-rows // means.processes)
        at_once = rows_in_memory(config, share, means.memory)
        if at_once is None:
            return math.inf
        seconds = measure(config, at_once, precision) * share / at_once
        return seconds * (COMPILED_SHARE[precision] if compiled else 1.0)

    return step_seconds


def _is_short(options: TrainOptions, precision: Precision) -> bool:
    """Whether there is a time to train in and few updates can be made in it."""
    return options.timed and not compiling_pays(options.seconds or DEFAULT_SECONDS, precision)


def _rows(batch_tokens: int, context: int, tokens: int, processes: int) -> int:
    # an update sees the text once at most
    rows = max(1, min(batch_tokens // context, tokens // context))
    if rows < processes:
        raise UsageError(
            f"{rows} rows of {context} tokens cannot be shared by {processes} processes",
            hint="more --batch-tokens, more text, a shorter --context-length, or fewer processes",
        )
    return rows


def _candidates(
    options: TrainOptions, tokens: int, vocab_size: int, base: ModelConfig | None
) -> list[Candidate]:
    """The shapes to choose among, from small to large: one, where it is known."""
    if base is not None:
        return [Candidate(_base(options, tokens, base))]
    asked = (options.size, options.num_layers, options.d_model, options.num_heads)
    if any(value is not None for value in asked) or not options.timed:
        return [Candidate(_model(options, tokens, vocab_size))]
    candidates = []
    for layers, width, context, enough in SIZE_LADDER:
        context = options.context_length or context
        shape = replace(options, num_layers=layers, d_model=width, context_length=context)
        candidates.append(Candidate(_model(shape, tokens, vocab_size), enough))
    return candidates


def _model(options: TrainOptions, tokens: int, vocab_size: int) -> ModelConfig:
    size = options.size or "nano"
    context = options.context_length or DEFAULT_CONTEXT[size]
    return named_config(
        size,
        vocab_size=vocab_size,
        context_length=max(1, min(context, tokens // 2)),  # two rows at least
        family=options.family or "modern",
        num_layers=options.num_layers,
        d_model=options.d_model,
        num_heads=options.num_heads,
        num_kv_heads=options.num_kv_heads,
        tied_head=_tied(options),
    )


def _tied(options: TrainOptions) -> bool:
    """A head of its own lets a model begin as a table of bigrams; only one family can have it."""
    return options.family in {"gpt2", "classic"} if options.tied_head is None else options.tied_head


SHAPE = ("size", "family", "context_length", "num_layers", "d_model", "num_heads", "num_kv_heads",
         "tied_head")  # fmt: skip


def _base(options: TrainOptions, tokens: int, base: ModelConfig) -> ModelConfig:
    """The shape of the model to go on from, which no wish can change."""
    named = [name for name in SHAPE if getattr(options, name) is not None]
    if named:
        raise UsageError(
            f"the model to go on from has its shape already: {named[0].replace('_', ' ')} is fixed",
            hint="leave the options of the model out",
        )
    if tokens < base.context_length:
        raise DataError(
            f"there is too little text: {tokens} tokens, and the model reads "
            f"{base.context_length} at once",
            hint="give more text, or keep less of it apart with --val-fraction 0",
        )
    return base


def _evaluation_tokens(budget: Budget, model: ModelConfig) -> int:
    if budget.kind == "steps":
        return EVALUATION_TOKENS
    operations = EVALUATION_SHARE * budget.amount * SLOW_MACHINE
    return max(1024, min(EVALUATION_TOKENS, int(operations / forward_flops_per_token(model))))


def _budget(options: TrainOptions, tokens: int, batch_tokens: int) -> Budget:
    if options.steps is not None:
        return Budget("steps", options.steps)
    trained = options.tokens
    if options.epochs is not None:
        trained = math.ceil(min(options.epochs, MOST_EPOCHS) * tokens)
    if trained is not None:
        return Budget("steps", max(1, math.ceil(trained / batch_tokens)))
    return Budget("seconds", DEFAULT_SECONDS if options.seconds is None else options.seconds)


def _optimizer(
    options: TrainOptions, weight_decay: float, steps: int | None, *, fine_tuning: bool
) -> OptimizerConfig:
    """The learning rates that suit so many steps; or all as the user wants that of the matrices."""
    default = OptimizerConfig()
    scale = FINE_TUNING if fine_tuning else 1.0
    matrix = matrix_learning_rate(steps) * scale
    if options.learning_rate is not None:
        scale *= options.learning_rate / matrix
        matrix = options.learning_rate
    return replace(
        default,
        matrix_learning_rate=matrix,
        table_learning_rate=default.table_learning_rate * scale,
        vector_learning_rate=default.vector_learning_rate * scale,
        weight_decay=weight_decay if options.weight_decay is None else options.weight_decay,
    )
