"""Evaluation, tracing and inspection of a run in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.api.arguments import require_choice, require_pairs, require_text
from tfcli.api.results import Evaluation, make_evaluation
from tfcli.api.run_model import RunModel
from tfcli.errors import DataError
from tfcli.generation.pair_evaluation import Pair, answer_pairs
from tfcli.insight.inspection import VIEWS, inspect_text
from tfcli.text.pairs import PairForm

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from tfcli.insight.inspection import Inspection, View
    from tfcli.insight.trace import Trace

ROWS = 16  # pairs that are answered at a time


class Analysis(RunModel):
    """Evaluates answers, traces a text to the training text, and inspects the model."""

    def eval(self, pairs: Iterable[tuple[str, str] | Mapping[str, str]]) -> Evaluation:
        """Answers prompts greedily, and compares with the answers expected, as `tfcli eval`.

        Args:
            pairs: prompts and the answers expected; or rows with both, such as
                `{"prompt": "2+2", "completion": "4"}`, in the fields that `tfcli train` knows.

        Returns:
            Exact matches, character errors, and nats of the answers expected, each with its 95 %
            interval; and each answer.

        Raises:
            UsageError: they are no pairs of strings, or there are none; or rows in whose fields no
                pairs are known.
            DataError: the model knows no end of an answer.

        """
        given = require_pairs(pairs)
        prompts, answers = [pair[0] for pair in given], [pair[1] for pair in given]
        if self._tokenizer.special.eos is None:
            raise DataError(f"{self._run.name} has no token that ends an answer")
        form = self._run.form
        if form is None:
            self._notice(f"{self._run.name} was not trained on pairs; these figures mean little")
        frame = (form or PairForm()).frame
        framed = [
            Pair(frame(prompt), answer) for prompt, answer in zip(prompts, answers, strict=True)
        ]
        with self._engine(ROWS) as engine:
            found = list(answer_pairs(engine, self._tokenizer, framed, rows=ROWS))
        if long := sum(not one.fits for one in found):
            self._notice(f"pairs longer than the context, answered from what fits: {long:,}")
        return make_evaluation(found, prompts)

    def trace(self, text: str, *, source: Sequence[str | os.PathLike[str]] = ()) -> Trace:
        """Which passages of the run's training text a text repeats, as `tfcli trace`.

        Args:
            source: where the training text is now, if it has moved.

        Returns:
            `spans` with their `passages`, the `longest` copy, and `novelty`; `to_json()` has all.

        Raises:
            DataError: the text is empty or too long, or the training text is not what it was.
            NotFoundError: the training text is gone.

        """
        from tfcli.insight.trace import trace
        from tfcli.insight.training_text import TrainingText

        return trace(
            require_text(text).encode(), TrainingText(self._run, [str(file) for file in source])
        )

    def inspect(
        self, prompt: str, then: str = "", *, views: Iterable[View] = VIEWS, raw: bool = False
    ) -> Inspection:
        """What the model makes of a text, as `tfcli inspect`.

        Args:
            then: what comes after the prompt; empty: what the model writes.
            views: of surprise, attention, lens, prompt and heads, those that are wanted.
            raw: of a run on pairs: whether the prompt is read as it is, not as in training.

        Returns:
            An attribute for each view, None for the others; `to_json()` has all of it.

        Raises:
            UsageError: there is no such view.
            DataError: the text is empty, or too long for the model.

        """
        from tfcli.insight.forward import Model
        from tfcli.runs.weights import map_weights

        wanted: list[Any] = [views] if isinstance(views, str) else list(views)
        for view in wanted:
            require_choice("views", view, VIEWS)
        config = self._run.model_config
        model = Model(config, map_weights(config, self._opened[0].path))
        form, text = self._run.form, require_text(prompt)
        if form and not raw:
            text = form.frame(text)
        return inspect_text(
            model, self._tokenizer, text, require_text(then), wanted,
            by_token=form is not None and form.kind == "pairs",
        )  # fmt: skip
