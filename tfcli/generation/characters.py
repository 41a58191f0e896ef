"""Whole characters only: no token is drawn after which a text could not become valid UTF-8.

Most tokens are whole characters. But a character that the vocabulary lacks is spelled in tokens of
single bytes, and nothing in a model keeps it from stopping halfway. The Unicode Standard, version
16, table 3-7, lists which byte may follow which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.generation.engines.engine import Logits

# What may come next is the state: between two characters, or within one. Of each state: the range
# that the next byte is in, and the state after it; and how many bytes the character lacks.
START = 0
_AFTER = {
    START: [
        (0x00, 0x7F, START), (0xC2, 0xDF, 1), (0xE0, 0xE0, 4), (0xE1, 0xEC, 2), (0xED, 0xED, 5),
        (0xEE, 0xEF, 2), (0xF0, 0xF0, 6), (0xF1, 0xF3, 3), (0xF4, 0xF4, 7),
    ],
    1: [(0x80, 0xBF, START)],
    2: [(0x80, 0xBF, 1)],
    3: [(0x80, 0xBF, 2)],
    4: [(0xA0, 0xBF, 1)],  # after E0
    5: [(0x80, 0x9F, 1)],  # after ED: no surrogates
    6: [(0x90, 0xBF, 2)],  # after F0
    7: [(0x80, 0x8F, 2)],  # after F4: nothing beyond U+10FFFF
}  # fmt: skip
LACKING = (0, 1, 2, 3, 2, 2, 3, 3)


def state_after(state: int, data: bytes) -> int | None:
    """The state after some bytes; None where they cannot follow."""
    for byte in data:
        for first, last, following in _AFTER[state]:
            if first <= byte <= last:
                state = following
                break
        else:
            return None
    return state


class CharacterMask:
    """Which tokens of a vocabulary may come next.

    Args:
        token_bytes: the bytes of every id; none if it stands for no text.

    """

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        self._partial = {
            token: spelled
            for token, spelled in enumerate(token_bytes)
            if not spelled.isascii() and not _is_whole(spelled)
        }
        self._following: dict[int, dict[int, int]] = {}
        first = self._from(START)
        self._impossible = np.array([t for t in self._partial if t not in first], np.intp)

    def state_after(self, state: int, token: int) -> int:
        """The state after one more token; a token that cannot follow begins anew."""
        return self._from(state).get(token, START) if token in self._partial else START

    def allow(self, logits: Logits, states: Sequence[int], rooms: Sequence[int]) -> Logits:
        """Masks what cannot come next, in logits (R, V), which are not changed.

        Args:
            states: of each row.
            rooms: how many tokens each row may still get; a character has to fit.

        """
        if not self._partial:
            return logits
        allowed = logits.copy()
        allowed[:, self._impossible] = -np.inf  # which is all that a row needs between characters
        for row, state, room in zip(range(len(logits)), states, rooms, strict=True):
            if state != START or room <= max(LACKING):
                allowed[row] = self._allow_in(logits[row], state, room)
        return allowed

    def _allow_in(self, row: Logits, state: int, room: int) -> Logits:
        following = self._from(state).items()
        fitting = [token for token, after in following if LACKING[after] < room]
        if state == START:
            allowed = row.copy()
            allowed[list(self._partial.keys() - fitting)] = -np.inf
            return allowed
        if not fitting:
            return row  # this vocabulary cannot finish the character
        allowed = np.full_like(row, -np.inf)
        allowed[fitting] = row[fitting]
        return allowed

    def _from(self, state: int) -> dict[int, int]:
        """The tokens of parts of characters that may follow a state, with the state after each."""
        if state not in self._following:
            self._following[state] = {
                token: following
                for token, spelled in self._partial.items()
                if (following := state_after(state, spelled)) is not None
            }
        return self._following[state]


def _is_whole(spelled: bytes) -> bool:
    try:
        spelled.decode()
    except UnicodeDecodeError:
        return False
    return True
