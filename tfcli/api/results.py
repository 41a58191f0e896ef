"""What comes back from a model: texts with their tokens, and scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.generation.generate import Finished
from tfcli.generation.intervals import Interval
from tfcli.generation.pair_evaluation import PairFigures
from tfcli.generation.scorer import token_text
from tfcli.generation.streaming import TextStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tfcli.generation.active_sequence import FinishReason
    from tfcli.generation.generate import TokenEvent
    from tfcli.generation.pair_evaluation import Answered
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.scorer import Scored
    from tfcli.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Completion:
    """A text that was generated.

    As a line of `generate --jsonl`, but with `prompt`, and without `row` and `id`.

    Attributes:
        prompt: what it continues; not part of `text`.
        sample: which of several texts for this prompt, from 0.
        text: the text.
        tokens: the ids of its tokens; with a stop string, those of the stop string too.
        logprobs: of each token, in nats: the model's own, before any sampling option.
        finish_reason: `eos`: the model ended the text; `stop`: a stop string was found; `length`:
            the token limit was reached; `timeout`: the time limit was; `incomplete`: one of them
            was, or the constraint became too complex, before the structured output was complete.
        seed: reproduces the text, with the same prompts.
        format_probability: of structured output, what the format left of the model's probability,
            the geometric mean over the tokens; far below 1 where the model has learned nothing
            like it.

    """

    prompt: str
    sample: int
    text: str
    tokens: list[int]
    logprobs: list[float]
    finish_reason: FinishReason
    seed: int
    format_probability: float | None = None


def make_completions(
    requests: Sequence[GenerationRequest],
    events: Iterable[TokenEvent | Finished],
    *,
    samples: int,
) -> list[Completion]:
    """The texts that come of requests, of which each prompt has `samples`."""
    tokens: list[list[int]] = [[] for _ in requests]
    logprobs: list[list[float]] = [[] for _ in requests]
    data = [bytearray() for _ in requests]
    ends: dict[int, Finished] = {}
    for event in events:
        data[event.index] += event.data
        if isinstance(event, Finished):
            ends[event.index] = event
        else:
            tokens[event.index].append(event.token)
            logprobs[event.index].append(event.logprob or 0.0)
    return [
        Completion(
            request.prompt, row % samples, TextStream().feed(bytes(data[row])),
            tokens[row], logprobs[row], ends[row].reason, request.seed,
            fit.probability if (fit := ends[row].fit) else None,
        )
        for row, request in enumerate(requests)
    ]  # fmt: skip


def require_complete(completion: Completion) -> None:
    """Raises DataError where structured output was cut off."""
    if completion.finish_reason == "incomplete":
        raise incomplete()


def incomplete() -> DataError:
    """The error for structured output that was cut off."""
    return DataError(
        "the output is incomplete: a limit was reached, or the constraint became too complex, "
        "before the format was matched",
        hint="raise max_new_tokens, or restrict the format, for example with "
        '"additionalProperties": false in a schema',
    )


@dataclass(frozen=True)
class TokenScore:
    r"""How surprising a token is, after all tokens before it.

    Attributes:
        token: its id.
        text: what it stands for; bytes that are no whole character escaped, as `\xe2`.
        nats: minus the natural logarithm of its probability.
        top_logprobs: the likeliest other tokens, if they were asked for, each with the natural
            logarithm of its probability: `(text, logprob)`, the likeliest first.

    """

    token: int
    text: str
    nats: float
    top_logprobs: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Score:
    """How likely a text is to a model.

    As `score --json`, but with `by_token`, and without `context` and `stride`.

    Attributes:
        nats: minus the natural logarithm of the text's probability; lower is more likely.
        nats_per_byte: `nats` by the bytes of the text in UTF-8: to be compared across models and
            vocabularies.
        perplexity: exp(nats per token): to be compared only within one vocabulary.
        bytes, tokens: the length of the text.
        by_token: each token with its nats, which add up to `nats`.

    """

    nats: float
    nats_per_byte: float
    perplexity: float
    bytes: int
    tokens: int
    by_token: list[TokenScore] = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """The model's answer to a prompt, beside the one expected.

    Attributes:
        edits: from the answer to the one expected, in characters.
        nats, tokens: of the one expected, with its end.

    """

    prompt: str
    expected: str
    answer: str
    exact: bool
    edits: int
    nats: float
    tokens: int


@dataclass(frozen=True)
class Evaluation:
    """How well a model answers; each figure has `value`, and its 95 % interval `low` to `high`.

    Attributes:
        exact_match: the share of answers that are right to the character.
        character_error_rate: edits by the characters of the answers expected.
        nats_per_byte, nats_per_token: of the answers expected.

    """

    exact_match: Interval
    character_error_rate: Interval
    nats_per_byte: Interval
    nats_per_token: Interval
    answers: list[Answer] = field(repr=False)


def make_evaluation(answered: Sequence[Answered], prompts: Sequence[str]) -> Evaluation:
    """The figures of answers.

    Args:
        prompts: as they were given, without what is put between them and the answer.

    """
    figures = PairFigures([*answered]).to_json()

    def interval(name: str) -> Interval:
        return Interval(*(figures[name][bound] for bound in ("value", "low", "high")))

    answers = [
        Answer(prompt, one.pair.answer, one.answer, one.exact, one.edits, one.nats, one.tokens)
        for prompt, one in zip(prompts, answered, strict=True)
    ]
    return Evaluation(
        interval("exact_match"), interval("character_error_rate"),
        interval("nats_per_byte"), interval("nats_per_token"), answers,
    )  # fmt: skip


def make_score(scored: Scored, tokenizer: Tokenizer) -> Score:
    """The score of a text, with the text of each token."""
    alternatives = scored.alternatives or [[] for _ in scored.ids]
    by_token = [
        TokenScore(
            token, token_text(tokenizer, token), 0.0 - logprob,
            [(token_text(tokenizer, other), each) for other, each in others],
        )
        for token, logprob, others in zip(scored.ids, scored.logprobs, alternatives, strict=True)
    ]  # fmt: skip
    return Score(**scored.to_json(), by_token=by_token)
