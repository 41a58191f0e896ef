"""Audits of a run in Python: `audit_groups` and `audit_bias`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from tfcli.api.arguments import require_choice, require_text
from tfcli.api.run_model import RunModel
from tfcli.errors import UsageError
from tfcli.insight.bias import ROWS, audit_bias
from tfcli.insight.groups import audit_groups, pieces_of_text
from tfcli.insight.sentence_pairs import PairLanguage, SentencePair, our_pairs

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from tfcli.insight.bias import GroupPreference
    from tfcli.insight.groups import GroupLoss

GROUPS = 'run.audit_groups({"en": ["Good morning."], "es": ["Buenos días."]})'
PAIRS = 'run.audit_bias([("He is a pilot.", "She is a pilot.")])'


class Audits(RunModel):
    """How well a model knows groups of texts, and which sentences it prefers; nothing is kept."""

    def audit_groups(self, texts: Mapping[str, str | Iterable[str]]) -> list[GroupLoss]:
        """Compares the loss of groups of texts, as `tfcli audit groups`.

        Args:
            texts: of each group its documents; they should not have been trained on.

        Returns:
            Of each group `nats_per_byte` and `tokens_per_byte` with their 95 % intervals, the
            lowest loss first, groups with few documents last; `to_json()` has all.

        Raises:
            UsageError: the texts are not strings by group, or there are none.

        """
        if not isinstance(texts, Mapping):
            raise UsageError("audit_groups() takes texts by group", hint=GROUPS)
        pieces = [
            piece
            for group, documents in texts.items()
            for text in ([documents] if isinstance(documents, str) else documents)
            for piece in pieces_of_text(str(group), require_text(text))
        ]
        if not any(piece.text for piece in pieces):
            raise UsageError("there is no text in these groups", hint=GROUPS)
        with self._engine(ROWS) as engine:
            return audit_groups(
                engine, self._tokenizer, pieces, rows=ROWS, many_documents=self._run.many_documents
            )

    def audit_bias(
        self,
        pairs: Iterable[tuple[str, str] | tuple[str, str, str]] | None = None,
        *,
        language: PairLanguage = "en",
        source: Sequence[str | os.PathLike[str]] = (),
    ) -> list[GroupPreference]:
        """Which sentence of a pair the model prefers, as `tfcli audit bias`.

        Args:
            pairs: of sentences, the one first that a stereotype or a rule expects, and the name of
                their group if there are several; None: pairs of our own.
            language: of our own: `en` or `es`.
            source: where the training text is now, if it has moved.

        Returns:
            Of each group the share `preferred` and the mean `difference` in nats with their 95 %
            intervals, `p`, and the `amplification` beyond the training text; `to_json()` has all.

        Raises:
            UsageError: they are no pairs of strings, or there are none; or no such language.
            DataError, NotFoundError: the training text is not what it was, or gone.

        """
        from tfcli.insight.training_text import texts_of

        require_choice("language", language, get_args(PairLanguage))
        asked = our_pairs(language) if pairs is None else _sentence_pairs(pairs)
        known = bool(self._run.corpus.training_tokens)
        text = texts_of(self._run, [str(file) for file in source]) if known else ()
        with self._engine(ROWS) as engine:
            return audit_bias(
                engine, self._tokenizer, asked, text, rows=ROWS,
                many_documents=self._run.many_documents,
            )  # fmt: skip


def _sentence_pairs(
    pairs: Iterable[tuple[str, str] | tuple[str, str, str]],
) -> list[SentencePair]:
    """Pairs of which each is an observation of its own.

    Raises:
        UsageError: they are none.

    """
    found: list[SentencePair] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) not in {2, 3}:
            raise UsageError("audit_bias() takes pairs of sentences", hint=PAIRS)
        more, less, group = (*map(require_text, pair), "all")[:3]
        found.append(SentencePair(more, less, group, cluster=f"{len(found)}"))
    if not found:
        raise UsageError("audit_bias() takes pairs of sentences, and there are none", hint=PAIRS)
    return found
