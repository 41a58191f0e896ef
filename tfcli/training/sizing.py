"""How large a model, and how much regularization it needs.

The rules come from the experiments in `docs/lab-notes.md`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tfcli.errors import DataError
from tfcli.model.config import ModelConfig, Size, named_config
from tfcli.model.cost import forward_flops_per_token
from tfcli.options import OptionError
from tfcli.text.baselines import ORDER
from tfcli.training.options import Init, TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.runtime.dtype import DType
    from tfcli.training.fine_tuning import BaseModel


EVALUATION_TOKENS = 1 << 14  # at most, while training; at the end the whole held-out text is read
EVALUATION_SHARE = 0.005  # of a time budget, for one evaluation
# With a budget of steps: this many seconds of a slow machine, or so many tokens for each trained
# on, whichever is more. Each token is read twice, and not backward: nine evaluations take a tenth.
EVALUATION_SECONDS, EVALUATION_TRAINED = 5.0, 1 / 60
SLOW_MACHINE = 60e9  # floating-point operations a second, to estimate that share with


class LadderRung(NamedTuple):
    """A shape of a model, and how many tokens it has to see to do better than the one before."""

    num_layers: int
    d_model: int
    context_length: int
    min_tokens: float


# From small to large: what a plan made from time takes. Far fewer tokens than the 20 a parameter of
# Hoffmann et al., "Training Compute-Optimal Large Language Models", 2022: there every token is new
# and hardware is full; here the text is seen many times, and small models leave a machine idle.
SIZE_LADDER = (
    LadderRung(2, 128, 128, 0.0), LadderRung(2, 192, 128, 0.4e6), LadderRung(3, 192, 128, 0.6e6),
    LadderRung(3, 192, 256, 1.2e6), LadderRung(4, 192, 256, 2.5e6), LadderRung(4, 256, 256, 3e6),
    LadderRung(6, 256, 256, 12e6), LadderRung(6, 384, 256, 18e6), LadderRung(8, 512, 256, 30e6),
    LadderRung(12, 768, 512, 85e6), LadderRung(24, 1024, 1024, 300e6),
)  # fmt: skip


# Of pairs only the answers teach, and many steps of a small model more than few of a large one.
PAIR_TOKENS = 4.0  # times `min_tokens`
# Short answers are looked up in their prompts at several places at once, so many small heads learn
# them sooner than few large ones, and small batches sooner than large ones: see the lab notes.
SHORT_PAIRS = 128  # tokens of context at most
PAIR_HEAD_DIM, PAIR_BATCH_SHARE = 16, 4  # the batch is a quarter of what a text gets


class Regularization(NamedTuple):
    """What keeps a model from memorizing its text, at so many epochs."""

    epochs: float
    dropout: float
    token_dropout: float
    weight_decay: float


REGULARIZATION = (  # linear between the rows
    Regularization(0.0, 0.0, 0.0, 0.1),
    Regularization(2.0, 0.0, 0.0, 0.1),
    Regularization(3.0, 0.05, 0.1, 0.3),
    Regularization(10.0, 0.1, 0.15, 0.3),
    Regularization(20.0, 0.2, 0.25, 0.3),
)

COMPILED_SECONDS = 30.0  # what compiling takes, where nothing of it is cached
# The time of a compiled step as a share of an uncompiled one. In float32 products are nearly all of
# it, and no compiler makes those faster.
COMPILED_SHARE: dict[DType, float] = {"float32": 0.9, "bfloat16": 0.75, "float16": 0.75}


def compiling_pays(seconds: float, dtype: DType) -> bool:
    """Whether compiled steps save more of the time than compiling takes."""
    return seconds * (1 - COMPILED_SHARE[dtype]) > COMPILED_SECONDS


@dataclass(frozen=True)
class Candidate:
    """A shape, and how many tokens it has to see to be worth choosing."""

    config: ModelConfig
    min_tokens: float = 0.0


DEFAULT_CONTEXT: dict[Size, int] = {
    "nano": 128, "tiny": 256, "small": 256, "base": 512, "large": 1024,
}  # fmt: skip


def candidate_models(
    options: TrainOptions,
    tokens: int,
    vocab_size: int,
    base: BaseModel | None,
    *,
    pairs: bool = False,
) -> list[Candidate]:
    """The models to choose among, from small to large: one, where its shape is known.

    Args:
        tokens: in the training text; two rows of them have to be there, unless it is pairs, whose
            rows are filled up.
        base: the model to initialize from.
        pairs: whether these are of prompt and answer.

    Raises:
        DataError: the text is shorter than one row of the base model.
        UsageError: options for the shape of the base model, which is fixed.

    """
    tokens_of_rows = sys.maxsize if pairs else tokens
    if base is not None:
        return [Candidate(_base(options, tokens_of_rows, base.config))]
    asked = (options.size, options.num_layers, options.d_model, options.num_heads)
    if any(value is not None for value in asked) or not options.timed:
        return [Candidate(_model(options, tokens_of_rows, vocab_size))]
    candidates = []
    for layers, width, context, min_tokens in SIZE_LADDER:
        context = options.context_length or context
        heads = width // PAIR_HEAD_DIM if pairs and context <= SHORT_PAIRS else None
        shape = replace(
            options, num_layers=layers, d_model=width, num_heads=heads, context_length=context
        )
        least = min_tokens * (PAIR_TOKENS if pairs else 1.0)
        candidates.append(Candidate(_model(shape, tokens_of_rows, vocab_size), least))
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
    """A head of its own lets a model begin as a table of bigrams; only modern and llama can."""
    return options.family in {"gpt2", "classic"} if options.tied_head is None else options.tied_head


FINE_TUNING_CONTEXT = 1024  # tokens in a row at most, where nothing is said: what a CPU can do
SHAPE = ("size", "family", "num_layers", "d_model", "num_heads", "num_kv_heads",
         "tied_head")  # fmt: skip


def _base(options: TrainOptions, tokens: int, base: ModelConfig) -> ModelConfig:
    """The shape of the model to initialize from, of which only the context can become shorter."""
    named = [name for name in SHAPE if getattr(options, name) is not None]
    if named:
        raise OptionError(
            named[0], "cannot be combined with", "from", why="the model keeps its shape",
            hint="remove the model options",
        )  # fmt: skip
    longest = base.context_length
    if options.context_length is not None and options.context_length > longest:
        raise OptionError(
            "context_length", f"must be at most {longest:,}, that of the model to start from"
        )
    context = options.context_length or min(longest, FINE_TUNING_CONTEXT)
    context = max(1, min(context, tokens // 2))  # two rows at least
    if context == longest or base.positions != "learned":
        return replace(base, context_length=context)
    if options.context_length is not None:
        raise OptionError(
            "context_length", f"must be {longest:,}",
            why="the model to start from has learned its positions one by one",
        )  # fmt: skip
    if tokens < longest:
        raise DataError(
            f"not enough text: {tokens:,} tokens, and the model reads {longest:,} at once",
            why="it has learned its positions one by one, so they cannot become fewer",
            hint="add more text, or hold out none of it: --val-fraction 0",
        )
    return base


def can_init_from_bigrams(config: ModelConfig) -> bool:
    """Whether a model can begin as a table of bigrams: see `tfcli.training.bigram_init`.

    That takes an untied head, and nothing before the final norm: learned and sinusoidal positions
    are added to the embedding, and LayerNorm subtracts its mean.
    """
    return config.positions == "rotary" and not config.tied_head and config.d_model > 2


@dataclass(frozen=True)
class SizeChoice:
    """A model and the steps it makes in the time; None where it could not be measured."""

    config: ModelConfig
    steps: int | None


def choose_size(
    candidates: Sequence[Candidate],
    *,
    seconds: float,
    batch_tokens: int,
    step_seconds: Callable[[ModelConfig], float],
) -> SizeChoice:
    """The largest of the candidates that sees enough tokens in the time.

    Args:
        candidates: from small to large; the first is taken even where it sees too few.
        seconds: to train in.
        step_seconds: how long one step of a candidate takes.

    """
    chosen = None
    for candidate in candidates:
        each = step_seconds(candidate.config)
        steps = max(1, int(seconds / each)) if math.isfinite(each) else None
        if chosen is not None and (steps or 0) * batch_tokens < candidate.min_tokens:
            break
        chosen = SizeChoice(candidate.config, steps)
    assert chosen is not None, "there is always a candidate"
    return chosen


def regularization(epochs: float) -> Regularization:
    """How much regularization so many epochs need."""
    columns = zip(*REGULARIZATION, strict=True)
    known = next(columns)
    amounts = (round(float(np.interp(epochs, known, column)), 3) for column in columns)
    return Regularization(epochs, *amounts)


# Tokens trained on, and the model's loss as a share of the n-gram model's, as measured: see "What a
# training will come to" in `docs/lab-notes.md`.
LOSS_VS_NGRAM = ((4e5, 0.975), (6e5, 0.95), (1.6e6, 0.925), (5e6, 0.91), (2e7, 0.89), (1e9, 0.85))
UNCERTAINTY = 0.09
# How much lower it can come where n-grams say less: the eight bytes of 8-grams are three or four
# characters; and much of a text that gzip knows better than n-grams do is long repeats.
FAR_BELOW = 0.32
TYPICAL_WIDTH, TYPICAL_TOKEN = 128, 1.5  # smaller models, or tokens of fewer bytes, fall behind
SYNTHETIC_RATIO = 0.55  # books come to 0.7 and above, the stories of `tfcli demo` to 0.44


def expected_loss(
    ngram: float, gzip: float, tokens: float, *, ngram_order: int = ORDER
) -> tuple[float, float] | None:
    """Between which values the held-out loss will probably lie, in nats per byte.

    Args:
        ngram: the loss of the n-gram model on the same text, which tells how hard the text is.
        gzip: that of gzip.
        tokens: to be trained on.
        ngram_order: of the n-gram model; more than usual where a character is several bytes.

    Returns:
        None for fewer tokens than were ever tried, and for a text generated by rules, which is
        far easier for n-grams than for gzip: a model may find the rules.

    """
    if tokens < LOSS_VS_NGRAM[0][0] or ngram <= 0 or ngram < SYNTHETIC_RATIO * gzip:
        return None
    trained, shares = zip(*LOSS_VS_NGRAM, strict=True)
    share = float(np.interp(math.log(tokens), np.log(trained), shares))
    below = FAR_BELOW if ngram_order > ORDER or gzip < ngram else UNCERTAINTY
    return ngram * share * (1 - below), ngram * share * (1 + UNCERTAINTY)


def is_typical(model: ModelConfig, init: Init, bytes_per_token: float) -> bool:
    """Whether `expected_loss` holds for such a model: those that a plan chooses by itself."""
    small = model.d_model < TYPICAL_WIDTH or bytes_per_token < TYPICAL_TOKEN
    return init == "bigrams" and not small


def evaluation_tokens(
    model: ModelConfig, rows: int, kind: Literal["steps", "seconds"], budget: float
) -> int:
    """How many held-out tokens to evaluate on while training.

    Args:
        rows: in a step.
        budget: of the training, in steps or in seconds.

    """
    if kind == "steps":
        trained = EVALUATION_TRAINED * budget * rows * model.context_length
        operations = EVALUATION_SECONDS * SLOW_MACHINE
    else:
        trained, operations = 0.0, EVALUATION_SHARE * budget * SLOW_MACHINE
    affordable = int(max(trained, operations / forward_flops_per_token(model)))
    return max(1024, min(EVALUATION_TOKENS, affordable))
