"""The plan: everything that is decided before the first step, from the text and the budget.

A plan is written into `run.json` and followed to the end, also by a resumed run.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError, DataError, UsageError
from tfcli.files import read_record
from tfcli.model.config import ModelConfig
from tfcli.options import OptionError
from tfcli.runtime.dtype import DType
from tfcli.training.budget import Budget as Budget
from tfcli.training.budget import choose_budget
from tfcli.training.fine_tuning import FINE_TUNING_HINT, BaseModel, preferred_bytes
from tfcli.training.masking import no_mask
from tfcli.training.micro_batch import MicroBatch, choose_micro_batch
from tfcli.training.optimizers import OptimizerConfig
from tfcli.training.options import MOST_MASKED, Init, TrainOptions
from tfcli.training.resources import Resources as Resources
from tfcli.training.schedule import WARM_UP_STEPS, choose_optimizer, choose_warm_up
from tfcli.training.sizing import (
    COMPILED_SECONDS,
    COMPILED_SHARE,
    EVALUATION_SHARE,
    PAIR_BATCH_SHARE,
    SHORT_PAIRS,
    can_init_from_bigrams,
    candidate_models,
    choose_size,
    compiling_pays,
    evaluation_tokens,
)
from tfcli.training.stages import (
    STUDENT_COST,
    TEACHER_SHARE,
    Student,
    chosen_regularization,
    plan_student,
    should_distill,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.text.token_cache import TokenizedCorpus

EVALUATIONS = 8
# A time budget can be too much for a little text. From so many epochs on, a training ends once it
# has not improved for so many evaluations; and the time is cut to so many epochs as are enough.
MANY_EPOCHS, PATIENCE, ENOUGH_EPOCHS = 20.0, 4, 200.0
MAX_SAVE_INTERVAL = 600.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train, on how much, how fast.

    Attributes:
        budget: how long to train.
        batch_size: rows of `context_length` tokens in an optimizer step.
        micro_batch_size: rows in memory at once; the gradients of several micro-batches are summed.
        dropout: share of each block's output set to zero at random.
        token_dropout: share of the input tokens replaced by `<unk>` at random.
        dtype: number format of the matrix products; the weights are always float32.
        optimizer: learning rates, weight decay, momentum.
        eval_every, save_every: steps; None: eight times in the budget, and a save at least every
            ten minutes.
        evaluation_tokens: how many held-out tokens to evaluate on while training.
        document_mask: whether attention is masked across documents packed into one row.
        compile: whether to use `torch.compile`: seconds at the start, then faster steps.
        patience: evaluations without improvement that end the training; None: the budget is used
            up. The best step is kept either way.
        masked: share of the rows that are trained both ways; see `objectives.BothWays`.
        prompt_loss: of pairs, the weight of prompt tokens in the loss, where those of answers have
            1; None: it is text.
        infill: share of the texts whose middle is read last; see `tfcli.training.infilling`.
        init: the first weights; they do not matter to a run that is initialized from another.
        checkpointing: whether blocks and logits are computed again in the backward pass, to save
            memory.
        saved_dtype: number format of the weights in a saved step, that of the model that the run
            was initialized from. Where it has fewer bits, the float32 weights that training goes
            on with are saved beside the state of the optimizer.
        warm_up_steps: until the learning rate is at its peak.
        student: of self-distillation; None: a single model is trained. See
            `tfcli.training.distillation`.

    """

    budget: Budget
    batch_size: int
    micro_batch_size: int
    dropout: float
    token_dropout: float
    dtype: DType
    optimizer: OptimizerConfig
    eval_every: int | None
    save_every: int | None
    evaluation_tokens: int
    document_mask: bool
    compile: bool
    patience: int | None
    init: Init
    checkpointing: bool = False
    saved_dtype: DType = "float32"
    masked: float = 0.0
    prompt_loss: float | None
    infill: float = 0.0
    warm_up_steps: int = WARM_UP_STEPS
    student: Student | None = None

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
            if isinstance(value, dict):
                named = {RENAMED.get(str(key), key): item for key, item in value.items()}
                value = ADDED_LATER | named
                if isinstance(value["optimizer"], dict):
                    value["optimizer"] = {"kind": "muon"} | value["optimizer"]
            plan = read_record(cls, value)
            if not (
                0 < plan.budget.amount < 1e15
                and 1 <= plan.micro_batch_size <= plan.batch_size < 10**9
                and 0 <= plan.dropout < 1
                and 0 <= plan.token_dropout < 1
                and all(n is None or n > 0 for n in (plan.eval_every, plan.save_every))
                and (plan.patience is None or plan.patience > 0)
                and plan.evaluation_tokens > 0
                and 0 <= plan.masked <= MOST_MASKED
                and 0 <= (plan.prompt_loss or 0) <= 1
                and 0 <= plan.infill < 1
                and plan.warm_up_steps > 0
                and (plan.student is None or plan.student.in_range)
                and plan.optimizer.in_range
            ):
                raise ValueError("a number in it is out of range")
            return plan
        except ValueError as error:
            raise DamagedError("run.json holds no valid plan", why=str(error)) from None


# Keys that run.json may lack, since it was written before they existed, with what held then.
ADDED_LATER: dict[str, object] = {
    "init": "bigrams", "checkpointing": False, "saved_dtype": "float32", "optimizer": None,
    "masked": 0.0, "prompt_loss": None, "infill": 0.0, "warm_up_steps": 20,
    "student": None,
}  # fmt: skip

# What earlier builds called some keys of run.json.
RENAMED = {
    "precision": "dtype",
    "evaluate_every": "eval_every",
    "documents_apart": "document_mask",
    "rows": "batch_size",
    "micro_rows": "micro_batch_size",
}

CLOSING_SHARE = 0.04  # of a time budget: the last evaluation and the last save
STEPS_SHARE = 1 - CLOSING_SHARE - EVALUATIONS * EVALUATION_SHARE


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """A plan, the model it is for, and what is expected of it.

    Attributes:
        sharded: whether the weights have to be sharded across the processes.
        steps: optimizer steps that the budget allows; None where it was not measured.

    """

    model: ModelConfig
    plan: Plan
    sharded: bool
    steps: int | None


def make_plan(
    options: TrainOptions,
    corpus: TokenizedCorpus,
    resources: Resources,
    *,
    vocab_size: int,
    unknown_token: bool = True,
    base: BaseModel | None = None,
) -> PlannedModel:
    """Decides what the user left open.

    Args:
        unknown_token: whether the tokenizer has one, which token dropout needs.
        base: the model to initialize from, whose shape is then taken.

    Raises:
        DataError: too little text to train on.
        UsageError: options that cannot be combined, or a model too large for the memory.

    """
    _check(options, corpus, unknown_token=unknown_token)
    tokens, pairs = len(corpus.training), corpus.training_targets is not None
    dtype = options.dtype or resources.dtype
    candidates = candidate_models(options, tokens, vocab_size, base, pairs=pairs)
    model, steps, compiled = candidates[0].config, None, bool(options.compile)
    short = pairs and base is None and model.context_length <= SHORT_PAIRS
    batch_tokens = options.batch_tokens or _batch_tokens(options, resources, dtype, short)
    rows = _rows(batch_tokens, model.context_length, tokens)
    budget = choose_budget(options, tokens, rows * model.context_length)
    if budget.kind == "steps":
        steps = int(budget.amount)
    elif resources.step_seconds is not None:
        left = budget.amount * STEPS_SHARE - resources.spent
        compiled = _compiles(options, resources, left, base)
        left -= COMPILED_SECONDS * compiled
        choice = choose_size(
            candidates, seconds=left, batch_tokens=rows * model.context_length,
            step_seconds=_stopwatch(options, batch_tokens, tokens, compiled, resources, base),
        )  # fmt: skip
        model, steps = choice.config, choice.steps
        rows = _rows(batch_tokens, model.context_length, tokens)
        enough = _enough_steps(tokens, rows, model)
        if steps is not None and steps > enough and not pairs:
            budget, steps = budget.extended(left * (enough / steps - 1)), enough
    micro_batch = _micro_batch(options, model, rows, resources, base)
    epochs = 0.0 if pairs else (steps or 0) * rows * model.context_length / tokens
    distill = should_distill(options, epochs, micro_batch, base, pairs=pairs)
    if distill and steps and budget.kind == "seconds":
        steps = int(steps * (TEACHER_SHARE + (1 - TEACHER_SHARE) / STUDENT_COST))
    own_share = TEACHER_SHARE if distill else 1.0  # of the steps
    advice = chosen_regularization(options, own_share * epochs, unknown_token=unknown_token)
    own_steps = steps and int(own_share * steps)
    optimizer = choose_optimizer(options, model, advice.weight_decay, own_steps, base)
    plan = Plan(
        budget=budget, batch_size=rows, micro_batch_size=micro_batch.size,
        checkpointing=micro_batch.checkpointing,
        dropout=advice.dropout, token_dropout=advice.token_dropout,
        dtype=dtype, optimizer=optimizer,
        eval_every=options.eval_every, save_every=options.save_every,
        evaluation_tokens=evaluation_tokens(model, rows, budget.kind, budget.amount),
        document_mask=options.document_mask, compile=compiled,
        patience=options.patience or _patience(options, epochs),
        init=_init(options, model, base),
        saved_dtype=base.saved_dtype if base else "float32",
        prompt_loss=options.prompt_loss if pairs else None, infill=options.infill,
        masked=options.masked, warm_up_steps=choose_warm_up(optimizer, base),
        student=plan_student(options, epochs, unknown_token=unknown_token) if distill else None,
    )  # fmt: skip
    return PlannedModel(model=model, plan=plan, sharded=micro_batch.sharded, steps=steps)


def with_micro_batch(plan: Plan, chosen: MicroBatch) -> Plan:
    """A plan with as many rows at once as were chosen."""
    return replace(plan, micro_batch_size=chosen.size, checkpointing=chosen.checkpointing)


def _micro_batch(
    options: TrainOptions,
    model: ModelConfig,
    rows: int,
    resources: Resources,
    base: BaseModel | None,
) -> MicroBatch:
    return choose_micro_batch(
        model, -(-rows // resources.world_size), memory=resources.memory,
        preferred=preferred_bytes(model) if base and resources.shared else None,
        checkpointing=options.checkpointing, world_size=resources.world_size,
        sharded=options.sharded, hint=FINE_TUNING_HINT if base else None,
    )  # fmt: skip


def _compiles(
    options: TrainOptions, resources: Resources, seconds: float, base: BaseModel | None
) -> bool:
    """Whether to compile in a budget of time; not what is imported, large and checkpointed."""
    if options.compile is not None:
        return options.compile
    if not resources.compiles or (base is not None and base.optimizer == "adamw"):
        return False
    return compiling_pays(seconds, options.dtype or resources.dtype)


def _enough_steps(tokens: int, rows: int, model: ModelConfig) -> int:
    return math.ceil(ENOUGH_EPOCHS * tokens / (rows * model.context_length))


def _patience(options: TrainOptions, epochs: float) -> int | None:
    return PATIENCE if options.timed and epochs > MANY_EPOCHS else None


def _init(options: TrainOptions, model: ModelConfig, base: BaseModel | None) -> Init:
    if options.init is not None and base is not None:
        raise OptionError("init", "cannot be combined with", "from")
    if options.init == "bigrams" and not can_init_from_bigrams(model):
        raise OptionError(
            "init", "must be random for this model",
            why="a table of bigrams needs an untied head, and no positions added to the embedding",
            hint="--family modern, or --family llama",
        )  # fmt: skip
    return options.init or ("bigrams" if can_init_from_bigrams(model) else "random")


def _check(options: TrainOptions, corpus: TokenizedCorpus, *, unknown_token: bool) -> None:
    if options.masked and not unknown_token:
        raise no_mask()
    if options.document_mask and len(corpus.weights) > 1:
        raise UsageError("--document-mask cannot be combined with source weights (FILE:2)")
    if options.prompt_loss and corpus.training_targets is None:
        raise UsageError("--prompt-loss is for pairs of prompt and answer, and this is text")
    if options.infill and corpus.training_targets is not None:
        raise UsageError(
            "--infill is for text, and these are pairs of prompt and answer",
            why="it moves a middle to the end, and an answer has to stay behind its prompt",
            hint="--masked 0.5   # moves nothing, and fills gaps as well",
        )
    if options.document_mask and len(corpus.training) < 4:
        raise DataError("not enough text for --document-mask")
    if len(corpus.training) < 2:
        raise DataError(
            f"not enough text: {corpus.training_bytes} bytes to train on",
            hint="add more text, or hold out none of it: --val-fraction 0",
        )


def _stopwatch(
    options: TrainOptions,
    batch_tokens: int,
    tokens: int,
    compiled: bool,
    resources: Resources,
    base: BaseModel | None,
) -> Callable[[ModelConfig], float]:
    """Estimates the seconds of a step, from one on as many rows as fit into the memory."""
    measure, dtype = resources.step_seconds, options.dtype or resources.dtype
    assert measure is not None

    def step_seconds(config: ModelConfig) -> float:
        rows = _rows(batch_tokens, config.context_length, tokens)
        try:
            at_once = _micro_batch(options, config, rows, resources, base)
        except UsageError:
            return math.inf
        if at_once.sharded:  # measured by none alone
            return math.inf
        share = -(-rows // resources.world_size)
        seconds = measure(config, at_once, dtype) * share / at_once.size
        return seconds * (COMPILED_SHARE[dtype] if compiled else 1.0)

    return step_seconds


def _batch_tokens(
    options: TrainOptions, resources: Resources, dtype: DType, short_pairs: bool
) -> int:
    """Tokens in a step: what keeps the devices busy, or less where many steps are worth more."""
    tokens = resources.batch_tokens * resources.world_size
    if short_pairs:
        return tokens // PAIR_BATCH_SHARE
    return tokens // 2 if _is_short(options, dtype) else tokens


def _is_short(options: TrainOptions, dtype: DType) -> bool:
    """Whether the budget is a time in which only few steps can be made."""
    seconds = options.time_budget
    return seconds is not None and not compiling_pays(seconds, dtype)


def _rows(batch_tokens: int, context: int, tokens: int) -> int:
    # a step sees the text once at most
    return max(1, min(batch_tokens // context, tokens // context))
