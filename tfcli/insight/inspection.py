"""A text under all views at once: which tokens it is, what continues it, and what each view finds.

    ids = start + prompt + then        start: `bos`, or `eos` where the tokenizer has none

The continuation, whose probability the view `prompt` follows, is `then`; without one it is what
the model writes itself, always taking the likeliest token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from tfcli.errors import DataError
from tfcli.generation.sampling import suppress_control_tokens
from tfcli.insight import views

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from tfcli.insight.forward import ForwardValues, Model
    from tfcli.insight.views import Floats, Lens, Surprise
    from tfcli.text.tokenizer import SpecialTokens, Tokenizer

View = Literal["surprise", "attention", "lens", "prompt", "heads"]
VIEWS: tuple[View, ...] = get_args(View)
WRITTEN = 5  # tokens that the model writes where no continuation is given
MOST_BYTES = 1 << 31  # of the scores and weights of attention, which are all kept
DIGITS = 6  # decimals in JSON


class TooLongError(DataError):
    """A text does not fit into the context.

    Args:
        fits: bytes that would, about.

    """

    def __init__(self, what: str, *, fits: int) -> None:
        super().__init__(what, hint=f"inspect a part of it, of about {fits:,} bytes")
        self.fits = fits


@dataclass(frozen=True)
class Tokens:
    """A text as the model reads it.

    Attributes:
        start: how many ids come before it: 1, or 0 where the tokenizer has neither `bos` nor `eos`.
        prompt, then: ids.

    """

    ids: list[int]
    start: int
    prompt: int
    then: int


@dataclass(frozen=True)
class WithoutWords:
    """The part of each word of a prompt, or of each token, in what comes after it.

    Attributes:
        continuation: ids whose probability is followed.
        given: whether they were, or the model wrote them.
        logprob: log p(continuation | prompt), in nats.
        words: what each says.
        falls: (words,), how much the logprob falls without each, in nats.
        replaced: whether a word becomes `<unk>`; otherwise it is left out.
        by_token: whether each word is a token: of prompts of pairs, and of a single word.

    """

    continuation: list[int]
    given: bool
    logprob: float
    words: list[str]
    falls: Floats
    replaced: bool
    by_token: bool = False


@dataclass(frozen=True)
class Inspection:
    """What was found; a view that was not asked for is None.

    Attributes:
        attention: (layers, H, T, T).
        heads: (layers, H), how much the loss rises without each head, in nats in all.
        bytes: of the tokens after the first, over which that loss is the sum.

    """

    tokenizer: Tokenizer
    tokens: Tokens
    bytes: int
    surprise: Surprise | None = None
    attention: Floats | None = None
    lens: Lens | None = None
    prompt: WithoutWords | None = None
    heads: Floats | None = None

    @property
    def text(self) -> str:
        """The prompt and what comes after it."""
        own = self.tokens.ids[self.tokens.start :]
        return self.tokenizer.decode(own).decode(errors="replace")

    def to_json(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {"text": self.text, "tokens": [self._named(i) for i in self.tokens.ids]} | dict(
            self._views()
        )

    def _named(self, token: int) -> dict[str, Any]:
        return {"token": token, "text": token_name(self.tokenizer, token)}

    def _likely(self, token: Any, logprob: Any) -> dict[str, Any]:
        return self._named(int(token)) | {"logprob": _rounded(logprob)}

    def _views(self) -> Iterator[tuple[View, Any]]:
        if self.surprise is not None:
            yield "surprise", list(self._surprises(self.surprise))
        if self.attention is not None:
            yield (
                "attention",
                [
                    {"layer": layer + 1, "head": head + 1, "weights": _rounded(weights)}
                    for layer, heads in enumerate(self.attention)
                    for head, weights in enumerate(heads)
                ],
            )
        if self.lens is not None:
            rows = zip(self.lens.best_ids, self.lens.best_logprobs, self.lens.divergences,
                       strict=True)  # fmt: skip
            yield (
                "lens",
                [
                    {
                        "layer": layer,
                        "best": list(map(self._likely, ids, logprobs)),
                        "kl": _rounded(kl),
                    }
                    for layer, (ids, logprobs, kl) in enumerate(rows)
                ],
            )
        if (found := self.prompt) is not None:
            yield (
                "prompt",
                {
                    "continuation": "".join(
                        token_name(self.tokenizer, i) for i in found.continuation
                    ),
                    "given": found.given,
                    "logprob": _rounded(found.logprob),
                    "erased_by": "<unk>" if found.replaced else None,
                    "by_token": found.by_token,
                    "words": [
                        {"text": word, "nats": _rounded(fall)}
                        for word, fall in zip(found.words, found.falls, strict=True)
                    ],
                },
            )
        if self.heads is not None:
            yield "heads", [
                {"layer": layer + 1, "head": head + 1, "nats": _rounded(rise),
                 "nats_per_byte": _rounded(rise / max(self.bytes, 1))}
                for (layer, head), rise in np.ndenumerate(self.heads)
            ]  # fmt: skip

    def _surprises(self, found: Surprise) -> Iterator[dict[str, Any]]:
        for place, token in enumerate(self.tokens.ids[1:]):
            best = zip(found.best_ids[place], found.best_logprobs[place], strict=True)
            yield self._named(token) | {
                "nats": _rounded(-found.logprobs[place]),
                "rank": int(found.ranks[place]),
                "entropy": _rounded(found.entropies[place]),
                "top_logprobs": [self._likely(*each) for each in best],
            }


def _rounded(value: Any) -> Any:
    """A number, or an array as lists; no minus in front of a zero."""
    found = np.round(np.asarray(value, np.float64), DIGITS) + 0.0
    return found.tolist()


def token_name(tokenizer: Tokenizer, token: int) -> str:
    r"""What a token stands for: its text, the name of one without text, `\xe2` for a lone byte."""
    if token >= tokenizer.vocab_size:
        return f"<{token}>"  # a row of the embedding without a token
    spelled = tokenizer.token_bytes[token]
    if spelled:
        return spelled.decode(errors="backslashreplace")
    special = tokenizer.special
    names = {special.unk: "<unk>", special.eos: "<eos>", special.bos: "<bos>"}
    for text, own in tokenizer.special_ids.items():
        names.setdefault(own, text)
    return names.get(token, f"<{token}>")


# --- the text -----------------------------------------------------------------------------------


def read_tokens(tokenizer: Tokenizer, prompt: str, then: str, context: int) -> Tokens:
    """The ids of a prompt and of what comes after it, split where `generate` splits them.

    Raises:
        DataError: there is no text.
        TooLongError: it is longer than the context.

    """
    start = start_of(tokenizer.special)
    before, after = tokenizer.encode(prompt), tokenizer.encode_continuation(then)
    ids = [*start, *before, *after]
    if not before or len(ids) < 2:
        raise DataError("the text to inspect is too short", why="it has no token to predict")
    if len(ids) > context:
        # a tenth less than on average: some parts take more tokens, and so does a cut word
        fits = int(0.9 * len((prompt + then).encode()) * context / len(ids))
        raise TooLongError(
            f"the text has {len(ids):,} tokens; the model sees {context:,} at once",
            fits=max(fits - fits % 10, 1),
        )
    return Tokens(ids, len(start), len(before), len(after))


def start_of(special: SpecialTokens) -> list[int]:
    """What a text begins after, as in `score`."""
    first = special.eos if special.bos is None else special.bos
    return [] if first is None else [first]


def write_greedily(
    model: Model, ids: Sequence[int], special: SpecialTokens, count: int
) -> list[int]:
    """At most `count` tokens that continue a text, as `generate --greedy` would; at least one."""
    written: list[int] = []
    room = model.config.context_length - len(ids) + 1
    while len(written) < min(count, room):
        logits = model.run([*ids, *written]).logits[-1]
        best = int(suppress_control_tokens(logits, special).argmax())
        if written and best in special.eos_ids:
            break
        written.append(best)
        if best in special.eos_ids:
            break
    return written


def inspect_text(
    model: Model,
    tokenizer: Tokenizer,
    prompt: str,
    then: str = "",
    shown: Collection[View] = VIEWS,
    *,
    by_token: bool = False,
    progress: Callable[[float], None] = lambda _: None,
) -> Inspection:
    """Looks at a text.

    Args:
        then: what comes after the prompt; empty: what the model writes.
        shown: the views.
        by_token: whether the view `prompt` takes away single tokens, not words; of a single word
            it does so in any case.
        progress: is told which share is done.

    Raises:
        DataError: the text is empty, or too long for the model or for the memory.

    """
    config = model.config
    tokens = read_tokens(tokenizer, prompt, then, config.context_length)
    require_memory(config.num_layers * config.num_heads * len(tokens.ids) ** 2 * 8)
    values = model.run(tokens.ids)
    words, by_token = _words(tokenizer, tokens, by_token) if "prompt" in shown else ([], False)
    heads = config.num_layers * config.num_heads if "heads" in shown else 0
    total = max(len(words) + heads, 1)
    return Inspection(
        tokenizer,
        tokens,
        sum(len(spelled) for i in tokens.ids[1:] if (spelled := _bytes_of(tokenizer, i))),
        views.surprise(values, tokens.ids) if "surprise" in shown else None,
        views.attention_weights(values) if "attention" in shown else None,
        views.lens(model, values) if "lens" in shown else None,
        replace(
            _without_words(model, tokenizer, tokens, words, lambda done: progress(done / total)),
            by_token=by_token,
        )
        if "prompt" in shown
        else None,
        _without_heads(model, values, tokens, lambda n: progress((len(words) + n) / total))
        if "heads" in shown
        else None,
    )


def require_memory(needed: int) -> None:
    """Raises DataError where the attention of a text takes more memory than is reasonable."""
    if needed > MOST_BYTES:
        raise DataError(
            f"the attention of all heads over this text takes {needed / 1e9:.1f} GB",
            hint=f"inspect a text {(needed / MOST_BYTES) ** 0.5:.1f} times shorter",
        )


def _bytes_of(tokenizer: Tokenizer, token: int) -> bytes:
    return tokenizer.token_bytes[token] if token < tokenizer.vocab_size else b""


def _words(tokenizer: Tokenizer, tokens: Tokens, by_token: bool) -> tuple[list[slice], bool]:
    """Which tokens each word of the prompt is; none where nothing would be left of it.

    Returns:
        Also whether they are single tokens: it was asked for, or there is but one word.

    """
    prompt = [_bytes_of(tokenizer, i) for i in tokens.ids[: tokens.start + tokens.prompt]]
    words = views.words_of(prompt)
    if by_token or sum(bool(b"".join(prompt[word]).strip()) for word in words) < 2:
        words, by_token = [slice(n, n + 1) for n, own in enumerate(prompt) if own], True
    return (words if tokens.start or len(words) > 1 else []), by_token


def _without_words(
    model: Model,
    tokenizer: Tokenizer,
    tokens: Tokens,
    words: list[slice],
    progress: Callable[[int], None],
) -> WithoutWords:
    prompt = tokens.ids[: tokens.start + tokens.prompt]
    continuation = tokens.ids[len(prompt) :]
    continuation = continuation or write_greedily(model, prompt, tokenizer.special, WRITTEN)
    falls = views.without_words(
        model, prompt, words, continuation, tokenizer.special.unk, progress=progress
    )
    said = [b"".join(_bytes_of(tokenizer, i) for i in prompt[word]) for word in words]
    return WithoutWords(
        continuation,
        tokens.then > 0,
        views.continuation_logprob(model, prompt, continuation),
        [word.decode(errors="backslashreplace") for word in said],
        falls,
        tokenizer.special.unk is not None,
    )


def _without_heads(
    model: Model, values: ForwardValues, tokens: Tokens, progress: Callable[[int], None]
) -> Floats:
    return views.without_heads(model, values, tokens.ids, progress=progress)
