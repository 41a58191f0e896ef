"""After the last step: the best one is measured on all of the held-out text."""

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
    """Measures the step with the lowest loss as the last one would have been, and notes it there.

    The loop does that itself where the last step is the best. While training, only a part of the
    text is measured, which is not what a run should be known by. The step is written anew.

    Raises:
        DamagedError: the step is no longer as it was written.

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
