"""What is asked for: a prompt and how to go on from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfcli.errors import UsageError
from tfcli.generation.penalties import Penalties
from tfcli.generation.sampling import Sampling

if TYPE_CHECKING:
    from tfcli.generation.constraints import Grammar


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One text to be written.

    Attributes:
        prompt: what the text goes on from; may be empty.
        max_new_tokens: it ends after so many, if nothing ends it before.
        stop: it ends before the first of these strings.
        sampling, penalties: how each token is chosen.
        grammar: the form that it has to have, if any.
        seed, row: the same two give the same text, whatever is written beside it.

    """

    prompt: str
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    penalties: Penalties = field(default_factory=Penalties)
    grammar: Grammar | None = None
    seed: int = 0
    row: int = 0

    def __post_init__(self) -> None:
        for name, text in (("the prompt", self.prompt), *(("--stop", text) for text in self.stop)):
            try:
                text.encode()
            except UnicodeEncodeError:  # bytes of the command line that were not UTF-8
                raise UsageError(f"{name} is not text in UTF-8") from None
        if self.max_new_tokens < 0:
            raise UsageError(f"--max-new-tokens {self.max_new_tokens} is below 0")
        if "" in self.stop:
            raise UsageError("--stop '' would stop everything at once")
