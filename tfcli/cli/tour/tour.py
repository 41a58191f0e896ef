"""All steps of the tour in order, and what is said before and after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.cli.humanize import format_count
from tfcli.cli.tour import attention, bottom, top
from tfcli.model.cost import count_parameters
from tfcli.quantities import counted

if TYPE_CHECKING:
    from tfcli.cli.tour.step import Step
    from tfcli.insight.tour import Tour

INTRODUCTION = (
    "A language model does one thing: it reads a text and says of every token how likely it is to "
    "come next. Here one short text is followed through the model of this run (a training, and "
    "what came of it), from letters to the next token. Every number is the model's own, and the "
    "lines of code are those that computed it.",
    "Inside a model are tables of numbers, its weights. They are the only thing that was learned; "
    "how, the last step tells. They stay as they are all the way: what changes from text to text "
    "is what they are multiplied with. Models differ in how some of the parts are built, which is "
    "called their family; what follows is that of this run.",
)
LIMITS = (
    "What can be seen here is what was computed, exactly. Why training has made the weights so, "
    "and what a single number stands for, cannot be read off. Large models are built in the same "
    "way, with more of everything."
)


def all_steps(tour: Tour) -> list[Step]:
    """From letters to the next token."""
    return [*bottom.steps(tour), *attention.steps(tour), *top.steps(tour)]


def describe_model(tour: Tour, run: str, step: int) -> str:
    """The model in one sentence, and one for whom it tells nothing yet."""
    config = tour.model.config
    return (
        f"Run {run} after step {step:,} of its training: family {config.family}, "
        f"{format_count(count_parameters(config))} parameters, "
        f"{counted(config.num_layers, 'block')}, a stream of {config.d_model} numbers "
        f"(E), {counted(config.num_heads, 'head')} of {config.head_dim} (D), "
        f"{config.d_ff} units (F), {config.vocab_size:,} tokens (V). "
        "(Each of these words is explained in its step; parameters are the single numbers of the "
        "weights.)"
    )
