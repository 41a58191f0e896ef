"""What killed processes left behind: temporary files and folders, and folders set aside.

Two kinds of folders differ in who may write there:

* one that only the holder of its lock writes, such as a run: `remove_leftovers`, under the lock;
* one that many processes write at once, such as the cache: `remove_abandoned`, at any time.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from tfcli.files.disk import remove_quietly
from tfcli.files.folders import REPLACED
from tfcli.files.locks import HOLDER, LOCK, is_locked
from tfcli.files.temporary import TEMPORARY, abandoned

if TYPE_CHECKING:
    from pathlib import Path


def find_leftovers(folder: Path) -> list[Path]:
    """What killed writers left in `folder`; nothing that a running one may be writing."""
    leftovers = _find_temporary(folder)
    if not leftovers or is_locked(folder):
        return []
    return [path for path in leftovers if _is_abandoned(path)]


def remove_leftovers(folder: Path) -> list[Path]:
    """Removes what killed writers left in `folder`, and puts back what one had set aside.

    Only to be called while nobody else can be writing there: under the folder's lock.

    Returns:
        What was removed.
    """
    needed = set()
    for aside in folder.glob(f"{REPLACED}?*"):
        path = aside.with_name(aside.name.removeprefix(REPLACED))
        if not path.exists() or (path.is_dir() and not os.listdir(path)):
            needed.add(aside)  # if it cannot be put back, it is still the only copy
            with contextlib.suppress(OSError):
                if path.is_symlink():
                    os.unlink(path)
                os.rename(aside, path)
    leftovers = [path for path in _find_temporary(folder) if path not in needed]
    for path in leftovers:
        remove_quietly(path)
    return [path for path in leftovers if not os.path.lexists(path)]


def remove_abandoned(folder: Path) -> list[Path]:
    """Removes what killed writers left in `folder`, where others may be writing meanwhile.

    What had been set aside is not put back: such a folder holds only what can be made again.

    Returns:
        What was removed.
    """
    removed = []
    for path in _find_temporary(folder):
        with abandoned(path) as free:
            if free:
                remove_quietly(path)
                if not os.path.lexists(path):
                    removed.append(path)
    return removed


def remove_unused(folder: Path) -> None:
    """Removes a folder that holds nothing but its lock and what killed writers left."""
    remove_leftovers(folder)
    for name in (HOLDER, LOCK):
        with contextlib.suppress(OSError):
            os.unlink(folder / name)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _find_temporary(folder: Path) -> list[Path]:
    """The temporary files and folders in `folder`, and those that were set aside."""
    return sorted([*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"{REPLACED}*")])


def _is_abandoned(path: Path) -> bool:
    with abandoned(path) as free:
        return free
