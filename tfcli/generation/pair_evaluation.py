"""How well a model answers: its greedy answers to prompts, against those that were expected."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError
from tfcli.generation.edit_distance import edit_distance
from tfcli.generation.generate import Finished, Generator, RequestList
from tfcli.generation.intervals import ratio_interval, share_interval
from tfcli.generation.json_lines import returned
from tfcli.generation.request import GenerationRequest, Sampling
from tfcli.generation.scoring import score_tokens
from tfcli.text.pairs import PairForm
from tfcli.text.rows import LOOKED_AT, NO_VALUE, field_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.text.chunks import Chunk
    from tfcli.text.tokenizer import Tokenizer

GROUP = 256  # pairs answered, then scored, together
ROOM = 32  # tokens: an answer may have twice those expected and so many more, and is wrong then
AS_IT_IS = PairForm(separator="")  # of prompts that are framed already


@dataclass(frozen=True)
class Pair:
    """A prompt as the model reads it, and the answer that is expected.

    Attributes:
        returned: the `id` of its row, if it has one.
        group: the value of the field that rows are grouped by.

    """

    prompt: str
    answer: str
    returned: dict[str, Any] = field(default_factory=dict)
    group: str = NO_VALUE


@dataclass(frozen=True)
class Answered:
    """A pair, and what the model made of it.

    Attributes:
        answer: the model's.
        ended: whether the model ended it.
        edits: from it to the one expected, in characters.
        nats: of the one expected, with its end.
        tokens: of the one expected, with its end.
        fits: whether prompt and expected answer fit into the context together.

    """

    pair: Pair
    answer: str
    ended: bool
    edits: int
    nats: float
    tokens: int
    fits: bool

    @property
    def exact(self) -> bool:
        """Whether it is the answer expected, to the character, and ends there."""
        return self.ended and self.answer == self.pair.answer


def pairs_of(
    chunks: Iterable[Chunk],
    row: Callable[[], Any] = lambda: None,
    by: str | None = None,
    limit: int | None = None,
) -> Iterator[Pair]:
    """The pairs of the chunks that readers give.

    Text that is no pair has no prompt, and is left out.

    Args:
        row: the one that the readers have just read.
        by: the field that rows are grouped by, with dots where it is nested.
        limit: how many pairs are wanted at most.

    Raises:
        DataError: none of the first rows, or of all, has the field.

    """
    prompt, answer = b"", b""
    count, found = 0, by is None
    for chunk in chunks:
        if chunk.role == "prompt":
            prompt += chunk.data
        elif chunk.role == "answer":
            answer += chunk.data
            if chunk.last:
                value = None if by is None else field_value(row(), by)
                count, found = count + 1, found or value is not None
                if not found and count == min(LOOKED_AT, limit or LOOKED_AT):
                    break
                yield Pair(prompt.decode(), answer.decode(), returned(row()), value or NO_VALUE)
                prompt, answer = b"", b""
    if count and not found:
        fields = ", ".join(map(str, row())) if isinstance(row(), dict) else "none"
        raise DataError(f"no row has the field {by!r}", why=f"its fields: {fields}"[:300])


def answer_pairs(
    engine: Engine,
    tokenizer: Tokenizer,
    pairs: Iterable[Pair],
    *,
    rows: int,
) -> Iterator[Answered]:
    """Answers pairs greedily, and scores the answers expected; in the order of the pairs.

    Args:
        rows: of the engine.

    """
    generator = Generator(engine, tokenizer, rows=rows, form=AS_IT_IS)
    rest = iter(pairs)
    while group := list(itertools.islice(rest, GROUP)):
        ids = [_ids(tokenizer, pair) for pair in group]
        answers = _answers(generator, group, [len(answer) for _, answer in ids])
        together = [prompt + answer for prompt, answer in ids]
        scores = score_tokens(
            engine, together, tokenizer.special, rows=rows, stride=engine.context_length,
            prompts=[len(prompt) for prompt, _ in ids],
        )  # fmt: skip
        for pair, (prompt, answer), (text, ended), found in zip(
            group, ids, answers, scores, strict=True
        ):
            yield Answered(
                pair, text, ended, edit_distance(pair.answer, text),
                0.0 - float(found.logprobs.sum()), len(answer),
                fits=len(prompt) + len(answer) <= engine.context_length,
            )  # fmt: skip


def _ids(tokenizer: Tokenizer, pair: Pair) -> tuple[list[int], list[int]]:
    """The prompt and the answer, which ends with EOS, as in training."""
    assert tokenizer.special.eos is not None, "no run of ours was trained without"
    answer = [*tokenizer.encode_continuation(pair.answer), tokenizer.special.eos]
    return tokenizer.encode(pair.prompt), answer


def _answers(
    generator: Generator, group: Sequence[Pair], expected: list[int]
) -> list[tuple[str, bool]]:
    """The model's own answers, and whether it ended each."""
    requests = [
        GenerationRequest(
            prompt=pair.prompt, max_new_tokens=2 * tokens + ROOM, sampling=Sampling(greedy=True)
        )
        for pair, tokens in zip(group, expected, strict=True)
    ]
    written = [bytearray() for _ in group]
    ended = [False] * len(group)
    for event in generator.stream(RequestList(requests)):
        written[event.index] += event.data
        if isinstance(event, Finished):
            ended[event.index] = event.reason == "eos"
    return [
        (bytes(data).decode(errors="replace"), end)
        for data, end in zip(written, ended, strict=True)
    ]


@dataclass
class PairFigures:
    """The figures of many answers."""

    answered: list[Answered] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """All figures with their intervals, as documented in docs/json.md."""
        every = self.answered
        edits = [one.edits for one in every]
        characters = [len(one.pair.answer) for one in every]
        nats, tokens = [one.nats for one in every], [one.tokens for one in every]
        sizes = [len(one.pair.answer.encode()) for one in every]
        exact = sum(one.exact for one in every)
        return {
            "pairs": len(every),
            "exact_match": share_interval(exact, len(every)).to_json() | {"count": exact},
            "character_error_rate": ratio_interval(edits, characters).to_json()
            | {"edits": sum(edits), "characters": sum(characters)},
            "nats_per_byte": ratio_interval(nats, sizes).to_json()
            | {"nats": sum(nats), "bytes": sum(sizes)},
            "nats_per_token": ratio_interval(nats, tokens).to_json() | {"tokens": sum(tokens)},
            "longer_than_context": sum(not one.fits for one in every),
            "without_end": sum(not one.ended for one in every),
        }

    def groups(self) -> list[dict[str, Any]]:
        """The figures of each group, in the order of their names; of numbers, in theirs."""
        found: dict[str, PairFigures] = {}
        for one in self.answered:
            found.setdefault(one.pair.group, PairFigures()).answered.append(one)
        return [{"value": name, **found[name].to_json()} for name in sorted(found, key=_order)]


def _order(name: str) -> tuple[float, str]:
    try:
        number = float(name)
    except ValueError:
        number = math.inf  # words come after numbers
    return (math.inf if math.isnan(number) else number), name
