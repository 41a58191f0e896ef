"""Runs side by side: how each was made, what came of it, and whether their losses compare."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tfcli.runs.run import Run
    from tfcli.runs.series import Series

# of run.json: what says nothing about how a run was made, or follows from the rest
LEFT_OUT = {
    "schema", "sha256", "created", "baselines", "training_flops_per_token", "infill_tokens",
}  # fmt: skip
RESULTS = (
    "steps", "tokens_seen", "epochs", "seconds", "held_out", "best_step", "baselines", "finished",
)  # fmt: skip


def configuration(run: Run) -> dict[str, Any]:
    """How a run was made: the values of its `run.json`, with dots in their names.

    What a run of an earlier release lacks is there with the value that held then, as far as the
    records of the model and the text know it.
    """
    recorded = {key: value for key, value in run.metadata.items() if key not in LEFT_OUT}
    recorded |= {"model": run.model_config.to_json(), "corpus": asdict(run.corpus)}
    for key in ("token_cache", "arguments", "exclude"):  # where it was, not what it is
        recorded["corpus"].pop(key)
    return dict(_flatten(recorded))


def results(series: Series) -> dict[str, Any]:
    """What came of a run, with dots in the names: from its summary, and its evaluations."""
    found = {key: series.summary[key] for key in RESULTS}
    return dict(_flatten(found | series.evaluations()))


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flatten(item, f"{prefix}{key}.")
        elif item != {}:
            yield f"{prefix}{key}", item


def side_by_side(
    facts: Sequence[Mapping[str, Any]], *, everything: bool = False
) -> dict[str, list[Any]]:
    """The values of each fact, one for each run; None where a run lacks it.

    Args:
        everything: also those that are the same in all runs.

    """
    keys = dict.fromkeys(key for each in facts for key in each)
    table = {key: [each.get(key) for each in facts] for key in keys}
    return {
        key: values
        for key, values in table.items()
        if everything or any(value != values[0] for value in values)
    }


def held_out_text(run: Run) -> tuple[object, ...]:
    """What tells the held-out text of a run from that of another."""
    corpus = run.corpus
    return (corpus.val.fingerprint,) if corpus.val else (corpus.fingerprint, corpus.held_out)


def obstacle(series: Sequence[Series]) -> Literal["text", "part"] | None:
    """Why the losses of runs cannot be compared: they are of different texts, or parts of one.

    Runs that were never evaluated do not count.
    """
    measured = {
        (held_out_text(one.run), one.summary["held_out"]["bytes"])
        for one in series
        if one.summary["held_out"]
    }
    if len({text for text, _ in measured}) > 1:
        return "text"
    return "part" if len(measured) > 1 else None
