"""Talking with a model: from a conversation to what its template makes of it, as tokens."""

from __future__ import annotations

import copy
from bisect import bisect_left
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.generation.messages import texts_of, turn_starts, without_oldest
from tfcli.generation.thinking import BEGIN, END, ThinkingFilter, split_answer
from tfcli.text.byte_level_tokenizer import named_bos
from tfcli.text.special_text import Guard, encode_special

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.generation.messages import Messages
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.thinking import Answer
    from tfcli.text.chat_template import ChatTemplate
    from tfcli.text.tokenizer import Tokenizer

QUESTION, ANSWER, NEXT = "tfcli-question", "tfcli-answer", "tfcli-next"


class Chat:
    """Makes requests of conversations.

    Args:
        context_length: of the model; what does not fit is left out, the oldest turns first.
        notice: called once, when turns are left out.

    Attributes:
        thinks: whether the model may think before it answers.

    """

    def __init__(
        self,
        template: ChatTemplate,
        tokenizer: Tokenizer,
        *,
        context_length: int,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._template, self._plain = template, tokenizer
        self._context_length = context_length
        self._notice, self._noticed = notice, False
        self._special = {**special_variables(tokenizer), **template.special}
        self.thinks = BEGIN in template.source or END in template.source

    @property
    def usual_length(self) -> int:
        """How many tokens an answer may have where nobody has said anything: half the context."""
        return max(256, self._context_length // 2)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, to which the template's end of turn ends a text.

        Raises:
            DataError: the template is invalid.

        """
        ids = encode_special(self._plain, self._end_of_turn)
        control = [token for token in ids if token in self._plain.special.control]
        special = self._plain.special
        if not control or control[0] in special.eos_ids:
            return self._plain
        tokenizer = copy.copy(self._plain)
        ends = special.other_eos | {control[0]}
        tokenizer.special = replace(special, other_eos=ends)
        return tokenizer

    @cached_property
    def stop(self) -> tuple[str, ...]:
        """What ends an answer where the template ends a turn with text alone."""
        ids = encode_special(self._plain, self._end_of_turn)
        if any(token in self._plain.special.control for token in ids):
            return ()
        end = self._end_of_turn.rstrip() or self._end_of_turn
        return (end,) if end else ()

    @cached_property
    def _end_of_turn(self) -> str:
        """What the template puts behind an answer; if nothing, what comes before the next turn.

        A template that cannot render so simple a conversation has no end of turn that we know.
        """
        turn = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
        after = self._text_behind(ANSWER, turn)
        if after.strip():
            return after
        turn += [{"role": "user", "content": NEXT}]
        return self._text_behind(ANSWER, turn).partition(NEXT)[0]

    def _text_behind(self, mark: str, messages: Messages) -> str:
        try:
            text = self._template.render(
                messages, special=self._special, add_generation_prompt=False
            )
        except DataError:
            # one that cannot be rendered at all says so with the first conversation
            return ""
        return text.rpartition(mark)[2] if mark in text else ""

    def forget(self) -> None:
        """Another conversation begins: what has been said about the last one may be said again."""
        self._noticed = False

    # --- answers --------------------------------------------------------------------------------

    def thinking_filter(self, request: GenerationRequest | None) -> ThinkingFilter:
        """Tells what is thought from what is answered in the answer to a request."""
        begun = request is not None and request.prompt.rstrip().endswith(BEGIN)
        return ThinkingFilter(possible=self.thinks, begun=begun)

    def split(self, text: str, request: GenerationRequest) -> Answer:
        """The answer to a request, taken apart."""
        return split_answer(text, self.thinking_filter(request))

    # --- requests -------------------------------------------------------------------------------

    def request(self, messages: Messages, default: GenerationRequest) -> GenerationRequest:
        """The request for the answer to a conversation, with the options of `default`.

        Where an answer is the last message, it is for what comes after that, in the same answer.

        Raises:
            DataError: the template is invalid, or refuses the conversation.

        """
        text, ids = self._read(messages)
        room = self._context_length - min(default.max_new_tokens, self._context_length // 4)
        starts = turn_starts(messages)
        if len(ids) > room and len(starts) > 1:
            count = 1 + bisect_left(
                range(1, len(starts) - 1),
                x=True,
                key=lambda turns: len(self._read(without_oldest(messages, turns))[1]) <= room,
            )
            text, ids = self._read(without_oldest(messages, count))
            if not self._noticed:
                turns = "the oldest turn is" if count == 1 else f"the oldest {count:,} turns are"
                self._notice(f"context full; {turns} left out")
            self._noticed = True
        return replace(
            default, prompt=text, ids=tuple(ids), token_healing=False,
            stop=(*default.stop, *self.stop),
        )  # fmt: skip

    def _read(self, messages: Messages) -> tuple[str, list[int]]:
        """The text of a conversation, and its tokens.

        Where somebody has typed special tokens, they are marked; but a template that looks for
        `<tool_response>` at the beginning of what was said has to find it there.
        """
        text = self._render(messages)
        for known in (self._template.source, ""):
            guard = Guard(texts_of(messages), self._plain, known)
            marked = guard.mark(messages)
            rendered = text if marked == messages else self._render(marked)
            if guard.unmark(rendered) == text:
                break
        return text, guard.encode(rendered)

    def _render(self, messages: Messages) -> str:
        """The text after which an answer begins, or goes on."""
        last = messages[-1]
        if last.get("role") != "assistant" or not isinstance(last.get("content"), str):
            return self._template.render(messages, special=self._special)
        messages = [*messages[:-1], {**last, "content": last["content"] + ANSWER}]
        text = self._template.render(messages, special=self._special, add_generation_prompt=False)
        before, found, _ = text.rpartition(ANSWER)
        if not found:
            raise DataError("the chat template leaves out the answer that is to be continued")
        return before


def special_variables(tokenizer: Tokenizer) -> dict[str, str]:
    """What templates call the special tokens: `bos_token`, `eos_token`, `unk_token`."""
    texts = {token: text for text, token in tokenizer.special_ids.items()}
    special = tokenizer.special
    named = {"bos_token": named_bos(tokenizer), "eos_token": special.eos, "unk_token": special.unk}
    return {name: texts[token] for name, token in named.items() if token in texts}
