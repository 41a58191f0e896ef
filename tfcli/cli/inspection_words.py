"""What each view of `tfcli inspect` means, and what it does not mean: the terminal and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcli.cli.humanize import format_odds
from tfcli.generation.streaming import make_visible
from tfcli.quantities import counted
from tfcli.text.vocabulary import visible_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from tfcli.insight.inspection import Inspection, View, WithoutWords
    from tfcli.insight.views import Lens

TITLES: dict[View, str] = {
    "surprise": "Surprise",
    "attention": "Attention",
    "lens": "Lens: layer by layer",
    "prompt": "Prompt: word by word",
    "heads": "Heads: one by one",
}
MEANINGS: dict[View, str] = {
    "surprise": "How unlikely the model found each token where it stands: −ln p, in nats. That a "
    "token surprises does not say that it is wrong.",
    "attention": "From which positions each head took how much. It shows where a head looked, not "
    "why, nor what came of it.",
    "lens": "What the model would say next if it stopped after each layer (logit lens). Layers "
    "below the last were not trained to be read so; they need not mean what they seem to say.",
    "prompt": "How much the log-probability of the continuation falls, in nats, without each word "
    "of the prompt. It shows what is missed, in a text that the model would not otherwise meet; "
    "two words that say the same cover for each other.",
    "heads": "How much the loss on this text rises, in nats per byte, with the output of each head "
    "at zero. Others may do the same work, so a head that is not missed is not useless; and on "
    "another text it may be.",
}
UNTRAINED = (
    "A word is replaced by <unk>, which this run has not met in training: it had neither token "
    "dropout nor masked tokens (--masked). Part of the change may be from that."
)
UNKNOWN = "A word is replaced by <unk>; whether this run has met that in training is not known."
MASKED = (
    "A word is replaced by <unk>, which this run has met in training as its mask (--masked), in "
    "rows that it read both ways."
)
DROPPED = "A word is replaced by <unk>, which this run has met in training (--token-dropout)."
NONE_MISSED = (
    "No head is missed: without any of them, the loss changes by less than 0.00005 nats/byte."
)
HOLLOW = "A hollow bar: without the word the continuation is likelier."
LEFT_OUT = "A word is left out: this tokenizer has no <unk> to stand for it."
UNSEEN = 5e-5  # nats, below which four decimals show nothing


def shown(found: Inspection, token: int) -> str:
    """A token in its form to read, ▁ for a space; one without text by its name."""
    from tfcli.insight.inspection import token_name

    tokenizer = found.tokenizer
    if token >= tokenizer.vocab_size or not tokenizer.token_bytes[token]:
        return token_name(tokenizer, token)
    return visible_pieces(tokenizer, [token])[0]


def shown_all(found: Inspection, tokens: Iterable[int]) -> list[str]:
    """Several of them."""
    return [shown(found, int(token)) for token in tokens]


def shown_text(text: str) -> str:
    """A word on one line."""
    return make_visible(text).replace("\n", "\\n").replace("\t", "\\t")


def most_surprising(found: Inspection, count: int) -> list[int]:
    """Places in the surprise, the most surprising first."""
    if found.surprise is None:
        return []
    order = np.argsort(found.surprise.logprobs, kind="stable")[:count]
    return [int(place) for place in order]


def likelier(found: Inspection, place: int) -> list[tuple[str, float]]:
    """The tokens that the model found likelier than the one that is there."""
    assert found.surprise is not None
    best = zip(found.surprise.best_ids[place], found.surprise.best_logprobs[place], strict=True)
    own = found.surprise.logprobs[place]
    return [(shown(found, int(i)), float(np.exp(logprob))) for i, logprob in best if logprob > own]


def summary(found: Inspection, run: str, step: int) -> str:
    """What was inspected, in a sentence."""
    count = len(found.tokens.ids) - found.tokens.start
    text = f"{run}, step {step:,}: {counted(count, 'token')}"
    if found.surprise is None or not found.bytes:
        return f"{text}."
    nats = -float(found.surprise.logprobs.sum()) / found.bytes
    expected = float(found.surprise.entropies.mean())
    own = -float(found.surprise.logprobs.mean())
    return (
        f"{text}, {nats:z.4f} nats/byte; per token {own:.2f} nats, "
        f"where {expected:.2f} were to be expected (entropy)."
    )


def continuation(found: Inspection, part: WithoutWords) -> str:
    """What the prompt is followed by, and how likely."""
    said = shown_text("".join(_text_of(found, i) for i in part.continuation))
    who = "given by --then" if part.given else "which the model wrote"
    return f"Continuation, {who}: “{said}”, probability {format_odds(part.logprob)}."


def erased_by(part: WithoutWords, plan: Mapping[str, Any]) -> str:
    """What stands in the place of a word, and whether the run has met that in training.

    Args:
        plan: of the run, as in `run.json`; empty: not known.

    """
    if not part.replaced:
        said = LEFT_OUT
    elif plan.get("masked"):
        said = MASKED
    elif plan.get("token_dropout"):
        said = DROPPED
    else:
        said = UNTRAINED if plan else UNKNOWN
    return in_its_units(said, part)


def in_its_units(text: str, part: WithoutWords | None) -> str:
    """A text about words, as one about tokens where it is these that are taken away."""
    by_token = part is not None and part.by_token
    return text.replace("word", "token") if by_token else text


def is_flat(lens: Lens) -> bool:
    """Whether the blocks add nothing: every layer says what the embedding says."""
    return bool((np.abs(lens.divergences) < UNSEEN).all())


def none_missed(found: Inspection) -> bool:
    """Whether the text is predicted as well without any of the heads, up to what is printed."""
    return found.heads is not None and bool(
        (np.abs(found.heads) < UNSEEN * max(found.bytes, 1)).all()
    )


def nothing_yet(found: Inspection, step: int) -> str | None:
    """That the blocks add nothing, where that is so: of a model that has hardly been trained."""
    flat = found.lens is not None and is_flat(found.lens)
    return f"The blocks add nothing yet: step {step:,}." if flat or none_missed(found) else None


def _text_of(found: Inspection, token: int) -> str:
    from tfcli.insight.inspection import token_name

    return token_name(found.tokenizer, token)


def most_taken(weights: Any, count: int) -> list[tuple[int, float]]:
    """The positions from which most is taken, with the shares: (T,) -> at most `count`."""
    order = np.argsort(-weights, kind="stable")[:count]
    return [(int(place), float(weights[place])) for place in order if weights[place] >= 0.01]
