"""How gaps are filled: the options of generation that also make sense there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from tfcli.generation.denoising import DenoisingOptions
from tfcli.generation.request import (
    LENGTH,
    MAX_SEED,
    SAMPLING,
    GenerationRequest,
    Penalties,
    Sampling,
    StructuredOutput,
)
from tfcli.options import OptionError, Options, option

Order = Literal["spm", "psm"]  # suffix, prefix, middle; or prefix, suffix, middle


@dataclass(frozen=True, kw_only=True)
class FillRequest(Options):
    """How every gap of a text is filled."""

    max_new_tokens: int = option(
        256, min=1, max=10**12, aliases=("max_tokens",), panel=LENGTH,
        help="End a gap after N tokens, where [N] does not say how many.",
    )  # fmt: skip
    min_new_tokens: int = option(
        0, min=0, max=10**12, aliases=("min_tokens",), panel=LENGTH,
        help="Minimum number of tokens in a gap.",
    )  # fmt: skip
    order: Order = option(
        "spm",
        help="What the model reads. spm: suffix, prefix, middle; psm: prefix, suffix, middle "
        "(llama.cpp).",
    )  # fmt: skip
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = option(
        0, min=0, max=MAX_SEED, shown_default="random", panel=SAMPLING,
        help="Random seed, for reproducible output.",
    )  # fmt: skip
    denoising: DenoisingOptions = field(default_factory=DenoisingOptions)
    penalties: Penalties = field(default_factory=Penalties)
    structured: StructuredOutput = field(default_factory=StructuredOutput)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_new_tokens > self.max_new_tokens:
            problem = f"must not be more than the {self.max_new_tokens:,} of"
            raise OptionError("min_new_tokens", problem, "max_new_tokens")

    def with_next_seed(self, count: int) -> Self:
        """The request with the seed that comes so many after its own."""
        return replace(self, seed=(self.seed + count) % (MAX_SEED + 1))

    def to_request(self) -> GenerationRequest:
        """The same for a generator."""
        return GenerationRequest(
            max_new_tokens=self.max_new_tokens, min_new_tokens=self.min_new_tokens,
            sampling=self.sampling, seed=self.seed, penalties=self.penalties,
            structured=self.structured,
        )  # fmt: skip
