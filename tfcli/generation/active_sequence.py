"""A text that is being generated: what is known of it between two steps, and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tfcli.generation.characters import START
from tfcli.generation.penalties import NO_PENALTIES
from tfcli.generation.sampling import row_random
from tfcli.generation.stopping import StopStrings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.generation.constraints import Constraint, FormatFit
    from tfcli.generation.request import GenerationRequest
    from tfcli.text.tokenizer import SpecialTokens

FinishReason = Literal["eos", "stop", "length", "timeout", "incomplete"]


class ActiveSequence:
    """A text that is being generated.

    Args:
        index: which request it is for, counted from 0.
        ids: `bos`, and the tokens of the prompt.
        taken: the last tokens of the prompt, which `ids` lack: what comes next has to begin with
            their bytes; see `tfcli.generation.token_healing`.
        ends_word: whether its first token should not lengthen the prompt's last word.

    """

    def __init__(
        self,
        index: int,
        request: GenerationRequest,
        ids: list[int],
        special: SpecialTokens,
        taken: Sequence[int] = (),
        constraint: Constraint | None = None,
        *,
        ends_word: bool = False,
    ) -> None:
        self.index = index
        self.request = request
        self.context_ids = ids  # what is, or will be, in the engine's row: `bos` and tokens
        self.needs_prefill = True  # whether the row has to be read from its beginning
        self.prompt = [token for token in ids if token not in special.control]
        self.taken = list(taken)
        self.ends_word = ends_word
        self.written: list[int] = []
        self.character = START  # which byte of a character may come next
        self.ended = False  # whether the last token written ends the text
        self.random = row_random(request.seed, request.row)
        self.constraint = constraint
        self.stop = StopStrings([string.encode() for string in request.stop])

    @property
    def is_plain(self) -> bool:
        """Whether every token may come next, as likely as the model finds it."""
        return not (self.constraint or self.may_not_end or self.request.penalties != NO_PENALTIES)

    @property
    def may_not_end(self) -> bool:
        """Whether the next token must not be `eos`."""
        return self.request.ignore_eos or len(self.written) < self.request.min_new_tokens

    @property
    def may_stop(self) -> bool:
        """Whether the last token written may be part of a stop string."""
        return len(self.written) > self.request.min_new_tokens

    @property
    def room(self) -> int:
        """How many tokens it may still get."""
        return self.request.max_new_tokens - len(self.written)

    @property
    def fit(self) -> FormatFit | None:
        """How well its form and the model go together, if it has one."""
        if self.constraint is None:
            return None
        return self.constraint.fit(from_nothing=not self.request.prompt)

    def finish_reason(self, *, late: bool) -> FinishReason | None:
        """Why it is over, if it is.

        Args:
            late: whether there is no time left.

        """
        constraint = self.constraint
        reason: FinishReason | None = None
        if self.stop.found:
            reason = "stop"
        elif self.ended or (constraint and constraint.closed):
            reason = "eos"
        elif self.room <= 0:
            reason = "length"
        elif late:
            reason = "timeout"
        if reason and constraint and not constraint.complete:
            return "incomplete"
        return reason
