"""Compiles `decoder.c` at installation where there is a C compiler; without, tfcli is slower."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

SOURCE = Path("tfcli/generation/engines/decoder.c")
LIBRARY = SOURCE.with_name("_decoder.so")
REASON = SOURCE.with_name(
    "_decoder_missing.txt"
)  # why there is no library; `tfcli doctor` shows it
# sums may be reordered so that eight are computed at once; nothing else of -ffast-math
FLAGS = [
    "-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros",
    "-fassociative-math", "-freciprocal-math",
]  # fmt: skip
# on every x86-64 processor since 2013; a wheel may be carried to another machine, and `usable` in
# decoder.c checks for these (compilers before gcc 11 do not know -march=x86-64-v3)
X86_FLAGS = ["-mavx2", "-mfma"]


class DecoderHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled library to the wheel, or the reason why there is none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """See hatchling."""
        if self.target_name != "wheel":
            return
        reason = compile_library(Path(self.root))
        if reason:
            self.app.display_warning(f"no compiled decoder, generation will be slower: {reason}")
        build_data["artifacts"].append((REASON if reason else LIBRARY).as_posix())
        build_data["pure_python"] = reason is not None
        build_data["tag"] = wheel_tag(compiled=reason is None)


def wheel_tag(*, compiled: bool) -> str:
    """The tag of a wheel: for any Python 3, since ctypes loads the library, on this platform.

    "manylinux" would promise that the library runs on older systems, which nobody has checked.
    """
    if not compiled:
        return "py3-none-any"
    promises = ("manylinux", "musllinux")
    return "py3-none-" + next(tag for tag in platform_tags() if not tag.startswith(promises))


def compile_library(root: Path) -> str | None:
    """Compiles the library into the source tree.

    Returns:
        Why there is none, in one line, which is also written beside the source; or None.

    """
    library, reason_file = root / LIBRARY, root / REASON
    library.unlink(missing_ok=True)
    reason_file.unlink(missing_ok=True)
    reason = _compile(root / SOURCE, library)
    if reason:
        reason_file.write_text(reason, encoding="utf-8")
    return reason


def _compile(source: Path, library: Path) -> str | None:
    """Runs the compiler, with OpenMP if it has that; returns why it failed, or None."""
    if sys.platform == "win32":
        return "the compiled decoder is not available on Windows"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "no C compiler was found when tfcli was installed"
    x86 = platform.machine() in {"x86_64", "AMD64"}
    command = [*compiler.split(), *FLAGS, *(X86_FLAGS if x86 else [])]
    errors = ""
    for openmp in (["-fopenmp"], []):
        try:
            done = subprocess.run(
                [*command, *openmp, "-o", str(library), str(source), "-lm"],
                check=False, capture_output=True, text=True, errors="replace",
            )  # fmt: skip
        except OSError as error:
            return f"{compiler} did not run when tfcli was installed: {error.strerror}"
        if done.returncode == 0:
            return None
        errors = done.stderr
    first = next((line for line in errors.splitlines() if "error" in line.lower()), errors[:200])
    where = str(source.parent) + os.sep
    return f"{compiler} failed when tfcli was installed: {first.replace(where, '').strip()}"
