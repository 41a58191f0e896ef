"""Denoising: the tokens of gaps are chosen in any order, the most confident first.

    The [m] [m] sat on the [m]        every masked token is predicted from all that is there
    The [m] [m] sat on the mat        the surest is chosen, and is there from then on
    The [m] cat sat on the mat        ... until none is left

What is chosen is drawn from the model's distribution of that place; only where depends on how sure
it is, never on what was drawn. So with one token a step a text comes with the probability that the
model gives it in that order. Several tokens a step are faster, and drawn as if they had nothing to
do with each other. The choice of the place by the highest probability is that of Chang et al.,
"MaskGIT", 2022; long gaps are filled from left to right in blocks, as in Nie et al., "Large
Language Diffusion Models" (LLaDA), 2025, section 2.4; a threshold instead of a number of steps is
from Wu et al., "Fast-dLLM", 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.gap_characters import GapCharacters
from tfcli.generation.sampling import choose_tokens, log_softmax
from tfcli.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.generation.masked_model import MaskedPredictor
    from tfcli.generation.request import Sampling
    from tfcli.generation.sampling import Logits
    from tfcli.text.tokenizer import Tokenizer

    Ids = np.ndarray[Any, np.dtype[np.int64]]  # (T,)

BLOCK = 32  # open places that are considered at a time, the first ones
DENOISING = "Gaps of N tokens"


@dataclass(frozen=True, kw_only=True)
class DenoisingOptions(Options):
    """In how many steps gaps of a known length are filled, by a run that reads both ways."""

    steps: int | None = option(
        None, min=1, shown_default="one per token", panel=DENOISING, conflicts=("threshold",),
        help="Number of denoising steps for gaps [N]; fewer is faster, less accurate.",
    )  # fmt: skip
    threshold: float | None = option(
        None, min=0, max=1, panel=DENOISING, metavar="PROBABILITY",
        help="At each step, accept every token with at least this probability; try 0.9.",
    )  # fmt: skip


@dataclass
class Canvas:
    """A text that is being denoised.

    Attributes:
        ids: its tokens (T,); where one is open, the id of a masked token.
        gaps: the places of each gap.
        spaces: the gaps that must begin with a space.
        logprobs: of each chosen token by its place: the model's, before any sampling option.

    """

    ids: Ids
    gaps: list[range]
    spaces: set[int]
    logprobs: dict[int, float]

    def open_places(self) -> list[int]:
        """The places without a token, in order."""
        return [p for gap in self.gaps for p in gap if p not in self.logprobs]


class Denoiser:
    """Fills the gaps of texts with one model."""

    def __init__(self, model: MaskedPredictor, tokenizer: Tokenizer) -> None:
        self._model, self._special = model, tokenizer.special
        spelled = tokenizer.token_bytes
        usable = np.zeros(model.vocab_size, np.bool_)
        usable[: len(spelled)] = [bool(each) for each in spelled]
        usable[[*tokenizer.special.control]] = False
        self._usable = usable
        more = [b""] * (model.vocab_size - len(spelled))
        self._characters = GapCharacters([*spelled, *more], usable)
        self._spaced = usable.copy()
        self._spaced[: len(spelled)] &= [each[:1] == b" " and len(each) > 1 for each in spelled]

    @property
    def has_spaced_tokens(self) -> bool:
        """Whether there are tokens that begin with a space."""
        return bool(self._spaced.any())

    def denoise(
        self,
        canvas: Canvas,
        options: DenoisingOptions,
        sampling: Sampling,
        random: np.random.Generator,
    ) -> Iterator[None]:
        """Fills all gaps, step by step; changes the canvas, and yields after each step."""
        left = options.steps or len(canvas.open_places())
        while open_places := canvas.open_places():
            count = -(-len(open_places) // max(left, 1))
            places, logits = self._predict(
                canvas, open_places[:BLOCK] if count < BLOCK else open_places
            )
            logprobs = log_softmax(logits)
            best = logprobs.max(1)
            if options.threshold is not None:
                count = max(1, int((best >= np.log(max(options.threshold, 1e-9))).sum()))
            for row in np.argsort(-best, kind="stable")[:count]:
                own = self._that_fit(canvas, places[row], logits[row])
                token = int(choose_tokens(own[None], sampling, [random], self._special)[0])
                canvas.ids[places[row]] = token
                canvas.logprobs[places[row]] = float(logprobs[row, token])
            left -= 1
            yield

    def _predict(self, canvas: Canvas, places: list[int]) -> tuple[list[int], Logits]:
        """Those of the places that are read together, and the logits of each, (N, V)."""
        length = min(self._model.length, len(canvas.ids))
        begin = max(0, min(places[0] - length // 2, len(canvas.ids) - length))
        places = [place for place in places if place < begin + length]
        wanted = np.zeros((1, length), np.bool_)
        wanted[0, [place - begin for place in places]] = True
        logits = self._model.logits(canvas.ids[None, begin : begin + length], wanted)
        logits = np.where(self._usable, logits, -np.inf)
        for row, place in enumerate(places):
            if self._begins_with_space(canvas, place):
                logits[row, ~self._spaced] = -np.inf
        return places, logits

    def _that_fit(self, canvas: Canvas, place: int, logits: Logits) -> Logits:
        """The logits of one place, (V,), without tokens after which there would be no text."""
        fits = self._characters.allowed(*_around(canvas, place))
        own = np.where(fits, logits, -np.inf)
        if np.isfinite(own).any():
            return own
        return np.where(fits & self._usable, 0.0, -np.inf)  # none that begins with a space fits

    def _begins_with_space(self, canvas: Canvas, place: int) -> bool:
        return any(canvas.gaps[gap][0] == place for gap in canvas.spaces)


def _around(canvas: Canvas, place: int) -> tuple[list[int | None], list[int | None]]:
    """The tokens of its gap before and behind a place; None: open."""
    gap = next(gap for gap in canvas.gaps if place in gap)
    known = [int(canvas.ids[p]) if p in canvas.logprobs else None for p in gap]
    return known[: place - gap[0]], known[place - gap[0] + 1 :]
