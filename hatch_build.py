"""Compiles the C code at installation where there is a compiler; without it, tfcli is slower."""

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

# the decoder, which generates, and the kernels, which train
DECODER, KERNELS = Path("tfcli/generation/engines"), Path("tfcli/model/native")
# why there are no libraries; `tfcli doctor` shows it
DECODER_REASON, KERNELS_REASON = DECODER / "_decoder_missing.txt", KERNELS / "_kernels_missing.txt"
FLAGS = [
    "-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros",
]  # fmt: skip
# sums of the kernels may be reordered so that eight are computed at once; the decoder says itself
# in which order it adds. Nothing else of -ffast-math. "omp simd" needs no library of threads
KERNELS_FLAGS = [
    "-fvisibility=hidden", "-fassociative-math", "-freciprocal-math", "-fopenmp-simd",
]  # fmt: skip
# on every x86-64 processor since 2013; a wheel may be carried to another machine, and `usable` in
# decoder.c checks for these (compilers before gcc 11 do not know -march=x86-64-v3)
X86_FLAGS = ["-mavx2", "-mfma", "-mf16c"]
# all once more, for processors with longer vectors; native.py and library.py take what they can use
AVX512_FLAGS = [
    *X86_FLAGS, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512",
]  # fmt: skip
# all a third time, for processors that multiply tiles of bfloat16 (gcc 11, clang 12)
AMX_FLAGS = [*AVX512_FLAGS, "-mavx512bf16", "-mamx-tile", "-mamx-bf16"]


class NativeHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled libraries to the wheel, or the reasons why there are none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """See hatchling."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        for what, task, reason in (
            ("decoder", "generation", compile_decoder(root)),
            ("kernels", "training on a CPU", compile_kernels(root)),
        ):
            if reason:
                self.app.display_warning(f"no compiled {what}: {task} will be slower ({reason})")
        made = [
            DECODER_REASON, *(DECODER / name for name in libraries("_decoder")),
            KERNELS_REASON, *(KERNELS / name for name in libraries("_kernels")),
        ]  # fmt: skip
        there = [path for path in made if (root / path).exists()]
        compiled = any(path.suffix == ".so" for path in there)
        build_data["artifacts"] += [path.as_posix() for path in there]
        build_data["pure_python"] = not compiled
        build_data["tag"] = wheel_tag(compiled=compiled)


def wheel_tag(*, compiled: bool) -> str:
    """The tag of a wheel: for any Python 3, since ctypes loads the library, on this platform.

    "manylinux" would promise that the library runs on older systems, which nobody has checked.
    """
    if not compiled:
        return "py3-none-any"
    promises = ("manylinux", "musllinux")
    return "py3-none-" + next(tag for tag in platform_tags() if not tag.startswith(promises))


def libraries(name: str) -> dict[str, list[str]]:
    """The libraries of a name, with the flags for the instructions that each uses."""
    if not _is_x86():
        return {f"{name}.so": []}
    flags = {f"{name}_avx2.so": X86_FLAGS, f"{name}_avx512.so": AVX512_FLAGS}
    if sys.platform == "linux":  # which is asked for the tiles
        flags[f"{name}_amx.so"] = AMX_FLAGS
    return flags


def compile_decoder(root: Path) -> str | None:
    """Compiles the decoder into the source tree.

    An old compiler may know only some of the instructions.

    Returns:
        Why there is none, in one line, which is also written beside the source; or None.

    """
    return _compile_all(root / DECODER, "_decoder", root / DECODER_REASON, [])


def compile_kernels(root: Path) -> str | None:
    """The same for the kernels."""
    return _compile_all(root / KERNELS, "_kernels", root / KERNELS_REASON, KERNELS_FLAGS)


def _compile_all(folder: Path, name: str, reason_file: Path, more: list[str]) -> str | None:
    reason_file.unlink(missing_ok=True)
    sources = sorted(folder.glob("*.c"))
    reasons = []
    for library, flags in libraries(name).items():
        (folder / library).unlink(missing_ok=True)
        reasons.append(_compile(sources, folder / library, [*more, *flags]))
    if None in reasons:
        return None
    reason_file.write_text(str(reasons[0]), encoding="utf-8")
    return reasons[0]


def _is_x86() -> bool:
    return platform.machine() in {"x86_64", "AMD64"}


def _compile(sources: list[Path], library: Path, flags: list[str]) -> str | None:
    """Runs the compiler, with OpenMP if it has that; returns why it failed, or None."""
    if sys.platform == "win32":
        return "compiled code is not available on Windows"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "no C compiler was found when tfcli was installed"
    command = [*compiler.split(), *FLAGS, *flags]
    errors = ""
    for openmp in (["-fopenmp"], []):
        try:
            done = subprocess.run(
                [*command, *openmp, "-o", str(library), *map(str, sources), "-lm"],
                check=False, capture_output=True, text=True, errors="replace",
            )  # fmt: skip
        except OSError as error:
            return f"{compiler} did not run when tfcli was installed: {error.strerror}"
        if done.returncode == 0:
            return None
        errors = done.stderr
    first = next((line for line in errors.splitlines() if "error" in line.lower()), errors[:200])
    where = str(sources[0].parent) + os.sep
    return f"{compiler} failed when tfcli was installed: {first.replace(where, '').strip()}"
