"""`about.json`: what only a person knows of a run, for its card.

Whose it is, under which terms, where its text is published; and what a kilowatt-hour and a core
take where it was trained.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError, NotFoundError, TfcliError
from tfcli.files import read_json, read_record, require_known_schema, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ABOUT = "about.json"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class About:
    """What a person has said of a run; None where nothing.

    Attributes:
        license: of the model, such as cc-by-4.0.
        text_url: where the training text is published.
        core_watts: what a core takes that is busy, where no counter tells.
        carbon_intensity: of the grid, in g CO2/kWh.

    """

    license: str | None = None
    author: str | None = None
    description: str | None = None
    text_url: str | None = None
    core_watts: float | None = None
    carbon_intensity: float | None = None


def read_about(run: Path) -> About:
    """What was said of a run; nothing, where there is no file.

    Raises:
        DamagedError: the file is not what tfcli writes.
        DataError: a newer tfcli wrote it.
        InputOutputError: it cannot be read.

    """
    path = run / ABOUT
    try:
        value = read_json(path)
        require_known_schema(value.pop("schema", None), SCHEMA, path)
        return read_record(About, asdict(About()) | value)
    except NotFoundError:
        return About()
    except DamagedError as error:
        error.hint = anew(run)
        raise
    except ValueError as error:
        raise DamagedError(
            f"{path} does not describe a run", why=str(error), hint=anew(run)
        ) from None


def anew(run: Path) -> str:
    """The command that writes the file again."""
    name = shlex.quote(str(run))
    return f"tfcli runs card {name} --license NAME --author NAME   # writes it anew"


def known_about(run: Path, on_damaged: Callable[[TfcliError], None]) -> About:
    """What was said of a run, as far as it can be read; calls `on_damaged` where it cannot."""
    try:
        return read_about(run)
    except TfcliError as error:
        on_damaged(error)
        return About()


def change_about(
    run: Path,
    said: dict[str, Any],
    *,
    on_damaged: Callable[[DamagedError], None] = lambda _: None,
) -> About:
    """Writes what is said of a run beside what was said before; an empty text takes it back.

    A damaged file is replaced; `on_damaged` is told.
    """
    try:
        before = read_about(run)
    except DamagedError as error:
        on_damaged(error)
        before = About()
    about = replace(
        before, **{name: None if value == "" else value for name, value in said.items()}
    )
    write_json(run / ABOUT, {"schema": SCHEMA, **asdict(about)})
    return about
