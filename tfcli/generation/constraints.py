"""Structured output: text that matches a regular expression, a JSON schema, or one of some choices.

The library llguidance says which tokens can come next so that the text can still be completed; all
others are masked before one is chosen. So the output is valid, or it was cut short and reported as
incomplete.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import UsageError
from tfcli.options import OptionError

if TYPE_CHECKING:
    from tfcli.generation.request import ConstraintKind, StructuredOutput
    from tfcli.generation.sampling import Logits
    from tfcli.text.tokenizer import Tokenizer

    Mask = np.ndarray[Any, np.dtype[np.bool_]]  # (V,)

NAMES = {"regex": "regular expression", "json_schema": "JSON schema", "choices": "choices"}
SPECIAL = b"\xff"  # in llguidance, the first byte of a special token's name
CACHED = 64  # grammars
# Between the parts of JSON: a space, or a newline and an indentation. All that JSON allows would be
# written without end by a model that has learned none.
SPACED = {"whitespace_flexible": True, "whitespace_pattern": r"( |\r?\n[ \t]{0,16})"}
UNLIKELY = math.log(0.01)
NEGLIGIBLE = 40.0  # nats below the most likely token


class GrammarCompiler:
    """Compiles grammars for one tokenizer; each distinct one once, as long as it is in use."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._compile = lru_cache(CACHED)(self._compile_anew)

    def begin(
        self, structured: StructuredOutput, *, after_space: bool = False
    ) -> Constraint | None:
        """The constraint of a new text; None where it has none.

        Args:
            after_space: whether there is a space in front of what has the form.

        Raises:
            UsageError: llguidance is not installed, or does not understand the form.

        """
        if structured.source is None:
            return None
        matcher = self._compile(*structured.source, after_space).deep_copy()
        return Constraint(matcher, self._tokenizer, self._prefixes)

    @cached_property
    def _prefixes(self) -> TokenPrefixes:
        return TokenPrefixes(self._tokenizer)

    @cached_property
    def _vocabulary(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        vocabulary = _Vocabulary(self._tokenizer)
        return LLTokenizer(TokenizerWrapper(vocabulary), eos_token=vocabulary.eos_token_ids)

    def _compile_anew(self, kind: ConstraintKind, text: str, after_space: bool) -> Any:
        """A matcher at the beginning of a text.

        Args:
            kind: what `text` is: a regular expression (of Rust's regex), a JSON schema, or a JSON
                list of strings.
            after_space: whether a space comes first.

        """
        try:
            from llguidance import LLMatcher
        except ImportError:
            hint = 'pip install "tfcli[constraints]"'
            raise OptionError(kind, "needs the package llguidance", hint=hint) from None
        try:
            grammar = _grammar(kind, text, " " if after_space else "", LLMatcher)
            matcher = LLMatcher(self._vocabulary, grammar, log_level=0)
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"invalid {NAMES[kind]}", why=str(error)) from None
        if matcher.is_error():
            lines = [line.strip() for line in matcher.get_error().splitlines()]
            reason = next((line for line in lines if line.startswith("error:")), lines[0])
            raise UsageError(f"invalid {NAMES[kind]}", why=_in_our_words(reason))
        matcher.compute_bitmask()  # fails where even the first token takes too much work
        if matcher.is_error():
            why = matcher.get_error().splitlines()[0][:200]
            raise UsageError(f"too complex: {NAMES[kind]}", why=why)
        return matcher


def _grammar(kind: ConstraintKind, text: str, before: str, library: Any) -> Any:
    """The grammar in llguidance's own language.

    Args:
        before: what comes before the text of that form.

    """
    if kind == "regex":
        return library.grammar_from_regex(f"{before}(?:{text})" if before else text)
    if kind == "json_schema":
        if not before:
            return library.grammar_from_json_schema(text, defaults=SPACED)
        schema = json.dumps({"x-guidance": SPACED, "allOf": [json.loads(text)]})
        return library.grammar_from_lark(
            f"start: {json.dumps(before)} value\nvalue: %json {schema}"
        )
    choices = dict.fromkeys(json.loads(text))
    alternatives = " | ".join(json.dumps(before + choice) for choice in choices)
    return library.grammar_from_lark(f"start: {alternatives}")


def _in_our_words(reason: str) -> str:
    """Why llguidance does not understand a form, without its own places and names."""
    if "lookarounds not supported" in reason:
        return r"\b, \B, ^ and $ are not supported in it; all of the output has to match anyway"
    if found := re.search(r"Unimplemented keys: (.*)", reason):
        keys = re.findall('"(.*?)"', found[1])
        return f"not supported: {', '.join(keys)}"
    return re.sub(r"^at \d+\(\d+\): ", "", reason.removeprefix("error: "))


class _Vocabulary:
    """The tokenizer as llguidance wants to see it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        special = tokenizer.special
        self.tokens = list(tokenizer.token_bytes)
        self.special_token_ids = sorted(special.control)
        self.eos_token_ids = sorted(special.eos_ids)
        if not self.eos_token_ids:  # llguidance needs one: an id that no logits are for
            self.eos_token_ids = [len(self.tokens)]
            self.special_token_ids += self.eos_token_ids
            self.tokens.append(b"")
        for token in self.special_token_ids:
            self.tokens[token] = SPECIAL + b"<%d>" % token
        self.bos_token_id, self.eos_token_id = special.bos, self.eos_token_ids[0]

    def __call__(self, text: bytes | str) -> list[int]:
        text = text if isinstance(text, str) else text.decode()
        return self._tokenizer.encode_continuation(text)


class TokenPrefixes:
    r"""Which tokens begin with which others.

    Where rows are alike, a number may be followed by `}\n{"name": "` in a single token. A form that
    ends after the brace does not allow that token. Yet the model has made clear that a brace comes
    next, and what it gives to the token of a brace alone is next to nothing. So the probability of
    a token that is not allowed goes to the longest token that it begins with and that is.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        token_bytes, single = tokenizer.token_bytes, tokenizer.byte_ids
        ids = {text: i for i, text in enumerate(token_bytes) if text and i not in single}
        parents: dict[int, int] = {}
        depths: dict[int, int] = {}
        beginnings: list[bytes] = []  # of a text, each of which begins the next
        for text in sorted(ids):
            while beginnings and not text.startswith(beginnings[-1]):
                beginnings.pop()
            if beginnings:
                parents[ids[text]] = ids[beginnings[-1]]
                depths[ids[text]] = len(beginnings)
            beginnings.append(text)
        longest_first = sorted(depths, key=lambda token: -depths[token])
        levels = groupby(longest_first, key=lambda token: depths[token])
        self._levels = [
            (np.array(tokens), np.array([parents[token] for token in tokens]))
            for _, level in levels
            for tokens in [list(level)]
        ]

    def allow(self, logits: Logits, allowed: Mask) -> Logits:
        """Masks tokens in logits (V,), which are not changed, and passes on their probability."""
        logits = logits.copy()
        least = logits.max() - NEGLIGIBLE
        for tokens, parents in self._levels:
            masked = ~allowed[tokens] & (logits[tokens] > least)
            np.logaddexp.at(logits, parents[masked], logits[tokens[masked]])
        return np.where(allowed, logits, -np.inf)


@dataclass(frozen=True)
class FormatFit:
    """How well a form and a model go together.

    Attributes:
        probability: what the form left of the model's probability, the geometric mean over the
            tokens of a text. Near 1 the model would have written it so by itself; near 0 it has
            learned nothing like it, and what it fills in is junk.
        unlikely_after: the text up to the first token for which less than 1 % was left.

    """

    probability: float
    unlikely_after: bytes | None


class Constraint:
    """What may come next in one text.

    Attributes:
        complete: whether the text matches, if it ends here.

    """

    def __init__(self, matcher: Any, tokenizer: Tokenizer, prefixes: TokenPrefixes) -> None:
        self._matcher, self._tokenizer, self._prefixes = matcher, tokenizer, prefixes
        self._broken = False
        self.complete = bool(matcher.is_accepting())
        self._text = b""
        self._left: list[float] = []  # log of the probability that was left, for each token
        self._unlikely_after: bytes | None = None

    def allow(self, logits: Logits) -> Logits:
        """Masks in logits (V,) what cannot come next; `eos` is left where the text may end.

        There, all tokens with which it cannot go on count for `eos`: whoever writes ` of` after
        `king` has ended the word, though not the text, and does not want `kingdom`.

        Nothing is left where the grammar has become too complicated to follow.
        """
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            return np.full_like(logits, -np.inf)
        allowed = np.unpackbits(mask, bitorder="little")[: len(logits)].astype(bool)
        left = self._prefixes.allow(logits, allowed)
        every, kept = _log_sum(logits), _log_sum(left)
        eos = self._tokenizer.special.eos
        if self.complete and eos is not None and allowed[eos] and kept < every:
            lost = every + math.log(-math.expm1(kept - every))  # log(exp(every) - exp(kept))
            left[eos] = np.logaddexp(left[eos], lost)
            kept = every
        self._left.append(kept - every if kept > -math.inf else -math.inf)
        if self._left[-1] < UNLIKELY and self._unlikely_after is None and self._text:
            self._unlikely_after = self._text
        return left

    def accept(self, token: int) -> None:
        """Takes in a token that was chosen."""
        if token not in self._tokenizer.special.eos_ids:
            self._text += self._tokenizer.token_bytes[token]
            self._broken |= not self._matcher.consume_token(token)
            self.complete = not self._broken and bool(self._matcher.is_accepting())

    @property
    def closed(self) -> bool:
        """Whether the text has to end here."""
        return self._broken or bool(self._matcher.is_stopped())

    def fit(self, *, from_nothing: bool) -> FormatFit | None:
        """How well the model went with the form; None before there is a token to tell.

        Args:
            from_nothing: whether there was no prompt; then the first token says little, since a
                text may begin anywhere.

        """
        left = self._left[1:] if from_nothing else self._left
        if not left:
            return None
        return FormatFit(float(np.exp(np.mean(left))), self._unlikely_after)


def _log_sum(logits: Logits) -> float:
    highest = float(logits.max())
    if highest == -math.inf:
        return highest
    return highest + math.log(np.exp(logits.astype(np.float64) - highest).sum())
