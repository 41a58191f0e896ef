"""How likely a text is to a model that reads both ways: a bound, since it has no exact figure.

    -log p(x)  <=  E  n/k  sum over masked i of  -log p(x_i | the tokens that are not masked)

with k uniform from 1 to n and k of the n tokens masked at random (Uria et al., "A Deep and
Tractable Density Estimator", 2014; Hoogeboom et al., "Autoregressive Diffusion Models", 2022,
equation 3; that of LLaDA, Nie et al. 2025, equation 14). It is the mean of the model's figures over
all orders in which the tokens could be predicted, and equals -log p(x) where they all agree. The
expectation is estimated: from samples in pairs, each pair from its own slice of the range of k, so
that the k are spread evenly and the differences within the pairs tell the standard error.

A text longer than the context is read in windows, as in `scoring`: the first part of each is what
came before, and is never masked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DataError
from tfcli.generation.sampling import log_softmax, row_random
from tfcli.generation.scoring import LOGITS_AT_ONCE, windows
from tfcli.options import OptionError
from tfcli.training.masking import count_at, mask_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.generation.masked_model import MaskedPredictor
    from tfcli.text.tokenizer import Tokenizer

    Numbers = np.ndarray[Any, np.dtype[np.float64]]

SAMPLES = 128  # LLaDA's


@dataclass(frozen=True)
class Bound:
    """What a text is at least as likely as.

    Attributes:
        nats: an upper bound on minus the logarithm of its probability, estimated.
        variance: of the estimate, in nats squared.
        bytes, tokens: its length.

    """

    nats: float
    variance: float
    bytes: int
    tokens: int

    @property
    def nats_per_byte(self) -> float:
        """0 for an empty text."""
        return self.nats / self.bytes if self.bytes else 0.0

    @property
    def standard_error(self) -> float:
        """Of `nats_per_byte`: by how much other masks would have changed it, typically."""
        return math.sqrt(self.variance) / self.bytes if self.bytes else 0.0

    def to_json(self) -> dict[str, Any]:
        """The figures of the text, for `--json`."""
        return {
            "bound_nats": self.nats,
            "bound_nats_per_byte": self.nats_per_byte,
            "standard_error": self.standard_error,
            "bytes": self.bytes,
            "tokens": self.tokens,
        }


class BoundEstimator:
    """Estimates the bound of texts with one model; the same text has the same masks each time.

    Args:
        samples: masks for each window.
        stride: by how much a window moves in a text longer than the context; None: half of it.

    Raises:
        OptionError: an odd number of samples, or a stride longer than the context.

    """

    def __init__(
        self,
        model: MaskedPredictor,
        tokenizer: Tokenizer,
        *,
        samples: int = SAMPLES,
        stride: int | None = None,
    ) -> None:
        if samples < 2 or samples % 2:
            raise OptionError("bound_samples", f"must be even, not {samples}")
        if stride is not None and stride > model.length:
            raise OptionError("stride", f"must be at most {model.length} with --bound")
        self._model, self._tokenizer, self._samples = model, tokenizer, samples
        self._stride = stride or max(1, model.length // 2)
        self.protocol = {
            "context": model.length + 1, "stride": self._stride, "samples": samples
        }  # fmt: skip

    def score(
        self, texts: Iterable[str], progress: Callable[[int], None] = lambda _: None
    ) -> Iterator[Bound]:
        """Each text on its own.

        Args:
            progress: is told how many bytes have been read so far.

        Raises:
            DataError: a text has what the tokenizer cannot spell, which is read as a masked token.

        """
        done, spelled = 0, self._tokenizer.token_bytes
        for text in texts:
            ids = self._tokenizer.encode(text)
            if self._model.mask in ids:
                raise DataError("the text has characters that this run's tokenizer cannot spell")
            nats = variance = 0.0
            every = windows([len(ids)], context=self._model.length, stride=self._stride)
            for number, window in enumerate(every):
                own = ids[window.begin : window.end]
                found = estimate(
                    self._model, own, window.scored - window.begin,
                    samples=self._samples, random=row_random(0, number),
                )  # fmt: skip
                nats, variance = nats + found[0], variance + found[1]
                done += sum(len(spelled[token]) for token in ids[window.scored : window.end])
                progress(done)
            yield Bound(nats, variance, len(text.encode()), len(ids))

    def whole(
        self, texts: Iterable[str], progress: Callable[[int], None] = lambda _: None
    ) -> Bound:
        """All texts together, each on its own."""
        every = list(self.score(texts, progress))
        return Bound(
            math.fsum(text.nats for text in every),
            math.fsum(text.variance for text in every),
            sum(text.bytes for text in every),
            sum(text.tokens for text in every),
        )


def estimate(
    model: MaskedPredictor,
    ids: Sequence[int],
    known: int,
    *,
    samples: int,
    random: np.random.Generator,
) -> tuple[float, float]:
    """The bound in nats of the tokens after the first `known`, and the variance of the estimate."""
    tokens = np.asarray(ids, np.int64)
    slices = samples // 2
    times = (np.arange(slices)[:, None] + random.random((slices, 2))) / slices
    maskable = np.tile(np.arange(len(tokens)) >= known, (samples, 1))
    counts = count_at(times.ravel(), len(tokens) - known)
    masked, weights = mask_tokens(maskable, counts, random)
    nats = (weights * masked_nats(model, tokens, masked)).reshape(slices, 2)
    return float(nats.mean()), float(((nats[:, 0] - nats[:, 1]) ** 2).sum()) / samples**2


def masked_nats(model: MaskedPredictor, tokens: Any, masked: Any) -> Numbers:
    """Minus the log-probability of the masked tokens (T,) of each row of masks (B, T): (B,)."""
    nats = np.zeros(len(masked))
    size = max(1, LOGITS_AT_ONCE // (len(tokens) * model.vocab_size))
    for first in range(0, len(masked), size):
        some = masked[first : first + size]
        row, place = some.nonzero()
        logprobs = log_softmax(model.logits(np.where(some, model.mask, tokens), some))
        np.subtract.at(nats, first + row, logprobs[np.arange(len(row)), tokens[place]])
    return nats
