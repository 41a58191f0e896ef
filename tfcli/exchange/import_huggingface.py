"""Import of a Hugging Face folder as a run: to generate with, to score, to train further.

Nothing in the folder is trusted. Only JSON, a SentencePiece model and safetensors are read; every
shape is compared with `config.json` before any weight is read; and nothing is written before all of
that has been checked.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import ConflictError, DamagedError, DataError, NotFoundError
from tfcli.exchange.architectures import from_config_json
from tfcli.exchange.formats import INDEX
from tfcli.exchange.stored_tensors import StoredTensor, stored_tensors
from tfcli.exchange.tokenizer_import import find_tokenizer_in
from tfcli.files import lock, make_folder, read_json, remove_file, remove_leftovers, require_space
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.model.safetensors_file import SafetensorsFile
from tfcli.runs.run import RUN_JSON, Run, create_run, open_run
from tfcli.runs.step import StepState, list_steps, save_step
from tfcli.runs.tokenizer_of_run import TokenizerMetadata

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tfcli.model.config import ModelConfig
    from tfcli.text.tokenizer import Tokenizer

    Array = np.ndarray[Any, np.dtype[np.float32]]

WEIGHTS = "model.safetensors"
HEAD = "lm_head.weight"  # may be saved even where it is tied
MAX_JSON_BYTES = 64 << 20
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Buffers that older programs saved beside the weights.
BUFFERS = re.compile(r"(.*\.)?(rotary_emb\.inv_freq|attn\.(bias|masked_bias))")


@dataclass(frozen=True)
class ImportPlan:
    """A folder that was inspected and can be imported.

    Attributes:
        weights: the file that holds each tensor, by the tensor's name.
        dropped_rows: embedding rows without a token, which are dropped.

    """

    path: Path
    config: ModelConfig
    tokenizer: Tokenizer
    weights: dict[str, SafetensorsFile]
    dropped_rows: int


def inspect_checkpoint(path: Path, *, context_length: int | None = None) -> ImportPlan:
    """Checks a folder, without reading any weight.

    Args:
        context_length: to import the model with a shorter context than its own.

    Raises:
        NotFoundError: the folder, or a file in it, does not exist.
        DataError: it cannot be imported; the message says why.

    """
    if path.is_file():
        raise DataError(
            f"{path} is a file, not a folder in Hugging Face format",
            why="GGUF files can be exported, not imported" if path.suffix == ".gguf" else None,
        )
    if not path.is_dir():
        raise NotFoundError(f"folder {path} not found")
    weights = _find_weights(path)
    tokenizer = find_tokenizer_in(path)
    described = _read_json(path / "config.json")
    config = from_config_json(described, vocab_size=tokenizer.vocab_size)
    if context_length is not None:
        config = _shorter(config, context_length)
    dropped_rows = _check_weights(config, weights, path)
    return ImportPlan(path, config, tokenizer, weights, dropped_rows)


def import_run(found: ImportPlan, path: Path) -> Run:
    """Creates a run at `path`, with the imported weights as its step 0.

    Raises:
        ConflictError: a run of that name exists.
        InputOutputError: writing failed; nothing is left behind.

    """
    require_importable(path)
    require_space(path, 4 * count_parameters(found.config) + (1 << 20))
    weights = _our_weights(found)
    make_folder(path)
    with lock(path, doing="importing"):
        remove_leftovers(path)
        require_importable(path)
        remove_file(path / RUN_JSON)
        run = create_run(path, _metadata(found), found.tokenizer)
        state = StepState(step=0, tokens_seen=0, seconds=0.0, held_out=None, held_out_final=None)
        save_step(path, state, weights, {})
    return run


def require_importable(path: Path) -> None:
    """Raises ConflictError if the run exists; an interrupted import is replaced."""
    if not (path / RUN_JSON).exists():
        return
    with contextlib.suppress(DataError):
        if open_run(path).metadata.get("imported") and not list_steps(path):
            return
    raise ConflictError(f"run {path.name!r} already exists", hint="choose another --run NAME")


# --- inspection ---------------------------------------------------------------------------------


def _find_weights(path: Path) -> dict[str, SafetensorsFile]:
    if (path / INDEX).is_file():
        where = _read_json(path / INDEX).get("weight_map")
        if not isinstance(where, dict) or not all(
            isinstance(name, str) and PLAIN_NAME.fullmatch(name) for name in where.values()
        ):
            raise DamagedError(
                f"{path / INDEX} contains invalid file names",
                why="each must be a plain name that ends in .safetensors",
            )
        files = {name: SafetensorsFile(path / name) for name in sorted(set(where.values()))}
        for name, file in where.items():
            if name not in files[file].tensors:
                raise DamagedError(f"{path / file} lacks {name[:80]}, which its index lists")
        return {name: files[file] for name, file in where.items()}
    if (path / WEIGHTS).is_file():
        file = SafetensorsFile(path / WEIGHTS)
        return dict.fromkeys(file.tensors, file)
    pickled = next((found for kind in PICKLED for found in path.glob(kind)), None)
    if pickled:
        raise DataError(
            f"{pickled} is a pickle file, which can run any code, and is not opened",
            why=f"there is no {WEIGHTS} beside it",
            hint="if you trust it, convert it with transformers: AutoModelForCausalLM"
            f'.from_pretrained("{path}").save_pretrained("NEW_FOLDER")',
        )
    raise NotFoundError(f"no {WEIGHTS} in {path}")


def _read_json(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # reading a pipe would block
        raise DataError(f"{path} is not a file")
    if path.exists() and path.stat().st_size > MAX_JSON_BYTES:
        raise DataError(f"{path} is too large")
    return read_json(path)


def _shorter(config: ModelConfig, context_length: int) -> ModelConfig:
    from dataclasses import replace

    if context_length > config.context_length:
        raise DataError(
            f"the model's context length is {config.context_length}, less than {context_length}",
            hint=f"--context-length {config.context_length} or less",
        )
    return replace(config, context_length=context_length)


def _check_weights(config: ModelConfig, weights: dict[str, SafetensorsFile], path: Path) -> int:
    """Compares all shapes with those of a configuration; returns the rows that are dropped."""
    tensors = stored_tensors(config, "huggingface")
    dropped_rows = 0
    for tensor in tensors:
        found, shape = _tensor_shape(weights, _saved_name(weights, tensor.name)), tensor.shape
        if found is None:
            raise DamagedError(f"the weights in {path} lack {tensor.name}")
        longer = found[:1] > shape[:1] and found[1:] == shape[1:] and len(found) == len(shape)
        if longer and tensor.is_table:  # the last rows of a table may be dropped
            dropped_rows = max(dropped_rows, found[0] - shape[0])
        elif found != shape:
            raise DamagedError(
                f"{tensor.name} in {path} has shape {found}, not {shape}",
                why="it does not match config.json and the tokenizer",
            )
    known = {_saved_name(weights, tensor.name) for tensor in tensors} | {HEAD}
    for name in weights.keys() - known:
        if not BUFFERS.fullmatch(name):
            raise DataError(
                f"{path} has an unknown weight {name[:80]!r}",
                why="without it the model would compute something else",
            )
    if config.tied_head and HEAD in weights:
        _require_tied(weights, _saved_name(weights, tensors[0].name), path)
    return dropped_rows


def _require_tied(weights: dict[str, SafetensorsFile], table: str, path: Path) -> None:
    """Refuses a saved head that differs from the embedding it is said to be tied to."""
    import numpy as np

    head, embedding = (weights[name].map(name) for name in (HEAD, table))
    if not np.array_equal(head, embedding):
        raise DataError(
            f"input and output embeddings in {path} differ",
            why="config.json says that they are tied (tie_word_embeddings)",
        )


def _saved_name(weights: dict[str, SafetensorsFile], name: str) -> str:
    """The name in these files: GPT-2's own leave its first part out."""
    shorter = name.removeprefix("transformer.")
    return shorter if name not in weights and shorter in weights else name


def _tensor_shape(weights: dict[str, SafetensorsFile], name: str) -> tuple[int, ...] | None:
    return weights[name].tensors[name].shape if name in weights else None


# --- conversion ---------------------------------------------------------------------------------


def _our_weights(found: ImportPlan) -> dict[str, Array]:
    ours: dict[str, Array] = {}
    for tensor in stored_tensors(found.config, "huggingface"):
        ours |= tensor.from_stored(_read(found, tensor))
    return ours


def _read(found: ImportPlan, tensor: StoredTensor) -> Array:
    import numpy as np

    name = _saved_name(found.weights, tensor.name)
    array = found.weights[name].read(name)
    if not np.isfinite(array).all():
        raise DataError(f"{name} in {found.path} contains NaN or infinity")
    return array[: tensor.shape[0]]


def _metadata(found: ImportPlan) -> dict[str, Any]:
    corpus = {
        "sources": [], "bytes": 0, "documents": 0, "fingerprint": "", "training_bytes": 0,
        "training_tokens": 0, "held_out_bytes": 0, "token_cache": "",
    }  # fmt: skip
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "imported": found.path.resolve().name.encode(errors="replace").decode(),
        "model": found.config.to_json(),
        "plan": {},
        "seed": 0,
        "parameters": count_parameters(found.config),
        "from": None,
        "training_flops_per_token": training_flops_per_token(found.config),
        "baselines": None,
        "tokenizer": TokenizerMetadata.of(found.tokenizer).to_json(),
        "corpus": corpus,
    }
