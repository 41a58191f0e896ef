"""The last steps of the tour: feed-forward, the other blocks, logits, a draw."""

from __future__ import annotations

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
    length,
    number,
    shown_token,
    term,
)
from tfcli.generation import sampling
from tfcli.insight.code_lines import code_lines
from tfcli.insight.forward import Model, gelu, silu, softmax
from tfcli.quantities import counted, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.insight.tour import Tour

UNITS, LIKELIEST = 5, 8  # rows of tables


def steps(tour: Tour) -> Iterator[Step]:
    """Feed-forward, the other blocks, norm and logits, probabilities, a draw, what comes then."""
    yield _feed_forward(tour)
    yield _blocks(tour)
    yield _logits(tour)
    yield _draw(tour)
    yield _then(tour)


KINDS = {
    "swiglu": (
        "Each of them is made twice, by two matrices: the gate and the content (up). The gate "
        "goes through silu, which lets positive numbers pass and holds back negative ones; then "
        "both are multiplied. So a unit speaks up where its gate is open, and at most softly where "
        "it is negative. What a unit looks for is in its rows of both matrices. (SwiGLU)",
        "down · (silu(gate · norm(x)) · (up · norm(x)))\nsilu(z) = z / (1 + e^−z)",
    ),
    "gelu": (
        "Each goes through gelu, which lets positive numbers pass and turns negative ones into "
        "almost nothing. So a unit speaks only where it has found what it looks for. (GELU)",
        "down · gelu(up · norm(x) + b) + b\ngelu(z) ≈ z where z > 0, almost 0 below",
    ),
    "relu": (
        "Each goes through ReLU: a positive number stays, a negative one becomes 0. So a unit "
        "speaks only where it has found what it looks for.",
        "down · max(0, up · norm(x) + b) + b",
    ),
}


def _feed_forward(tour: Tour) -> Step:
    config, here, block = tour.model.config, tour.here, tour.block
    found = block.feed_forward
    activated = found.activated[here]
    how, formula = KINDS[config.feed_forward]
    most = np.argsort(-np.abs(activated), kind="stable")[:UNITS].tolist()
    gate = found.gate
    gated = ("gate",) if gate is not None else ()
    quiet = float(np.mean(np.abs(activated) < 0.1 * np.abs(activated).max()))
    return Step(
        "Feed-forward",
        (
            f"The second part of a block, {term('feed-forward')}, works on each position by "
            "itself; none sees another. It reads the normed stream and makes "
            f"{config.d_ff} numbers of it, the units. Each unit compares the stream with a pattern "
            "that it has learned, by a dot product as above.",
            how,
            f"A last matrix (down) makes {config.d_model} numbers of the {config.d_ff}, which are "
            "added to the stream: what a unit has to say, where it speaks. Most of what a model "
            "knows by heart is thought to be in these matrices; "
            f"here {format_share(quiet)} of the units are nearly silent (below a tenth of the "
            "loudest).",
        ),
        f"x = x + {formula}",
        (
            code_lines(
                Model.feed_forward, "up, gate",
                *(["if self.config", "gate =", "activated = silu"] if gated
                  else ["activated = gelu"]),
                "output =",
            ),
            *([code_lines(silu, "return")] if gate is not None else []),
            *([code_lines(gelu)] if config.feed_forward == "gelu" else []),
            code_lines(Model.block, "return"),
        ),
        (
            Table(
                f"The loudest units at position {at(tour, here)}",
                ("unit", *gated, "up", "after"),
                tuple(
                    (
                        str(unit),
                        *([number(float(gate[here, unit]))] if gate is not None else []),
                        number(float(found.up[here, unit])),
                        number(float(activated[unit])),
                    )
                    for unit in most
                ),
            ),
            Picture("All units, at all positions", found.activated, labels(tour)),
            added("And the stream again", "feed-forward", block.between[here],
                  found.output[here], block.after[here]),
        ),
    )  # fmt: skip


def _blocks(tour: Tour) -> Step:
    config, here, lens = tour.model.config, tour.here, tour.lens
    streams_ = [tour.values.embedded, *(block.after for block in tour.values.blocks)]
    more = config.num_layers - 1
    return Step(
        "Block after block",
        (
            f"That was the first block. {counted(more, 'block')} more "
            f"{'does' if more == 1 else 'do'} the same with other weights. Since attention in a "
            "later block reads streams to which earlier blocks have added, it can look for more "
            "than single tokens: for what a position has become."
            if more
            else "That was the only block of this model. Others have dozens, which do the same "
            "with other weights.",
            "What would the model say if it had to stop in between? The table takes the stream of "
            "the last position as it is after each block and goes straight to the head with it: "
            "not one of attention, but the last part of the model, which rates every token (the "
            f"next step). This is the {term('logit lens')}. It is a look from the side: lower "
            "blocks were not trained to be read in this way.",
        ),
        "what block n would say = head(norm(x_n))",
        (
            code_lines(Model.run, "for layer", "blocks.append", "x = blocks"),
            code_lines(Model.logits),
        ),
        (
            Table(
                f"Position {at(tour, here)} after each block",
                ("after", "length", "would say", "with"),
                tuple(
                    (
                        "embedding" if layer == 0 else f"block {layer}",
                        length(x[here]),
                        shown_token(tour.tokenizer, int(lens.best_ids[layer, here])),
                        format_share(float(np.exp(lens.best_logprobs[layer, here]))),
                    )
                    for layer, x in enumerate(streams_)
                ),
                marked=(len(streams_) - 1,),
            ),
            Picture(
                "Its stream: a row for each block, the bottom first",
                np.stack([x[here] for x in streams_]),
                ("embedding", *(f"block {n}" for n in range(1, config.num_layers + 1))),
            ),
        ),
    )


def _logits(tour: Tour) -> Step:
    config, here, drawn = tour.model.config, tour.here, tour.draw
    name = "embedding" if config.tied_head else "head"
    table = tour.model.weights[f"{name}.weight"]
    normed = tour.values.normed[here]
    best = drawn.likeliest[:LIKELIEST].tolist()
    return Step(
        "Norm and logits",
        (
            "At the top the stream of the last position holds, in some form, what should come "
            "next. It is normed once more. Then it is compared with a row for each token of the "
            "vocabulary, by a dot product: this is the head of the model, which has nothing but "
            "its name in common with the heads of attention. The "
            f"{config.vocab_size:,} results are the {term('logits')}: how well each token would "
            "fit.",
            "The rows are those of the embedding at the bottom: the same table reads tokens in "
            "and out (tied)."
            if config.tied_head
            else "The rows are those of a table of their own.",
            "Only the last position is needed to go on with the text. The others have predicted "
            "too, each the token after it; that is what the model is trained on (last step).",
        ),
        f"logits = {name} · norm(x)",
        (code_lines(Model.final_norm), code_lines(Model.logits)),
        (
            Table(
                f"Position {at(tour, here)} and the token that fits best, “"
                f"{shown_token(tour.tokenizer, best[0])}”",
                ("", *component_names(config.d_model), "all together"),
                (
                    ("normed stream", *components(normed), ""),
                    ("row of the token", *components(table[best[0]]), ""),
                    ("multiplied", *components(normed * table[best[0]]),
                     f"sum: {number(float(normed @ table[best[0]]))}"),
                ),
                marked=(2,),
            ),
            Table(
                "The highest logits",
                ("token", "logit"),
                tuple(
                    (shown_token(tour.tokenizer, token), number(float(drawn.logits[token])))
                    for token in best
                ),
            ),
        ),
    )  # fmt: skip


def _draw(tour: Tour) -> Step:
    drawn = tour.draw
    order = drawn.likeliest.tolist()
    shown = order[:LIKELIEST]
    if drawn.token not in shown:
        shown.append(drawn.token)
    kept = int((drawn.kept > 0).sum())
    low, high = drawn.interval(drawn.token)
    token = shown_token(tour.tokenizer, drawn.token)
    return Step(
        "A draw",
        (
            "Softmax, which made shares of scores, makes probabilities of logits. To take the "
            "likeliest token each time would give the same text every time, and soon the same "
            "words again and again. So one is drawn by lot, after two changes.",
            f"The {term('temperature')}, here {drawn.temperature:g}: logits are divided by it. "
            "Below 1 it makes what is likely likelier.",
            f"{term('Min-p')}, here {drawn.min_p:g}: tokens with less than "
            f"{format_share(drawn.min_p)} of the probability of the likeliest cannot be drawn: "
            "each is unlikely, but there "
            f"are so many that one of them would be drawn every now and then. {kept:,} of "
            f"{len(order):,} {'is' if kept == 1 else 'are'} left.",
            f"All tokens lie side by side between 0 and 1, in the order of their ids, each as wide "
            f"as its probability. A random number, {drawn.number:z.4f}, falls on “{token}”, which "
            f"lies from {low:z.4f} to {high:z.4f}. With another number, another token is drawn.",
        ),
        "p = softmax(logits / temperature)\nkept: p >= min-p · (largest p)",
        (
            code_lines(sampling.apply_temperature, "below:", "return"),
            code_lines(sampling.keep_min_p),
            code_lines(sampling.choose_tokens, "draws =", "chosen ="),
        ),
        (
            Table(
                "The likeliest tokens: plain softmax, with the temperature, and after min-p",
                ("token", "logit", "softmax", "temperature", "min-p"),
                tuple(
                    (
                        shown_token(tour.tokenizer, each),
                        number(float(drawn.logits[each])),
                        format_share(float(drawn.plain[each])),
                        format_share(float(drawn.tempered[each])),
                        format_share(float(drawn.kept[each])) if drawn.kept[each] else "out",
                    )
                    for each in shown
                ),
                marked=(shown.index(drawn.token),),
            ),
        ),
    )


def _then(tour: Tour) -> Step:
    chances = softmax(tour.values.logits)
    drawn = shown_token(tour.tokenizer, tour.draw.token)
    rows = []
    for place, token in enumerate(tour.ids[1:]):
        chance = float(chances[place, token])
        rows.append(
            (f"after {at(tour, place)}", shown_token(tour.tokenizer, token), format_share(chance),
             number(-float(np.log(max(chance, 1e-38)))))
        )  # fmt: skip
    return Step(
        "And then",
        (
            f"“{drawn}” is put at the end of the text, and everything begins again, one position "
            "longer. The streams of the earlier positions stay as they were, since none of them "
            "looks ahead. So their keys and values are kept (the KV cache), and only the new "
            "position has to be computed.",
            "Where do all the weights come from? At first they are random, or in part "
            "counts of which token follows which. In training, the same computation is made for "
            "a piece of text that is known. Each position says "
            "how likely it finds the token that really comes next. Its surprise, −ln p, is the "
            f"{term('loss')}; and every weight of the model is moved a little in the direction "
            "that makes it smaller. This is done again and again, with piece after piece of the "
            "training text, and nothing else has been told to the model: no grammar, no meaning, "
            "no facts."
            + (
                f" In {percent(tour.masked)} of the rows of this run, tokens were masked instead, "
                "and each was predicted from those before and after it (--masked)."
                if tour.masked
                else ""
            ),
            "What the table shows would be its lesson here.",
        ),
        "loss = mean of −ln p(token that came)",
        (code_lines(Model.run),),
        (
            Table(
                "What each position thought of the token that did come",
                ("", "came", "p", "−ln p"),
                tuple(rows),
            ),
        ),
    )
