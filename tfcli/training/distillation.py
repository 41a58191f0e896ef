"""Self-distillation: a student learns from the text and from its teacher's predictions.

The budget is halved. In the first half a model, the teacher, is trained as usual; in the second
half a new one, the student, with less regularization. Each of its targets is a distribution:

    0.5 (the token that comes next) + 0.5 (the teacher's probabilities of all tokens)

From about eight epochs on, the student ends lower than one model with the steps of both: it is
told which other tokens could have come, and cannot learn by heart what was chance
(Furlanello et al., "Born-Again Neural Networks", 2018, section 3; measured in `docs/lab-notes.md`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tfcli.files import new_folder, remove_folder, verify_folder
from tfcli.model.safetensors_file import write_tensors
from tfcli.model.transformer import Transformer
from tfcli.runs.step import MODEL, TEACHER
from tfcli.runs.weights import load_weights
from tfcli.training.batches import IGNORE_INDEX

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from tfcli.training.batches import Batch

SOFT_SHARE = 0.5  # of a target, from the teacher


class Teacher:
    """The teacher, which makes the targets of the student.

    Args:
        model: whose weights are taken.

    """

    def __init__(self, model: Transformer) -> None:
        # in training mode: in the number format of training; and without dropout
        self._model = Transformer(model.config, 0.0, model.dtype).train()
        self._model.load_state_dict(model.state_dict())
        self._model.to(model.embedding.weight.device)

    @torch.no_grad()
    def soft_targets(self, batch: Batch) -> Tensor:
        """What the student should predict: a distribution at each position, (B, T, V).

        It sums to the weight of the target, 0 where there is none.
        """
        device = self._model.embedding.weight.device
        arguments = batch.loss_arguments(device)
        targets, weights = arguments.pop("targets"), arguments.pop("weights")
        if batch.inputs_before_dropout is not None:
            arguments["ids"] = torch.from_numpy(batch.inputs_before_dropout).to(device)
        soft = F.softmax(self._model(**arguments).float(), dim=-1).mul_(SOFT_SHARE)
        counted = targets != IGNORE_INDEX
        hard = torch.full(targets.shape, 1 - SOFT_SHARE, device=device)
        soft.scatter_add_(2, targets.where(counted, 0)[..., None], hard[..., None])
        return soft.mul_((counted if weights is None else counted * weights)[..., None])

    def save(self, run: Path) -> None:
        """Writes its weights into a run's folder, whole or not at all."""
        path = run / TEACHER
        if path.exists():  # by a session that ended before the student was saved
            remove_folder(path)
        weights = {name: p.numpy(force=True) for name, p in self._model.named_parameters()}
        with new_folder(path) as folder, folder.new_file(MODEL) as file:
            write_tensors(file.write, weights)

    @classmethod
    def load(cls, run: Path, like: Transformer) -> Teacher:
        """The teacher that a run saved.

        Args:
            like: a model of its shape, dtype and device, which is only looked at.

        Raises:
            DamagedError: it is missing, or its bytes have changed.

        """
        verify_folder(run / TEACHER)
        teacher = cls(like)
        load_weights(teacher._model, run / TEACHER)
        return teacher
