"""A run: one training, from its first step to its last, in a self-contained folder.

run.json         what was decided: model, plan, versions, machine, seed, fingerprints
tokenizer.model  a copy of the tokenizer; tokenizer.json if it is byte-level
metrics.jsonl    what happened
step-.../        checkpoints; the run's state is the newest step whose manifest verifies
"""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from tfcli.errors import ConflictError, DamagedError, NotFoundError, closest_match
from tfcli.files import (
    check_name,
    make_folder,
    read_checked_json,
    read_record,
    slugify,
    write_checked_json,
    write_file,
)
from tfcli.model.config import ModelConfig
from tfcli.runs.corpus_metadata import CorpusMetadata
from tfcli.runs.infill_tokens import read_infill_metadata
from tfcli.runs.step import find_step, list_steps
from tfcli.runs.tokenizer_of_run import (
    TokenizerMetadata,
    find_tokenizer_file,
    open_tokenizer_of_run,
)
from tfcli.text.pairs import PairForm
from tfcli.text.tokenizer_file import run_file_name

if TYPE_CHECKING:
    from tfcli.text.tokenizer import Tokenizer

ROOT = Path("checkpoints")
RUN_JSON = "run.json"
SCHEMA = 1

TYPES: dict[str, tuple[type, ...]] = {  # of values in `run.json` that no record describes
    "plan": (dict,),
    "seed": (int,),
    "baselines": (dict, NoneType),
    "parameters": (int,),
    "machine": (dict, NoneType),
}

TRAIN_COMMAND = "tfcli train FILE --time 60s"


@dataclass(frozen=True)
class BaselinesMetadata:
    """What `run.json` records about simple methods; see `tfcli.text.baselines`."""

    gzip: float
    ngram: float
    ngram_order: int
    training_bytes: int
    held_out_bytes: int


@dataclass(frozen=True)
class Run:
    """A run's folder and the content of its `run.json`."""

    path: Path
    metadata: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.resolve().name

    @property
    def argument(self) -> str:
        """What names it in a command: its name, or the path of a run that lies elsewhere."""
        return self.name if self.path.parent == ROOT else str(self.path)

    @property
    def model_config(self) -> ModelConfig:
        """The configuration of its model."""
        return ModelConfig.from_json(self.metadata["model"])

    @property
    def corpus(self) -> CorpusMetadata:
        """The text that it was trained on."""
        return CorpusMetadata.from_json(self.metadata["corpus"])

    @property
    def tokenizer_path(self) -> Path:
        """The file of its tokenizer."""
        return find_tokenizer_file(self.path)

    @property
    def form(self) -> PairForm | None:
        """How its prompts are framed, if it was trained on pairs of prompt and answer."""
        return self.corpus.pairs.form if self.corpus.pairs else None

    @property
    def many_documents(self) -> bool:
        """Whether it was trained on several documents, each behind the end of another."""
        return self.corpus.documents > 1

    def tokenizer(self) -> Tokenizer:
        """Its tokenizer; before it is opened, its hash is compared with the one in `run.json`.

        Raises:
            NotFoundError: the file does not exist.
            DamagedError: it is not the tokenizer that the run was trained with.
        """
        recorded = TokenizerMetadata.from_json(self.metadata["tokenizer"])
        tokenizer = open_tokenizer_of_run(self.path, recorded)
        if tokenizer.vocab_size > self.metadata["model"]["vocab_size"]:
            raise DamagedError(f"{self.tokenizer_path} has more tokens than the model of this run")
        return tokenizer


def create_run(path: Path, metadata: dict[str, Any], tokenizer: Tokenizer) -> Run:
    """Creates a run in a new folder.

    `run.json` is written last: a folder without it is not a run yet, and can be created again.

    Raises:
        ConflictError: a run of that name exists, or the folder has steps of a lost one.

    """
    check_name(path.name, "run")
    require_new(path)
    if list_steps(path):
        raise ConflictError(
            f"{path} has checkpoints of an earlier run, but no {RUN_JSON}",
            why="a new run would be mixed up with them",
            hint=f"rm -r {path}   # or choose another --run NAME",
        )
    make_folder(path)
    write_file(path / run_file_name(tokenizer.serialized), tokenizer.serialized)
    write_metadata(path, {"schema": SCHEMA, **metadata})
    return open_run(path)


def write_metadata(path: Path, metadata: dict[str, Any]) -> None:
    """Writes a run's `run.json`, with its own hash in it."""
    write_checked_json(path / RUN_JSON, metadata)


def require_new(path: Path) -> None:
    """Raises ConflictError where a run already exists."""
    if (path / RUN_JSON).exists():
        raise ConflictError(
            f"run {path.name!r} already exists",
            hint=f"tfcli train --resume {path.name}   # or choose another --run NAME",
        )


def require_exists(run: Run) -> None:
    """Raises NotFoundError where a run was removed while it was trained."""
    if not (run.path / RUN_JSON).exists():
        raise NotFoundError(
            f"{run.path / RUN_JSON} is gone",
            why="the run was removed or renamed during training",
        )


def open_run(path: Path) -> Run:
    """Opens the run at `path`.

    Raises:
        NotFoundError: there is no `run.json`.
        DamagedError: it is damaged.
        DataError: a newer tfcli wrote it.

    """
    metadata = read_checked_json(path / RUN_JSON, schema=SCHEMA)
    missing = {"schema", "model", "plan", "tokenizer", "corpus", "seed"} - metadata.keys()
    if missing:
        raise DamagedError(f"{path / RUN_JSON} has no {', '.join(sorted(missing))}")
    try:
        for name, types in TYPES.items():
            if not isinstance(metadata.get(name), types):
                raise ValueError(f"invalid {name}: {str(metadata.get(name))[:40]!r}")
        if not 0 <= metadata["seed"] < 1 << 64:
            raise ValueError("seed out of range")
        ModelConfig.from_json(metadata["model"])
        TokenizerMetadata.from_json(metadata["tokenizer"])
        CorpusMetadata.from_json(metadata["corpus"])
        read_infill_metadata(metadata)
        if metadata.get("baselines") is not None:
            read_record(BaselinesMetadata, metadata["baselines"])
    except ValueError as error:
        raise DamagedError(f"{path / RUN_JSON} does not describe a run", why=str(error)) from None
    return Run(path, metadata)


def list_runs(root: Path = ROOT) -> list[Path]:
    """The folders of all runs, the one that was changed last at the end."""
    return sorted(
        (path.parent for path in root.glob(f"*/{RUN_JSON}")),
        key=lambda run: (last_change(run), run.name),
    )


def nested_runs(root: Path = ROOT) -> list[Path]:
    """The folders of runs that lie too deep to be listed: a run is a folder right in `root`."""
    found = [path.parent for path in root.glob(f"*/*/**/{RUN_JSON}")]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts))


def last_change(run: Path) -> float:
    """When a run was made, or its newest step saved, as `time.time()` has it."""
    times = [0.0]
    for path in (run / RUN_JSON, *list_steps(run)):
        with contextlib.suppress(OSError):  # a trainer may have just removed it
            times.append(path.stat().st_mtime)
    return max(times)


def find_run(name: str | None, root: Path = ROOT) -> tuple[Run, Path | None]:
    """Opens a run by its name, its path, or the path of one of its steps; None means the newest.

    Returns:
        The run, and the step's folder if one was named.

    Raises:
        NotFoundError: there is no such run; the message suggests the closest name.

    """
    if name is None:
        runs = list_runs(root)
        if not runs:
            raise NotFoundError(f"no runs in {root}/ yet", hint=TRAIN_COMMAND)
        return open_run(runs[-1]), None
    for path in _places(name, root):
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            if (path / RUN_JSON).is_file():
                return open_run(path), None
            folder = path.absolute().parent
            if (folder / RUN_JSON).is_file() and (step := find_step(folder, path.name)):
                return open_run(folder), step
    raise _no_such_run(name, root)


def run_folder(name: str, root: Path = ROOT) -> Path:
    """A run's folder by its name or path, even if the run is damaged.

    Raises:
        NotFoundError: there is no such run.

    """
    for path in _places(name, root):
        with contextlib.suppress(OSError, ValueError):
            if (path / RUN_JSON).is_file() or list_steps(path):
                return path
    raise _no_such_run(name, root)


def _places(name: str, root: Path) -> list[Path]:
    """Where a run of that name or path may be; a path that leads upwards begins here, not there."""
    return [Path(name)] if ".." in Path(name).parts else [root / name, Path(name)]


def _no_such_run(name: str, root: Path) -> NotFoundError:
    known = [run.name for run in list_runs(root)]
    parts = [part.strip() for part in name.split(",") if part.strip()]
    if len(parts) > 1 and set(parts) <= set(known):
        return NotFoundError(
            f"run {name!r} not found in {root}/",
            hint=f"separate runs by spaces: {shlex.join(parts)}",
        )
    similar = closest_match(name, known)
    return NotFoundError(
        f"run {name!r} not found in {root}/",
        why=None if known else "there are no runs yet",
        hint=f"did you mean {similar!r}?"
        if similar
        else "tfcli runs   # lists all runs"
        if known
        else f"{TRAIN_COMMAND} --run {slugify(name)}",
    )
