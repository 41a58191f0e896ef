"""Self-consistency: of several sampled answers, the one that came most often.

Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models", 2022, where
the whole answer is compared.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def vote(answers: Sequence[str]) -> tuple[int, int]:
    """The place of the first of the answers that came most often, and how often it came.

    Of several that came as often, the one that came first.
    """
    counts = Counter(answers)
    best = max(answers, key=counts.__getitem__)  # the first of equals
    return answers.index(best), counts[best]
