"""A Hugging Face folder becomes a run: one that writes, is scored, and can be trained further.

Nothing in the folder is trusted. Only JSON, a SentencePiece model and safetensors are read; every
shape is compared with what `config.json` asks for before any weight is; and nothing is written
before all of that is well.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import ConflictError, DamagedError, DataError, NotFoundError
from tfcli.exchange.architectures import from_config_json, weight_mappings
from tfcli.exchange.tokenizer_json import from_tokenizer_json
from tfcli.files import lock, make_folder, read_json, remove_file, remove_leftovers, require_space
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.model.layout import weight_shapes
from tfcli.model.tensor_file import TensorFile
from tfcli.runs.run import RUN_JSON, Run, create_run, open_run
from tfcli.runs.step import StepState, list_steps, save_step
from tfcli.text.pieces import write_pieces
from tfcli.text.sandbox import open_sandboxed
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.tokenizer_file import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tfcli.exchange.architectures import WeightMapping
    from tfcli.model.config import ModelConfig
    from tfcli.text.tokenizer import Tokenizer

    Array = np.ndarray[Any, np.dtype[np.float32]]

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LARGEST_JSON = 64 << 20  # bytes
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# What older programs saved beside the weights: tables that are computed.
COMPUTED = re.compile(r"(.*\.)?(rotary_emb\.inv_freq|attn\.(bias|masked_bias))")


@dataclass(frozen=True)
class ImportPlan:
    """A folder that was looked at and can be imported.

    Attributes:
        weights: of each of their weights the file that holds it.
        rows_left_out: of the embedding table, beyond the pieces of the tokenizer.

    """

    path: Path
    config: ModelConfig
    tokenizer: Tokenizer
    weights: dict[str, TensorFile]
    rows_left_out: int


def inspect_checkpoint(path: Path, *, context_length: int | None = None) -> ImportPlan:
    """Looks at a folder, without reading any weight.

    Args:
        context_length: a shorter context than the model's own.

    Raises:
        NotFoundError: it, or something in it, is not there.
        DataError: it is not what can be imported; the message says why.

    """
    if path.is_file():
        raise DataError(
            f"{path} is a file, and what is imported is a folder in Hugging Face's form",
            why="GGUF files are written here and not read" if path.suffix == ".gguf" else None,
        )
    if not path.is_dir():
        raise NotFoundError(f"there is no folder {path}")
    weights = _find_weights(path)
    tokenizer = find_tokenizer_in(path)
    described = _read_json(path / "config.json")
    config = from_config_json(described, vocab_size=tokenizer.vocab_size)
    if context_length is not None:
        config = _shorter(config, context_length)
    rows_left_out = _check_weights(config, weights, path)
    return ImportPlan(path, config, tokenizer, weights, rows_left_out)


def import_run(found: ImportPlan, path: Path) -> Run:
    """Makes a run at `path` of what was found: its step 0.

    Raises:
        ConflictError: there is a run of that name.
        InputOutputError: the disk refused; nothing is left of it.

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
    """Raises ConflictError where a run stands; an import that was cut short makes way."""
    if not (path / RUN_JSON).exists():
        return
    with contextlib.suppress(DataError):
        if open_run(path).metadata.get("imported") and not list_steps(path):
            return
    raise ConflictError(f"there is a run {path.name!r} already", hint="choose another --run NAME")


# --- what is there ------------------------------------------------------------------------------


def find_tokenizer_in(path: Path) -> Tokenizer:
    """The tokenizer of a folder, or of a file: `tokenizer.model`, or `tokenizer.json` like one.

    Raises:
        NotFoundError: there is none.
        DataError: it is of another kind.

    """
    folder_has = {name: path / name for name in ("tokenizer.model", "tokenizer.json")}
    if path.is_file():
        folder_has = {"tokenizer.json" if path.suffix == ".json" else "tokenizer.model": path}
    model, described = folder_has.get("tokenizer.model"), folder_has.get("tokenizer.json")
    if model and model.is_file():
        tokenizer = load_tokenizer(model, open_sandboxed)
        if described and described.is_file():
            _require_agreement(tokenizer, described)
        return tokenizer
    if described and described.is_file():
        return open_sandboxed(write_pieces(from_tokenizer_json(_read_json(described))))
    raise NotFoundError(
        f"there is no tokenizer.model in {path}",
        why="nor a tokenizer.json; only models with a SentencePiece tokenizer can be imported",
    )


def _require_agreement(tokenizer: Tokenizer, described: Path) -> None:
    """Refuses a `tokenizer.json` of our kind that has other pieces than the `tokenizer.model`.

    One of another kind may be the same in other words, which cannot be told.
    """
    try:
        pieces = from_tokenizer_json(_read_json(described))
    except DataError:
        return
    if not isinstance(tokenizer, SentencePieceTokenizer):
        return
    ours = tokenizer.pieces
    if [piece.text for piece in ours.pieces] != [piece.text for piece in pieces.pieces]:
        raise DataError(
            f"{described} and the tokenizer.model beside it have other pieces",
            why="so it is not known which of them the model was trained with",
            hint="take the wrong one away",
        )


def _find_weights(path: Path) -> dict[str, TensorFile]:
    if (path / INDEX).is_file():
        where = _read_json(path / INDEX).get("weight_map")
        if not isinstance(where, dict) or not all(
            isinstance(name, str) and PLAIN_NAME.fullmatch(name) for name in where.values()
        ):
            raise DamagedError(
                f"{path / INDEX} names files that no part of a model has",
                why="each must be a plain name that ends in .safetensors",
            )
        files = {name: TensorFile(path / name) for name in sorted(set(where.values()))}
        for name, file in where.items():
            if name not in files[file].tensors:
                raise DamagedError(f"{path / file} does not hold {name[:80]}, as its index says")
        return {name: files[file] for name, file in where.items()}
    if (path / WEIGHTS).is_file():
        file = TensorFile(path / WEIGHTS)
        return dict.fromkeys(file.tensors, file)
    pickled = next((found for kind in PICKLED for found in path.glob(kind)), None)
    if pickled:
        raise DataError(
            f"{pickled} is pickled, and is not opened: it could run anything",
            why=f"there is no {WEIGHTS} beside it",
            hint="where you trust it, convert it with transformers: AutoModelForCausalLM"
            f'.from_pretrained("{path}").save_pretrained("NEW_FOLDER")',
        )
    raise NotFoundError(f"there is no {WEIGHTS} in {path}")


def _read_json(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DataError(f"{path} is not a file")
    if path.exists() and path.stat().st_size > LARGEST_JSON:
        raise DataError(f"{path} is larger than any such file should be")
    return read_json(path)


def _shorter(config: ModelConfig, context_length: int) -> ModelConfig:
    from dataclasses import replace

    if context_length > config.context_length:
        raise DataError(
            f"the model has a context of {config.context_length}, not of {context_length}",
            hint=f"--context {config.context_length} or less",
        )
    return replace(config, context_length=context_length)


def _check_weights(config: ModelConfig, weights: dict[str, TensorFile], path: Path) -> int:
    """Compares all shapes with those of a configuration; returns the rows that are left out."""
    shapes = weight_shapes(config)
    wanted = {weight.name: weight for weight in weight_mappings(config)}
    rows_left_out = 0
    for name, weight in wanted.items():
        shape = weight.shape(shapes)
        found = _tensor_shape(weights, _saved_name(weights, name))
        if found is None:
            raise DamagedError(f"the weights in {path} lack {name}")
        longer = found[:1] > shape[:1] and found[1:] == shape[1:] and len(found) == len(shape)
        if longer and weight.ours[0] in CUT:
            rows_left_out = max(rows_left_out, found[0] - shape[0])
        elif found != shape:
            raise DamagedError(
                f"{name} in {path} has the shape {found}, not {shape}",
                why="it does not fit config.json and the tokenizer",
            )
    known = {_saved_name(weights, name) for name in wanted} | {"lm_head.weight"}
    for name in weights.keys() - known:
        if not COMPUTED.fullmatch(name):
            raise DataError(
                f"{path} has a weight {name[:80]!r} that the model would not use",
                why="so it would not compute what it was trained to",
            )
    if config.tied_head and "lm_head.weight" in weights:
        _require_same(weights, _saved_name(weights, weight_mappings(config)[0].name), path)
    return rows_left_out


def _require_same(weights: dict[str, TensorFile], table: str, path: Path) -> None:
    """Refuses a head that is not the embedding again, as config.json says it is."""
    import numpy as np

    head, embedding = (weights[name].map(name) for name in ("lm_head.weight", table))
    if not np.array_equal(head, embedding):
        raise DataError(
            f"the head in {path} is another table than the embedding",
            why="config.json says that they are one (tie_word_embeddings)",
        )


# Tables with a row for each token, or each position, of which the last may be left out.
CUT = {"embedding.weight", "head.weight", "position_embedding.weight"}


def _saved_name(weights: dict[str, TensorFile], name: str) -> str:
    """GPT-2's own files leave the first part of each name out."""
    shorter = name.removeprefix("transformer.")
    return shorter if name not in weights and shorter in weights else name


def _tensor_shape(weights: dict[str, TensorFile], name: str) -> tuple[int, ...] | None:
    return weights[name].tensors[name].shape if name in weights else None


# --- taking it over -----------------------------------------------------------------------------


def _our_weights(found: ImportPlan) -> dict[str, Array]:
    shapes = weight_shapes(found.config)
    ours: dict[str, Array] = {}
    for weight in weight_mappings(found.config):
        ours |= weight.take(_read(found, weight, weight.shape(shapes)[0]), shapes)
    return ours


def _read(found: ImportPlan, weight: WeightMapping, rows: int) -> Array:
    import numpy as np

    name = _saved_name(found.weights, weight.name)
    array = found.weights[name].read(name)
    if not np.isfinite(array).all():
        raise DataError(f"{name} in {found.path} holds what is no number")
    return array[:rows]


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
        "tokenizer": {
            "vocab_size": found.tokenizer.vocab_size,
            "fingerprint": found.tokenizer.fingerprint,
        },
        "corpus": corpus,
    }
