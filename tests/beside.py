"""Files that lie beside the project where it is developed, and that tests can do without."""

from __future__ import annotations

from pathlib import Path


def folder_beside(name: str) -> Path:
    """The folder `shared/NAME` in a folder above this one; one that does not exist elsewhere."""
    found = (parent / "shared" / name for parent in Path(__file__).parents)
    return next((path for path in found if path.is_dir()), Path("nowhere"))
