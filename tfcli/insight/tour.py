"""One short text through a model, step by step: the numbers that `forward` keeps, and a few more.

The tour follows one position, the last, whose vector becomes the prediction; in the first block,
one head; and of that head, the position that it takes most from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DataError
from tfcli.generation.engines.numpy_layers import position_table, rotary_tables, rotate
from tfcli.generation.request import Sampling
from tfcli.generation.sampling import (
    apply_temperature,
    choose_tokens,
    keep_min_p,
    row_random,
    softmax,
    suppress_control_tokens,
)
from tfcli.insight.inspection import start_of
from tfcli.insight.views import lens

if TYPE_CHECKING:
    from tfcli.insight.forward import Array, BlockValues, ForwardValues, Model
    from tfcli.insight.views import Floats, Ids, Lens
    from tfcli.text.tokenizer import SpecialTokens, Tokenizer

MOST_TOKENS = 12  # so that a table of all positions can be read
OWN_TOKENS = 7  # that the model writes where no text is given
NEIGHBORS = 5


@dataclass(frozen=True)
class Draw:
    """How the next token is chosen, as `generate` does it by default.

    Attributes:
        temperature, min_p: the program's defaults.
        logits: (V,), without the tokens that are never generated.
        plain: (V,), their softmax.
        tempered: (V,), after the temperature.
        kept: (V,), after min-p: what is drawn from.
        number: in [0, 1), the random one.
        token: that it falls on.

    """

    temperature: float
    min_p: float
    logits: Floats
    plain: Floats
    tempered: Floats
    kept: Floats
    number: float
    token: int

    @property
    def likeliest(self) -> Ids:
        """All tokens, the likeliest first."""
        order: Ids = np.argsort(-self.logits, kind="stable")
        return order

    def interval(self, token: int) -> tuple[float, float]:
        """Which random numbers fall on a token: tokens lie side by side in the order of ids."""
        sums = np.cumsum(self.kept)
        return float(sums[token] - self.kept[token]), float(sums[token])


@dataclass(frozen=True)
class Tour:
    """The numbers of a tour.

    Attributes:
        ids: of the text, its start included.
        values: of the forward pass.
        head: of the first block, which is followed.
        looked_at: the position that it takes most from.
        masked: which share of the rows was read both ways in training.

    """

    model: Model
    tokenizer: Tokenizer
    ids: list[int]
    values: ForwardValues
    head: int
    looked_at: int
    draw: Draw
    masked: float = 0.0

    @property
    def here(self) -> int:
        """The position that is followed."""
        return len(self.ids) - 1

    @property
    def block(self) -> BlockValues:
        """The first."""
        return self.values.blocks[0]

    @property
    def kv_head(self) -> int:
        """Whose keys and values the head uses."""
        config = self.model.config
        return self.head * config.num_kv_heads // config.num_heads

    @cached_property
    def lens(self) -> Lens:
        """What each layer would predict."""
        return lens(self.model, self.values)

    @cached_property
    def positions(self) -> Array | None:
        """The vectors that are added for the positions, (T, E); None with RoPE."""
        table = position_table(self.model.config, self.model.weights)
        return None if table is None else table[: len(self.ids)]

    @cached_property
    def unrotated(self) -> tuple[Array, Array]:
        """The queries of the head and its keys before RoPE, of all positions, (T, D) each."""
        config, block = self.model.config, "blocks.0.attention."
        found = []
        for kind, head in (("query", self.head), ("key", self.kv_head)):
            x = self.model.linear(block + kind, self.block.attention.normed)
            x = x.reshape(len(x), -1, config.head_dim)[:, head]
            found.append(self.model.norm(f"{block}{kind}_norm", x) if config.qk_norm else x)
        return found[0], found[1]

    @cached_property
    def angles(self) -> Floats:
        """By how much RoPE turns each pair from one position to the next, (D / 2,), in radians."""
        cosines, sines = rotary_tables(self.model.config, self.model.config.context_length)
        half = self.model.config.head_dim // 2
        return np.arctan2(sines[1, half:], cosines[1, half:])

    def rotated_score(self, shift: int) -> float:
        """The score of the two if both stood so many positions later; with RoPE."""
        cosines, sines = rotary_tables(self.model.config, self.model.config.context_length)
        turned = []
        for x, place in zip(self.unrotated, (self.here, self.looked_at), strict=True):
            at = slice(place + shift, place + shift + 1)
            turned.append(rotate(x[None, place : place + 1], cosines[at], sines[at])[0, 0])
        return float(turned[0] @ turned[1] / np.sqrt(self.model.config.head_dim))

    def neighbors(self, token: int) -> list[tuple[int, float]]:
        """The tokens whose embeddings point most in the same direction, with the cosines."""
        table = self.model.weights["embedding.weight"][: self.tokenizer.vocab_size]
        lengths = np.linalg.norm(table, axis=1)
        cosines = table @ table[token] / np.maximum(lengths * lengths[token], 1e-12)
        cosines[[token, *self.tokenizer.special.control]] = -1
        best = np.argsort(-cosines, kind="stable")[:NEIGHBORS]
        return [(int(i), float(cosines[i])) for i in best]


def follow(
    model: Model, tokenizer: Tokenizer, ids: list[int], seed: int = 0, *, masked: float = 0.0
) -> Tour:
    """Follows a text of at least two tokens, its start included; see `Tour.masked`."""
    values = model.run(ids)
    weights = values.blocks[0].attention.weights[:, -1]  # (H, T) of the last position
    inner = weights[:, 1:-1]  # neither the first position, a resting place, nor itself
    head = int(inner.max(-1).argmax()) if inner.size else 0
    looked_at = int(weights[head].argmax())
    return Tour(model, tokenizer, ids, values, head, looked_at,
                draw(values.logits[-1], tokenizer.special, seed), masked)  # fmt: skip


def draw(logits: Any, special: SpecialTokens, seed: int) -> Draw:
    """The next token after logits, (V,), step by step; `choose_tokens` draws it."""
    sampling = Sampling()
    temperature, min_p = sampling.temperature, sampling.truncation.min_p
    possible = suppress_control_tokens(logits, special)
    tempered = apply_temperature(possible, temperature)
    (token,) = choose_tokens(logits[None], sampling, [row_random(seed)], special)
    return Draw(
        temperature,
        min_p,
        possible,
        softmax(possible),
        softmax(tempered),
        softmax(keep_min_p(tempered, min_p)),
        row_random(seed).random(),
        int(token),
    )


def tour_tokens(model: Model, tokenizer: Tokenizer, text: str | None) -> tuple[list[int], int]:
    """The ids to follow, and how many of a text were left out.

    Args:
        text: None: what the model writes by itself.

    Raises:
        DataError: there is no text to follow.

    """
    start = start_of(tokenizer.special)
    most = min(MOST_TOKENS, model.config.context_length)
    if text is not None:
        ids = [*start, *tokenizer.encode(text)]
        if len(ids) < 2:
            raise DataError("the text of the tour is too short", hint='tfcli inspect --tour "One"')
        return ids[:most], max(len(ids) - most, 0)
    if not start:
        raise DataError(
            "this tokenizer has no token that a text begins with",
            hint='tfcli inspect --tour "The beginning of a text"',
        )
    ids, random = start, row_random(0)
    while len(ids) < min(OWN_TOKENS + len(start), most):
        logits = model.run(ids).logits[-1:]
        (token,) = choose_tokens(logits, Sampling(), [random], tokenizer.special)
        if token in tokenizer.special.eos_ids and len(ids) > 1:
            break
        ids = [*ids, int(token)]
    return ids, 0
