"""Makes a run of a model from elsewhere: to generate with, to score, to train further.

What reads a format (`import_huggingface`, `import_gguf`) makes an `ImportPlan` of it without
reading a weight; `import_run` checks every number, then writes. Weights stay in their number
format, and no more than one tensor is in memory at a time.
"""

from __future__ import annotations

import contextlib
import datetime
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tfcli.errors import ConflictError, DamagedError, DataError
from tfcli.exchange.stored_tensors import stored_tensors
from tfcli.files import (
    lock,
    make_folder,
    remove_file,
    remove_leftovers,
    require_space,
)
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.runs.infill_tokens import infill_metadata
from tfcli.runs.kept_files import write_kept_files
from tfcli.runs.run import RUN_JSON, Run, create_run, open_run
from tfcli.runs.step import StepState, list_steps, save_step
from tfcli.runs.tokenizer_of_run import TokenizerMetadata
from tfcli.text.pairs import PairScan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from tfcli.exchange.stored_tensors import Format, StoredTensor
    from tfcli.model.config import ModelConfig
    from tfcli.model.parameters import Shape
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.pairs import PairForm
    from tfcli.text.tokenizer import Tokenizer

    Array = np.ndarray[Any, Any]


READINGS = 2  # of the weights: they are checked, then written


@dataclass(frozen=True)
class SourceTensor:
    """A tensor of a file that is imported.

    Attributes:
        name: as the file has it.
        shape: as numpy has it.
        dtype: what `read` gives: float32, float16 or `safetensors_file.BFLOAT16`.
        read: reads it, or maps it into memory.
        is_finite: whether no number in it is NaN or infinite.

    """

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    read: Callable[[], Array]
    is_finite: Callable[[], bool]

    @property
    def nbytes(self) -> int:
        """Of what `read` gives."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """A model that was inspected and can be imported.

    Attributes:
        path: the folder or file.
        format: whose names the tensors have.
        tensors: by name.
        files: kept beside the run as they are, see `runs.kept_files`.
        form: how its prompts are framed, if it is a run of ours that was exported.
        documents: on how many it was trained, if it is such a run; 0: not known.
        infill_tokens: by which it knows a gap, if it fills any.
        own_context: the context length that it says it has, which may be more than ours can be.
        unknown_ends: the ends of text that it names and its vocabulary does not have.

    """

    path: Path
    config: ModelConfig
    tokenizer: Tokenizer
    format: Format
    tensors: Mapping[str, SourceTensor]
    files: Mapping[str, bytes] = field(default_factory=dict)
    form: PairForm | None = None
    documents: int = 0
    infill_tokens: InfillTokens | None = None
    own_context: int | None = None
    unknown_ends: Sequence[int] = ()

    @property
    def bytes(self) -> int:
        """Of its weights, as they will be stored."""
        return sum(weight.nbytes for weight in _weights(self).values())

    @property
    def unused_rows(self) -> int:
        """Embedding rows without a token; they are kept, and never generated."""
        return self.config.vocab_size - self.tokenizer.vocab_size


def import_run(
    plan: ImportPlan, path: Path, progress: Callable[[int], None] = lambda _: None
) -> Run:
    """Creates a run at `path`, with the imported weights as its step 0.

    Args:
        progress: is told how many bytes of the weights were read, READINGS times over.

    Raises:
        ConflictError: a run of that name exists.
        DataError: a weight is not a finite number; nothing was written.
        InputOutputError: writing failed; nothing is left behind.

    """
    require_importable(path)
    done = 0

    def read(size: int) -> None:
        nonlocal done
        done += size
        progress(done)

    for tensor in plan.tensors.values():
        if not tensor.is_finite():
            raise DataError(f"{tensor.name} in {plan.path} contains NaN or infinity")
        read(tensor.nbytes)
    weights = _weights(plan, read)
    require_space(path, plan.bytes + (1 << 20))
    make_folder(path)
    with lock(path, doing="importing"):
        remove_leftovers(path)
        require_importable(path)
        remove_file(path / RUN_JSON)
        write_kept_files(path, plan.files)
        run = create_run(path, _metadata(plan), plan.tokenizer)
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


def shortened(config: ModelConfig, context_length: int | None) -> ModelConfig:
    """A configuration with a shorter context than the model's own, if one is asked for.

    Raises:
        DataError: it is a longer one.

    """
    from dataclasses import replace

    if context_length is None:
        return config
    if context_length > config.context_length:
        raise DataError(
            f"the model's context length is {config.context_length}, less than {context_length}",
            hint=f"--context-length {config.context_length} or less",
        )
    return replace(config, context_length=context_length)


def require_tensors(
    config: ModelConfig, format: Format, found: Mapping[str, SourceTensor], path: Path
) -> None:
    """Compares all tensors of a file with those of a configuration.

    Raises:
        DamagedError: one is missing, or has another shape.
        DataError: there is one too many.

    """
    stored = stored_tensors(config, format)
    for tensor in stored:
        if tensor.name not in found:
            raise DamagedError(f"the weights in {path} lack {tensor.name}")
        shape = found[tensor.name].shape
        if shape != tensor.shape and not (_has_rows(tensor) and shape > tensor.shape):
            raise DamagedError(
                f"{tensor.name} in {path} has shape {shape}, not {tensor.shape}",
                why="it does not match the model's description",
            )
    for name in found.keys() - {tensor.name for tensor in stored}:
        raise DataError(
            f"{path} has an unknown weight {found[name].name[:80]!r}",
            why="without it the model would compute something else",
        )


# --- weights ------------------------------------------------------------------------------------


class _Weight:
    """One of our weights, made of a tensor from elsewhere only when it is written."""

    def __init__(
        self, name: str, shape: Shape, stored: StoredTensor, source: SourceTensor,
        on_read: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.name, self.shape, self.dtype = name, shape, source.dtype
        self.nbytes = math.prod(shape) * source.dtype.itemsize
        self._stored, self._source, self._on_read = stored, source, on_read

    def __array__(self, *_: object) -> Array:
        array = self._source.read()
        self._on_read(self.nbytes)
        return self._stored.from_stored(array[: self._stored.shape[0]])[self.name]


def _weights(
    plan: ImportPlan, on_read: Callable[[int], None] = lambda _: None
) -> dict[str, _Weight]:
    return {
        parameter.name: _Weight(
            parameter.name, parameter.shape, stored, plan.tensors[stored.name], on_read
        )
        for stored in stored_tensors(plan.config, plan.format)
        for parameter, _ in stored.parts
    }


def _has_rows(tensor: StoredTensor) -> bool:
    """Whether a tensor has a row for each position, of which a shorter context drops the last."""
    return tensor.parts[0][0].name == "position_embedding.weight"


# --- run.json -----------------------------------------------------------------------------------


def _metadata(plan: ImportPlan) -> dict[str, Any]:
    corpus = {
        "sources": [], "bytes": 0, "documents": plan.documents, "fingerprint": "",
        "training_bytes": 0, "training_tokens": 0, "held_out_bytes": 0, "token_cache": "",
        "pairs": asdict(PairScan(plan.form, 0, 0, 0)) if plan.form else None,
    }  # fmt: skip
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "imported": plan.path.resolve().name.encode(errors="replace").decode(),
        "model": plan.config.to_json(),
        "plan": {},
        **infill_metadata(plan.infill_tokens),
        "seed": 0,
        "parameters": count_parameters(plan.config),
        "from": None,
        "training_flops_per_token": training_flops_per_token(plan.config),
        "baselines": None,
        "tokenizer": TokenizerMetadata.of(plan.tokenizer).to_json(),
        "corpus": corpus,
    }
