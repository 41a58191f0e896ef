"""The plan: everything that is decided before the first step, from the text and the budget.

A plan is written into `run.json` and followed to the end, also by a resumed run.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tfcli.errors import DamagedError, DataError, UsageError
from tfcli.files import read_record
from tfcli.model.config import Family, ModelConfig, Size, named_config
from tfcli.model.cost import forward_flops_per_token, training_bytes
from tfcli.training.machine import Precision
from tfcli.training.optimizers import OptimizerConfig

if TYPE_CHECKING:
    from tfcli.text.token_cache import TokenizedCorpus

WARM_UP_STEPS = 20
DECAY_SHARE = 0.7  # the last part of the budget, in which the learning rate falls to zero
EVALUATIONS = 8
EVALUATION_TOKENS = 1 << 14  # at most, while training; at the end the whole held-out text is read
EVALUATION_SHARE = 0.005  # of a time budget, for one evaluation
SLOW_MACHINE = 60e9  # floating-point operations a second, to estimate that share with
MOST_EPOCHS = 1e9
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
        precision: number format of the matrix products; the weights are float32 always.
        optimizer: learning rates and their kin.
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
    precision: Precision
    optimizer: OptimizerConfig
    evaluate_every: int | None
    save_every: int | None
    evaluation_tokens: int
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
            return read_record(cls, value)
        except ValueError as error:
            raise DamagedError("run.json holds no plan of ours", why=str(error)) from None


def learning_rate_scale(step: int, progress: float) -> float:
    """The share of the full learning rates at a step: up, level, then straight down to zero.

    Args:
        step: updates made so far; the first 20 warm up.
        progress: the share of the budget that is spent, from 0 to 1.

    """
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    decay = min(1.0, max(0.0, 1.0 - progress) / DECAY_SHARE)
    return warm_up * decay


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user asked for; None leaves it to the plan."""

    seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None
    tokens: int | None = None
    size: Size | None = None
    family: Family = "modern"
    context_length: int | None = None
    num_layers: int | None = None
    d_model: int | None = None
    num_heads: int | None = None
    num_kv_heads: int | None = None
    tied_head: bool = True
    batch_tokens: int | None = None
    dropout: float | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    precision: Precision | None = None
    evaluate_every: int | None = None
    save_every: int | None = None
    compile: bool | None = None
    patience: int | None = None
    sharded: bool | None = None


DEFAULT_CONTEXT: dict[Size, int] = {
    "nano": 128, "tiny": 256, "small": 256, "base": 512, "large": 1024,
}  # fmt: skip
DEFAULT_SECONDS = 60.0


def make_plan(
    wishes: Wishes,
    corpus: TokenizedCorpus,
    *,
    vocab_size: int,
    precision: Precision,
    memory: int | None,
    processes: int = 1,
) -> tuple[ModelConfig, Plan, bool]:
    """Decides what the user left open.

    Args:
        precision: the machine's fastest, taken where none is asked for.
        memory: bytes at hand for each process, or None where unknown.
        processes: that share the rows of a batch.

    Returns:
        What to train, how, and whether the weights have to be shared out among the processes.

    Raises:
        DataError: too little text to train on.
        UsageError: wishes that do not fit together.

    """
    for name, value in asdict(wishes).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{name.replace('_', ' ')} cannot be {value}")
    tokens = len(corpus.training)
    if tokens < 2:
        raise DataError(
            f"there is too little text: {corpus.training_bytes} bytes to train on",
            mend="give more text, or keep less of it apart with --held-out 0",
        )
    size = wishes.size or "nano"
    context = wishes.context_length or DEFAULT_CONTEXT[size]
    context = max(1, min(context, tokens // 2))  # two rows at least
    model = named_config(
        size,
        vocab_size=vocab_size,
        context_length=context,
        family=wishes.family,
        num_layers=wishes.num_layers,
        d_model=wishes.d_model,
        num_heads=wishes.num_heads,
        num_kv_heads=wishes.num_kv_heads,
        tied_head=wishes.tied_head,
    )
    rows = (wishes.batch_tokens or 2048) // context
    rows = max(1, min(rows, tokens // context))  # an update sees the text once at most
    if rows < processes:
        raise UsageError(
            f"{rows} rows of {context} tokens cannot be shared by {processes} processes",
            mend=f"--batch-tokens {processes * context} or more, or fewer processes",
        )
    share = -(-rows // processes)
    micro_rows = _micro_rows(model, share, memory)
    wanted = micro_rows is None if wishes.sharded is None else wishes.sharded
    sharded = wanted and processes > 1
    if sharded:
        micro_rows = _micro_rows(model, share, memory, shards=processes)
    if micro_rows is None:
        raise _too_large(model, memory, processes if sharded else 1)
    budget = _budget(wishes, tokens, rows * context)
    optimizer = _optimizer(wishes)
    plan = Plan(
        budget=budget,
        rows=rows,
        micro_rows=micro_rows,
        dropout=wishes.dropout if wishes.dropout is not None else 0.0,
        precision=wishes.precision or precision,
        optimizer=optimizer,
        evaluate_every=wishes.evaluate_every,
        save_every=wishes.save_every,
        evaluation_tokens=_evaluation_tokens(budget, model),
        compile=bool(wishes.compile),
        patience=wishes.patience,
    )
    return model, plan, sharded


def _evaluation_tokens(budget: Budget, model: ModelConfig) -> int:
    if budget.kind == "steps":
        return EVALUATION_TOKENS
    operations = EVALUATION_SHARE * budget.amount * SLOW_MACHINE
    return max(1024, min(EVALUATION_TOKENS, int(operations / forward_flops_per_token(model))))


def _budget(wishes: Wishes, tokens: int, batch_tokens: int) -> Budget:
    if wishes.steps is not None:
        return Budget("steps", wishes.steps)
    trained = wishes.tokens
    if wishes.epochs is not None:
        trained = math.ceil(min(wishes.epochs, MOST_EPOCHS) * tokens)
    if trained is not None:
        return Budget("steps", max(1, math.ceil(trained / batch_tokens)))
    return Budget("seconds", DEFAULT_SECONDS if wishes.seconds is None else wishes.seconds)


def _optimizer(wishes: Wishes) -> OptimizerConfig:
    """The default learning rates, all scaled as the user scaled that of the matrices."""
    default = OptimizerConfig()
    scale = 1.0
    if wishes.learning_rate is not None:
        scale = wishes.learning_rate / default.matrix_learning_rate
    return replace(
        default,
        matrix_learning_rate=default.matrix_learning_rate * scale,
        table_learning_rate=default.table_learning_rate * scale,
        vector_learning_rate=default.vector_learning_rate * scale,
        weight_decay=default.weight_decay if wishes.weight_decay is None else wishes.weight_decay,
    )


def _micro_rows(
    model: ModelConfig, rows: int, memory: int | None, *, shards: int = 1
) -> int | None:
    """How many of `rows` fit into the memory at once; None where not even one does."""
    for parts in range(1, rows + 1):
        micro_rows = -(-rows // parts)
        needed = training_bytes(model, micro_rows * model.context_length, shards=shards)
        if memory is None or needed <= 0.8 * memory:
            return micro_rows
    return None


def _too_large(model: ModelConfig, memory: int | None, shards: int) -> UsageError:
    needed = training_bytes(model, model.context_length, shards=shards)
    return UsageError(
        "this model is too large for the memory of this machine",
        why=f"about {needed / 2**30:.1f} GiB are needed, {(memory or 0) / 2**30:.1f} GiB are free",
        mend="take a smaller --size, --width, --layers or --context",
    )
