"""The examples of docs/python.md are run as they stand, one after the other, in one Python."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Shell, bare_environment

PAGE = (Path(__file__).parents[2] / "docs/python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SMALL = {"TFCLI_TRAIN_NUM_LAYERS": "1", "TFCLI_TRAIN_D_MODEL": "32", "MPLBACKEND": "Agg"}


@pytest.mark.slow
def test_the_examples_work(trained: Shell, tmp_path: Path) -> None:
    assert len(EXAMPLES) >= 10
    folder = shutil.copytree(trained.folder, tmp_path / "copy")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:tfcli", "-c", "\n".join(EXAMPLES)],
        cwd=folder, env=bare_environment() | SMALL | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "did you mean 'tale'" in done.stdout
