"""Names of other programs' formats that several modules need; quick to import, for `--help`."""

from __future__ import annotations

from typing import Literal

NumberType = Literal["f32", "f16", "bf16", "q8_0"]  # of exported weights; q8_0 only in GGUF
INDEX = "model.safetensors.index.json"  # which file of a Hugging Face folder holds which weight
