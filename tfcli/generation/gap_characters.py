"""Whole characters in gaps whose tokens are chosen in any order.

`tfcli.generation.characters` masks what cannot come next. Here what comes later may be known
already: a token can stand in its place only if the tokens before it can lead to it, and it to those
behind it, whatever is chosen for the places that are open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.characters import LACKING, START, state_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Flags = np.ndarray[Any, np.dtype[np.bool_]]  # (V,)

DEAD = len(LACKING)  # the state of what is no text


class GapCharacters:
    """Which tokens of a vocabulary fit into a gap.

    Args:
        token_bytes: the bytes of every id.
        usable: which ids may be chosen.

    """

    def __init__(self, token_bytes: Sequence[bytes], usable: Flags) -> None:
        # after[s, token]: the state after a token that begins in state s
        self._after = np.full((DEAD + 1, len(token_bytes)), DEAD, np.int8)
        for token, spelled in enumerate(token_bytes):
            if spelled and spelled.isascii():
                self._after[START, token] = START
                continue
            for state in range(DEAD):
                found = state_after(state, spelled)
                self._after[state, token] = DEAD if found is None else found
        # of an open place: whether some token leads from one state to another
        self._any = np.zeros((DEAD, DEAD), np.bool_)
        for state in range(DEAD):
            reached = np.unique(self._after[state, usable])
            self._any[state, reached[reached < DEAD]] = True

    def allowed(self, before: Iterable[int | None], after: Iterable[int | None]) -> Flags:
        """Which tokens fit in one place of a gap, (V,).

        Args:
            before: the tokens of the gap before it; None: open.
            after: those behind it.

        """
        reached = np.arange(DEAD) == START
        for token in before:
            reached = reached @ self._steps(token)
        wanted = np.arange(DEAD + 1) == START
        for token in reversed(list(after)):
            wanted = np.append(self._steps(token) @ wanted[:DEAD], False)
        fits: Flags = wanted[self._after[:DEAD][reached]].any(0)
        return fits

    def _steps(self, token: int | None) -> Any:
        """(S, S): from which state to which a token leads, or any."""
        if token is None:
            return self._any
        return self._after[:DEAD, token][:, None] == np.arange(DEAD)
