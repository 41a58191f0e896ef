"""Names of other programs' formats that several modules need; quick to import, for `--help`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tfcli.runs.valid_steps import ValidStep

NumberType = Literal["f32", "f16", "bf16", "q8_0"]  # of exported weights; q8_0 only in GGUF
INDEX = "model.safetensors.index.json"  # which file of a Hugging Face folder holds which weight

# What `config.json` and a run call the number formats.
DTYPES: dict[NumberType, str] = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def own_type(step: ValidStep) -> NumberType:
    """The number format of most weights of a step."""
    from tfcli.runs.weights import weights_dtype

    dtype = weights_dtype(step.path)
    return next(type for type, name in DTYPES.items() if name == dtype)
