"""Text that has to have a form: a regular expression, a JSON schema, one of some choices.

The library llguidance says which tokens can come next so that the text can still be finished; all
others are taken out before one is drawn. So what is written is valid, or it was cut short, and then
that is said.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfcli.errors import UsageError

if TYPE_CHECKING:
    from tfcli.generation.sampling import Logits
    from tfcli.text.tokenizer import SpecialTokens, Tokenizer

ConstraintKind = Literal["regex", "json_schema", "choices"]

SPECIAL = b"\xff"  # in llguidance, the first byte of a special token's name


class Grammar:
    """A form that texts can be held to.

    Args:
        kind: what `text` is: a regular expression (of Rust's regex), a JSON schema, or a JSON list
            of strings.

    Raises:
        UsageError: llguidance is not installed, or does not understand the text.

    """

    def __init__(self, kind: ConstraintKind, text: str, tokenizer: Tokenizer) -> None:
        try:
            from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
        except ImportError:
            raise UsageError(
                f"--{kind.replace('_', '-')} needs the package llguidance",
                hint="pip install llguidance",
            ) from None
        try:
            grammar = _grammar(kind, text, LLMatcher)
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"this is no {kind.replace('_', ' ')}", why=str(error)) from None
        vocabulary = _Vocabulary(tokenizer)
        self._special = tokenizer.special
        self._tokenizer = LLTokenizer(
            TokenizerWrapper(vocabulary), eos_token=vocabulary.eos_token_ids
        )
        self._first = LLMatcher(self._tokenizer, grammar, log_level=0)
        if self._first.is_error():
            lines = [line.strip() for line in self._first.get_error().splitlines()]
            reason = next((line for line in lines if line.startswith("error:")), lines[0])
            raise UsageError(f"this is no {kind.replace('_', ' ')}", why=reason)

    def begin(self) -> Constraint:
        """The form of one text, of which nothing is written yet."""
        return Constraint(self._first.deep_copy(), self._special)


def _grammar(kind: ConstraintKind, text: str, library: Any) -> str:
    """The form as llguidance writes it down."""
    if kind == "regex":
        return library.grammar_from_regex(text)  # type: ignore[no-any-return]
    if kind == "json_schema":
        # a small model would write white space without end where it may
        tight = {"whitespace_flexible": False}
        return library.grammar_from_json_schema(text, defaults=tight)  # type: ignore[no-any-return]
    choices = json.loads(text)
    if not choices or not all(isinstance(choice, str) and choice for choice in choices):
        raise ValueError("a list of texts is needed, none of them empty")
    alternatives = " | ".join(json.dumps(choice) for choice in choices)
    return library.grammar_from_lark(f"start: {alternatives}")  # type: ignore[no-any-return]


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


class Constraint:
    """What may come next in one text.

    Attributes:
        complete: whether the text has its form, if it ends here.

    """

    def __init__(self, matcher: Any, special: SpecialTokens) -> None:
        self._matcher, self._special = matcher, special
        self._broken = False
        self.complete = bool(matcher.is_accepting())

    def allow(self, logits: Logits) -> Logits:
        """Takes out of logits (V,) what cannot come next; `eos` is left where the text may end.

        Nothing is left where the form has become too complicated to follow.
        """
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            return np.full_like(logits, -np.inf)
        allowed = np.unpackbits(mask, bitorder="little")[: len(logits)].astype(bool)
        return np.where(allowed, logits, -np.inf)

    def accept(self, token: int) -> None:
        """A token was written."""
        if token not in self._special.eos_ids:
            self._broken |= not self._matcher.consume_token(token)
            self.complete = not self._broken and bool(self._matcher.is_accepting())

    @property
    def closed(self) -> bool:
        """Whether the text has to end here."""
        return self._broken or bool(self._matcher.is_stopped())
