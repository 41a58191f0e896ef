"""A run as a Hugging Face folder, for `from_pretrained`, vLLM, mlx-lm and many more.

config.json             the configuration
model.safetensors       the weights; several files and an index if large
tokenizer.json          the tokenizer, for `tokenizers`
tokenizer.model         the same, for SentencePiece
tokenizer_config.json, generation_config.json
README.md               the model card
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tfcli.exchange.architectures import to_config_json
from tfcli.exchange.formats import INDEX
from tfcli.exchange.model_card import model_card
from tfcli.exchange.stored_tensors import StoredTensor, stored_tensors
from tfcli.exchange.tokenizer_json import (
    exportable_pieces,
    to_tokenizer_config,
    to_tokenizer_json,
)
from tfcli.files import FolderWriter, new_folder, require_absent, require_space, to_json
from tfcli.generation.request import Sampling
from tfcli.runs.step import MODEL
from tfcli.runs.weights import open_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np

    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.tokenizer import Tokenizer

    Array = np.ndarray[Any, np.dtype[np.float32]]

MAX_SHARD_BYTES = 2_000_000_000  # memory is needed for two of them


def export_to_huggingface(run: Run, step: ValidStep, path: Path) -> None:
    """Writes the folder at `path`.

    Raises:
        UsageError: the family exists nowhere else.
        DataError: the tokenizer would split some texts differently elsewhere.
        ConflictError: `path` exists.
        InputOutputError: writing failed.

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
        sampling = Sampling()  # as here, where nothing else is asked for
        generation = {
            "bos_token_id": special.bos, "eos_token_id": special.eos,
            "do_sample": True, "temperature": sampling.temperature, **sampling.truncation._asdict(),
            "max_new_tokens": default_max_new_tokens(config),  # GPT-2 knows no more positions
        }  # fmt: skip
        folder.write("generation_config.json", to_json(generation))
        folder.write("README.md", model_card(run, step, path.resolve().name).encode())
        folder.write("config.json", to_json(described))


def default_max_new_tokens(config: ModelConfig) -> int:
    """The default number of tokens to generate: leaves room for a prompt."""
    return max(1, min(100, config.context_length // 2))


def export_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Writes a folder with a tokenizer alone.

    Raises:
        DataError: it would split some texts differently elsewhere.
        ConflictError: `path` exists.

    """
    require_absent(path)
    files = tokenizer_as_files(tokenizer)
    with new_folder(path, replace=False) as folder:
        for name, content in files.items():
            folder.write(name, content)


def tokenizer_as_files(tokenizer: Tokenizer, context_length: int | None = None) -> dict[str, bytes]:
    """The files of a tokenizer by name.

    Raises:
        DataError: it would split some texts differently elsewhere.

    """
    pieces = exportable_pieces(tokenizer, "Hugging Face")
    return {
        "tokenizer.json": to_json(to_tokenizer_json(pieces)),
        "tokenizer.model": tokenizer.serialized,
        "tokenizer_config.json": to_json(to_tokenizer_config(pieces, context_length)),
    }


def _write_weights(folder: FolderWriter, config: ModelConfig, read: Callable[[str], Array]) -> None:
    """One file; or several shards, with an index of what is in which."""
    from safetensors.numpy import save

    tensors = stored_tensors(config, "huggingface")
    shards = list(_shards(tensors))
    files: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = MODEL if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        arrays = {tensor.name: _contiguous(tensor.to_stored(read)) for tensor in shard}
        folder.write(name, save(arrays, metadata={"format": "pt"}))
        files |= dict.fromkeys(arrays, name)
    if len(shards) > 1:
        size = {"total_size": sum(_bytes(tensor) for tensor in tensors)}
        folder.write(INDEX, to_json({"metadata": size, "weight_map": files}))


def _shards(tensors: list[StoredTensor]) -> Iterator[list[StoredTensor]]:
    """The tensors in groups of at most `MAX_SHARD_BYTES`, in order."""
    shard: list[StoredTensor] = []
    size = 0
    for tensor in tensors:
        if shard and size + _bytes(tensor) > MAX_SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(tensor)
        size += _bytes(tensor)
    yield shard


def _bytes(tensor: StoredTensor) -> int:
    return 4 * math.prod(tensor.shape)


def _contiguous(array: Array) -> Array:
    import numpy as np

    return np.ascontiguousarray(array)
