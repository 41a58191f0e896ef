"""The memory of a run: its training text as an index, and how that is mixed with the model.

    memory/        the index of the text, see `tfcli.text.ngram_index`
    memory.json    the weights of the mixture, and what it gains

They are apart, so that the weights can be fitted again without a new index. `memory.json` is
written last: without it there is no memory.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from tfcli.errors import DamagedError, NotFoundError
from tfcli.files import (
    read_checked_json,
    read_record,
    remove_file,
    remove_folder,
    verify_folder,
    write_checked_json,
)
from tfcli.runs.step import HeldOutLoss

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tfcli.runs.run import Run
    from tfcli.text.ngram_index import NgramIndex

INDEX, MEMORY_JSON = "memory", "memory.json"
SCHEMA = 1
EXPERTS, FEATURES = 3, 4  # of the mixture


@dataclass(frozen=True, kw_only=True)
class MemoryLoss(HeldOutLoss):
    """The loss on held-out text with the memory, and in `weights_alone` without it."""

    weights_alone: float


@dataclass(frozen=True)
class Memory:
    """What `memory.json` holds.

    Attributes:
        text: the key of the token cache whose text is indexed.
        tokens: in the index.
        step: of the checkpoint whose probabilities the weights were fitted to.
        discounts: of the n-grams, by their length; see `tfcli.text.kneser_ney`.
        weights: of the mixture, row by row; see `tfcli.generation.mixing`.
        fitted_on: `kept_out`: a slice of the training text that the model was not trained on;
            `trained_on`: parts that it was, each counted as if it were not in the index.
        fitted_tokens: how many.
        held_out: None where nothing is held out.

    """

    schema: int
    text: str
    tokens: int
    step: int
    discounts: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    fitted_on: Literal["kept_out", "trained_on"]
    fitted_tokens: int
    held_out: MemoryLoss | None

    @property
    def matrix(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The weights as an array, (EXPERTS, FEATURES)."""
        import numpy as np

        return np.array(self.weights, np.float64)

    def check(self) -> None:
        """Raises ValueError where its numbers are not those of a mixture."""
        shape = len(self.weights), {len(row) for row in self.weights}
        if shape != (EXPERTS, {FEATURES}) or {len(each) for each in self.discounts} != {4}:
            raise ValueError("its weights or discounts are not those of a mixture")


def write_memory(path: Path, index: NgramIndex, memory: Memory) -> None:
    """Writes the memory of the run in a folder; an older one is replaced."""
    from tfcli.text.ngram_index import write_index

    write_index(path / INDEX, index)  # until memory.json follows, the two do not match
    write_checked_json(path / MEMORY_JSON, asdict(memory))


def remove_memory(path: Path) -> bool:
    """Removes the memory of the run in a folder; False if there was none."""
    found = has_memory(path)
    remove_file(path / MEMORY_JSON)
    if (path / INDEX).exists():
        remove_folder(path / INDEX)
    return found


def has_memory(path: Path) -> bool:
    """Whether there is anything of a memory in a run's folder, be it damaged."""
    return (path / MEMORY_JSON).exists() or (path / INDEX).exists()


def read_memory_json(run: Run) -> Memory:
    """What `memory.json` says.

    Raises:
        NotFoundError: the run has no memory.
        DamagedError: it is damaged, or of another text.
        DataError: a newer tfcli wrote it.

    """
    path = run.path / MEMORY_JSON
    if not path.exists():
        raise NotFoundError(f"run {run.name!r} has no memory of its text", hint=_remedy(run))
    try:
        memory = read_record(Memory, read_checked_json(path, schema=SCHEMA))
        memory.check()
    except DamagedError as error:
        raise _damaged(run, error.what, error.why) from None
    except ValueError as error:
        raise _damaged(run, f"{path} does not describe a memory", str(error)) from None
    if memory.text != run.corpus.token_cache:
        raise _damaged(run, f"{path} belongs to another run", "it is of another text or tokenizer")
    return memory


def read_memory(run: Run) -> tuple[NgramIndex, Memory]:
    """The index of a run's text, verified and memory-mapped, and how to mix it.

    Raises:
        NotFoundError, DamagedError, DataError: as `read_memory_json`.

    """
    from tfcli.text.ngram_index import read_index

    memory = read_memory_json(run)
    try:
        index = read_index(run.path / INDEX)
    except (NotFoundError, DamagedError) as error:
        raise _damaged(run, error.what, error.why) from None
    expected = (memory.text, memory.tokens, run.model_config.vocab_size, len(memory.discounts))
    if (index.text, len(index), index.vocab_size, index.order) != expected:
        raise _damaged(run, f"{run.path / INDEX} does not match {MEMORY_JSON}", None)
    return index, memory


def verify_memory(run: Run) -> None:
    """Reads every byte of a memory.

    Raises:
        DamagedError, DataError: it is not as it was written.

    """
    try:
        verify_folder(run.path / INDEX)
    except DamagedError as error:
        raise _damaged(run, error.what, error.why) from None
    read_memory(run)


def _damaged(run: Run, what: str, why: str | None) -> DamagedError:
    return DamagedError(what, why=why, hint=_remedy(run))


def _remedy(run: Run) -> str:
    return f"tfcli runs memory {shlex.quote(run.argument)}   # makes it of the training text"
