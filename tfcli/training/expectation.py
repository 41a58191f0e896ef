"""What is to be expected of a training that is planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.training.schedule import usual_learning_rate
from tfcli.training.sizing import expected_loss, is_typical

if TYPE_CHECKING:
    from tfcli.training.setup import TrainingJob

DIVERGING = 10.0  # times the usual learning rate, from which on the loss hardly falls, or rises


def loss_range(job: TrainingJob) -> tuple[float, float] | None:
    """Between which values the held-out loss will probably lie; None: not known."""
    simple, training = job.baselines, job.corpus
    if simple is None or job.epochs is None or learning_rate_ratio(job) >= DIVERGING:
        return None
    if not is_typical(job.model_config, job.plan.init, training.bytes_per_token):
        return None
    tokens = job.epochs * len(training.training)
    return expected_loss(simple.ngram, simple.gzip, tokens, ngram_order=simple.ngram_order)


def learning_rate_ratio(job: TrainingJob) -> float:
    """The learning rate as a multiple of the one that the plan would choose."""
    optimizer, base = job.plan.optimizer, job.base.model() if job.base else None
    usual = usual_learning_rate(optimizer.kind, job.model_config, job.steps, base)
    return optimizer.matrix_learning_rate / usual
