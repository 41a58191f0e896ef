"""A run as a Hugging Face folder: what `from_pretrained`, vLLM, mlx-lm and many more open.

config.json             the shape, in the words of its architecture
model.safetensors       the weights, under the names of its architecture; in parts when large
tokenizer.json          the tokenizer, for `tokenizers`
tokenizer.model         the same, for SentencePiece
tokenizer_config.json, generation_config.json
README.md               the model card
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tfcli.exchange.architectures import to_config_json, weight_mappings
from tfcli.exchange.model_card import model_card
from tfcli.exchange.tokenizer_json import (
    exportable_pieces,
    to_tokenizer_config,
    to_tokenizer_json,
)
from tfcli.files import FolderWriter, new_folder, require_absent, require_space, to_json
from tfcli.model.layout import weight_shapes
from tfcli.runs.step import MODEL
from tfcli.runs.valid_steps import open_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np

    from tfcli.exchange.architectures import WeightMapping
    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.tokenizer import Tokenizer

    Array = np.ndarray[Any, np.dtype[np.float32]]

LARGEST_PART = 2_000_000_000  # bytes; as much again is in memory while one is written
INDEX = "model.safetensors.index.json"


def export_to_hugging_face(run: Run, step: ValidStep, path: Path) -> None:
    """Writes the folder at `path`.

    Raises:
        UsageError: the family has no counterpart elsewhere.
        DataError: the tokenizer would be read differently elsewhere.
        ConflictError: there is something at `path`.
        InputOutputError: the disk refused.

    """
    require_absent(path)
    config, tokenizer = run.model_config, run.tokenizer()
    special = tokenizer.special
    described = to_config_json(config, special)
    tokenizer_files = tokenizer_as_files(tokenizer, config.context_length)
    weights = open_weights(run, step)
    require_space(path, (step.path / MODEL).stat().st_size + (1 << 20))
    with new_folder(path, replace=False) as folder:
        _write_weights(folder, config, weights.read)
        for name, content in tokenizer_files.items():
            folder.write(name, content)
        generation = {
            "bos_token_id": special.bos, "eos_token_id": special.eos,
            "do_sample": True, "top_k": 0,
            "max_new_tokens": usual_length(config),  # GPT-2 knows no more positions
        }  # fmt: skip
        folder.write("generation_config.json", to_json(generation))
        folder.write("README.md", model_card(run, step, path.resolve().name).encode())
        folder.write("config.json", to_json(described))


def usual_length(config: ModelConfig) -> int:
    """How many tokens to write where nobody asks for a number: there is room for a prompt too."""
    return max(1, min(100, config.context_length // 2))


def export_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Writes a tokenizer alone, as a folder.

    Raises:
        DataError: it would be read differently elsewhere.
        ConflictError: there is something at `path`.

    """
    require_absent(path)
    files = tokenizer_as_files(tokenizer)
    with new_folder(path, replace=False) as folder:
        for name, content in files.items():
            folder.write(name, content)


def tokenizer_as_files(tokenizer: Tokenizer, context_length: int | None = None) -> dict[str, bytes]:
    """The files of a tokenizer by name.

    Raises:
        DataError: it would be read differently elsewhere.

    """
    pieces = exportable_pieces(tokenizer, "Hugging Face")
    return {
        "tokenizer.json": to_json(to_tokenizer_json(pieces)),
        "tokenizer.model": tokenizer.serialized,
        "tokenizer_config.json": to_json(to_tokenizer_config(pieces, context_length)),
    }


def _write_weights(folder: FolderWriter, config: ModelConfig, read: Callable[[str], Array]) -> None:
    """One file; or several, with an index of what is where."""
    from safetensors.numpy import save

    shapes = weight_shapes(config)
    sizes = {weight.name: 4 * math.prod(weight.shape(shapes)) for weight in weight_mappings(config)}
    parts = list(_parts(config, sizes))
    where: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        name = MODEL if len(parts) == 1 else f"model-{number:05}-of-{len(parts):05}.safetensors"
        arrays = {weight.name: _contiguous(weight.make(read)) for weight in part}
        folder.write(name, save(arrays, metadata={"format": "pt"}))
        where |= dict.fromkeys(arrays, name)
    if len(parts) > 1:
        size = {"total_size": sum(sizes.values())}
        folder.write(INDEX, to_json({"metadata": size, "weight_map": where}))


def _parts(config: ModelConfig, sizes: dict[str, int]) -> Iterator[list[WeightMapping]]:
    """The weights in groups of at most `LARGEST_PART` bytes, in order."""
    part: list[WeightMapping] = []
    size = 0
    for weight in weight_mappings(config):
        own = sizes[weight.name]
        if part and size + own > LARGEST_PART:
            yield part
            part, size = [], 0
        part.append(weight)
        size += own
    yield part


def _contiguous(array: Array) -> Array:
    import numpy as np

    return np.ascontiguousarray(array)
