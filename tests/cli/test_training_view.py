"""The lines that a training prints where there is no terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.conftest import Workshop
from tfcli.cli.training_view import TrainingView


def test_the_end_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workshop = Workshop(tmp_path, text_times=4)
    job = workshop.job(steps=60)
    job = replace(job, plan=replace(job.plan, evaluation_tokens=64))
    with TrainingView(job, "run", quiet=False) as view:
        for event in workshop.begin("run", job).events():
            view.show(event)
    lines = capsys.readouterr().err.splitlines()
    (end,) = [line for line in lines if line.startswith("100 %")]
    assert "left" not in end
    assert all(line.endswith("left") for line in lines[1 : lines.index(end)])
    (final,) = lines[lines.index(end) + 1 :]
    assert re.fullmatch(r" +step 60  held out \((all|final, .*)\) \d.\d{4} nats/byte", final)
