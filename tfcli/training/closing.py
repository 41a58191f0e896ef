"""After the last step: evaluates the best checkpoint on the whole held-out text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tfcli.model.transformer import Transformer
from tfcli.runs.step import MODEL, OPTIMIZER, load_arrays, save_step
from tfcli.runs.valid_steps import open_step, steps_by_loss
from tfcli.runs.weights import load_weights
from tfcli.training.evaluation import evaluate_tokens

if TYPE_CHECKING:
    from tfcli.training.loop import Trainer


def measure_best(trainer: Trainer) -> None:
    """Evaluates the step with the lowest loss as the last one would be, and records the result.

    The loop does this itself if the last step is the best. Evaluations during training cover only
    part of the text, which should not be a run's final result. Writes the step again.

    Raises:
        DamagedError: the step was changed since it was written.

    """
    paths = steps_by_loss(trainer.run)
    if not trainer.processes.is_main or trainer.processes.sharded or not paths:
        return
    step = open_step(paths[0])
    measured = step.state.held_out
    if measured is None or measured.whole or step.state.held_out_final:
        return
    weights = load_arrays(step.path / MODEL)
    model = Transformer(trainer.model.config)
    load_weights(model, step.path)
    model.to(trainer.model.embedding.weight.device)
    held_out = evaluate_tokens(
        model,
        trainer.corpus.held_out,
        trainer.tokenizer,
        objective=trainer.objective,
        limit=trainer.final_tokens(),
    )
    state = replace(step.state, held_out_final=held_out)
    save_step(trainer.run.path, state, weights, load_arrays(step.path / OPTIMIZER))
