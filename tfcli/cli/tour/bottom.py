"""The first steps of the tour: from letters to vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcli.cli.tour.step import (
    Picture,
    Step,
    Table,
    at,
    component_names,
    components,
    labels,
    length,
    number,
    shown_token,
    term,
)
from tfcli.insight.code_lines import code_lines
from tfcli.insight.forward import Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.insight.tour import Tour


def steps(tour: Tour) -> Iterator[Step]:
    """Tokens, embedding, positions where they are added, the stream, norm."""
    yield _tokens(tour)
    yield _embedding(tour)
    if tour.positions is not None:
        yield _positions(tour)
    yield _stream(tour)
    yield _norm(tour)


def _tokens(tour: Tour) -> Step:
    config = tour.model.config
    named = labels(tour)
    return Step(
        "Tokens",
        (
            f"A model computes with numbers, so the text is first cut into {term('tokens')}: "
            f"pieces from a fixed list of {config.vocab_size:,}, the vocabulary. A token may be a "
            "word, a part of one, or a single character. Its number in the list, the id, is only "
            "a name: tokens with neighboring ids have nothing in common.",
            "“▁” stands for a space. What stands in angle brackets is a token without text: it "
            f"tells the model, for one, that a text begins here.{_bytes(tour)} Where a token "
            f"stands is its {term('position')}, counted from 0.",
            f"This page follows position {named[-1]}, the last one. What the model makes of it "
            "decides what comes next. All other positions go the same way at the same time.",
        ),
        "text  →  ids",
        (code_lines(type(tour.tokenizer).encode_continuation),),
        (
            Table(
                "The text as the model gets it",
                ("position", "token", "id"),
                tuple(
                    (str(place), shown_token(tour.tokenizer, token), str(token))
                    for place, token in enumerate(tour.ids)
                ),
                marked=(tour.here,),
            ),
        ),
    )


def _bytes(tour: Tour) -> str:
    """What a token of a single byte is, where the text has one."""
    place = next((p for p, i in enumerate(tour.ids) if i in tour.tokenizer.byte_ids), None)
    if place is None:
        return ""
    token = shown_token(tour.tokenizer, tour.ids[place])
    return (
        f" But “{token}” is one byte of a character that is not in the vocabulary: such a "
        "character is put together from its bytes (byte fallback)."
    )


def _embedding(tour: Tour) -> Step:
    config, here = tour.model.config, tour.here
    scaled = config.positions == "sinusoidal"
    rows = tour.model.weights["embedding.weight"][tour.ids]
    said = [
        f"The model has a table with a row for each token of its vocabulary: the "
        f"{term('embedding')}. A row has {config.d_model} numbers; such a list of numbers is a "
        f"{term('vector')}. In place of each id comes its row. That is all that the model knows "
        "of a token by itself.",
        "No single number of it means anything that could be named. Training has moved them until "
        "the steps below could make use of them. What can be compared is directions: two rows "
        "point the same way if their numbers rise and fall together. The cosine says how much, "
        "from −1 to 1. And a vector has a length, like an arrow: the root of the sum of its "
        "numbers' squares.",
    ]
    if scaled:
        said.append(
            f"This family multiplies the row by the root of {config.d_model}, so that it is not "
            "drowned by what is added next."
        )
    if config.positions == "rotary":
        said.append(
            "Where a token stands is not in this vector: the same token gets the same row at "
            "every position. Order comes in later, where positions look at each other."
        )
    token = shown_token(tour.tokenizer, tour.ids[here])
    return Step(
        "Embedding",
        tuple(said),
        f"x = {'sqrt(E) · ' if scaled else ''}embedding[id]\nE = {config.d_model}",
        (code_lines(Model.embed, 'x = self.weights["embedding', *(["x = x *"] if scaled else [])),),
        (
            _vectors(tour, f"The first of {config.d_model} numbers of each row", rows),
            Picture(
                "All of them: a row for each position, a column for each number", rows, labels(tour)
            ),
            Table(
                f"The tokens whose rows point most nearly where that of “{token}” does",
                ("token", "cosine"),
                tuple(
                    (shown_token(tour.tokenizer, other), number(cosine))
                    for other, cosine in tour.neighbors(tour.ids[here])
                ),
            ),
        ),
    )


def _positions(tour: Tour) -> Step:
    config, here = tour.model.config, tour.here
    table = tour.positions
    assert table is not None
    learned = config.positions == "learned"
    kind = (
        "a second table, with a row for each position, learned like the first one"
        if learned
        else "a fixed table: row t holds sines and cosines of t at many speeds, so that no two "
        "rows are the same and near ones are alike; nothing in it is learned"
    )
    rows = tour.values.embedded[here] - table[here], table[here], tour.values.embedded[here]
    return Step(
        "Positions",
        (
            "The row of a token is the same wherever it stands. Attention, below, compares what "
            "is in the vectors and nothing else: near or far, first or last would make no "
            "difference to it. So the position gets a vector, too, and both are added, number by "
            f"number. It comes from {kind}.",
            f"There are {config.context_length} rows: the model cannot read a longer text at once."
            if learned
            else "From the sum, later steps can tell both what stands here and where.",
        ),
        "x = x + position_embedding[t]"
        if learned
        else "x = x + p[t]\np[t, 2i] = sin(t / 10000^(2i/E))\np[t, 2i+1] = cos(the same)",
        (code_lines(Model.embed, "return x + self._positions"),),
        (
            Table(
                f"Position {at(tour, here)}",
                ("", *component_names(config.d_model)),
                tuple(
                    (name, *components(row))
                    for name, row in zip(("token", "+ position", "= sum"), rows, strict=True)
                ),
                marked=(2,),
            ),
            Picture("The vectors of the positions", table, labels(tour)),
        ),
    )


def _stream(tour: Tour) -> Step:
    config, here = tour.model.config, tour.here
    rows = [("at the bottom", "", length(tour.values.embedded[here]))]
    for layer, block in enumerate(tour.values.blocks, 1):
        rows.append(
            (f"block {layer}, attention", length(block.attention.output[here]),
             length(block.between[here]))
        )  # fmt: skip
        rows.append(
            (f"block {layer}, feed-forward", length(block.feed_forward.output[here]),
             length(block.after[here]))
        )  # fmt: skip
    return Step(
        "The residual stream",
        (
            f"Each position has one vector of {config.d_model} numbers, and now it is on its way "
            f"up. It is called the {term('residual stream')}. Think of a sheet of paper that is "
            "handed from desk to desk: every part of the model reads the sheet of a position and "
            "writes something on it. Nothing is wiped out; what a part has computed is added, "
            "number by number, to what is there.",
            f"The desks are {config.num_layers} {term('blocks')} of two parts each: attention, "
            "which brings in something from other positions, and feed-forward, which works on "
            "what is there. The steps that follow go through the first block slowly. Then the "
            "others do the same with other weights. (In the formula x is the stream, and = says "
            "what it becomes; the norm is the next step.)",
            "A part does not make the vector anew: it only makes what is still missing, the "
            "residual, hence the name. That has a reason: what an early part found reaches the "
            "last one unharmed, and in training every part learns directly what it should have "
            "added.",
        ),
        "for each block:\n    x = x + attention(norm(x))\n    x = x + feed_forward(norm(x))",
        (
            code_lines(Model.block, "attention =", "between =", "feed_forward =", "return"),
            code_lines(Model.run, "for layer", "blocks.append", "x = blocks"),
        ),
        (
            Table(
                f"The sheet of position {at(tour, here)}: how long the vector is that each part "
                "adds, and the sum after it",
                ("", "adds", "stream"),
                tuple(rows),
            ),
        ),
    )


def _norm(tour: Tour) -> Step:
    config, here = tour.model.config, tour.here
    layer_norm = config.norm == "layer_norm"
    x, normed = tour.block.before, tour.block.attention.normed
    named = "LayerNorm" if layer_norm else "RMSNorm"
    how = (
        "First their mean is taken away from the numbers, then they are divided by the root of "
        "the mean of their squares; last, each is multiplied by a weight and gets a bias, both "
        "learned."
        if layer_norm
        else "The numbers are divided by the root of the mean of their squares; then each is "
        "multiplied by a weight of its own, which was learned."
    )
    return Step(
        "Norm",
        (
            "As everybody adds to it, the stream gets longer on its way. A part that reads it "
            f"should not have to care: before it does, the {term('norm')} brings the vector to a "
            "standard size, and then weighs each number by one that it has learned. But for these "
            "weights, how its numbers relate to each other is kept. The "
            "stream itself stays as it is; only the copy that a part reads is normed.",
            f"This family has {named}. {how} (ε in the formula is a tiny number, so that nothing "
            "is ever divided by 0.)",
        ),
        "(x − mean(x)) / sqrt(variance(x) + ε) · w + b"
        if layer_norm
        else "x / sqrt(mean(x²) + ε) · w",
        (
            code_lines(Model.attention, "normed ="),
            code_lines(
                Model.norm, *(["if self.config.norm", "x = x -"] if layer_norm else []),
                "squares =", "y = x /", "y = y *", *(["return"] if layer_norm else []),
            ),
        ),
        (
            Table(
                f"Position {at(tour, here)}, before and after",
                ("", *component_names(config.d_model), "size"),
                (
                    ("stream", *components(x[here]), _size(x[here])),
                    ("weight", *components(_weight(tour)), ""),
                    ("normed", *components(normed[here]), _size(normed[here])),
                ),
                marked=(2,),
            ),
            Table(
                "Size: the root of the mean of the squares, at all positions",
                ("position", "before", "after"),
                tuple(
                    (name, _size(x[place]), _size(normed[place]))
                    for place, name in enumerate(labels(tour))
                ),
                marked=(here,),
            ),
        ),
    )  # fmt: skip


def _weight(tour: Tour) -> np.ndarray:
    return tour.model.weights["blocks.0.attention_norm.weight"]


def _size(x: np.ndarray) -> str:
    return number(float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))))


def _vectors(tour: Tour, caption: str, rows: np.ndarray) -> Table:
    return Table(
        caption,
        ("position", *component_names(rows.shape[1]), "length"),
        tuple(
            (name, *components(row), length(row))
            for name, row in zip(labels(tour), rows, strict=True)
        ),
        marked=(tour.here,),
    )
