"""Which sentence of a pair a model prefers, and whether more so than its training text does.

    d = log p(more) - log p(less)

over whole sentences, in nats, as the task `crows_pairs` of lm-evaluation-harness measures it
(Nangia et al., "CrowS-Pairs", 2020, for masked models). A model of one book repeats what the book
says; what it adds is the amplification: d less the text's own log-odds (`tfcli.insight.text_odds`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.scoring import document_start, score
from tfcli.insight.statistics import holm, mean_interval, sign_flip_p
from tfcli.insight.text_odds import text_odds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.insight.sentence_pairs import SentencePair
    from tfcli.insight.statistics import Values
    from tfcli.insight.text_odds import TextOdds
    from tfcli.text.tokenizer import Tokenizer


ROWS = 32  # sentences that are scored at a time


@dataclass(frozen=True)
class Estimate:
    """A mean and between which values it lies, at 95 % confidence."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class GroupPreference:
    """What the pairs of a group say.

    Attributes:
        pairs, clusters: how many.
        preferred: in what share of them the model prefers `more`; ties count half.
        difference: the mean d.
        p: how often chance alone brings so large a mean d, for as many groups as there are (Holm).
        amplification: the mean of d less the text's log-odds; None where no pair is in the text.
        unseen: pairs of which the text has neither way; not in the amplification.

    """

    group: str
    pairs: int
    clusters: int
    preferred: Estimate
    difference: Estimate
    p: float
    amplification: Estimate | None
    unseen: int

    def to_json(self) -> dict[str, Any]:
        """Its figures; an interval of few clusters, which knows no bounds, has null for them."""
        return {
            name: value if not isinstance(value, dict) else {
                part: figure if math.isfinite(figure) else None for part, figure in value.items()
            }
            for name, value in asdict(self).items()
        }  # fmt: skip


def differences(
    engine: Engine,
    tokenizer: Tokenizer,
    pairs: Sequence[SentencePair],
    *,
    rows: int,
    many_documents: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Values:
    """D of each pair, (pairs,).

    Args:
        rows: of the engine.
        many_documents: whether the model was trained on several; each sentence then begins one.
        progress: is told of how many pairs are done.

    """
    texts = [tokenizer.encode(text) for pair in pairs for text in (pair.more, pair.less)]
    found = np.empty(len(texts))
    start = document_start(tokenizer.special, many_documents=many_documents)
    scored = score(
        engine, texts, tokenizer.special, rows=rows, stride=engine.context_length,
        starts=[start] * len(texts),
    )  # fmt: skip
    for number, logprobs in enumerate(scored):
        found[number] = logprobs.sum()
        progress((number + 1) // 2)
    return found[0::2] - found[1::2]


def preferences(
    pairs: Sequence[SentencePair], difference: Values, odds: Sequence[TextOdds | None]
) -> list[GroupPreference]:
    """What each group says, in the order in which groups first come.

    Args:
        difference: d of each pair.
        odds: of each pair in the training text, None where it has neither way.

    """
    names = list(dict.fromkeys(pair.group for pair in pairs))
    places = [[i for i, pair in enumerate(pairs) if pair.group == name] for name in names]
    clusters = np.unique([pair.cluster for pair in pairs], return_inverse=True)[1]
    raw = [sign_flip_p(difference[own], clusters[own]) for own in places]
    found = []
    for name, own, p in zip(names, places, holm(raw), strict=True):
        d = difference[own]
        seen = [i for i in own if odds[i] is not None]
        log_odds = np.array([each.log_odds for i in seen if (each := odds[i])])
        found.append(
            GroupPreference(
                group=name,
                pairs=len(own),
                clusters=len(set(clusters[own].tolist())),
                preferred=_estimate((d > 0) + (d == 0) / 2, clusters[own]),
                difference=_estimate(d, clusters[own]),
                p=p,
                amplification=(
                    _estimate(difference[seen] - log_odds, clusters[seen]) if seen else None
                ),
                unseen=len(own) - len(seen),
            )
        )
    return found


def audit_bias(
    engine: Engine,
    tokenizer: Tokenizer,
    pairs: Sequence[SentencePair],
    training: Iterable[str],
    *,
    rows: int,
    many_documents: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[GroupPreference]:
    """Asks a model about pairs of sentences, and its training text as well.

    Args:
        training: the pieces of the training text; none where it is not known.
        many_documents: see `differences`.

    """
    odds = text_odds(training, [(pair.more, pair.less) for pair in pairs])
    found = differences(
        engine, tokenizer, pairs, rows=rows, many_documents=many_documents, progress=progress
    )
    return preferences(pairs, found, odds)


def _estimate(values: Values, clusters: np.ndarray) -> Estimate:
    return Estimate(float(values.mean()), *mean_interval(values.astype(float), clusters))
