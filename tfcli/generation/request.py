"""What is asked for: a prompt and how to go on from it."""

from __future__ import annotations

from dataclasses import dataclass

from tfcli.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One text to be written.

    Attributes:
        prompt: what the text goes on from; may be empty.
        max_new_tokens: it ends after so many, if the model does not end it before.
        temperature: logits are divided by it; below 1 the likely become likelier, 0 is greedy.
        top_k: only the k likeliest tokens are drawn from; None: all.
        seed: the same seed gives the same text.

    """

    prompt: str
    max_new_tokens: int = 256
    temperature: float = 0.8
    top_k: int | None = 40
    seed: int = 0

    def __post_init__(self) -> None:
        try:
            self.prompt.encode()
        except UnicodeEncodeError:  # bytes of the command line that were not UTF-8
            raise UsageError("the prompt is not text in UTF-8") from None
        if self.max_new_tokens < 0:
            raise UsageError(f"--max-new-tokens {self.max_new_tokens} is below 0")
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(
                f"--temperature {self.temperature} is not a number from 0 up",
                mend="--temperature 0.8, or --greedy",
            )
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"--top-k {self.top_k} leaves no token to draw", mend="--top-k 40")
