"""How texts and prompts begin is still known after an export and its import."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.conftest import MakeRun
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.exchange.import_gguf import inspect_gguf
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import READINGS, ImportPlan, import_run
from tfcli.exchange.own_keys import documents_in, form_in
from tfcli.runs.run import Run, open_run, write_metadata
from tfcli.runs.valid_steps import ValidStep
from tfcli.text.pairs import PairForm, PairScan


def with_form(run: Run, form: PairForm | None) -> Run:
    pairs = form and asdict(PairScan(form, 1, 1, 1))
    run.metadata["corpus"]["pairs"] = pairs
    write_metadata(run.path, run.metadata)
    return open_run(run.path)


def exported(run: Run, step: ValidStep, out: Path, to: str) -> ImportPlan:
    """What an export of a run is imported as."""
    if to == "gguf":
        export_to_gguf(run, step, out, "f32")
        return inspect_gguf(out)
    export_to_huggingface(run, step, out)
    return inspect_checkpoint(out)


@pytest.mark.parametrize(
    "form", [PairForm(separator="\n"), PairForm("messages", " é\n\n"), None], ids=str
)
@pytest.mark.parametrize("to", ["huggingface", "gguf"])
def test_pairs_stay_pairs(
    make_run: MakeRun, tmp_path: Path, to: str, form: PairForm | None
) -> None:
    run, step, _ = make_run()
    run = with_form(run, form)
    for number in range(2):  # and what was imported is exported again
        plan = exported(run, step, tmp_path / f"out{number}", to)
        told: list[int] = []
        run = import_run(plan, tmp_path / "checkpoints" / f"back{number}", told.append)
        assert run.form == open_run(run.path).form == form
        assert told == sorted(told)
        assert told[-1] == READINGS * plan.bytes


@pytest.mark.parametrize("documents", [1, 2, 1 << 40])
@pytest.mark.parametrize("to", ["huggingface", "gguf"])
def test_documents_still_begin_behind_the_end_of_another(
    make_run: MakeRun, tmp_path: Path, to: str, documents: int
) -> None:
    run, step, _ = make_run()
    run.metadata["corpus"]["documents"] = documents
    for number in range(2):
        plan = exported(run, step, tmp_path / f"out{number}", to)
        run = import_run(plan, tmp_path / "checkpoints" / f"back{number}")
        assert open_run(run.path).many_documents == (documents > 1)


@pytest.mark.parametrize("value", [None, [], {}, {"documents": "2"}, {"documents": -2},
                                   {"documents": True}, {"documents": 2.0},
                                   {"documents": 1 << 70}])  # fmt: skip
def test_what_is_no_number_of_documents_is_none(value: Any) -> None:
    assert documents_in(value) == 0


@pytest.mark.parametrize(
    "value",
    [None, 5, {}, {"prompts": "pairs"}, {"prompts": "x", "separator": "a"},
     {"prompts": "pairs", "separator": ""}, {"prompts": ["pairs"], "separator": "a"},
     {"prompts": "pairs", "separator": "a" * 2000}, {"prompts": "pairs", "separator": "\ud800"}],
)  # fmt: skip
def test_what_no_export_of_ours_has_is_no_form(value: Any) -> None:
    assert form_in(value) is None
