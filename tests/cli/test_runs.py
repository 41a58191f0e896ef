"""`tfcli runs`: listing, showing, comparing and removing runs, and where a new one may lie."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.test_terminal import TINY, terminal
from tests.conftest import BOOK, Called, RealShell, Shell


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder with the runs `small`, `gpt` and `numbers`, the last on another text."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "book.txt").write_text(BOOK)
    (folder / "numbers.txt").write_text("".join(f"{i} and {i + 1}\n" for i in range(3000)))
    shell = RealShell(folder)
    for name, text, *options in (
        ("small", "book.txt", "--steps", "8"),
        ("numbers", "numbers.txt", "--steps", "2"),
        ("gpt", "book.txt", "--steps", "2", "--family", "gpt2", "--seed", "5"),
    ):
        made = shell("train", text, "--run", name, *TINY, *options, "--quiet")
        assert made.code == 0, made.err
    return shell


@pytest.fixture
def listed(several: Shell, called: Called) -> Called:
    called.folder = several.folder
    return called


@pytest.fixture
def workshop(several: Shell, tmp_path: Path) -> Shell:
    shutil.copytree(several.folder, tmp_path / "work")
    return RealShell(tmp_path / "work")


def names(out: bytes) -> list[str]:
    """The first column of a table."""
    return [line.split()[0] for line in out.decode().splitlines()[1:]]


# --- list ---------------------------------------------------------------------------------------


def test_runs_list_is_the_same_as_runs(listed: Called) -> None:
    for options in ((), ("--json",), ("--sort", "loss")):
        assert listed("runs", "list", *options).out == listed("runs", *options).out


def test_runs_are_sorted_as_asked(listed: Called) -> None:
    order = {
        "date": ["small", "numbers", "gpt"],
        "name": ["gpt", "numbers", "small"],
        "size": ["small", "numbers", "gpt"],
        "loss": ["small", "gpt", "numbers"],  # text by text
    }
    for sort, expected in order.items():
        done = listed("runs", "list", "--sort", sort)
        assert names(done.out) == expected
        assert "Next: tfcli runs show gpt" in done.err  # the newest, whatever the order
        rows = listed("runs", "list", "--sort", sort, "--json").out.splitlines()
        assert [json.loads(row)["name"] for row in rows] == expected


def test_columns_are_aligned_also_where_a_run_has_no_loss(workshop: Shell) -> None:
    made = workshop(
        *("train", "book.txt", "--run", "unmeasured", *TINY, "--steps", "1"), "--val-fraction", "0"
    )
    assert made.code == 0, made.err
    head, *rows = workshop("runs").out.decode().splitlines()
    end = head.index("nats/byte") + len("nats/byte")
    for row in rows:
        assert re.fullmatch(r".*(\d\.\d{4}| -)", row[:end]), row
    assert names(workshop("runs", "--sort", "loss").out)[-1] == "unmeasured"


def test_losses_on_different_texts_are_not_passed_off_as_comparable(workshop: Shell) -> None:
    done = workshop("runs")
    assert "only losses on the same held-out text can be compared" in done.err
    assert "numbers.txt" in done.out.decode()
    assert workshop("runs", "rm", "--yes", "numbers").code == 0
    done = workshop("runs")
    assert "compared" not in done.err
    assert "book.txt" not in done.out.decode()


def test_different_texts_of_the_same_name_are_told_apart(workshop: Shell) -> None:
    (workshop.folder / "book.txt").write_text(BOOK + "The end.\n" * 40)
    made = workshop("train", "book.txt", "--run", "longer", *TINY, "--steps", "1")
    assert made.code == 0, made.err
    listed = workshop("runs").out.decode()
    assert "book.txt #2" in next(line for line in listed.splitlines() if "longer" in line)


# --- show ---------------------------------------------------------------------------------------


def test_show_has_every_part_of_the_model_in_words(listed: Called) -> None:
    shown = listed("runs", "show", "small").out.decode()
    assert re.search(r"norm epsilon +1e-06\n +base of RoPE +10,000\n", shown)
    assert not re.search(r"RoPE", listed("runs", "show", "gpt").out.decode())
    summary = json.loads(listed("runs", "show", "small", "--json").out)
    for words in (
        "Run small",
        rf"best nats/byte +{summary['held_out']['nats_per_byte']:.4f}, step 8\n",
        r"measured on +all held-out text, 2\.2 kB\n",
        r"held out +2\.2 kB: the end of book\.txt\n",
        r"family +modern: RMSNorm, SwiGLU, rotary positions\n",
        r"budget +8 steps\n",
        r"    attention +[\d.]+ k +\d+ %\n",
        r"    norms +\d+ +< 1 %\n",
    ):
        assert re.search(words, shown), words
    assert not re.search(r"[{}\[\]]|None|True|False|\d\.\d{5}", shown)
    parts = summary["parameters_by_part"]
    assert sum(parts.values()) == summary["parameters"]
    assert summary["best_evaluation"]["step"] == summary["last_evaluation"]["step"] == 8


def test_show_names_a_run_elsewhere_by_its_path(workshop: Shell) -> None:
    (workshop.folder / "checkpoints/gpt").rename(workshop.folder / "moved")
    assert "--run moved" in workshop("runs", "show", "moved").err


@pytest.mark.parametrize("columns", [40, 80])
def test_show_and_diff_fit_the_terminal(listed: Called, columns: int) -> None:
    for command in (("show", "small"), ("diff", "small", "gpt", "numbers")):
        done = listed("runs", *command, env={"COLUMNS": str(columns)})
        assert done.code == 0, done.err
        assert max(map(len, done.out.decode().splitlines())) <= columns
        wide = listed("runs", *command, env={"COLUMNS": "300"}).out.decode()
        if command[0] == "show" or columns == 80:  # otherwise names of runs are repeated
            assert Counter("".join(wide.split())) == Counter("".join(done.out.decode().split()))


# --- diff ---------------------------------------------------------------------------------------


def test_diff_shows_what_differs_and_only_that(listed: Called) -> None:
    done = listed("runs", "diff", "small", "gpt")
    shown = done.out.decode()
    assert re.search(r"^ +small +gpt$", shown, re.MULTILINE)
    assert re.search(r"  seed +0 +5\n", shown)
    assert re.search(r"  budget +8 steps +2 steps\n", shown)
    assert re.search(r"    positions +- +512", shown)
    assert "hidden size" not in shown
    assert "Text" not in shown
    assert "compared" not in done.err
    everything = listed("runs", "diff", "small", "gpt", "--all").out.decode()
    assert re.search(r"  hidden size +32 +32\n", everything)


def test_diff_shows_how_texts_were_read(shell: Shell) -> None:
    rows = "".join(json.dumps({"a": n, "b": f"Ann saw {n} birds."}) + "\n" for n in range(200))
    (shell.folder / "rows.jsonl").write_text(rows)
    small = ("--steps", "1", "--layers", "1", "--width", "64", "--context", "32",
             "--batch-tokens", "64", "--vocab-size", "300")  # fmt: skip
    for name, options in (
        ("found", ()), ("named", ("--field", "b")),
        ("text", ("--format", "text", "--separator", "9\n")),
    ):  # fmt: skip
        done = shell("train", "rows.jsonl", "--run", name, *options, *small)
        assert done.code == 0, done.err
    out = shell("runs", "diff", "found", "named", "text", env={"COLUMNS": "200"}).out.decode()
    split = [re.split("  +", line.strip()) for line in out.splitlines()]
    lines = {name: said for name, *said in split}
    assert lines["format"] == ["from the content", "from the content", "text"]
    assert lines["field"] == ["text, or the only one", "b", "text, or the only one"]
    assert lines["separator"] == [*["a line with <|endoftext|>"] * 2, r"'9\n'"]
    assert "document" not in lines


def test_diff_of_different_texts_says_so(listed: Called) -> None:
    done = listed("runs", "diff", "small", "numbers")
    assert re.search(r"  files +book\.txt +numbers\.txt\n", done.out.decode())
    assert "evaluated on different texts; their losses cannot be compared" in done.err
    assert "tfcli score FILE --run RUN" in done.err


def test_diff_as_json(listed: Called) -> None:
    found = json.loads(listed("runs", "diff", "small", "gpt", "--json").out)
    assert found["runs"] == ["checkpoints/small", "checkpoints/gpt"]
    assert found["comparable"] is True
    assert found["configuration"]["seed"] == [0, 5]
    assert found["configuration"]["model.family"] == ["modern", "gpt2"]
    assert found["results"]["steps"] == [8, 2]
    assert "model.d_model" not in found["configuration"]
    everything = json.loads(listed("runs", "diff", "small", "gpt", "--json", "--all").out)
    assert everything["configuration"]["model.d_model"] == [32, 32]


def test_diff_needs_two_runs(listed: Called) -> None:
    done = listed("runs", "diff", "small", "checkpoints/small")
    assert done.code == 2
    assert "both are the same run, small" in done.err
    assert "at least two runs" in listed("runs", "diff", "small").err


def test_copies_do_not_differ(workshop: Shell) -> None:
    shutil.copytree(workshop.folder / "checkpoints/small", workshop.folder / "checkpoints/copy")
    done = workshop("runs", "diff", "small", "copy")
    assert (done.code, done.out) == (0, b"")
    assert "do not differ" in done.err


# --- where runs lie -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("a/b", "folder 'a' not found", "--run a-b"),
        ("checkpoints/a/b", "must be directly inside checkpoints/", "--run a-b"),
        ("./checkpoints/small/b", "directly inside", "--run small-b"),
        ("../evil", "outside of checkpoints/", "--run evil # or its whole path: --run /"),
        ("checkpoints/../../evil", "outside of checkpoints/", "--run evil"),
    ],
)
def test_name_with_a_slash_that_is_no_path_is_refused(
    listed: Called, name: str, what: str, hint: str
) -> None:
    done = listed("train", "book.txt", "--run", name, *TINY, "--steps", "1")
    assert done.code == 2
    assert what in done.err
    assert f"try: {hint}" in done.err


def test_no_name_leads_out_of_the_folder_of_runs(workshop: Shell) -> None:
    shutil.copytree(workshop.folder / "checkpoints/small", workshop.folder / "mine")
    for command in (("runs", "rm", "--yes"), ("runs", "show")):
        done = workshop(*command, "../mine")
        assert done.code == 66
        assert "run '../mine' not found" in done.err
    assert (workshop.folder / "mine/run.json").exists()


def test_a_path_into_a_folder_that_exists_is_one(workshop: Shell) -> None:
    (workshop.folder / "kept").mkdir()
    made = workshop("train", "book.txt", "--run", "kept/it", *TINY, "--steps", "1")
    assert made.code == 0, made.err
    assert (workshop.folder / "kept/it/run.json").exists()


def test_nested_run_is_said_to_be_there(workshop: Shell) -> None:
    (workshop.folder / "checkpoints/a").mkdir()
    (workshop.folder / "checkpoints/gpt").rename(workshop.folder / "checkpoints/a/b")
    done = workshop("runs")
    assert names(done.out) == ["small", "numbers"]
    assert "checkpoints/a/b is nested, so not listed" in done.err
    assert workshop("runs", "show", "a/b").code == 0


# --- remove -------------------------------------------------------------------------------------


def test_runs_are_removed_all_or_none(workshop: Shell) -> None:
    done = workshop("runs", "rm", "small")
    assert done.code == 2
    assert "nothing was removed" in done.err
    assert "tfcli runs rm --yes small" in done.err
    assert workshop("runs", "rm", "small", "three", "--yes").code == 66
    assert (workshop.folder / "checkpoints/small/run.json").exists()
    done = workshop("runs", "rm", "--yes", "small", "gpt", "checkpoints/gpt")
    assert done.code == 0
    assert done.err.count("Removed checkpoints/") == 2
    assert names(workshop("runs").out) == ["numbers"]
    assert workshop("runs", "verify").code == 0
    assert workshop("runs", "rm", "--yes", "book.txt").code == 66


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")
@pytest.mark.parametrize("answer", ["No", "", "\x04", "\x03"])
def test_unless_confirmed_nothing_is_removed_and_that_is_said(workshop: Shell, answer: str) -> None:
    child = terminal(workshop, "runs", "rm", "small", "gpt")
    child.expect(r"checkpoints/small +[\d.]+ kB\r\n +checkpoints/gpt +[\d.]+ kB")
    child.expect(r"Remove these 2 runs \([\d.]+ M?k?B\), with all of their checkpoints\? \[y/N\]: ")
    child.send(answer if answer in "\x03\x04" and answer else f"{answer}\r")
    child.expect(r"\r\nNothing was removed\.")
    child.expect("$")
    child.close()
    assert set(names(workshop("runs").out)) == {"small", "gpt", "numbers"}


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")
def test_one_confirmation_is_for_all(workshop: Shell) -> None:
    child = terminal(workshop, "runs", "rm", "small", "gpt")
    child.expect(r"\[y/N\]: ")
    child.sendline("tal vez")
    child.expect(r"Answer y \(yes\) or n \(no\)\.")
    child.expect(r"\[y/N\]: ")
    child.sendline(" YES ")
    child.expect("Removed checkpoints/gpt")
    child.wait()
    assert names(workshop("runs").out) == ["numbers"]


def test_the_held_out_texts_of_a_list_are_not_clipped_in_a_pipe(shell: Shell) -> None:
    small = ("--steps", "1", "--layers", "1", "--width", "32", "--context", "16")
    folder = shell.folder / "novela"
    folder.mkdir()
    for number in range(3):
        (folder / f"capítulo {number}.txt").write_text(f"{number} {BOOK}")
    (shell.folder / "un nombre bastante largo.txt").write_text(BOOK)
    assert shell("train", "novela", "--run", "all", *small).code == 0
    assert shell("train", "un nombre bastante largo.txt", "--run", "one", *small).code == 0
    two = [f"novela/capítulo {number}.txt" for number in range(2)]
    assert shell("train", *two, "--run", "two", *small).code == 0
    shown = shell("runs", "list").out.decode()
    assert "  novela/ (3 files)  " in shown
    assert "  un nombre bastante largo.txt  " in shown
    assert "  capítulo 0.txt +1  " in shown
