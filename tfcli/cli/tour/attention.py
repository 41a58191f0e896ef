"""The steps of the tour through attention: the only part where positions learn of each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tfcli.cli.humanize import format_share
from tfcli.cli.tour.step import (
    Picture,
    Step,
    Table,
    added,
    at,
    component_names,
    components,
    labels,
    number,
    term,
)
from tfcli.insight.code_lines import code_lines
from tfcli.insight.forward import Model, softmax
from tfcli.quantities import counted, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.insight.tour import Tour

GATHERED = 4  # positions of which it is shown what a head takes


def steps(tour: Tour) -> Iterator[Step]:
    """Queries, keys and values; rotation, in families with RoPE; scores; heads; the sum."""
    yield _queries_keys_values(tour)
    if tour.model.config.positions == "rotary":
        yield _rotation(tour)
    yield _scores(tour)
    yield _heads(tour)
    yield _added(tour)


def _queries_keys_values(tour: Tour) -> Step:
    config, here, there = tour.model.config, tour.here, tour.looked_at
    bias = "; b, the bias, is a learned vector that is added" if _has_bias(tour) else ""
    said = [
        f"Now positions look at each other. That is {term('attention')}, and no other part does "
        "it. Each position makes three short vectors of its normed stream. For each there is a "
        f"{term('matrix')}, a table of learned weights: every number of the result is the sum of "
        "all numbers of the stream, each times its weight in the table. The three matrices are Wq, "
        f"Wk and Wv in the formula{bias}.",
        f"The {term('query')} is what the position is looking for.",
        f"The {term('key')} is what the position can be found by.",
        f"The {term('value')} is what it gives to whoever has found it.",
        "As in a library: the query is your request, the key is the label on the spine of a book, "
        "the value is what is written in it. A request is compared with labels, and what you "
        "take home is the content. None of the three is in words; each is "
        f"{config.head_dim} numbers, and the matrices have learned to write requests and labels "
        "that fit each other.",
        "All this can be done several times side by side, with other matrices each time, so that "
        f"several things are looked for at once. One such set is a {term('head')}. Each block here "
        f"has {counted(config.num_heads, 'head')}; this page follows head {tour.head + 1}.",
    ]
    if config.num_kv_heads < config.num_heads:
        said.append(
            f"Here {counted(config.num_heads // config.num_kv_heads, 'head')} share keys "
            f"and values (grouped queries): there are {config.num_kv_heads} sets of them. It "
            "saves memory, and costs little."
        )
    norm = ["queries = self.norm", "keys = self.norm", "if config.qk_norm"]
    if config.qk_norm:
        said.append(
            "In this family queries and keys are then brought to a standard size, head by head, "
            "so that their products cannot grow without bound (QK-norm)."
        )
    queries, keys = tour.unrotated  # as the formula has them; the next step turns them
    values = tour.block.attention.values[:, tour.kv_head]
    rows = (
        (f"query of {at(tour, here)}", *components(queries[here])),
        (f"key of {at(tour, there)}", *components(keys[there])),
        (f"value of {at(tour, there)}", *components(values[there])),
    )
    return Step(
        "Queries, keys, values",
        tuple(said),
        f"{_products(tour)}\nD = {config.head_dim}",
        (
            code_lines(
                Model.attention, "queries = self.linear", "keys = self.linear",
                "values = self.linear", *(norm if config.qk_norm else []),
            ),
        ),
        (
            Table(
                f"In head {tour.head + 1} of block 1: one that asks, one that is found",
                ("", *component_names(config.head_dim)),
                rows,
            ),
            Picture("Queries of all positions in this head", queries, labels(tour)),
            Picture("Keys", keys, labels(tour)),
            Picture("Values", values, labels(tour)),
        ),
    )  # fmt: skip


def _products(tour: Tour) -> str:
    """How queries, keys and values are made in this family; rotation is a step of its own."""
    bias = " + b" if _has_bias(tour) else ""
    found = {letter: f"W{letter} · norm(x){bias}" for letter in "qkv"}
    if tour.model.config.qk_norm:
        found |= {letter: f"norm({found[letter]})" for letter in "qk"}
    return "\n".join(f"{letter} = {product}" for letter, product in found.items())


def _has_bias(tour: Tour) -> bool:
    return "blocks.0.attention.query.bias" in tour.model.weights


def _rotation(tour: Tour) -> Step:
    config, here = tour.model.config, tour.here
    half = config.head_dim // 2
    before, after = tour.unrotated[0][here], tour.block.attention.queries[here, tour.head]
    rows = []
    for pair in sorted({0, half // 2, half - 1}):
        angle = tour.angles[pair]
        rows.append(
            (
                f"{pair}, {pair + half}",
                _pair(before, pair),
                _degrees(angle),
                _degrees(angle * here),
                _pair(after, pair),
            )
        )
    shifts = [shift for shift in (0, 1, 5, 50) if here + shift < config.context_length]
    return Step(
        "Positions",
        (
            "So far nothing has said where a token stands. In this family that is done here, by "
            f"turning queries and keys: {term('rotary position embedding')}, RoPE. Their numbers "
            f"are taken in pairs, number i with number i + {half}. A pair is a point on a plane, "
            "and it is turned around the middle by an angle that grows with the position: not "
            "at all at position 0, once the angle at 1, twice at 2. The first pair turns fast, "
            "the last one hardly.",
            "What is it good for? In the next step a query and a key are compared, and turning "
            "both by the same angle changes nothing. To turn one by 7 steps and the other by 6 is "
            "to turn both by 6, and the first by one more. So only that one counts: how far apart "
            "the two stand, not where. The table below moves both of them and compares.",
            "Values are not turned: what a position gives does not depend on where it stands.",
        ),
        "(a, b)  →  (a cos φ − b sin φ,  a sin φ + b cos φ)\nφ = t · speed of the pair"
        "\nt: position; the speeds are fixed, not learned",
        (
            code_lines(
                Model.attention, "if config.positions", "cosines, sines =", "queries, keys ="
            ),
        ),
        (
            Table(
                f"Three pairs of the query of {at(tour, here)}",
                ("pair", "before", "a position", f"{here} positions", "after"),
                tuple(rows),
            ),
            Table(
                f"Query of {at(tour, here)} against key of {at(tour, tour.looked_at)}, both moved "
                "along",
                ("positions later", "score"),
                tuple((str(shift), f"{tour.rotated_score(shift):z.4f}") for shift in shifts),
            ),
        ),
    )


def _scores(tour: Tour) -> Step:
    config, here = tour.model.config, tour.here
    found = tour.block.attention
    query, keys = found.queries[here, tour.head], found.keys[:, tour.kv_head]
    scores, weights = found.scores[tour.head, here], found.weights[tour.head, here]
    window = config.sliding_window
    return Step(
        "Scores and softmax",
        (
            f"The query of position {here} is now compared with the key of every position: number "
            "by number multiplied, and all added up. This is the dot product: large if both point "
            "the same way, negative if they point apart. Divided by the root of "
            f"{config.head_dim}, so that it does not grow only because more numbers are added "
            f"up, it is the {term('score')}. (t is the position that looks, s the one looked at.)",
            "A position looks at itself and at earlier ones only. Later ones get a score of "
            "minus infinity: when the model writes, they do not exist yet."
            + (
                f" ({percent(tour.masked)} of the rows that this run was trained on were read both "
                "ways: there, a position looked at later ones, too.)"
                if tour.masked
                else ""
            )
            + (f" Those more than {window - 1} back get it, too." if window else ""),
            f"Scores may be any number. {term('Softmax')} makes shares of them: e to the power of "
            "each, divided by the sum of these powers. All shares are positive and add up to 1; "
            "one more in the score makes a share 2.7 times as large compared with the others. (In "
            "formula and code they are weights, too, but made anew for each text, not learned.)",
            f"In this head position {at(tour, here)} takes most from {at(tour, tour.looked_at)}. "
            "That says where the head looked, not why.",
        ),
        f"score(t, s) = q_t · k_s / sqrt({config.head_dim}) if s <= t, else −∞\n"
        "weights = softmax(scores) = e^score / sum of all e^score",
        (
            code_lines(Model.scores, "scores = np", "scores *=", "scores[:, ~np.tri",
                       *(["if config.sliding", "scores[:, np.tri"] if window else [])),
            code_lines(Model.attention, "weights ="),
            code_lines(softmax),
        ),
        (
            Table(
                f"Head {tour.head + 1}: the query of {at(tour, here)} and all keys",
                ("position", "q · k", "score", "e^score", "share"),
                tuple(
                    (
                        name,
                        number(float(query @ keys[place])),
                        number(float(scores[place])) if np.isfinite(scores[place]) else "−∞",
                        f"{math.exp(min(scores[place], 700)):.3g}",
                        format_share(float(weights[place])),
                    )
                    for place, name in enumerate(labels(tour))
                ),
                marked=(tour.looked_at,),
            ),
            Picture(
                "The shares of this head: each row is a position that looks, each column one that "
                "is looked at; the upper right is the future",
                found.weights[tour.head], labels(tour), shares=True,
            ),
        ),
    )  # fmt: skip


def _heads(tour: Tour) -> Step:
    config, here = tour.model.config, tour.here
    found = tour.block.attention
    weights, values = found.weights[tour.head, here], found.values[:, tour.kv_head]
    most = sorted(np.argsort(-weights, kind="stable")[:GATHERED].tolist())
    rows = [
        (f"{format_share(float(weights[s]))} of {at(tour, s)}", *components(weights[s] * values[s]))
        for s in most
    ]
    rest = sum(weights[s] * values[s] for s in range(here + 1) if s not in most)
    if here + 1 > len(most):
        rows.append(("all others", *components(rest)))
    rows.append(("sum: what the head took", *components(found.heads[here, tour.head])))
    return Step(
        "Heads",
        (
            f"Now position {here} takes of every value as much as the share says, and adds it up. "
            f"The {config.head_dim} numbers that come out are what this head has gathered. (Σ in "
            "the formula is that sum, over all positions s.)",
            "Each head can look for something else, since its queries, keys and values "
            "come from matrices of its own: one may look at the token before, another at the last "
            "noun. Many rest on the first position when they find nothing; a share has to go "
            "somewhere.",
            f"What all {counted(config.num_heads, 'head')} took, "
            f"{config.num_heads} · {config.head_dim} = {config.num_heads * config.head_dim} "
            f"numbers in a row, goes through one more matrix, which makes {config.d_model} numbers "
            "of it: as many as the stream has.",
        ),
        "head = Σ share(t, s) · v_s\noutput = Wo · (all heads in a row)",
        (code_lines(Model.attention, "shared =", "heads =", "output ="),),
        (
            Table(
                f"Head {tour.head + 1} at position {at(tour, here)}",
                ("", *component_names(config.head_dim)),
                tuple(rows),
                marked=(len(rows) - 1,),
            ),
            *(
                Picture(f"Head {head + 1}", each, shares=True)
                for head, each in enumerate(found.weights)
            ),
        ),
    )


def _added(tour: Tour) -> Step:
    here, block = tour.here, tour.block
    rows = (block.before[here], block.attention.output[here], block.between[here])
    return Step(
        "Adding to the stream",
        (
            "What attention has found is written on the sheet: it is added to the residual stream, "
            "number by number. From here on, the vector of this position holds something of the "
            "positions before it, too, and everything above can use it.",
        ),
        "x = x + attention(norm(x))",
        (code_lines(Model.block, "between ="),),
        (
            added(f"The residual stream of position {at(tour, here)}", "attention", *rows),
            Picture("All numbers", np.stack(rows), ("before", "+ attention", "= after")),
        ),
    )  # fmt: skip


def _pair(x: np.ndarray, pair: int) -> str:
    return f"{number(float(x[pair]))}, {number(float(x[pair + len(x) // 2]))}"


def _degrees(angle: float) -> str:
    return f"{math.degrees(angle):.3g}°"
