"""Compiles `decoder.c` at installation, where there is a C compiler; tfcli works without."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("tfcli/generation/engines/decoder.c")
LIBRARY = SOURCE.with_name("_decoder.so")
# sums may be made in another order, so that eight are made at once; nothing else of -ffast-math
FLAGS = [
    "-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros",
    "-fassociative-math", "-freciprocal-math",
]  # fmt: skip


class DecoderHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled library to what is installed, if it can be made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """See hatchling."""
        root = Path(self.root)
        if self.target_name != "wheel" or not compile_library(root):
            return
        build_data["artifacts"].append(LIBRARY.as_posix())
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_library(root: Path) -> bool:
    """Compiles the library into the source tree; whether that worked."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    (root / LIBRARY).unlink(missing_ok=True)
    if compiler is None or sys.platform == "win32":
        return False
    # since 2013; what is compiled here may be carried to another machine
    processor = ["-march=x86-64-v3"] if platform.machine() in {"x86_64", "AMD64"} else []
    for parallel in (["-fopenmp"], []):
        command = [
            *compiler.split(), *FLAGS, *processor, *parallel, "-o", str(root / LIBRARY),
            str(root / SOURCE), "-lm",
        ]  # fmt: skip
        try:
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                return True
        except OSError:
            return False
    return False
