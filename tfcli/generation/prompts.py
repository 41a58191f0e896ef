"""A prompt as the model reads it: framed, tokenized, and no longer than the context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.errors import UsageError
from tfcli.generation.scoring import document_start
from tfcli.generation.token_healing import MOST
from tfcli.generation.word_end import ends_in_word
from tfcli.text.special_text import encode_special

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.token_healing import TokenHealing
    from tfcli.text.pairs import PairForm
    from tfcli.text.tokenizer import Tokenizer


class PromptReader:
    """Turns the prompts of requests into ids.

    Args:
        context_length: of the engine.
        many_documents: whether the model was trained on several documents; then an empty prompt
            asks for the beginning of one.
        form: how prompts were framed in training on pairs; None: it was on text.
        notice: called once, when a prompt is too long or a context is full.

    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        healing: TokenHealing,
        *,
        context_length: int,
        many_documents: bool,
        form: PairForm | None,
        notice: Callable[[str], None],
    ) -> None:
        self._tokenizer, self._healing, self._form = tokenizer, healing, form
        self._special = tokenizer.special
        self.bos = [] if self._special.bos is None else [self._special.bos]
        self._context_length, self._many_documents = context_length, many_documents
        self._notice, self._noticed = notice, False

    def read(
        self, request: GenerationRequest, *, most_taken: int = MOST
    ) -> tuple[list[int], list[int]]:
        """A prompt as the model reads it.

        The prompt of a pair is framed and tokenized as in training, and no token of it is healed:
        its answer begins with a token of its own.

        Args:
            most_taken: how many tokens token healing may take back.

        Returns:
            `bos` and as many of the prompt's last ids as fit the context, without those that token
            healing takes back; and those.

        Raises:
            UsageError: the prompt is empty, and the tokenizer has no token that a text begins with.

        """
        form = self._form_of(request)
        ids = self._encode(request, form.frame(request.prompt) if form else request.prompt)
        eos = document_start(self._special, many_documents=True)
        if form:
            return self._within_context([*(self.bos or eos)], ids), []
        if not ids and (self._many_documents or not self.bos):
            ids = eos  # a document begins where another has ended
        if not ids and not self.bos:
            raise UsageError(
                "the prompt is empty, and this tokenizer has neither bos nor eos to start from",
                hint="give a prompt",
            )
        ids = self._within_context(self.bos, ids)[len(self.bos) :]
        first = len(self.bos) == 0  # without bos, one token has to be left to start from
        if request.taken is not None:
            return [*self.bos, *ids], [*request.taken]
        heals = request.token_healing and not self.ends_word(request)
        most_taken = most_taken if heals else 0
        rest, taken = self._healing.take_back(ids[first:], most_taken)
        if request.structured.source and self._tokenizer.decode_continuation(taken) != b" ":
            return [*self.bos, *ids], []  # the form is of what follows the prompt
        return [*self.bos, *ids[:first], *rest], taken

    def ends_word(self, request: GenerationRequest) -> bool:
        """Whether what follows the prompt should not lengthen its last word."""
        as_written = self._form_of(request) is None and request.ids is None
        asked = request.ends_word and request.token_healing and request.structured.source is None
        return as_written and asked and ends_in_word(request.prompt)

    def _form_of(self, request: GenerationRequest) -> PairForm | None:
        return None if request.raw or request.ids is not None else self._form

    def _encode(self, request: GenerationRequest, text: str) -> list[int]:
        """The ids of a prompt; without `bos`, which a chat template may have written as well."""
        if request.ids is not None:
            ids = list(request.ids)
        elif request.special:
            ids = encode_special(self._tokenizer, text)
        else:
            return self._tokenizer.encode(text)
        return ids[1:] if ids[:1] == self.bos else ids

    def _within_context(self, start: list[int], ids: list[int]) -> list[int]:
        room = self._context_length - len(start)
        if len(ids) > room:
            self.notice_once(f"the prompt has {len(ids):,} tokens", ids[-room:])
            ids = ids[len(ids) - room :]
        return [*start, *ids]

    def notice_once(self, what: str, seen: list[int]) -> None:
        """Says how much the model sees of a text that is longer than its context."""
        if not self._noticed:
            count = len(self._tokenizer.decode_continuation(seen).decode(errors="ignore"))
            about = f"about {round(count, 2 - len(str(count))):,} characters"
            self._notice(f"{what}; the model sees at most the last {len(seen):,} tokens, {about}")
        self._noticed = True
