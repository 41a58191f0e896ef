"""A run that is trained both ways: its plan, its gaps of N tokens, its bound, and its exports."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import tfcli
from tests.conftest import BOOK, Called, RealShell, Shell
from tfcli.errors import UsageError

TEXT = "Ann saw [3] at noon.\nThe [2] saw a ship [3]."


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in a folder with a run `both`; not to be changed."""
    folder = tmp_path_factory.mktemp("both")
    (folder / "book.txt").write_text(BOOK)
    shell = RealShell(folder)
    small = ("--steps", "60", "--layers", "1", "--width", "64", "--context", "32")
    made = shell(
        *("train", "book.txt", "--run", "both", "--masked", "0.5", "--vocab-size", "320"),
        *(*small, "--batch-tokens", "512"),
    )
    assert made.code == 0, made.err
    assert "50 % of rows masked (bidirectional)" in made.err
    return shell


def rows(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.decode().splitlines()]


# --- the plan -------------------------------------------------------------------------------------


def test_share_is_recorded_and_shown(both: Shell) -> None:
    assert re.search(r"masked +0\.5", both("runs", "show", "both").out.decode())
    recorded = json.loads((both.folder / "checkpoints/both/run.json").read_text())
    assert recorded["plan"]["masked"] == 0.5
    dry = both("train", "book.txt", "--dry-run", "--steps", "3", "--masked", "0.25")
    assert "25 % of rows masked (bidirectional)" in dry.out.decode() + dry.err
    plain = both("train", "book.txt", "--dry-run", "--steps", "3")
    assert "bidirectional" not in plain.out.decode() + plain.err


@pytest.mark.parametrize("share", ["1", "-0.1", "much"])
def test_impossible_shares_are_refused(called: Called, share: str) -> None:
    done = called("train", "book.txt", "--masked", share)
    assert done.code == 2
    assert "--masked" in done.err


# --- gaps -----------------------------------------------------------------------------------------


def test_every_gap_has_as_many_tokens_as_it_says(both: Shell) -> None:
    (row,) = rows(both("fill", TEXT, "--seed", "1", "--jsonl").out)
    texts = [gap["text"] for gap in row["gaps"]]
    assert [len(gap["tokens"]) for gap in row["gaps"]] == [3, 2, 3]
    assert [len(gap["logprobs"]) for gap in row["gaps"]] == [3, 2, 3]
    assert row["text"] == f"Ann saw {texts[0]} at noon.\nThe {texts[1]} saw a ship {texts[2]}."
    assert both("fill", TEXT, "--seed", "1").out.decode() == row["text"]


def test_what_is_behind_a_gap_counts(both: Shell) -> None:
    """All of the text before it is the same."""
    sea, snow = (
        rows(both("fill", f"Bob saw a ship [1] the {end}.\n", "--greedy", "--jsonl").out)[0]
        for end in ("sea", "snow")
    )
    assert sea["gaps"][0]["logprobs"] != snow["gaps"][0]["logprobs"]


def test_show_is_the_text_after_every_step(both: Shell) -> None:
    done = both("fill", "Ann saw [3] at noon.\nBob", "--greedy", "--show")
    lines = [line[5:] for line in done.err.splitlines() if re.match(r" +\d+  ", line)]
    assert lines[0] == "Ann saw ___ at noon.⏎Bob"
    assert [line.count("_") for line in lines] == [3, 2, 1, 0]
    assert lines[-1] == done.out.decode().replace("\n", "⏎")
    faster = both("fill", "Ann saw [3] at noon.\nBob", "--greedy", "--show", "--steps", "1")
    lines = [line[5:] for line in faster.err.splitlines() if re.match(r" +\d+  ", line)]
    assert [line.count("_") for line in lines] == [3, 0]


def test_lines_are_filled_one_by_one(both: Shell) -> None:
    done = both("fill", "--lines", "--greedy", stdin=b"Ann saw [3].\nAnn [] noon.\nBob [2].\n")
    assert done.code == 65
    first, error, last, *_ = done.out.decode().split("\n")
    assert first == both("fill", "Ann saw [3].", "--greedy").out.decode()
    assert error == ""
    assert "line 2: a gap of this run needs its number of tokens" in done.err
    assert last.startswith("Bob ")


def test_a_gap_without_a_number_is_told_what_to_write(both: Shell) -> None:
    done = both("fill", "Ann [] noon.")
    assert done.code == 2
    assert "needs its number of tokens, such as [3] instead of []" in done.err
    assert 'tfcli fill "Once [3] a time"' in done.err


def test_a_gap_longer_than_the_context_is_refused_before_any_output(both: Shell) -> None:
    done = both("fill", "Ann [32] noon.")
    assert (done.code, done.out) == (2, b"")
    assert "at most 31 tokens, not 32" in done.err
    assert both("fill", "Ann [31] noon.", "--steps", "1").code == 0
    lines = both(
        "fill", "--lines", "--greedy", stdin=b"Ann [999] noon.\nBob [99999999999].\nA [1]."
    )
    assert lines.code == 65
    assert "line 1: a gap of this run has at most 31 tokens" in lines.err
    assert "line 2: a gap has at most 1,000,000 tokens" in lines.err
    assert lines.out.decode().splitlines()[2].startswith("A ")


def test_between_two_files_a_gap_is_given_its_number_in_a_pipe(both: Shell, tmp_path: Path) -> None:
    before, after = tmp_path / "a b.txt", tmp_path / "after.txt"
    before.write_text("Ann saw ")
    after.write_text(" at noon.")
    done = both("fill", "--prefix", str(before), "--suffix", str(after))
    assert (done.code, done.out) == (2, b"")
    hint = f"(cat '{before}'; printf '[3]'; cat {after}) | tfcli fill"
    assert hint in " ".join(done.err.split())
    piped = subprocess.run(
        ["sh", "-c", hint.partition(" | ")[0]], stdout=subprocess.PIPE, check=True
    )
    assert piped.stdout == b"Ann saw [3] at noon."


def test_between_two_texts_a_gap_of_this_run_needs_its_number(both: Shell) -> None:
    done = both("fill", "--jsonl", stdin=b'{"prefix": "Ann saw ", "suffix": " at noon."}\n')
    assert done.code == 65
    (row,) = rows(done.out)
    assert "a gap of this run needs its number of tokens" in row["error"]
    run = tfcli.open_run("both", folder=both.folder / "checkpoints")
    with pytest.raises(UsageError, match="cannot fill a gap between two texts"):
        run.fill_between("Ann saw ", " at noon.")
    with pytest.raises(UsageError, match="cannot be filled with --stop"):
        run.fill("Ann saw [3] at noon.", stop=["a"])


def test_an_imported_run_is_not_said_to_be_trained_otherwise(both: Shell, tmp_path: Path) -> None:
    elsewhere, run = RealShell(tmp_path), str(both.folder / "checkpoints/both")
    assert elsewhere("export", run, "out", "--to", "huggingface").code == 0
    assert elsewhere("import", "out", "--run", "again").code == 0
    (tmp_path / "book.txt").write_text(BOOK)
    for command in (["fill", "Ann [2] noon."], ["score", "--bound", "book.txt"]):
        done = elsewhere(*command, "--run", "again")
        assert done.code == 2
        why = "imports do not keep whether it was trained with --masked"
        assert why in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "numpy"], "cannot be combined with --engine numpy"),
        (["--int8"], "cannot be combined with --int8"),
        (["--regex", "a+"], "cannot be filled with structured output"),
        (["--frequency-penalty", "1"], "cannot be filled with penalties"),
        (["--best-of", "4"], "cannot be filled with --best-of"),
        (["--steps", "2", "--threshold", "0.9"], "--threshold"),
        (["--max-new-tokens", "3"], "[N] says how many tokens a gap has"),
        (["--order", "psm"], "reads both sides of a gap at once"),
    ],
)
def test_what_needs_the_order_of_the_text_is_refused(
    both: Shell, options: list[str], message: str
) -> None:
    done = both("fill", "Ann [2] noon.", *options)
    assert done.code == 2
    assert message in done.err


def test_other_runs_cannot(trained: Shell) -> None:
    for command in (["fill", "Ann [2] noon."], ["score", "--bound", "book.txt"]):
        done = trained(*command, "--run", "tale")
        assert done.code == 2
        assert "--masked" in done.err


def test_a_run_that_also_infills_does_each_gap_as_it_is_written(shell: Shell) -> None:
    small = ("--steps", "3", "--layers", "1", "--width", "32", "--context", "32", "-q")
    made = shell("train", "book.txt", "--masked", "0.4", "--infill", "0.4", *small)
    assert made.code == 0, made.err
    at_once = shell("fill", "Ann [2] noon.", "--show")
    assert at_once.err.count("Ann") == 3
    assert shell("fill", "Ann [] saw [2] noon.", "--max-new-tokens", "3").code == 0
    for options in (["--steps", "1"], ["--threshold", "0"], ["--show"]):
        refused = shell("fill", "Ann [] noon.", *options)
        assert refused.code == 2
        assert f"{options[0]} needs a number in every gap" in refused.err


def test_each_line_is_filled_as_its_gaps_are_written(shell: Shell) -> None:
    small = ("--steps", "3", "--layers", "1", "--width", "32", "--context", "32", "-q")
    made = shell("train", "book.txt", "--masked", "0.4", "--infill", "0.4", *small)
    assert made.code == 0, made.err
    texts = ["Ann [2].", "Ann [] saw [2] noon.", "Bob [].", "The [2] ship.", "Bob [1] [] sea."]
    options = ("--greedy", "--max-new-tokens", "3", "--jsonl")
    alone = [rows(shell("fill", text, *options).out)[0]["gaps"] for text in texts]
    stdin = "".join(f"{text}\n" for text in texts).encode()
    together = rows(shell("fill", "--lines", *options, stdin=stdin).out)
    assert [row["gaps"] for row in together] == alone
    assert [row["row"] for row in together] == [1, 2, 3, 4, 5]
    few = shell("fill", "--lines", "--steps", "1", "--greedy", stdin=stdin)
    assert few.code == 65
    assert "line 2: --steps needs a number in every gap" in few.err
    assert "invalid lines: 3 of 5" in few.err


# --- the bound ------------------------------------------------------------------------------------


def test_bound_comes_with_its_standard_error(both: Shell) -> None:
    text = b"Ann saw the moon at noon.\nBob saw a ship by the sea.\n"
    done = both("score", "--bound", stdin=text)
    assert re.fullmatch(
        r"upper bound: \d\.\d{4} nats/byte \(estimated, standard error \d\.\d{4}\), "
        r"\d\.\d{4} bits/byte; "
        r"52 bytes, \d+ tokens \(context 32, stride 15, 128 samples\)\n",
        done.out.decode(),
    )
    assert both("score", "--bound", stdin=text).out == done.out
    (few,) = rows(both("score", "--bound", "--bound-samples", "8", "--json", stdin=text).out)
    (many,) = rows(both("score", "--bound", "--json", stdin=text).out)
    assert few["standard_error"] > many["standard_error"]
    lines = both("score", "--bound", "--by", "line", stdin=text).out.decode().splitlines()
    assert [line.split("\t")[2] for line in lines] == text.decode().splitlines()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--by", "token"], "--by token"),
        (["--jsonl"], "--jsonl"),
        (["--bound-samples", "3"], "must be even"),
        (["--memory"], "--memory"),
    ],
)
def test_bound_of_something_else_is_refused(both: Shell, options: list[str], message: str) -> None:
    done = both("score", "--bound", *options, stdin=b"Ann")
    assert done.code == 2
    assert message in done.err


# --- what it does from left to right --------------------------------------------------------------


def test_it_generates_and_scores_with_every_engine(both: Shell) -> None:
    texts = {
        both("generate", "Ann saw", "--greedy", "--max-new-tokens", "9", "--engine", engine).out
        for engine in ("numpy", "torch")
    }
    assert len(texts) == 1
    assert both("score", "book.txt").code == 0


def test_exports_say_what_they_can_do(both: Shell) -> None:
    done = both("export", "both", "out", "--to", "huggingface")
    assert done.code == 0, done.err
    card = (both.folder / "out" / "README.md").read_text()
    assert "Exported it reads from left to right" in " ".join(card.split())
    assert "| rows trained both ways | 0.5 |" in card
