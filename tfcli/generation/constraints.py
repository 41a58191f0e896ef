"""Structured output: text that matches a regular expression, a JSON schema, or one of some choices.

The library llguidance says which tokens can come next so that the text can still be completed; all
others are masked before one is chosen. So the output is valid, or it was cut short and reported as
incomplete.
"""

from __future__ import annotations

import json
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import UsageError
from tfcli.options import OptionError

if TYPE_CHECKING:
    from tfcli.generation.request import ConstraintKind, StructuredOutput
    from tfcli.generation.sampling import Logits
    from tfcli.text.tokenizer import SpecialTokens, Tokenizer

NAMES = {"regex": "regular expression", "json_schema": "JSON schema", "choices": "choices"}
SPECIAL = b"\xff"  # in llguidance, the first byte of a special token's name
CACHED = 64  # grammars


class GrammarCompiler:
    """Compiles grammars for one tokenizer; each distinct one once, as long as it is in use."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._compile = lru_cache(CACHED)(self._compile_anew)

    def begin(self, structured: StructuredOutput) -> Constraint | None:
        """The constraint of a new text; None where it has none.

        Raises:
            UsageError: llguidance is not installed, or does not understand the form.

        """
        if structured.source is None:
            return None
        matcher = self._compile(*structured.source).deep_copy()
        return Constraint(matcher, self._tokenizer.special)

    @cached_property
    def _vocabulary(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        vocabulary = _Vocabulary(self._tokenizer)
        return LLTokenizer(TokenizerWrapper(vocabulary), eos_token=vocabulary.eos_token_ids)

    def _compile_anew(self, kind: ConstraintKind, text: str) -> Any:
        """A matcher at the beginning of a text.

        Args:
            kind: what `text` is: a regular expression (of Rust's regex), a JSON schema, or a JSON
                list of strings.

        """
        try:
            from llguidance import LLMatcher
        except ImportError:
            hint = 'pip install "tfcli[constraints]"'
            raise OptionError(kind, "needs the package llguidance", hint=hint) from None
        try:
            matcher = LLMatcher(self._vocabulary, _grammar(kind, text, LLMatcher), log_level=0)
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"invalid {NAMES[kind]}", why=str(error)) from None
        if matcher.is_error():
            lines = [line.strip() for line in matcher.get_error().splitlines()]
            reason = next((line for line in lines if line.startswith("error:")), lines[0])
            raise UsageError(f"invalid {NAMES[kind]}", why=reason.removeprefix("error: "))
        matcher.compute_bitmask()  # fails where even the first token takes too much work
        if matcher.is_error():
            why = matcher.get_error().splitlines()[0][:200]
            raise UsageError(f"too complex: {NAMES[kind]}", why=why)
        return matcher


def _grammar(kind: ConstraintKind, text: str, library: Any) -> str:
    """The grammar in llguidance's own language."""
    if kind == "regex":
        return library.grammar_from_regex(text)  # type: ignore[no-any-return]
    if kind == "json_schema":
        # where whitespace is allowed, a small model would write it without end
        compact = {"whitespace_flexible": False}
        return library.grammar_from_json_schema(text, defaults=compact)  # type: ignore[no-any-return]
    alternatives = " | ".join(json.dumps(choice) for choice in dict.fromkeys(json.loads(text)))
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
        complete: whether the text matches, if it ends here.

    """

    def __init__(self, matcher: Any, special: SpecialTokens) -> None:
        self._matcher, self._special = matcher, special
        self._broken = False
        self.complete = bool(matcher.is_accepting())

    def allow(self, logits: Logits) -> Logits:
        """Masks in logits (V,) what cannot come next; `eos` is left where the text may end.

        Nothing is left where the grammar has become too complicated to follow.
        """
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            return np.full_like(logits, -np.inf)
        allowed = np.unpackbits(mask, bitorder="little")[: len(logits)].astype(bool)
        return np.where(allowed, logits, -np.inf)

    def accept(self, token: int) -> None:
        """Takes in a token that was chosen."""
        if token not in self._special.eos_ids:
            self._broken |= not self._matcher.consume_token(token)
            self.complete = not self._broken and bool(self._matcher.is_accepting())

    @property
    def closed(self) -> bool:
        """Whether the text has to end here."""
        return self._broken or bool(self._matcher.is_stopped())
