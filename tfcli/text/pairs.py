r"""Pairs: rows of a prompt and its answer, of which a model learns the answer.

A pair is a document of two kinds of chunks: the prompt, framed as it will be in generation, and the
answer, after which the document ends.

    {"prompt": "abc", "completion": "cba"}               ->  "abc\n" | "cba"
    {"messages": [{"role": "user", "content": "Hi"},
                  {"role": "assistant", "content": "Hello"}]}  ->  "user: Hi\nassistant: " | "Hello"

A conversation is a pair for each answer of the assistant, with all that was said before it as the
prompt. That form is our own: models from elsewhere have a template of their own.

Which pairs are held out follows from a hash of the prompt. So pairs of the same prompt, and those
of one conversation, are on the same side, whatever the order of the rows and the seed of a run.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tfcli.errors import DataError, UsageError
from tfcli.quantities import counted, percent
from tfcli.text.chunks import Chunk, split_into_chunks
from tfcli.text.reading_options import DEFAULT
from tfcli.text.rows import CONVERSATIONS, MAX_BAD, STANDARD, encode_text, text_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from tfcli.text.reading_options import ReadingOptions
    from tfcli.text.rows import Row, RowCounts

# The fields of prompts and answers that are known by their names, the first that a file has.
# Several fields of a prompt are joined by newlines; those after the first may be missing or empty.
KNOWN_FIELDS = (
    (("prompt",), "completion"),
    (("prompt",), "response"),
    (("prompt",), "answer"),
    (("prompt",), "output"),
    (("instruction", "input"), "output"),
    (("instruction", "input"), "response"),
    (("question",), "answer"),
    (("input",), "target"),
    (("input",), "output"),
    (("source",), "target"),
    (("query",), "response"),
    (("pregunta",), "respuesta"),
)
# ShareGPT's, and others'
ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
USER, ASSISTANT = "user", "assistant"
SCALARS = (str, int, float)  # what a prompt or an answer may be; a number as JSON spells it
ALL = 1 << 64  # above every key
HASHED = b"tfcli pairs"  # makes the split a random one of ours


@dataclass(frozen=True)
class PairForm:
    """How a prompt is framed, in training and in generation.

    Attributes:
        kind: rows of two fields, or conversations.
        separator: what follows a prompt; in conversations, each turn.

    """

    kind: Literal["pairs", "messages"] = "pairs"
    separator: str = "\n"

    def frame(self, prompt: str) -> str:
        """What the model reads before it answers a prompt."""
        if self.kind == "pairs":
            return prompt + self.separator
        return self.frame_turns([(USER, prompt)])

    def frame_turns(self, turns: Sequence[tuple[str, str]]) -> str:
        """What the model reads before the assistant's turn: roles and what each said."""
        said = "".join(f"{role}: {text}{self.separator}" for role, text in turns)
        return f"{said}{ASSISTANT}: "

    @property
    def chat_template(self) -> str:
        """The same as a template, see `tfcli.text.chat_template`."""
        separator = json.dumps(self.separator, ensure_ascii=False)
        return (
            "{% for m in messages %}{{ m.role + ': ' + m.content + " + separator + " }}{% endfor %}"
            f"{{% if add_generation_prompt %}}{ASSISTANT}: {{% endif %}}"
        )


@dataclass(frozen=True)
class PairScan:
    """What the first reading of pairs found, and which of them are held out.

    Attributes:
        held_out_below: the pairs with keys below this are held out.
        held_out_bytes, held_out_pairs: how much that is.

    """

    form: PairForm
    held_out_below: int
    held_out_bytes: int
    held_out_pairs: int


@dataclass(frozen=True)
class PairFields:
    """Where the pairs of a file are.

    Attributes:
        prompt: the fields of the prompt; of conversations, the field of the messages.
        answer: the field of the answer; None for conversations.

    """

    prompt: tuple[str, ...]
    answer: str | None

    @property
    def named(self) -> str:
        """Both, for a note."""
        prompt = " and ".join(map(repr, self.prompt))
        if self.answer is None:
            return f"conversations in {prompt}"
        return f"prompts in {prompt}, answers in {self.answer!r}"

    def form(self, options: ReadingOptions) -> PairForm:
        """How their prompts are framed."""
        return PairForm("messages" if self.answer is None else "pairs", options.pair_separator)


# --- which fields -------------------------------------------------------------------------------


def find_pair_fields(
    values: Sequence[dict[str, Any]], options: ReadingOptions
) -> PairFields | None:
    """The fields of pairs that the first rows of a file have; None: each row is a text.

    A field `text`, or one that was named, makes texts of them.

    Raises:
        UsageError: only one of the two fields was named, and the other is not known.

    """
    if options.prompt_field or options.answer_field:
        return _named_fields(values, options)
    if not values or options.field or any(STANDARD in value for value in values):
        return None
    for prompt, answer in KNOWN_FIELDS:
        if _most(values, SCALARS, prompt[0], answer):
            present = [key for key in prompt if any(key in value for value in values)]
            return PairFields(tuple(present), answer)
    for name in CONVERSATIONS:
        if _most(values, (list,), name):
            return PairFields((name,), None)
    return None


def are_pair_fields(names: Collection[str]) -> bool:
    """Whether fields of a prompt and an answer that are known by their names are among these."""
    return any(prompt[0] in names and answer in names for prompt, answer in KNOWN_FIELDS)


def _most(values: Sequence[dict[str, Any]], kinds: tuple[type, ...], *names: str) -> bool:
    """Whether most rows have fields of these names that hold such a value."""
    found = sum(all(type(value.get(name)) in kinds for name in names) for value in values)
    return 2 * found > len(values)


def _named_fields(values: Sequence[dict[str, Any]], options: ReadingOptions) -> PairFields | None:
    prompt, answer = options.prompt_field, options.answer
    if prompt and answer:
        return PairFields(prompt, answer)
    for known_prompt, known_answer in KNOWN_FIELDS:
        if answer is None and _most(values, SCALARS, known_answer):
            return PairFields(prompt, known_answer)
        if answer and _most(values, SCALARS, known_prompt[0]):
            return PairFields(known_prompt[:1], answer)
    if not values:
        return None
    missing = "--answer-field" if prompt else "--prompt-field"
    raise UsageError(
        f"{missing} is needed too",
        why=f"the fields of the rows are: {', '.join(map(str, values[0]))[:200]}",
    )


# --- rows ---------------------------------------------------------------------------------------


def read_pairs(
    rows: Iterable[Row],
    name: Path,
    fields: PairFields,
    form: PairForm,
    *,
    strict: bool,
    counts: RowCounts,
) -> Iterator[Chunk]:
    """The chunks of the pairs of rows. A few bad rows are skipped and counted.

    Args:
        strict: whether a single bad row is an error.
        counts: takes what was found.

    Raises:
        DataError: too many rows are bad, which is known at the end.

    """
    counts.field = fields.named
    for row in rows:
        counts.read(row)
        problem, pairs = row.problem, []
        if problem is None:
            try:
                pairs = _pairs(row.value, fields, form)
            except ValueError as error:
                problem = str(error)
        if problem is not None:
            counts.skip(row, problem)
        if counts.bad and strict:
            raise DataError(
                f"{name} has a row without a pair",
                why=counts.named[0],
                hint="leave out --strict to skip a few of them",
            )
        for prompt, answer, key in pairs:
            counts.pairs += 1
            yield from pair_chunks(prompt, answer, key)
    if counts.bad > MAX_BAD * counts.rows:
        raise DataError(
            f"{counts.bad:,} of {counted(counts.rows, 'row')} of {name} have no pair "
            f"({percent(counts.bad / counts.rows)})",
            why="; ".join(counts.named),
            hint=_other_fields(counts.value),
        )


def _other_fields(value: object) -> str:
    """The fields to name instead; those that are known by their names, if a row has them."""
    known = find_pair_fields([value], DEFAULT) if isinstance(value, dict) else None
    if known and known.answer:
        prompt = shlex.quote(",".join(known.prompt))
        return f"--prompt-field {prompt} --answer-field {known.answer}   # which these rows have"
    return "remove these rows first, or name other fields: --prompt-field A --answer-field B"


def pair_chunks(prompt: bytes, answer: bytes, key: int) -> Iterator[Chunk]:
    """The chunks of a pair.

    Args:
        prompt: as it is framed.

    """
    for chunk in split_into_chunks(prompt):
        yield Chunk(chunk.data, last=False, role="prompt", key=key)
    for chunk in split_into_chunks(answer):
        yield Chunk(chunk.data, chunk.last, role="answer", key=key)


def key_of(prompt: bytes) -> int:
    """The key of the pairs of a prompt: 64 bits that are as good as random."""
    return int.from_bytes(hashlib.blake2b(prompt, digest_size=8, person=HASHED).digest(), "little")


def _pairs(value: object, fields: PairFields, form: PairForm) -> list[tuple[bytes, bytes, int]]:
    """The framed prompts of a row, their answers and keys.

    Raises:
        ValueError: there are none; the message says why.

    """
    if fields.answer is None:
        return _conversation(value, fields.prompt[0], form)
    parts = []
    for place, name in enumerate(fields.prompt):
        if place and isinstance(value, dict) and value.get(name) in {None, ""}:
            continue
        parts.append(_text(value, name))
    prompt = form.frame("\n".join(parts)).encode()
    return [(prompt, _text(value, fields.answer).encode(), key_of(prompt))]


def _text(value: object, name: str) -> str:
    problem, text = text_in(value, name.split("."), numbers=True)
    if problem is None:
        problem, _ = encode_text(text)
    if problem is None and not text:
        problem = f"{name} is empty"
    if problem is not None:
        raise ValueError(problem)
    assert isinstance(text, str)
    return text


def _conversation(value: object, name: str, form: PairForm) -> list[tuple[bytes, bytes, int]]:
    turns = read_turns(value.get(name) if isinstance(value, dict) else None, name)
    pairs: list[tuple[bytes, bytes, int]] = []
    for place, (role, text) in enumerate(turns):
        if role == ASSISTANT and place:
            prompt = form.frame_turns(turns[:place]).encode()
            key = pairs[0][2] if pairs else key_of(prompt)
            pairs.append((prompt, text.encode(), key))
    if not pairs:
        raise ValueError(f"{name} has no answer of the assistant")
    return pairs


def read_turns(messages: object, name: str) -> list[tuple[str, str]]:
    """The roles and texts of messages, as OpenAI's or ShareGPT's keys have them.

    Raises:
        ValueError: they are no messages.

    """
    if not isinstance(messages, list):
        raise ValueError(f"{name} is no list of messages")
    turns = []
    for message in messages:
        message = message if isinstance(message, dict) else {}
        role = message.get("role", message.get("from"))
        key = "content" if "content" in message else "value"
        if not isinstance(role, str):
            raise ValueError(f"a message of {name} has no role")
        turns.append((ROLES.get(role, role), _text(message, key)))
    return turns


# --- what is held out ---------------------------------------------------------------------------


def choose_pairs(
    keys: Sequence[int], sizes: Sequence[int], fraction: float, form: PairForm
) -> PairScan:
    """Which pairs to hold out: those with the lowest keys, a share of the different ones.

    Args:
        keys, sizes: of each pair, the latter in bytes.
        fraction: the share to hold out, from 0 (nothing) to below 1; one pair at least, and never
            all of them.

    """
    import numpy as np  # here, so that no command waits for it

    every = np.asarray(keys, np.uint64)
    different = np.unique(every)
    count = min(max(1, round(fraction * len(different))), len(different) - 1) if fraction else 0
    below = int(different[count]) if count else 0
    chosen = every < np.uint64(below)
    held_out_bytes = int(np.asarray(sizes, np.int64)[chosen].sum())
    return PairScan(form, below, held_out_bytes, int(chosen.sum()))


def same_form(forms: Sequence[tuple[Path, PairForm | None]]) -> PairForm | None:
    """The form of all files together; None: they are texts.

    Raises:
        DataError: some are pairs and others are not, or pairs of another form.

    """
    first = next(iter(forms), None)
    for name, form in forms:
        assert first is not None
        if form != first[1]:
            kinds = {None: "text", "pairs": "pairs", "messages": "conversations"}
            one, other = (kinds[each.kind if each else None] for each in (first[1], form))
            raise DataError(
                f"{first[0]} holds {one}, and {name} {other}",
                why="a training is on texts, on pairs of prompt and answer, or on conversations",
                hint="train on the text first, then on the pairs: tfcli train PAIRS --from RUN",
            )
    return first[1] if first else None
