"""The program as a whole: help, version, listings, and internal errors."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator

import pytest

from tests.conftest import Called, Shell
from tfcli.cli.app import root_command


def commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command, as the words that call it."""
    children = getattr(command, "commands", {})
    if not children:
        yield path
    for name, child in children.items():
        yield from commands(child, (*path, name))


COMMANDS = list(commands(root_command()))


@pytest.mark.parametrize("path", [(), ("runs",), ("tokenizer",), *COMMANDS], ids=" ".join)
def test_every_command_has_help_with_a_description(called: Called, path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        done = called(*path, flag)
        assert done.code == 0
        assert " ".join(("Usage: tfcli", *path)) in done.out.decode()
        assert done.err == ""


def test_help_may_be_asked_for_in_words(called: Called) -> None:
    for path in ((), ("train",), ("runs",), ("runs", "show")):
        assert called("help", *path).out == called(*path, "--help").out != b""
    assert called("help", "train", "more").out == called("train", "--help").out
    for unknown, meant in ((("trian",), "train"), (("runs", "shwo"), "show")):
        done = called("help", *unknown)
        assert (done.code, done.out) == (2, b"")
        assert f"did you mean '{meant}'?" in done.err


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_narrow_help_has_its_texts_below_the_names(called: Called, path: tuple[str, ...]) -> None:
    narrow = called(*path, "--help", env={"COLUMNS": "40"}).out.decode()
    texts = [line for line in narrow.splitlines() if line.startswith("    ")]
    assert max(map(len, texts)) <= 40
    assert sum(map(len, texts)) / len(texts) > 20  # no ribbon
    wide = called(*path, "--help", env={"COLUMNS": "200"}).out.decode()
    names = re.compile(r"--[a-z][\w-]+")
    assert {*names.findall(wide)} == {*names.findall(narrow)}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_name_is_cut_at_80_columns(called: Called, path: tuple[str, ...]) -> None:
    usual = called(*path, "--help", env={"COLUMNS": "80"}).out.decode()
    assert "…" not in usual
    wide = called(*path, "--help", env={"COLUMNS": "200"}).out.decode()
    names = re.compile(r"--[a-z][\w-]+")
    assert {*names.findall(wide)} == {*names.findall(usual)}


def test_lines_of_descriptions_fit_80_columns_and_defaults_are_plain(called: Called) -> None:
    for path in ((), *COMMANDS):
        command = root_command()
        for word in path:
            command = command.commands[word]
        assert max(map(len, inspect.cleandoc(command.help).splitlines())) <= 78, path
    usual = called("generate", "--help", env={"COLUMNS": "200"}).out.decode()
    assert "[default: random]" in usual
    assert "[default: on]" in usual


def test_version(shell: Shell) -> None:
    assert shell("--version").out.startswith(b"tfcli ")


def test_misspelled_command_gets_a_suggestion(shell: Shell) -> None:
    done = shell("genrate")
    assert done.code == 2
    assert "did you mean 'generate'?" in done.err


def test_unknown_choice_is_told_the_known_ones(shell: Shell) -> None:
    done = shell("export", "run", "folder", "--to", "onnx")
    assert done.code == 2
    first, *_ = done.err.splitlines()
    assert first == "error: --to must be one of huggingface, gguf, ollama, not 'onnx'"


def test_only_debug_shows_a_traceback(shell: Shell) -> None:
    assert "Traceback" not in shell("generate", "Ann").err
    assert "Traceback" in shell("--debug", "generate", "Ann").err
    assert "Traceback" in shell("generate", "Ann", env={"TFCLI_DEBUG": "1"}).err


def test_runs_are_listed_and_shown(trained: Shell) -> None:
    listed = trained("runs")
    assert listed.code == 0
    assert b"tale" in listed.out
    assert "Next: tfcli runs show tale" in listed.err
    (line,) = trained("runs", "--json").out.splitlines()
    summary = json.loads(line)
    expected = {"name", "path", "parameters", "steps", "tokens_seen", "seconds", "held_out"}
    assert expected <= summary.keys()
    assert {"nats_per_byte", "bytes", "context"} <= summary["held_out"].keys()


def test_listing_no_runs_is_not_an_error(shell: Shell) -> None:
    done = shell("runs")
    assert (done.code, done.out) == (0, b"")
    assert "Next: tfcli train" in done.err


def test_damaged_run_is_named_and_the_others_are_listed(shell: Shell) -> None:
    broken = shell.folder / "checkpoints/broken"
    broken.mkdir(parents=True)
    (broken / "run.json").write_text("{")
    done = shell("runs")
    assert done.code == 0
    assert "broken/run.json" in done.err
    assert shell("runs", "show", "broken").code == 65


def test_doctor_reports_no_problems(trained: Shell) -> None:
    done = trained("doctor")
    assert done.code == 0, done.out
    assert b"run tale" in done.out
    rows = [json.loads(line) for line in trained("doctor", "--json").out.splitlines()]
    assert all(row["ok"] for row in rows)
    (engine,) = [row["found"] for row in rows if row["check"] == "engine"]
    assert engine.startswith(("compiled (", "numpy ("))


def test_doctor_names_a_damaged_tokenizer(shell: Shell) -> None:
    assert shell("tokenizer", "train", "book.txt", "--name", "words").code == 0
    (shell.folder / "tokenizers/words/tokenizer.model").write_bytes(b"nothing")
    done = shell("doctor")
    assert done.code == 65
    assert b"!!" in done.out
