"""GGUF files in: what our export and the package `gguf` write, and what cannot be imported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.exchange.conftest import SHAPES, MakeRun
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.exchange.import_gguf import inspect_gguf
from tfcli.exchange.import_run import import_run
from tfcli.model.safetensors_file import SafetensorsFile
from tfcli.runs.step import MODEL
from tfcli.runs.valid_steps import choose_step


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("shape", SHAPES)
def test_export_and_import_give_the_same_model(
    shape: str, make_run: MakeRun, tmp_path: Path
) -> None:
    run, step, _ = make_run(**SHAPES[shape])
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    again = import_run(inspect_gguf(tmp_path / "it.gguf"), tmp_path / "checkpoints" / "again")
    assert again.model_config == run.model_config
    before = SafetensorsFile(step.path / MODEL)
    after = SafetensorsFile(choose_step(again, None, on_damaged=fail).path / MODEL)
    assert before.tensors.keys() == after.tensors.keys()
    for name in before.tensors:
        assert np.array_equal(before.map(name), after.map(name)), name
    assert again.tokenizer().encode("Ann saw") == run.tokenizer().encode("Ann saw")
