"""What is asked for: a prompt, and the options by which a text is generated from it.

Nothing heavy is imported here: `tfcli generate --help` is made from these declarations.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from tfcli.errors import DataError, InputOutputError, UsageError
from tfcli.options import OptionError, Options, option, to_float
from tfcli.text.encoding import conversion, invalid_at
from tfcli.text.escapes import unescape

PROMPT, LENGTH, SAMPLING = "Prompt", "Length", "Sampling"
REPETITION, STRUCTURED = "Repetition control", "Structured output"
MAX_SEED = 2**64 - 1
MAX_BIAS = 1e18  # float32 holds its sum with any logit


class Truncation(NamedTuple):
    """Which tokens are too unlikely to be sampled: `Sampling` explains each number."""

    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0


DEFAULT_TRUNCATION = Truncation(min_p=0.05)
OFF = Truncation()


@dataclass(frozen=True, kw_only=True)
class Sampling(Options):
    """How a token is chosen; see `truncation` for the options that are None."""

    greedy: bool = option(
        False, help="Always take the most likely token.", panel=SAMPLING,
        conflicts=("temperature", *Truncation._fields),
    )  # fmt: skip
    temperature: float = option(
        0.8, min=0, max=1e6, aliases=("temp",), panel=SAMPLING,
        help="Lower is more predictable, higher more varied; 0 is greedy.",
    )  # fmt: skip
    top_k: int | None = option(
        None, min=0, off=OFF.top_k, shown_default="off", panel=SAMPLING,
        help="Sample from the k most likely tokens; 0: off.",
    )  # fmt: skip
    top_p: float | None = option(
        None, min=0, max=1, off=OFF.top_p, shown_default="off", panel=SAMPLING,
        help="Nucleus sampling: from the most likely tokens with total probability p.",
    )  # fmt: skip
    min_p: float | None = option(
        None, min=0, max=1, off=OFF.min_p, panel=SAMPLING,
        shown_default=str(DEFAULT_TRUNCATION.min_p),
        help="Sample from tokens at least p times as likely as the most likely one; with top-k, "
             "top-p or typical-p, off unless given.",
    )  # fmt: skip
    typical_p: float | None = option(
        None, min=0, max=1, off=OFF.typical_p, shown_default="off", panel=SAMPLING,
        help="Locally typical sampling: from the least surprising tokens with total probability p.",
    )  # fmt: skip

    @cached_property
    def truncation(self) -> Truncation:
        """The default, or what was asked for instead: a value that turns an option off counts."""
        values = {name: getattr(self, name) for name in Truncation._fields}
        given = {name: value for name, value in values.items() if value is not None}
        return Truncation(**given) if given else DEFAULT_TRUNCATION

    @property
    def deterministic(self) -> bool:
        """Whether the most likely token is always taken."""
        return self.greedy or self.temperature == 0


def parse_bias(text: str) -> tuple[tuple[int, float]]:
    """The token and the number of `ID=NUMBER`, as the only item.

    Raises:
        ValueError: it is not of that form.

    """
    match = re.fullmatch(r"(\d{1,9})=([-+]?(?:\d+\.?\d*|\.\d+|inf))", text)
    if not match:
        raise ValueError(f"must be a token id and a number such as 42=-1.5, not {text!r}")
    return ((int(match[1]), float(match[2])),)


def _read_biases(value: Any) -> tuple[tuple[int, float], ...]:
    if not isinstance(value, dict) or not all(
        re.fullmatch(r"[0-9]{1,9}", token) and type(bias) in {int, float}
        for token, bias in value.items()
    ):
        raise ValueError('must be an object of token ids and numbers, such as {"42": -1.5}')
    return tuple((int(token), to_float(bias)) for token, bias in value.items())


@dataclass(frozen=True, kw_only=True)
class Penalties(Options):
    """What changes the logits of single tokens. The defaults change nothing."""

    logit_bias: tuple[tuple[int, float], ...] = option(
        (), metavar="ID=NUMBER", panel=SAMPLING, from_text=parse_bias, from_json=_read_biases,
        help="Add a number to the logit of a token; -inf forbids it. Repeatable.",
    )  # fmt: skip
    repetition_penalty: float = option(
        1.0, min=1e-3, max=1e3, panel=REPETITION,
        help="Penalize tokens already in the context, scaling down their logits; 1: off.",
    )  # fmt: skip
    presence_penalty: float = option(
        0.0, min=-1e6, max=1e6, panel=REPETITION,
        help="Subtract this once from the logit of each token generated so far.",
    )  # fmt: skip
    frequency_penalty: float = option(
        0.0, min=-1e6, max=1e6, panel=REPETITION,
        help="Subtract this once for each time a token was generated.",
    )  # fmt: skip
    no_repeat_ngram_size: int = option(
        0, min=0, max=1_000_000, panel=REPETITION,
        help="Never repeat a sequence of N tokens; 0: off.",
    )  # fmt: skip
    dry_multiplier: float = option(
        0.0, min=0, max=1e6, panel=REPETITION,
        help="DRY: penalize tokens that would extend a repeated sequence; try 0.8. 0: off.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        for _, bias in self.logit_bias:
            if not (bias == -float("inf") or abs(bias) < MAX_BIAS):
                raise OptionError("logit_bias", "must be finite, or -inf to forbid a token")


def read_schema(text: str) -> str:
    """A JSON schema: the text itself where it is JSON, else the file of that name.

    Raises:
        NotFoundError, DataError, InputOutputError: there is no such file, or it cannot be read.
        UsageError: it is not valid JSON.
        ValueError: the text is empty, or JSON that is no object.

    """
    if text.lstrip().startswith("{"):
        _require_json(text)
        return text
    if not text.strip():
        raise ValueError("must be a schema or the name of a file")
    try:
        schema = Path(text).read_text(encoding="utf-8")
    except FileNotFoundError:
        if _is_json(text):
            raise ValueError(f"must be a JSON object or the name of a file, not {text}") from None
        from tfcli.files import file_not_found

        why = "a schema that is not in a file begins with {"
        raise file_not_found(Path(text), why=why) from None
    except UnicodeDecodeError as error:
        hint = conversion(error.object, error.start, Path(text), option=False)
        raise DataError(f"{text} is not valid UTF-8", why=invalid_at(error), hint=hint) from None
    except (OSError, ValueError) as error:
        raise InputOutputError(f"cannot read {text}", why=str(error)) from None
    _require_json(schema, f" in {text}")
    return schema


def _require_json(text: str, where: str = "") -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"invalid JSON schema{where}", why=f"it is not JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"invalid JSON schema{where}", why="it is nested too deeply") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _schema_of(value: Any) -> str:
    if not isinstance(value, dict | str):
        raise ValueError("must be an object or a string")
    return value if isinstance(value, str) else json.dumps(value)


def parse_choices(text: str) -> tuple[str, ...]:
    """The strings of `A,B`, or of a JSON list.

    Raises:
        ValueError: it is no list of strings.

    """
    if not text.lstrip().startswith("["):
        return tuple(choice.strip() for choice in text.split(","))
    try:
        return _choices_of(json.loads(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"is not valid JSON: {error}") from None


def _choices_of(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(choice, str) for choice in value):
        raise ValueError("must be a list of strings")
    return tuple(value)


ConstraintKind = Literal["regex", "json_schema", "choices"]


@dataclass(frozen=True, kw_only=True)
class StructuredOutput(Options):
    """The form that a text must have; at most one is set."""

    regex: str | None = option(
        None, metavar="REGEX", panel=STRUCTURED, conflicts=("json_schema", "choices"),
        help="Constrain the output to this regular expression.",
    )  # fmt: skip
    json_schema: str | None = option(
        None, metavar="FILE", panel=STRUCTURED, conflicts=("choices",),
        from_text=read_schema, from_json=_schema_of,
        help="Constrain the output to JSON that matches this schema (a file, or the schema "
             "itself).",
    )  # fmt: skip
    choices: tuple[str, ...] | None = option(
        None, metavar="A,B", panel=STRUCTURED, from_text=parse_choices, from_json=_choices_of,
        help="Constrain the output to one of these strings, separated by commas or as a JSON list.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.choices is not None and not any(self.choices):
            raise OptionError("choices", "must not be empty")
        if self.choices is not None and "" in self.choices:
            raise OptionError("choices", "must not have an empty string among them")

    @property
    def source(self) -> tuple[ConstraintKind, str] | None:
        """What kind of form it is, and how it is written down; None: any text will do."""
        if self.regex is not None:
            return "regex", self.regex
        if self.json_schema is not None:
            return "json_schema", self.json_schema
        if self.choices is not None:
            return "choices", json.dumps(self.choices)
        return None


@dataclass(frozen=True, kw_only=True)
class BaseRequest(Options):
    """What all requests for text have, be it after a prompt or in a gap."""

    max_new_tokens: int | None = None
    min_new_tokens: int = option(
        0, min=0, max=10**12, aliases=("min_tokens",), panel=LENGTH,
        help="Minimum number of new tokens; before, no stop string ends the text.",
    )  # fmt: skip
    stop: tuple[str, ...] = option(
        (), metavar="TEXT", panel=LENGTH, from_text=lambda text: (unescape(text),),
        help="Stop before this text; \\n is a newline, \\t a tab. Repeatable.",
    )  # fmt: skip
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = option(
        0, min=0, max=MAX_SEED, shown_default="random", panel=SAMPLING,
        help="Random seed, for reproducible output.",
    )  # fmt: skip
    penalties: Penalties = field(default_factory=Penalties)
    structured: StructuredOutput = field(default_factory=StructuredOutput)

    def __post_init__(self) -> None:
        super().__post_init__()
        most = self.max_new_tokens
        if most is not None and self.min_new_tokens > most:
            problem = f"must not be more than the {most:,} of"
            raise OptionError("min_new_tokens", problem, "max_new_tokens")
        if "" in self.stop:
            raise OptionError("stop", "must not be empty")
        for text in self.stop:
            require_utf8(text, "a stop string")

    def with_next_seed(self, count: int) -> Self:
        """The request with the seed that comes so many after its own."""
        return replace(self, seed=(self.seed + count) % (MAX_SEED + 1))


def require_utf8(text: str, what: str) -> None:
    """Raises UsageError for text with bytes of the command line that were not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} is not valid UTF-8") from None


@dataclass(frozen=True, kw_only=True)
class GenerationRequest(BaseRequest):
    """One text to generate.

    Attributes:
        prompt: what the text continues; may be empty.
        ids: of the prompt, where it is not to be encoded as it stands: a chat template has written
            it.
        taken: what the text has to begin with, where `ids` lack it; no token of them is healed.
        ends_word: whether its writer has ended it, with a newline that is not part of it; then its
            last word is whole.
        row: of a session; the same seed and row give the same text, whatever is beside it.

    """

    prompt: str = ""
    max_new_tokens: int = option(
        256, min=0, max=10**12, aliases=("max_tokens",), panel=LENGTH, help="Stop after N tokens."
    )
    ignore_eos: bool = option(False, panel=LENGTH, help="Never generate the end-of-sequence token.")
    raw: bool = option(
        False, panel=PROMPT,
        help="Read the prompt as it is, where the run was trained on pairs of prompt and answer.",
    )  # fmt: skip
    token_healing: bool = option(
        True, panel=PROMPT,
        help="Regenerate the prompt's last token along with its continuation; a newline at its end "
             "ends its last word.",
    )  # fmt: skip
    special: bool = option(
        False, panel=PROMPT,
        help="Take special tokens in the prompt, such as <|im_end|>, as tokens, not as text.",
    )  # fmt: skip
    ids: tuple[int, ...] | None = None
    taken: tuple[int, ...] | None = None
    ends_word: bool = False
    row: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_utf8(self.prompt, "the prompt")
