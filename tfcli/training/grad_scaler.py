"""Scaling the loss, so that small gradients survive in float16.

float16 has five bits of exponent: whatever is below 6e-8 becomes zero, and many gradients of
activations are. A loss times 2^16 gives gradients times 2^16, which are divided again
before the step. Where one overflows, the step is skipped and the batch tried again with half
the scale; after 2,000 steps without an overflow the scale doubles. Powers of two only, so scaling
costs no precision. Micikevicius et al., "Mixed Precision Training", 2018, section 3.2; the figures
are those of `torch.amp.GradScaler`, which expects another kind of optimizer than ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tfcli.runtime.distributed import local_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from tfcli.model.safetensors_file import SupportsArray
    from tfcli.runtime.dtype import DType

INITIAL, LOWEST = 2.0**16, 2.0**-14
UPDATES_TO_DOUBLE = 2000


class GradScaler:
    """The scale of the loss, which is part of a run's state.

    Args:
        dtype: of the matrix products. bfloat16 and float32 have eight bits of exponent and need no
            scale: it is 1 for them and stays so.

    """

    def __init__(self, dtype: DType) -> None:
        self.enabled = dtype == "float16"
        self.scale = INITIAL if self.enabled else 1.0
        self._updates = 0  # without an overflow

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to go backward from."""
        return loss * self.scale if self.enabled else loss

    def unscale(self, parameters: Iterable[Tensor]) -> None:
        """Divides the gradients by the scale."""
        if self.enabled:
            gradients = [local_tensor(p.grad) for p in parameters if p.grad is not None]
            torch._foreach_mul_(gradients, 1 / self.scale)

    def back_off(self) -> bool:
        """After an overflow: halves the scale. False where that has not helped often enough."""
        if not self.enabled or self.scale <= LOWEST:
            return False
        self.scale, self._updates = self.scale / 2, 0
        return True

    def advance(self) -> None:
        """After a step: doubles the scale where the last 2,000 had no overflow."""
        self._updates += 1
        if self.enabled and self._updates == UPDATES_TO_DOUBLE:
            self.scale, self._updates = self.scale * 2, 0

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """What must be saved to resume exactly, as arrays by name; nothing where disabled."""
        if not self.enabled:
            return {}
        return {"grad_scaler": np.array([self.scale, self._updates], np.float32)}

    def load_state(self, arrays: Mapping[str, SupportsArray]) -> None:
        """Restores a state of `state()`.

        Raises:
            ValueError: it is missing, or not two numbers in range.

        """
        if not self.enabled:
            return
        saved = np.asarray(arrays.get("grad_scaler", ()))
        if saved.shape != (2,) or not LOWEST <= saved[0] < 2.0**127:
            raise ValueError("the optimizer state has no valid 'grad_scaler'")
        self.scale, self._updates = float(saved[0]), int(saved[1])
