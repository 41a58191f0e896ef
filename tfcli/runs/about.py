"""`about.json`: what only a person knows of a run, for its card.

Whose it is, under which terms, where its text is published; and what a kilowatt-hour and a core
take where it was trained.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError, NotFoundError
from tfcli.files import read_json, read_record, require_known_schema, write_json

if TYPE_CHECKING:
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

    """
    path = run / ABOUT
    try:
        value = read_json(path)
    except NotFoundError:
        return About()
    require_known_schema(value.pop("schema", None), SCHEMA, path)
    try:
        return read_record(About, asdict(About()) | value)
    except ValueError as error:
        raise DamagedError(f"{path} does not describe a run", why=str(error)) from None


def change_about(run: Path, said: dict[str, Any]) -> About:
    """Writes what is said of a run beside what was said before; an empty text takes it back."""
    said = {name: None if value == "" else value for name, value in said.items()}
    about = replace(read_about(run), **said)
    write_json(run / ABOUT, {"schema": SCHEMA, **asdict(about)})
    return about
