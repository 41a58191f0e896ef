"""A run in Python that reads text on both sides: `fill`, `fill_between` and `bound`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tfcli.api.arguments import require_count, require_text
from tfcli.api.filling import fill_request, fill_text, infill, takes_fill_options
from tfcli.api.run_model import RunModel
from tfcli.errors import UsageError
from tfcli.generation.bound import SAMPLES, Bound, BoundEstimator
from tfcli.generation.gaps import GappedText, parse_gaps
from tfcli.generation.masked_filling import DenoisingFiller, fills_at_once
from tfcli.generation.masked_model import (
    MaskedModel,
    open_masked,
    reads_both_ways,
    require_both_ways,
    require_torch,
)
from tfcli.options import OptionError
from tfcli.runs.infill_tokens import find_run_infill_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfcli.generation.filling import FillJob


class FillAndBound(RunModel):
    """Fills gaps, and bounds the loss of a text."""

    @takes_fill_options
    def fill(self, text: str, **options: Any) -> str:
        """A text with its gaps filled, as with `tfcli fill`.

        Args:
            text: with `[]` for a gap, or `[3]` for one of at most 3 tokens; of exactly 3 where the
                run was trained with `--masked`.

        Raises:
            UsageError: the run was trained with neither `--infill` nor `--masked`, the text has no
                gap or one without a number that needs it, or an option is out of range.

        """
        return self._fill(parse_gaps(require_text(text)), options).filled()

    @takes_fill_options
    def fill_between(self, prefix: str, suffix: str, **options: Any) -> str:
        """What the model writes between two texts, as with `tfcli fill --prefix --suffix`.

        Raises:
            UsageError: the run was not trained with `--infill`, or an option is out of range.

        """
        infill_tokens = find_run_infill_tokens(self._run.metadata, self._tokenizer)
        if infill_tokens is None and reads_both_ways(self._run):
            raise UsageError(
                "this run cannot fill a gap between two texts",
                why="it was trained with --masked: a gap needs its number of tokens, as in [3]",
                hint='run.fill(prefix + "[3]" + suffix)',
            )
        around = GappedText((require_text(prefix), require_text(suffix)), (None,))
        return self._fill(around, options).gaps[0].text

    def bound(self, text: str, *, samples: int = SAMPLES, stride: int | None = None) -> Bound:
        """An upper bound on the loss of a text (negative ELBO), as with `tfcli score --bound`.

        Args:
            samples: masks for each window, an even number; more make the standard error smaller.
            stride: see `score`.

        Returns:
            `nats`, `nats_per_byte`, and the `standard_error` of the latter.

        Raises:
            UsageError: the run was not trained with `--masked`, or an argument is out of range.

        """
        require_count("samples", samples)
        if samples % 2:
            raise OptionError("samples", f"must be even, not {samples}")
        estimator = BoundEstimator(self._masked, self._tokenizer, samples=samples, stride=stride)
        return estimator.whole([require_text(text)])

    def _fill(self, text: GappedText, options: Mapping[str, Any]) -> FillJob:
        request = fill_request(text, options)
        if fills_at_once(self._run, self._tokenizer, request):
            return fill_text(DenoisingFiller(self._masked, self._tokenizer), request)
        with self._engine(1) as engine:
            return infill(self._run, engine, self._tokenizer, request, self._notice)

    @cached_property
    def _masked(self) -> MaskedModel:
        """The model that reads both ways, always computed by torch."""
        require_both_ways(self._run)
        opened = self._open_with.keywords
        require_torch(
            engine=opened["engine"], int8=opened["int8"], memory=opened["memory"],
            what="reading both ways",
        )  # fmt: skip
        return open_masked(self._run, self._opened[0], opened["device"])
