"""Structured output of a model that has learned from rows of its form, and of another form."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.conftest import RealShell

pytestmark = pytest.mark.slow

VALUES = {
    "guest": ["Ada", "Ben", "Cleo", "Dina"],
    "room": ["blue", "green", "red"],
    "nights": [*range(1, 10)],
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> RealShell:
    """A shell with a run `rows`, trained on rows as Python's json.dumps writes them."""
    folder: Path = tmp_path_factory.mktemp("rows")
    drawn = random.Random(1)
    written = [
        json.dumps({name: drawn.choice(values) for name, values in VALUES.items()})
        for _ in range(4000)
    ]
    (folder / "rows.jsonl").write_text("\n".join(written) + "\n")
    shell = RealShell(folder)
    done = shell(
        *("train", "rows.jsonl", "--format", "text", "--run", "rows", "--steps", "200"),
        *("--layers", "2", "--width", "64", "--vocab-size", "400"),
    )
    assert done.code == 0, done.err
    return shell


def schema(**types: str) -> str:
    return json.dumps({
        "type": "object",
        "properties": {name: {"type": kind, "maxLength": 20} for name, kind in types.items()},
        "required": list(types),
        "additionalProperties": False,
    })  # fmt: skip


def test_rows_have_values_of_the_training_text(rows: RealShell) -> None:
    form = schema(guest="string", room="string", nights="integer")
    done = rows("generate", "--unconditional", "--json-schema", form, "-n", "200", "--jsonl",
                "--seed", "1")  # fmt: skip
    assert done.code == 0, done.err
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert len(answers) == 200
    for answer in answers:
        written = json.loads(answer["text"])
        assert all(written[name] in values for name, values in VALUES.items()), written
        assert 0.2 < answer["format_probability"] <= 1
    assert "unlikely" not in done.err


def test_a_field_that_the_model_knows_nothing_of_is_noticed(rows: RealShell) -> None:
    form = schema(guest="string", color="string")
    done = rows("generate", "--unconditional", "--json-schema", form, "-n", "5", "--jsonl",
                "--seed", "1")  # fmt: skip
    assert done.code == 0, done.err
    assert "considers this format unlikely in 5 of 5 outputs, first after {" in done.err
    assert all(json.loads(line)["format_probability"] < 0.2 for line in done.out.splitlines())
