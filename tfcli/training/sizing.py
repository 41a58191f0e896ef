"""How large a model, how long its training is, and how much it must be kept from learning by heart.

The rules are what the experiments of `docs/lab-notes.md` came to.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tfcli.errors import UsageError
from tfcli.model.cost import training_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.model.config import ModelConfig
    from tfcli.training.machine import Precision


class SizePreset(NamedTuple):
    """A size, and how many tokens it has to see to be better than the one before."""

    num_layers: int
    d_model: int
    context_length: int
    tokens: float


# From small to large: what a plan made from time takes. Far fewer tokens than the 20 a parameter of
# Hoffmann et al., "Training Compute-Optimal Large Language Models", 2022: there every token is new
# and hardware is full; here the text is seen many times, and small models leave a machine idle.
SIZE_LADDER = (
    SizePreset(2, 128, 128, 0.0), SizePreset(2, 192, 128, 0.4e6), SizePreset(3, 192, 128, 0.6e6),
    SizePreset(3, 192, 256, 1.2e6), SizePreset(4, 192, 256, 2.5e6), SizePreset(4, 256, 256, 3e6),
    SizePreset(6, 256, 256, 12e6), SizePreset(6, 384, 256, 18e6), SizePreset(8, 512, 256, 30e6),
    SizePreset(12, 768, 512, 85e6), SizePreset(24, 1024, 1024, 300e6),
)  # fmt: skip


class Regularisation(NamedTuple):
    """What keeps a model from learning its text by heart, from so many epochs on."""

    epochs: float
    dropout: float
    token_dropout: float
    weight_decay: float


REGULARISATION = (
    Regularisation(0.0, 0.0, 0.0, 0.1),
    Regularisation(3.0, 0.05, 0.1, 0.3),
    Regularisation(10.0, 0.1, 0.15, 0.3),
    Regularisation(20.0, 0.2, 0.25, 0.3),
)

COMPILED_SECONDS = 30.0  # what compiling takes, where nothing of it is found again
# What compiled code takes of the time of a step. In float32 products are nearly all of it, and no
# compiler makes those faster.
COMPILED_SHARE: dict[Precision, float] = {"float32": 0.9, "bfloat16": 0.75}


def compiling_pays(seconds: float, precision: Precision) -> bool:
    """Whether compiled steps save more of the time there is than compiling takes."""
    return seconds * (1 - COMPILED_SHARE[precision]) > COMPILED_SECONDS


@dataclass(frozen=True)
class Candidate:
    """A shape to choose, and how many tokens have to be seen for that."""

    config: ModelConfig
    tokens: float = 0.0


@dataclass(frozen=True)
class SizeChoice:
    """A model and the steps it makes in the time there is; None where it could not be measured."""

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
        candidates: from small to large; the first is taken where even it is too large.
        seconds: that there are to train in.
        step_seconds: of one update of a candidate.

    """
    chosen = None
    for candidate in candidates:
        each = step_seconds(candidate.config)
        steps = max(1, int(seconds / each)) if math.isfinite(each) else None
        if chosen is not None and (steps or 0) * batch_tokens < candidate.tokens:
            break
        chosen = SizeChoice(candidate.config, steps)
    assert chosen is not None, "there is always a candidate"
    return chosen


def regularisation(epochs: float) -> Regularisation:
    """What suits a text that is seen so often."""
    return max(row for row in REGULARISATION if row.epochs <= epochs)


# Tokens trained on, and the share of a 6-gram's loss that the model came to: see the lab notes.
PROSPECTS = ((4e5, 1.15), (1.5e6, 0.945), (5e6, 0.915), (2e7, 0.89), (1e9, 0.85))
UNCERTAINTY = 0.06
MADE_UP = 0.55  # books come to 0.7 and above, the stories of `tfcli demo` to 0.44


def expected_loss(ngram: float, gzip: float, tokens: float) -> tuple[float, float] | None:
    """Between which values the held-out loss will probably lie, in nats a byte.

    Args:
        ngram: what 6-grams reach on the same text; how hard a text is shows in that already.
        gzip: what gzip does.
        tokens: that will be trained on.

    Returns:
        None for fewer tokens than it was ever tried with, and for a text made by rules, which
        shows in that 6-grams find it far easier than gzip does: a model may find the rules.

    """
    if tokens < PROSPECTS[0][0] or ngram <= 0 or ngram < MADE_UP * gzip:
        return None
    share = PROSPECTS[-1][1]
    for (few, before), (many, after) in itertools.pairwise(PROSPECTS):
        if few <= tokens <= many:
            part = math.log(tokens / few) / math.log(many / few)
            share = before + part * (after - before)
    return ngram * share * (1 - UNCERTAINTY), ngram * share * (1 + UNCERTAINTY)


def fit(
    model: ModelConfig, rows: int, *, memory: int | None, processes: int, wanted: bool | None
) -> tuple[int, bool]:
    """How many rows fit into the memory at once, and whether the weights have to be shared out.

    Args:
        rows: of a batch.
        memory: bytes for each process, or None where unknown.
        wanted: what the user wants of sharing; None leaves it to the memory.

    Raises:
        UsageError: not even one row fits.

    """
    share = -(-rows // processes)
    micro_rows = rows_in_memory(model, share, memory)
    sharded = processes > 1 and (micro_rows is None if wanted is None else wanted)
    if sharded:
        micro_rows = rows_in_memory(model, share, memory, shards=processes)
    if micro_rows is None:
        raise too_large(model, memory, processes if sharded else 1)
    return micro_rows, sharded


def rows_in_memory(
    model: ModelConfig, rows: int, memory: int | None, *, shards: int = 1
) -> int | None:
    """How many of `rows` fit into the memory at once; None where not even one does."""
    for parts in range(1, rows + 1):
        micro_rows = -(-rows // parts)
        needed = training_bytes(model, micro_rows * model.context_length, shards=shards)
        if memory is None or needed <= 0.8 * memory:
            return micro_rows
    return None


def too_large(model: ModelConfig, memory: int | None, shards: int) -> UsageError:
    """What to say where not even one row fits."""
    needed = training_bytes(model, model.context_length, shards=shards)
    return UsageError(
        "this model is too large for the memory of this machine",
        why=f"about {needed / 2**30:.1f} GiB are needed, {(memory or 0) / 2**30:.1f} GiB are free",
        hint="take a smaller --size, --width, --layers or --context-length",
    )
