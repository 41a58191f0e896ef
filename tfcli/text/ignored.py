"""What of a folder is not meant: what the user excluded, and what git ignores."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pathspec import GitIgnoreSpec

ANY_NAME = "\1"  # which no pattern means that does not mean every name


class Ignored:
    """Whether the user excluded a file, or git ignores it; for those in it only if not the folder.

    Args:
        root: the folder whose `.gitignore` counts, and those of the folders in it, and above it
            in a repository; None where there is no such folder.
        exclude: patterns of the user's.
        matched: takes those that a file or folder was found for.

    Raises:
        UsageError: one of the user's patterns is none.

    """

    def __init__(self, root: Path | None, exclude: Sequence[str], matched: set[str]) -> None:
        self._root = root
        self._exclude = [(text, _spec(text)) for text in exclude]
        self._matched = matched
        self._of_folder: dict[Path, list[_Pattern]] = {}
        self._place = self._top = root and root.resolve()
        if self._place and (repository := _repository(self._place)) not in {None, self._place}:
            self._top = repository
            # who names a folder that git ignores, itself or all that is in it, means it
            above = [each for each in self._place.parents if repository in each.parents]
            if self._git_ignores(self._place / ANY_NAME, folder=False) or any(
                self._git_ignores(each, folder=True) for each in (self._place, *above)
            ):
                self._top = self._place

    def __call__(self, path: Path, *, folder: bool = False) -> str | None:
        """Why it is ignored, if it is."""
        inside = path.relative_to(self._root) if self._root else path
        name = inside.as_posix().lstrip("/") + "/" * folder
        matching = [text for text, spec in self._exclude if spec.match_file(name)]
        self._matched.update(matching)
        if matching:
            return "excluded"
        if self._place and self._git_ignores(self._place / inside, folder=folder):
            return "in .gitignore"
        return None

    def _git_ignores(self, path: Path, *, folder: bool) -> bool:
        """Whether git does: the last pattern that fits decides, of the nearest folder with one."""
        for parent in path.parents:
            if parent not in self._of_folder:
                self._of_folder[parent] = _read_gitignore(parent)
            name = path.relative_to(parent).as_posix() + "/" * folder
            for pattern in reversed(self._of_folder[parent]):
                if pattern.fits(name):
                    return pattern.ignores
            if parent == self._top:
                break
        return False


def _repository(folder: Path) -> Path | None:
    """The nearest folder with a `.git`, from this one upward."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def _spec(text: str) -> GitIgnoreSpec:
    """A pattern of the user's."""
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines([text])
    except (ValueError, re.error) as error:
        raise UsageError(
            f"--exclude {text!r} is not a pattern as in .gitignore", why=str(error)[:100]
        ) from None


@dataclass(frozen=True)
class _Pattern:
    """A line of a `.gitignore`.

    pathspec asks whether a path or a folder that it is in fits a pattern. Here it has to be the
    path itself: those in an ignored folder are never asked for, and `!folder/` brings back the
    folder, not what is in it.

    Attributes:
        ignores: False brings back what lines before it ignore.
        of_names: whether it is of the names in any folder, not of paths.
        of_all_inside: whether it is of all that is in a folder, however deep.

    """

    spec: GitIgnoreSpec
    ignores: bool
    of_names: bool
    of_all_inside: bool

    def fits(self, name: str) -> bool:
        """Whether it is of a path in the folder of the `.gitignore`; those of folders end in /."""
        folder, _, last = name.rstrip("/").rpartition("/")
        if self.of_names:
            return self.spec.match_file(last + "/" * name.endswith("/"))
        if self.of_all_inside:  # a folder is not inside of itself
            return self.spec.match_file(name.rstrip("/"))
        return self.spec.match_file(name) and not (folder and self.spec.match_file(f"{folder}/"))


def _read_gitignore(folder: Path) -> list[_Pattern]:
    """The patterns of a folder, and of a repository's own list.

    Lines that are none are ignored, as git does.
    """
    lines: list[str] = []
    for name in (".git/info/exclude", ".gitignore"):  # the latter decides where both say something
        with contextlib.suppress(OSError):
            lines += (folder / name).read_text(errors="replace").splitlines()
    return list(_patterns(lines))


def _patterns(lines: Iterable[str]) -> Iterable[_Pattern]:
    from pathspec import GitIgnoreSpec

    for line in lines:
        text = line.removeprefix("!")
        if not text.strip() or line.startswith("#"):
            continue
        with contextlib.suppress(ValueError, re.error):
            yield _Pattern(
                GitIgnoreSpec.from_lines([text]),
                ignores=text == line,
                of_names="/" not in text.rstrip().rstrip("/"),
                of_all_inside=text.rstrip().endswith("**"),
            )
