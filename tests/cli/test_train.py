"""`tfcli train` as users run it: real processes, pipes, signals and kills."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tests.conftest import BOOK, RealShell, Shell, bare_environment, forked
from tfcli.cli.training_notes import first_words, format_missed
from tfcli.files import slugify
from tfcli.runs.run import open_run
from tfcli.runs.step import MODEL, list_steps, load_arrays
from tfcli.runs.summary import is_finished, summarize

TINY = ("--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "128")


def weights(run: Path) -> dict[str, bytes]:
    arrays = load_arrays(list_steps(run)[-1] / MODEL)
    return {name: array.tobytes() for name, array in arrays.items()}


@contextmanager
def training(shell: Shell, *arguments: str, fresh: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A training process in the background that has made at least one step.

    Args:
        fresh: whether it is not forked, so that its number is that of the process.

    """
    process = subprocess.Popen(
        [*([sys.executable, "-m", "tfcli"] if fresh else forked()), "train", *arguments],
        cwd=shell.folder,
        env=bare_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        for line in process.stderr:
            if "step" in line and "%" in line:
                break
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream and not stream.closed:
                stream.read()  # to its end, which is that of a forked process too
                stream.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ann saw a ship.\n", "Ann saw a"),
        ("a cuando oyó. Luego salió de casa.\n", "Luego salió de"),
        ("import os\nimport sys\n", "import sys"),
        ("sin fin ni principio", "sin fin ni"),
        ("\n\n  Chapter one\n", "Chapter one"),
    ],
)
def test_what_is_suggested_begins_where_a_line_or_sentence_does(text: str, words: str) -> None:
    assert first_words(text) == words


def test_training_on_a_text_file_makes_a_run(shell: Shell) -> None:
    done = shell("train", "book.txt", "--steps", "5", *TINY)
    assert done.code == 0, done.err
    assert done.out == b""
    assert "Held out:" in done.err
    assert done.err.splitlines()[-1] == "Next: tfcli generate 'Ann saw a' --run book"
    assert "nats/byte" in done.err
    assert (shell.folder / "checkpoints/book/run.json").is_file()
    again = shell("train", "book.txt", "--steps", "2", *TINY)
    assert again.code == 0
    assert (shell.folder / "checkpoints/book-2/run.json").is_file()


def test_json_result_is_the_summary_of_runs_show(shell: Shell) -> None:
    made = shell("train", "book.txt", "--steps", "3", "--json", "--quiet", *TINY)
    assert made.err == ""
    result = json.loads(made.out)
    shown = json.loads(shell("runs", "show", "--json").out)
    assert result == {key: shown[key] for key in result}
    assert result["steps"] == 3
    assert result["tokens_seen"] == 3 * 128
    assert result["held_out"]["bytes"] == len(BOOK.encode()) - int(len(BOOK.encode()) * 0.9)


@pytest.mark.parametrize("kind", ["stdin", "gz", "zst", "jsonl", "parquet", "folder", "glob"])
def test_every_kind_of_input_is_read(shell: Shell, kind: str) -> None:
    folder = shell.folder / "texts"
    folder.mkdir()
    argument = {"stdin": "-", "folder": "texts", "glob": "texts/*.txt"}.get(kind, f"texts/b.{kind}")
    if kind == "gz":
        (folder / "b.gz").write_bytes(gzip.compress(BOOK.encode()))
    elif kind == "zst":
        (folder / "b.zst").write_bytes(pyarrow.compress(BOOK.encode(), "zstd", asbytes=True))
    elif kind in {"jsonl", "parquet"}:
        texts = [BOOK[i : i + 500] for i in range(0, len(BOOK), 500)]
        (folder / "b.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
        parquet.write_table(pyarrow.table({"text": texts}), folder / "b.parquet")
    else:
        (folder / "b.txt").write_text(BOOK)
    stdin = BOOK.encode() if kind == "stdin" else b""
    done = shell("train", argument, "--steps", "2", "--run", "it", *TINY, stdin=stdin)
    assert done.code == 0, done.err
    metadata = json.loads((shell.folder / "checkpoints/it/run.json").read_bytes())
    assert metadata["corpus"]["bytes"] == len(BOOK.encode())


def test_weights_of_texts_are_recorded_and_resumed(shell: Shell) -> None:
    (shell.folder / "more.txt").write_text(BOOK[:9000])
    done = shell("train", "book.txt", "more.txt:2.5", "--steps", "2", *TINY)
    assert done.code == 0, done.err
    metadata = json.loads((shell.folder / "checkpoints/book/run.json").read_bytes())
    assert [part["weight"] for part in metadata["corpus"]["parts"]] == [1.0, 2.5]
    more = shell("train", "--resume", "book", "--steps", "2")
    assert more.code == 0, more.err


def test_a_run_on_a_folder_has_its_name(shell: Shell) -> None:
    inside = shell.folder / "inside"
    inside.mkdir()
    for folder, given in ((shell.folder, "."), (inside, "..")):
        done = type(shell)(folder)("train", given, "--steps", "2", "--dry-run")  # type: ignore[call-arg]
        assert done.code == 0, done.err
        assert f"Run {slugify(shell.folder.name)}: ".encode() in done.out


def test_run_on_piped_text_can_be_resumed(shell: Shell) -> None:
    stdin = BOOK.encode()
    done = shell("train", "-", "--steps", "2", "--run", "it", *TINY, stdin=stdin)
    assert done.code == 0, done.err
    more = shell("train", "--resume", "it", "--steps", "2")
    assert more.code == 0, more.err
    assert json.loads(shell("runs", "show", "it", "--json").out)["steps"] == 4


@pytest.mark.parametrize("family", ["modern", "llama", "gpt2", "classic"])
def test_every_family_trains_and_generates(shell: Shell, family: str) -> None:
    done = shell("train", "book.txt", "--steps", "3", "--family", family, "--run", "it", *TINY)
    assert done.code == 0, done.err
    text = shell("generate", "Ann", "--max-new-tokens", "5")
    assert text.code == 0, text.err


def test_threads_are_as_many_as_asked_for(shell: Shell) -> None:
    one = ("--threads", "1")
    two = {"OMP_NUM_THREADS": "2"}  # which the option overrides
    assert shell("train", "book.txt", "--run", "it", "--steps", "1", *TINY, *one, env=two).code == 0
    assert open_run(shell.folder / "checkpoints/it").metadata["machine"]["threads"] == 1
    written = shell("generate", "Ann", "--stats", "--engine", "numpy", *one, env=two)
    assert ", 1 thread)" in written.err or "numpy)" in written.err
    assert shell("score", "book.txt", *one, env=two).code == 0
    assert shell("generate", "Ann", "--threads", "0").code == 2


def test_fine_tuning_that_makes_a_model_worse_keeps_what_it_began_with(shell: Shell) -> None:
    assert shell("train", "book.txt", "--run", "it", "--steps", "20", *TINY).code == 0
    worse = ("--from", "it", "--run", "worse", "--steps", "2", "--lr", "100")
    done = shell("train", "book.txt", *worse, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["best_step"] == 0
    assert "best checkpoint: step 0" in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_saves_and_the_run_resumes_to_the_same_bits(
    shell: Shell, number: signal.Signals, code: int
) -> None:
    options = ("book.txt", "--steps", "40", "--eval-every", "2", "--save-every", "40", *TINY)
    assert shell("train", *options, "--run", "whole").code == 0
    with training(shell, *options, "--run", "cut") as process:
        process.send_signal(number)
        _, rest = process.communicate()
    assert process.returncode == code, rest
    assert "Next: tfcli train --resume cut" in rest
    assert list_steps(shell.folder / "checkpoints/cut")[-1].name != "step-00000000"
    assert shell("train", "--resume", "cut").code == 0
    runs = shell.folder / "checkpoints"
    assert weights(runs / "cut") == weights(runs / "whole")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_ends_a_compilation_before_the_first_step(shell: Shell) -> None:
    cache = shell.folder / "inductor"
    process = subprocess.Popen(
        [sys.executable, "-m", "tfcli", "train", "book.txt", "--run", "it", "--steps", "50",
         "--compile", "--layers", "6", "--width", "64", "--context", "64"],
        cwd=shell.folder, stderr=subprocess.PIPE, text=True,
        env=bare_environment() | {"TORCHINDUCTOR_CACHE_DIR": str(cache)},
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if line.startswith("step 0"):
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate()
    assert process.returncode == 130, rest
    assert "Next: tfcli train --resume it" in rest
    (step,) = list_steps(shell.folder / "checkpoints/it")
    assert step.name == "step-00000000"


def test_second_trainer_is_refused_and_told_the_process(shell: Shell) -> None:
    options = ("book.txt", "--steps", "100000", "--eval-every", "2", *TINY, "--run", "it")
    with training(shell, *options, fresh=True) as process:
        for arguments in (("--resume", "it"), ("book.txt", "--run", "it", "--steps", "1")):
            done = shell("train", *arguments)
            assert done.code == 73
        assert f"process {process.pid}" in shell("train", "--resume", "it").err


def test_resuming_a_finished_run_explains_how_to_extend_it(shell: Shell) -> None:
    assert shell("train", "book.txt", "--steps", "2", "--run", "it", *TINY).code == 0
    done = shell("train", "--resume", "it")
    assert done.code == 0
    assert "is already finished" in done.err
    assert shell("train", "book.txt", "--run", "it", "--steps", "2").code == 73


@pytest.mark.parametrize("text", ["a", "日本", "one word"])
def test_tiny_texts_can_be_trained_on(shell: Shell, text: str) -> None:
    done = shell("train", "-", "--steps", "2", "--run", "it", stdin=text.encode())
    assert done.code == 0, done.err


def test_saved_tokenizer_is_used(shell: Shell) -> None:
    assert (
        shell("tokenizer", "train", "book.txt", "--name", "words", "--vocab-size", "310").code == 0
    )
    done = shell("train", "book.txt", "-t", "words", "--steps", "1", "--run", "it", *TINY)
    assert done.code == 0
    assert json.loads(shell("runs", "show", "--json").out)["vocab_size"] == 310


def test_options_are_read_from_the_environment(shell: Shell) -> None:
    environment = {"TFCLI_TRAIN_STEPS": "3", "TFCLI_TRAIN_RUN": "named"}
    assert shell("train", "book.txt", *TINY, env=environment).code == 0
    assert json.loads(shell("runs", "show", "named", "--json").out)["steps"] == 3


def test_environment_is_not_for_resumed_runs(shell: Shell) -> None:
    """A resumed run keeps its plan; variables that a shell always sets must not change it."""
    assert shell("train", "book.txt", "--steps", "3", "--run", "it", *TINY).code == 0
    for name, value in {"TIME": "2s", "STEPS": "5", "EPOCHS": "2", "SHARD": "1"}.items():
        done = shell("train", "--resume", "it", env={f"TFCLI_TRAIN_{name}": value})
        assert done.code == 0, done.err
        assert "already finished" in done.err


@pytest.mark.parametrize("name", ["FROM", "RESUME"])
def test_command_line_overrides_the_run_of_the_environment(shell: Shell, name: str) -> None:
    done = shell(
        "train", "book.txt", "--vocab-size", "300", "--steps", "1", "--dry-run", *TINY,
        env={f"TFCLI_TRAIN_{name}": "no-such-run"},
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "a training of 1 step is too short to learn anything" in " ".join(done.err.split())


def test_what_cannot_learn_or_has_no_effect_is_said(shell: Shell) -> None:
    (shell.folder / "blank.txt").write_text(" \n\n\t\n" * 100)
    done = shell("train", "blank.txt", "--dry-run")
    assert (done.code, "only white space" in done.err) == (65, True)
    large = ("--layers", "40", "--width", "512", "--context", "128")
    done = shell("train", "book.txt", "--dry-run", "--time", "3s", "--field", "text", *large)
    assert done.code == 0, done.err
    said = " ".join(done.err.split())
    assert "book.txt is plain text: --field has no effect" in said
    assert re.search(r"a model of this size takes \d+ steps? and hardly learns|too short", said)


def test_from_overrides_the_shape_of_the_environment_and_a_shape_its_from(trained: Shell) -> None:
    new = ("train", "book.txt", "--run", "it", "--steps", "1", "--dry-run", "--json")
    shape = {"TFCLI_TRAIN_NUM_LAYERS": "3", "TFCLI_TRAIN_D_MODEL": "32"}
    based = trained(*new, "--from", "tale", env=shape)
    assert based.code == 0, based.err
    assert json.loads(based.out)["model"]["num_layers"] == 2
    fresh = trained(*new, *TINY, env={"TFCLI_TRAIN_FROM": "tale"})
    assert fresh.code == 0, fresh.err
    assert json.loads(fresh.out)["from"] is None
    for both in (("--from", "tale", "--num-layers", "3"), ()):
        done = trained(*new, *both, env={} if both else shape | {"TFCLI_TRAIN_FROM": "tale"})
        assert done.code == 2
        assert "cannot be combined with --from" in done.err


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("command", ["train - --steps 1", "tokenizer train - --name t"])
def test_closed_stdin_is_an_input_error(shell: Shell, command: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(forked())} {command} <&-"],
        cwd=shell.folder, env=bare_environment(), capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 74, done.stderr
    assert "standard input is closed" in done.stderr


def test_samples_during_training_continue_the_prompt(shell: Shell) -> None:
    options = ("--steps", "2", "--run", "it", "--sample-prompt", "Ann", *TINY)
    assert shell("train", "book.txt", *options).code == 0
    lines = (shell.folder / "checkpoints/it/metrics.jsonl").read_text().splitlines()
    samples = [row for row in map(json.loads, lines) if row["event"] == "Sampled"]
    assert samples
    assert all(sample["text"].startswith("Ann") for sample in samples)


def test_plan_is_the_result_of_a_dry_run(shell: Shell) -> None:
    dry = ("train", "book.txt", "--steps", "2", "--dry-run", "--vocab-size", "300", *TINY)
    plan = shell(*dry)
    assert plan.out.decode().startswith("Run book: ")
    assert "2 steps of 128 tokens" in plan.out.decode()
    assert "Run book" not in plan.err
    quiet = shell(*dry, "-q")
    assert (quiet.out, quiet.err) == (plan.out, "")
    assert b"Run book" not in shell(*dry, "--json").out


ERRORS = {
    "no text": ((), 2, "no text to train on"),
    "two budgets": (
        ("book.txt", "--steps", "1", "--time", "5s"),
        2,
        "--time cannot be combined with --steps",
    ),
    "resume with a name": (("--resume", "it", "--run", "b"), 2, "the run's own name"),
    "resume with epochs": (
        ("--resume", "it", "--epochs", "2"),
        2,
        "--epochs cannot be combined with --resume",
    ),
    "resume of a missing run": (("--resume", "it"), 66, "run 'it' not found"),
    "empty base": (("book.txt", "--from", ""), 66, "run '' not found"),
    "no such file": (("bok.txt",), 66, "did you mean 'book.txt'"),
    "a shorter name": (("buk.txt",), 66, "did you mean 'book.txt'"),
    "no such rules": (
        ("book.txt", "--user-defined-symbols", "@no.txt"),
        66,
        "file not found: 'no.txt'",
    ),
    "empty": (("empty.txt",), 65, "no text in empty.txt"),
    "binary": (("binary",), 65, "binary file"),
    "latin": (("latin.txt",), 65, "byte 4 (0xf1)"),
    "no weight": (("book.txt", "book.txt:0"), 2, "the weight of book.txt cannot be 0"),
    "bad name": (("book.txt", "--run", "../x/..", "--steps", "1"), 2, "invalid run name: '..'"),
    "bad time": (
        ("book.txt", "--time", "soon"),
        2,
        "--time must be a duration such as 60s, 5m or 1h30m, not 'soon'",
    ),
    "bad size": (("book.txt", "--size", "huge"), 2, "--size must be one of nano, tiny"),
    "no such tokenizer": (("book.txt", "-t", "wrds"), 66, "tokenizer 'wrds' not found"),
    "a field twice": (
        ("rows.jsonl", "--field", "title", "--field=review.body"),
        2,
        "jq -c '{text: [.title, .review.body] | join(\"\\n\")}' ROWS > joined.jsonl",
    ),
    "a run twice": (("book.txt", "--run", "a", "--name", "b"), 2, "--run was given twice"),
    "fields with a comma": (
        ("rows.jsonl", "--field", "a,b"),
        65,
        "jq -c '{text: [.a, .b] | join(\"\\n\")}' rows.jsonl > joined.jsonl",
    ),
    "indivisible heads": (("book.txt", "--width", "100", "--heads", "3"), 2, "cannot be divided"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_reported_in_a_few_lines_and_leave_no_run(shell: Shell, case: str) -> None:
    (shell.folder / "empty.txt").touch()
    (shell.folder / "binary").write_bytes(bytes(range(256)) * 10)
    (shell.folder / "latin.txt").write_bytes("Españaña".encode("latin-1"))
    (shell.folder / "rows.jsonl").write_text('{"a": "One text.", "b": "Another text."}\n' * 9)
    arguments, code, message = ERRORS[case]
    done = shell("train", *arguments)
    assert done.code == code, done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 6
    assert done.out == b""
    runs = shell.folder / "checkpoints"
    assert not [p for p in runs.glob("*") if p.name != ".cache"] if runs.exists() else True


# --- the plan -----------------------------------------------------------------------------------


def test_dry_run_shows_the_plan_and_leaves_no_run(shell: Shell) -> None:
    done = shell("train", "book.txt", "--time", "20s", "--dry-run", "--run", "it")
    assert done.code == 0, done.err
    for word in ("parameters", "epochs", "dropout", "RAM", "gzip", "6-gram model"):
        assert word in done.out.decode()
    assert "parameters" not in done.err
    assert not (shell.folder / "checkpoints/it").exists()


def test_a_learning_rate_that_diverges_is_told_and_has_no_expected_loss(shell: Shell) -> None:
    text = "".join(random.Random(1).choices("abcdefghijklmn    \n", k=60_000))
    (shell.folder / "letters.txt").write_text(text)
    plan = ("train", "letters.txt", "--steps", "3000", "--dry-run", "--size", "nano")
    for rate, diverges in (("0.02", False), ("100", True)):
        done = shell(*plan, "--learning-rate", rate)
        shown = " ".join((done.out.decode() + done.err).split())
        assert f"learning rate {rate}," in shown
        assert ("very probably diverge" in shown) == diverges
        expected = json.loads(shell(*plan, "--learning-rate", rate, "--json").out)["expected"]
        assert (expected["lowest_nats_per_byte"] is None) == diverges
    assert "rate of 100 is 14,000 times the default (0.0073)" in shown


def test_dry_run_as_json_is_the_metadata_of_the_run(shell: Shell) -> None:
    done = shell("train", "book.txt", "--steps", "7", "--dry-run", "--json", *TINY)
    metadata = json.loads(done.out)
    assert metadata["model"]["num_layers"] == 1
    assert metadata["plan"]["budget"] == {"kind": "steps", "amount": 7}
    assert metadata["baselines"]["ngram"] < metadata["baselines"]["gzip"] * 3


@pytest.mark.slow
def test_compiled_training_has_the_same_losses(shell: Shell) -> None:
    for name, option in (("plain", "--no-compile"), ("compiled", "--compile")):
        options = ("--steps", "6", "--run", name, "--dtype", "float32", option, *TINY)
        assert shell("train", "book.txt", *options).code == 0
    plain, compiled = (
        losses(shell.folder / "checkpoints" / name) for name in ("plain", "compiled")
    )
    assert compiled == pytest.approx(plain, rel=1e-4)


def losses(run: Path) -> list[float]:
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if row["event"] == "StepFinished"]


# --- starting from another run ------------------------------------------------------------------


def test_run_starts_from_another_and_then_does_not_need_it(trained: Shell, tmp_path: Path) -> None:
    shell = RealShell(shutil.copytree(trained.folder, tmp_path / "copy"))
    (shell.folder / "more.txt").write_text("\n".join(reversed(BOOK.splitlines())))
    done = shell("train", "more.txt", "--from", "tale", "--run", "tuned", "--steps", "4")
    assert done.code == 0, done.err
    from_scratch = losses(shell.folder / "checkpoints/tale")
    tuned = losses(shell.folder / "checkpoints/tuned")
    assert tuned[0] < from_scratch[0]  # which starts from bigrams
    shutil.rmtree(shell.folder / "checkpoints/tale")
    assert shell("train", "--resume", "tuned", "--steps", "2").code == 0
    metadata = json.loads(shell("runs", "show", "tuned", "--json").out)["run"]
    assert metadata["from"].startswith("tale/step-")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layers", "2"), "--num-layers cannot be combined with --from"),
        (("--tokenizer", "words"), "--tokenizer cannot be combined with --from"),
        (("--vocab-size", "300"), "--vocab-size cannot be combined with --from"),
    ],
)
def test_options_fixed_by_the_base_run_are_refused(
    trained: Shell, arguments: tuple[str, ...], message: str
) -> None:
    done = trained("train", "book.txt", "--from", "tale", "--run", "it", *arguments)
    assert done.code == 2
    assert message in done.err
    assert not (trained.folder / "checkpoints/it").exists()


def test_missing_base_run_gets_a_suggestion(trained: Shell) -> None:
    done = trained("train", "book.txt", "--from", "tail", "--run", "it", "--steps", "1")
    assert done.code == 66
    assert "tale" in done.err


def test_training_with_a_document_mask_lowers_the_loss(shell: Shell) -> None:
    rows = "".join(json.dumps({"text": line}) + "\n" for line in BOOK.splitlines()[:200])
    (shell.folder / "lines.jsonl").write_text(rows)
    options = ("--document-mask", "--steps", "30", *TINY, "--context", "64")
    done = shell("train", "lines.jsonl", "--run", "masked", "--batch-tokens", "512", *options)
    assert done.code == 0, done.err
    curve = losses(shell.folder / "checkpoints/masked")
    assert curve[-1] < 0.7 * curve[0]
    assert shell("generate", "Ann", "--run", "masked", "--max-new-tokens", "5").code == 0

    # rows that do not see each other: each scores alone as it did in training
    (shell.folder / "held.jsonl").write_bytes(shell("runs", "held-out", "masked").out)
    scored = shell("score", "held.jsonl", "--jsonl", "--run", "masked").out.splitlines()
    held_out = json.loads(shell("runs", "show", "masked", "--json").out)["held_out"]
    nats = sum(json.loads(row)["nats"] for row in scored)
    # training also counts the loss of each row's eos, which has no bytes
    eos_nats = held_out["nats_per_byte"] * held_out["bytes"] - nats
    assert 0 < eos_nats < 0.5 * len(scored)


def test_run_in_another_folder_is_found_by_its_path(shell: Shell) -> None:
    tiny = ("--layers", "1", "--width", "32", "--context", "16", "--steps", "2")
    made = shell("train", "book.txt", "--run", "./here/it", *tiny)
    assert made.code == 0, made.err
    assert made.err.splitlines()[-1].endswith("--run here/it")
    assert shell("generate", "--run", "here/it", "--max-new-tokens", "2", "Ann").code == 0


def test_run_that_ran_out_of_patience_is_finished(shell: Shell) -> None:
    """With a learning rate of almost zero no evaluation improves on that of the first weights."""
    options = ("--steps", "50", "--lr", "1e-12", "--eval-every", "1", "--patience", "2")
    assert shell("train", "book.txt", "--run", "flat", *options, *TINY).code == 0
    run = open_run(shell.folder / "checkpoints/flat")
    assert summarize(run)["steps"] == 2
    assert is_finished(run)
    listed = shell("runs", "list")
    assert b"unfinished" not in listed.out
    assert listed.err == "Next: tfcli runs show flat\n"
    again = shell("train", "--resume", "flat")
    assert again.code == 0
    assert "flat is already finished" in again.err
    assert summarize(run)["steps"] == 2


@pytest.mark.parametrize("option", [("--masked", "0.2"), ("--dropout", "0.1"), ("--from", "tale")])
def test_options_that_a_resumed_run_cannot_change_are_refused(
    trained: Shell, option: tuple[str, ...]
) -> None:
    done = trained("train", "--resume", "tale", *option, "--dry-run")
    assert done.code == 2
    assert f"{option[0]} cannot be changed" in done.err


def test_a_dry_run_of_resuming_shows_the_plan_and_changes_nothing(shell: Shell) -> None:
    assert shell("train", "book.txt", "--run", "a", "--steps", "2", *TINY).code == 0
    path = shell.folder / "checkpoints/a/run.json"
    before = path.read_bytes()
    resumed = ("train", "--resume", "a", "--steps", "3", "--dry-run")
    done = shell(*resumed)
    assert done.code == 0, done.err
    assert b"Plan: 5 steps" in done.out
    planned = json.loads(shell(*resumed, "--json").out)
    assert planned["plan"]["budget"] == {"kind": "steps", "amount": 5}
    assert planned["expected"]["steps"] == 5
    new = json.loads(shell("train", "book.txt", "--steps", "5", *TINY, "--dry-run", "--json").out)
    assert new.keys() <= planned.keys()
    assert path.read_bytes() == before
    assert summarize(open_run(path.parent))["steps"] == 2


@pytest.mark.parametrize(
    ("slow_start", "why"), [(True, "went into the start"), (False, "took longer than planned")]
)
def test_a_training_that_ended_early_says_how_to_go_on(slow_start: bool, why: str) -> None:
    said = format_missed("both", slow_start=slow_start)
    assert why in said
    assert "`tfcli train --resume both --time 2m`" in said


def test_run_without_valid_steps_does_not_restart_from_scratch(shell: Shell) -> None:
    assert shell("train", "book.txt", "--run", "first", "--steps", "2", *TINY).code == 0
    options = ("--from", "first", "--run", "second", "--steps", "2")
    assert shell("train", "book.txt", *options).code == 0
    for step in list_steps(shell.folder / "checkpoints/second"):
        (step / MODEL).write_bytes(b"torn")
    done = shell("train", "--resume", "second", "--steps", "2")
    assert done.code == 65
    assert "all are damaged or incomplete" in done.err


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({"RANK": "5"}, "and RANK is '5'"), ({"RANK": "x"}, "and RANK is 'x'"),
        ({"RANK": "0"}, "variables of torchrun are missing or invalid"),
        ({"RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "x"}, "missing or invalid"),
    ],
)  # fmt: skip
def test_torchrun_environment_set_by_hand_is_a_usage_error(
    shell: Shell, environment: dict[str, str], what: str
) -> None:
    done = shell("train", "book.txt", *TINY, env={"WORLD_SIZE": "2", **environment})
    assert done.code == 2, done.err
    assert what in done.err
    assert len(done.err.splitlines()) <= 6


def test_process_that_waits_for_others_ends_on_a_signal(shell: Shell) -> None:
    """Python handles signals only between its own instructions, not while C++ waits."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        free = str(port.getsockname()[1])
    process = subprocess.Popen(
        [*forked(), "train", "book.txt", *TINY], cwd=shell.folder,
        env=bare_environment() | {
            "WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free,
        },
    )  # fmt: skip
    try:
        while True:  # until it listens
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", int(free))) == 0:
                    break
            assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=20) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("world_size", ["abc", "1.5", "-3", "0", "2"])
def test_invalid_torchrun_environment_is_reported(shell: Shell, world_size: str) -> None:
    done = shell("train", "book.txt", "--steps", "2", *TINY, env={"WORLD_SIZE": world_size})
    assert done.code == 2
    assert f"WORLD_SIZE is '{world_size}'" in done.err
    assert "unset WORLD_SIZE RANK" in done.err


def test_what_was_left_out_of_a_folder_is_said_in_the_plan_and_in_the_end(
    shell: Shell, tmp_path: Path
) -> None:
    folder = shell.folder / "novela"
    folder.mkdir()
    (folder / "1.txt").write_text(BOOK)
    (folder / "2.txt").write_bytes("El niño salió mañana.\r\n".encode("cp1252") * 20)
    done = shell("train", "novela", "--steps", "1", "--run", "novela", *TINY)
    lines = done.err.splitlines()
    (text,) = [line for line in lines if line.startswith("Text: ")]
    assert text.endswith("; 1 document, 1 file left out")
    assert lines.index("Left out, and not trained on: novela/2.txt.") > lines.index(text)
    done = shell("train", "novela/1.txt", "--steps", "1", "--run", "one", *TINY)
    assert "left out" not in done.err.lower()
