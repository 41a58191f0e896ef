"""A run: one training, from its first step to its last, in a folder that is complete in itself.

run.json         what was decided: model, plan, versions, machine, seed, fingerprints
tokenizer.model  a copy of the tokenizer
metrics.jsonl    what happened
step-.../        where it stood; the truth is the newest step whose manifest verifies
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from tfcli.errors import (
    ConflictError,
    DamagedError,
    NotFoundError,
    TfcliError,
    nearest,
)
from tfcli.files import (
    check_name,
    make_folder,
    make_name,
    read_checked_json,
    read_record,
    remove_folder,
    write_checked_json,
    write_file,
)
from tfcli.model.config import ModelConfig
from tfcli.model.layout import check_shapes, weight_shapes
from tfcli.model.tensor_file import TensorFile
from tfcli.runs.step import MODEL, StepState, list_steps, read_state, verify_step
from tfcli.text.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.text.tokenizer import Tokenizer

ROOT = Path("checkpoints")
CARD = "run.json"
TOKENIZER = "tokenizer.model"
SCHEMA = 1

START_ONE = "tfcli train FILE --time 60s"


@dataclass(frozen=True)
class TokenizerCard:
    """What `run.json` says of the tokenizer."""

    vocab_size: int
    fingerprint: str


@dataclass(frozen=True)
class CorpusCard:
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
class PartCard:
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
    card: dict[str, Any]

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.path.resolve().name

    @property
    def model_config(self) -> ModelConfig:
        """The shape of its model."""
        return ModelConfig.from_json(self.card["model"])

    def tokenizer(self) -> Tokenizer:
        """Its tokenizer, checked to be the one that it was trained with."""
        path = self.path / TOKENIZER
        tokenizer = load_tokenizer(path)
        if tokenizer.fingerprint != self.card["tokenizer"]["fingerprint"]:
            raise DamagedError(
                f"{path} is not the tokenizer that this run was trained with",
                why="its SHA-256 differs from the one in run.json",
                mend=f"put the right one back, or train again: {START_ONE}",
            )
        if tokenizer.vocab_size != self.card["model"]["vocab_size"]:
            raise DamagedError(f"{path} has another number of pieces than the model of this run")
        return tokenizer


def create_run(path: Path, card: dict[str, Any], tokenizer: Tokenizer) -> Run:
    """Begins a run in a new folder.

    `run.json` is written last: a folder without it is no run, and may be begun again.

    Raises:
        ConflictError: there is a run of that name.

    """
    check_name(path.name, "run")
    require_new(path)
    if list_steps(path):
        raise ConflictError(
            f"{path} has steps of another training, and no {CARD}",
            why="what they belong to is lost; a new run would mix with them",
            mend=f"rm -r {path}   # or choose another --run NAME",
        )
    make_folder(path)
    write_file(path / TOKENIZER, tokenizer.model)
    write_card(path, {"schema": SCHEMA, **card})
    return open_run(path)


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Writes a run's `run.json`, with a hash of itself."""
    write_checked_json(path / CARD, card)


def require_new(path: Path) -> None:
    """Raises ConflictError where a run stands at `path` already."""
    if (path / CARD).exists():
        raise ConflictError(
            f"there is a run {path.name!r} already",
            mend=f"tfcli train --resume {path.name}   # or choose another --run NAME",
        )


def open_run(path: Path) -> Run:
    """Opens the run at `path`.

    Raises:
        NotFoundError: there is none.
        DamagedError, DataError: its `run.json` cannot be used.

    """
    card = read_checked_json(path / CARD, schema=SCHEMA)
    missing = {"schema", "model", "plan", "tokenizer", "corpus", "seed"} - card.keys()
    if missing:
        raise DamagedError(f"{path / CARD} lacks {', '.join(sorted(missing))}")
    try:
        for name, kind in (("plan", dict), ("seed", int), ("baselines", (dict, NoneType))):
            if not isinstance(card.get(name), kind):
                raise ValueError(f"{name} cannot be {str(card[name])[:40]!r}")
        ModelConfig.from_json(card["model"])
        read_record(TokenizerCard, card["tokenizer"])
        _check_corpus(card["corpus"])
    except ValueError as error:
        raise DamagedError(f"{path / CARD} is not the card of a run", why=str(error)) from None
    return Run(path, card)


def _check_corpus(card: object) -> None:
    """Raises ValueError unless `card` describes a text, of one part or of several with weights."""
    parts: list[PartCard] = []
    if isinstance(card, dict) and "parts" in card:
        listed = card["parts"]
        if not isinstance(listed, list) or not listed:
            raise ValueError("its parts are no list")
        parts = [read_record(PartCard, part) for part in listed]
        card = {key: value for key, value in card.items() if key != "parts"}
    corpus = read_record(CorpusCard, card)
    if parts and sum(part.sources for part in parts) != len(corpus.sources):
        raise ValueError("its parts are not those of its sources")


def list_runs(root: Path = ROOT) -> list[Path]:
    """The folders of all runs, the one that was worked on last at the end."""
    return sorted(
        (card.parent for card in root.glob(f"*/{CARD}")),
        key=lambda run: (_last_change(run), run.name),
    )


def _last_change(run: Path) -> float:
    times = [0.0]
    for path in (run / CARD, *list_steps(run)):
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
            raise NotFoundError(f"there is no run in {root} yet", mend=START_ONE)
        return open_run(runs[-1]), None
    for path in (root / name, Path(name)):
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            if (path / CARD).is_file():
                return open_run(path), None
            folder = path.absolute().parent
            if (folder / CARD).is_file() and folder / path.name in list_steps(folder):
                return open_run(folder), folder / path.name
    raise _no_such_run(name, root)


def run_folder(name: str, root: Path = ROOT) -> Path:
    """A run's folder by its name or path, whether it can be opened or not.

    Raises:
        NotFoundError: there is none.

    """
    for path in (root / name, Path(name)):
        with contextlib.suppress(OSError, ValueError):
            if (path / CARD).is_file() or list_steps(path):
                return path
    raise _no_such_run(name, root)


def _no_such_run(name: str, root: Path) -> NotFoundError:
    known = [run.name for run in list_runs(root)]
    similar = nearest(name, known)
    return NotFoundError(
        f"there is no run {name!r} in {root}",
        why=None if known else "there is none at all yet",
        mend=f"did you mean {similar} ?"
        if similar
        else "tfcli runs   # lists them"
        if known
        else f"{START_ONE} --run {make_name(name)}",
    )


@dataclass(frozen=True)
class ValidStep:
    """A step whose bytes were verified: all, or those that writing takes."""

    path: Path
    state: StepState


def newest_valid_step(run: Run, *, damaged: Callable[[TfcliError], None]) -> ValidStep | None:
    """The newest step that verifies, or None; each newer one that does not goes to `damaged`."""
    for path in reversed(list_steps(run.path)):
        step = _verified(path, damaged)
        if step:
            return step
    return None


def best_valid_step(run: Run, *, damaged: Callable[[TfcliError], None]) -> ValidStep | None:
    """The step to write with, or None: of those whose weights verify the lowest held-out loss.

    The newest where none was measured.
    """
    for path in steps_by_merit(run):
        step = _verified(path, damaged, to_write=True)
        if step:
            return step
    return None


def choose_step(run: Run, step: Path | None, *, damaged: Callable[[TfcliError], None]) -> ValidStep:
    """The step to write with: the one named, or the valid one with the lowest held-out loss.

    Raises:
        NotFoundError: the run has no step that verifies.
        DamagedError: the named one does not.

    """
    if step is not None:
        return open_step(step, to_write=True)
    best = best_valid_step(run, damaged=damaged)
    if best is None:
        raise NotFoundError(
            f"the run {run.name!r} has no usable step yet",
            mend=f"tfcli train --resume {run.name}",
        )
    return best


def steps_by_merit(run: Run) -> list[Path]:
    """All steps, the one whose own record has the lowest held-out loss first, not verified."""

    def demerit(path: Path) -> tuple[float, int]:
        try:
            state = read_state(path)
        except TfcliError:
            return math.inf, 0
        return state.held_out.nats_per_byte if state.held_out else math.inf, -state.step

    return sorted(list_steps(run.path), key=demerit)


def open_step(path: Path, *, to_write: bool = False) -> ValidStep:
    """Verifies and opens one step; see `verify_step`.

    Raises:
        DamagedError: a byte of it differs.

    """
    verify_step(path, to_write=to_write)
    return ValidStep(path, read_state(path))


def open_weights(run: Run, step: ValidStep) -> TensorFile:
    """The weights of a step, not read yet, looked at to be those that `run.json` describes.

    Raises:
        DamagedError: they are not.

    """
    file = TensorFile(step.path / MODEL)
    check_shapes(weight_shapes(run.model_config), file.shapes, file.path)
    return file


def _verified(
    path: Path, damaged: Callable[[TfcliError], None], *, to_write: bool = False
) -> ValidStep | None:
    try:
        return open_step(path, to_write=to_write)
    except TfcliError as error:
        if path.exists():  # else a trainer has just removed it
            damaged(error)
        return None


def prune(run: Run, *, keep: int) -> None:
    """Removes all steps but the newest `keep` and the best one."""
    assert keep > 0, "a run without its newest step could not go on"
    newest = list_steps(run.path)[-keep:]
    for path in steps_by_merit(run)[1:]:
        if path not in newest:
            remove_folder(path)
