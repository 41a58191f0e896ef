"""Filling many texts, each in its own way: all gaps together, or from left to right.

A run that was trained with `--infill` and `--masked` does either, as the gaps of a text are
written. Texts are filled in the order in which they come, those in a row of one way together.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.generation.filling import Filler, FillJob, FillJobs, MiddleEvent
    from tfcli.generation.masked_filling import DenoisingFiller


class ChoosingFiller:
    """Fills each text by one of two fillers; either is opened when a text needs it.

    Args:
        at_once: whether all gaps of a text are filled together; see `fills_at_once`.

    """

    def __init__(
        self,
        at_once: Callable[[FillJob], bool],
        open_denoising: Callable[[], DenoisingFiller],
        open_filler: Callable[[], Filler],
    ) -> None:
        self._at_once = at_once
        self._open_denoising, self._open_filler = open_denoising, open_filler

    @cached_property
    def _denoising(self) -> DenoisingFiller:
        return self._open_denoising()

    @cached_property
    def _filler(self) -> Filler:
        return self._open_filler()

    def fill(self, jobs: FillJobs) -> Iterator[MiddleEvent]:
        """Fills every gap of every text.

        Raises:
            UsageError: a model cannot be opened as asked, or cannot answer a request.

        """
        stretch = _Stretch(jobs, self._at_once)
        while (at_once := stretch.begin()) is not None:
            filler = self._denoising if at_once else self._filler
            yield from filler.fill(stretch)


class _Stretch:
    """Texts in a row that are filled in the same way, and the next one after them."""

    def __init__(self, jobs: FillJobs, at_once: Callable[[FillJob], bool]) -> None:
        self._jobs, self._at_once = jobs, at_once
        self._next: FillJob | None = None
        self._kind = False

    def begin(self) -> bool | None:
        """Goes on with the next text: how it is filled; None where there is none."""
        self._next = self._next or self._jobs.take(wait=True)
        if self._next is None:
            return None
        self._kind = self._at_once(self._next)
        return self._kind

    def take(self, *, wait: bool) -> FillJob | None:
        """See `FillJobs`."""
        self._next = self._next or self._jobs.take(wait=wait)
        if self._next is None or self._at_once(self._next) != self._kind:
            return None
        job, self._next = self._next, None
        return job
