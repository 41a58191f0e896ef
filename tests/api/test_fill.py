"""Gaps in Python are filled as by the command."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import assert_type

import pytest

import tfcli
from tests.conftest import Shell
from tfcli.errors import UsageError


def open_gaps(gaps: Shell) -> tfcli.OpenRun:
    return tfcli.open_run("gaps", folder=Path(gaps.folder) / "checkpoints")


def test_gaps_are_filled_as_by_the_command(gaps: Shell) -> None:
    run, text = open_gaps(gaps), "Ann saw [4] at noon.\nBob [3]"
    by_command = gaps("fill", text, "--seed", "4", "--max-new-tokens", "9", "--jsonl")
    assert run.fill(text, seed=4, max_tokens=9, order="spm") == json.loads(by_command.out)["text"]
    assert run.fill(text, greedy=True) == gaps("fill", text, "--greedy").out.decode()
    middle = run.fill_between("Ann saw ", " at noon.", greedy=True)
    assert run.fill("Ann saw [] at noon.", greedy=True) == f"Ann saw {middle} at noon."


def test_a_space_before_a_gap_begins_the_first_token_of_what_fills_it(gaps: Shell) -> None:
    tokenizer = open_gaps(gaps).tokenizer
    by_command = gaps("fill", "Ann saw [] at noon.", "--jsonl", "--greedy", "--seed", "1")
    (gap,) = json.loads(by_command.out)["gaps"]
    written = tokenizer.decode(gap["tokens"])
    assert written == f" {gap['text']}"


def test_what_cannot_be_filled_is_refused(gaps: Shell, run: tfcli.OpenRun) -> None:
    with pytest.raises(UsageError, match="cannot fill gaps"):
        run.fill("Once [] a time")
    filler = open_gaps(gaps)
    with pytest.raises(UsageError, match="no gap"):
        filler.fill("Once upon a time")
    with pytest.raises(UsageError, match="unknown option 'echo'"):
        filler.fill("Once [] a time", echo=True)
    with pytest.raises(UsageError, match="max_new_tokens must be at least 1"):
        filler.fill("Once [] a time", max_new_tokens=0)


def test_options_are_shown() -> None:
    assert "temperature" in inspect.signature(tfcli.OpenRun.fill).parameters
    assert "raw" not in inspect.signature(tfcli.OpenRun.fill).parameters
    assert "max_new_tokens: End a gap after N tokens" in (tfcli.OpenRun.fill.__doc__ or "")


def test_a_bound_has_its_type_and_names_its_arguments(shell: Shell) -> None:
    small = ("--steps", "3", "--layers", "1", "--width", "32", "--context", "32", "-q")
    made = shell("train", "book.txt", "--run", "both", "--masked", "0.5", *small)
    assert made.code == 0, made.err
    run = tfcli.open_run("both", folder=Path(shell.folder) / "checkpoints")
    bound = run.bound("Ann saw the moon.", samples=8)
    assert_type(bound, tfcli.Bound)
    assert isinstance(bound, tfcli.Bound)
    assert bound.nats > 0
    with pytest.raises(UsageError, match=r"^samples must be even, not 7$"):
        run.bound("Ann", samples=7)
