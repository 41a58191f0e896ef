"""How gaps are filled: the options of generation that also make sense there."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from tfcli.generation.denoising import DenoisingOptions
from tfcli.generation.gaps import GappedText
from tfcli.generation.request import LENGTH, SAMPLING, BaseRequest, GenerationRequest
from tfcli.options import option

Order = Literal["spm", "psm"]  # suffix, prefix, middle; or prefix, suffix, middle

USUAL_LENGTH = 256  # tokens of a gap at most, where nobody has said anything
MIDDLE_SHARE = 4  # of the context, a quarter is for a middle, however much stands around it

MOST_CANDIDATES = 64

NOTHING_AROUND = GappedText(("", ""), (None,))


@dataclass(frozen=True, kw_only=True)
class FillRequest(BaseRequest):
    """One text whose gaps are filled.

    Attributes:
        text: with its gaps.

    """

    text: GappedText = NOTHING_AROUND
    max_new_tokens: int | None = option(
        None, min=1, max=10**12, aliases=("max_tokens",), panel=LENGTH,
        shown_default=f"a quarter of the context, at most {USUAL_LENGTH}",
        help="End a gap after N tokens, where [N] does not say how many.",
    )  # fmt: skip
    order: Order = option(
        "spm",
        help="What the model reads. spm: suffix, prefix, middle; psm: prefix, suffix, middle "
        "(llama.cpp).",
    )  # fmt: skip
    best_of: int = option(
        1, min=1, max=MOST_CANDIDATES, off=1, panel=SAMPLING,
        conflicts=("regex", "json_schema", "choices"),
        help="Write N candidates for each gap, and take the one that makes the likeliest text, "
        "wherever it ends; 8 is a good number.",
    )  # fmt: skip
    denoising: DenoisingOptions = field(default_factory=DenoisingOptions)

    def length_of(self, place: int, context_length: int) -> int:
        """How many tokens a gap may have: as it says itself, or the request, or as is usual.

        Most middles of the training are no longer than a quarter of the context, and as much of it
        is free for one in any case. A model that does not find the end of a gap would fill all.
        """
        usual = max(1, self.min_new_tokens, min(USUAL_LENGTH, context_length // MIDDLE_SHARE))
        return self.text.tokens[place] or self.max_new_tokens or usual

    def to_request(self, **changes: Any) -> GenerationRequest:
        """The same for a generator."""
        shared = {each.name: getattr(self, each.name) for each in fields(BaseRequest)}
        shared["max_new_tokens"] = self.max_new_tokens or max(USUAL_LENGTH, self.min_new_tokens)
        return GenerationRequest(**shared | changes)
