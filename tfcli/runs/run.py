"""A run: one training, from its first step to its last, in a folder that is complete in itself.

run.json         what was decided: model, plan, versions, machine, seed, fingerprints
tokenizer.model  a copy of the tokenizer
metrics.jsonl    what happened
step-.../        where it stood; the truth is the newest step whose manifest verifies
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from tfcli.errors import (
    ConflictError,
    DamagedError,
    NotFoundError,
    closest_match,
)
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
from tfcli.runs.step import list_steps
from tfcli.text.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    pass

ROOT = Path("checkpoints")
RUN_JSON = "run.json"
TOKENIZER = "tokenizer.model"
SCHEMA = 1

KINDS: dict[str, tuple[type, ...]] = {  # of values in `run.json` that no record describes
    "plan": (dict,),
    "seed": (int,),
    "baselines": (dict, NoneType),
    "parameters": (int,),
    "machine": (dict, NoneType),
}

START_ONE = "tfcli train FILE --time 60s"


@dataclass(frozen=True)
class TokenizerMetadata:
    """What `run.json` says of the tokenizer."""

    vocab_size: int
    fingerprint: str


@dataclass(frozen=True)
class CorpusMetadata:
    """What `run.json` says of the text: enough to find its tokens, or to make them again."""

    sources: list[str]
    bytes: int
    documents: int
    fingerprint: str
    training_bytes: int
    training_tokens: int
    held_out_bytes: int
    token_cache: str


@dataclass(frozen=True)
class PartMetadata:
    """What `run.json` says of a part of the text that has a weight of its own."""

    sources: int
    weight: float
    bytes: int
    documents: int
    training_bytes: int
    fingerprint: str


@dataclass(frozen=True)
class Run:
    """A run's folder and the content of its `run.json`."""

    path: Path
    metadata: dict[str, Any]

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.path.resolve().name

    @property
    def model_config(self) -> ModelConfig:
        """The shape of its model."""
        return ModelConfig.from_json(self.metadata["model"])

    def tokenizer(self) -> Tokenizer:
        """Its tokenizer, checked to be the one that it was trained with before it is opened."""
        path = self.path / TOKENIZER

        def opened(model: bytes) -> Tokenizer:
            if hashlib.sha256(model).hexdigest() != self.metadata["tokenizer"]["fingerprint"]:
                raise DamagedError(
                    "this is not the tokenizer that the run was trained with",
                    why="its SHA-256 differs from the one in run.json",
                    hint=f"tfcli runs repair {self.name}   # puts it back from where else it is",
                )
            return Tokenizer(model)

        tokenizer = load_tokenizer(path, opened)
        if tokenizer.vocab_size != self.metadata["model"]["vocab_size"]:
            raise DamagedError(f"{path} has another number of pieces than the model of this run")
        return tokenizer


def create_run(path: Path, metadata: dict[str, Any], tokenizer: Tokenizer) -> Run:
    """Begins a run in a new folder.

    `run.json` is written last: a folder without it is no run, and may be begun again.

    Raises:
        ConflictError: there is a run of that name.

    """
    check_name(path.name, "run")
    require_new(path)
    if list_steps(path):
        raise ConflictError(
            f"{path} has steps of another training, and no {RUN_JSON}",
            why="what they belong to is lost; a new run would mix with them",
            hint=f"rm -r {path}   # or choose another --run NAME",
        )
    make_folder(path)
    write_file(path / TOKENIZER, tokenizer.model)
    write_metadata(path, {"schema": SCHEMA, **metadata})
    return open_run(path)


def write_metadata(path: Path, metadata: dict[str, Any]) -> None:
    """Writes a run's `run.json`, with a hash of itself."""
    write_checked_json(path / RUN_JSON, metadata)


def require_new(path: Path) -> None:
    """Raises ConflictError where a run stands at `path` already."""
    if (path / RUN_JSON).exists():
        raise ConflictError(
            f"there is a run {path.name!r} already",
            hint=f"tfcli train --resume {path.name}   # or choose another --run NAME",
        )


def require_there(run: Run) -> None:
    """Raises NotFoundError where a run was taken away while it was used."""
    if not (run.path / RUN_JSON).exists():
        raise NotFoundError(
            f"{run.path / RUN_JSON} is gone",
            why="the run was removed or renamed while it was trained",
        )


def open_run(path: Path) -> Run:
    """Opens the run at `path`.

    Raises:
        NotFoundError: there is none.
        DamagedError, DataError: its `run.json` cannot be used.

    """
    metadata = read_checked_json(path / RUN_JSON, schema=SCHEMA)
    missing = {"schema", "model", "plan", "tokenizer", "corpus", "seed"} - metadata.keys()
    if missing:
        raise DamagedError(f"{path / RUN_JSON} lacks {', '.join(sorted(missing))}")
    try:
        for name, kinds in KINDS.items():
            if not isinstance(metadata.get(name), kinds):
                raise ValueError(f"{name} cannot be {str(metadata.get(name))[:40]!r}")
        if not 0 <= metadata["seed"] < 1 << 64:
            raise ValueError("its seed is out of range")
        ModelConfig.from_json(metadata["model"])
        read_record(TokenizerMetadata, metadata["tokenizer"])
        _check_corpus(metadata["corpus"])
    except ValueError as error:
        raise DamagedError(f"{path / RUN_JSON} is not the card of a run", why=str(error)) from None
    return Run(path, metadata)


def _check_corpus(metadata: object) -> None:
    """Raises ValueError unless `metadata` describes a text of one or several weighted parts."""
    parts: list[PartMetadata] = []
    if isinstance(metadata, dict) and "parts" in metadata:
        listed = metadata["parts"]
        if not isinstance(listed, list) or not listed:
            raise ValueError("its parts are no list")
        parts = [read_record(PartMetadata, part) for part in listed]
        metadata = {key: value for key, value in metadata.items() if key != "parts"}
    corpus = read_record(CorpusMetadata, metadata)
    if parts and sum(part.sources for part in parts) != len(corpus.sources):
        raise ValueError("its parts are not those of its sources")


def list_runs(root: Path = ROOT) -> list[Path]:
    """The folders of all runs, the one that was worked on last at the end."""
    return sorted(
        (metadata.parent for metadata in root.glob(f"*/{RUN_JSON}")),
        key=lambda run: (_last_change(run), run.name),
    )


def _last_change(run: Path) -> float:
    times = [0.0]
    for path in (run / RUN_JSON, *list_steps(run)):
        with contextlib.suppress(OSError):  # a trainer may just have removed it
            times.append(path.stat().st_mtime)
    return max(times)


def find_run(name: str | None, root: Path = ROOT) -> tuple[Run, Path | None]:
    """Opens a run by its name, its path, or the path of one of its steps; None is the newest.

    Returns:
        the run, and the step's folder if one was named.

    Raises:
        NotFoundError: there is none; the message offers the nearest name.

    """
    if name is None:
        runs = list_runs(root)
        if not runs:
            raise NotFoundError(f"there is no run in {root} yet", hint=START_ONE)
        return open_run(runs[-1]), None
    for path in (root / name, Path(name)):
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            if (path / RUN_JSON).is_file():
                return open_run(path), None
            folder = path.absolute().parent
            if (folder / RUN_JSON).is_file() and folder / path.name in list_steps(folder):
                return open_run(folder), folder / path.name
    raise _no_such_run(name, root)


def run_folder(name: str, root: Path = ROOT) -> Path:
    """A run's folder by its name or path, whether it can be opened or not.

    Raises:
        NotFoundError: there is none.

    """
    for path in (root / name, Path(name)):
        with contextlib.suppress(OSError, ValueError):
            if (path / RUN_JSON).is_file() or list_steps(path):
                return path
    raise _no_such_run(name, root)


def _no_such_run(name: str, root: Path) -> NotFoundError:
    known = [run.name for run in list_runs(root)]
    similar = closest_match(name, known)
    return NotFoundError(
        f"there is no run {name!r} in {root}",
        why=None if known else "there is none at all yet",
        hint=f"did you mean {similar} ?"
        if similar
        else "tfcli runs   # lists them"
        if known
        else f"{START_ONE} --run {slugify(name)}",
    )
