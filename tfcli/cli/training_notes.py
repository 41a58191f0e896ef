"""What `train` and `tokenizer train` say of their text, and what of their result."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.cli.pair_notes import count_pairs, first_prompt
from tfcli.errors import TfcliError, UsageError
from tfcli.quantities import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli import streams
    from tfcli.runs.run import Run
    from tfcli.text.corpus import Corpus
    from tfcli.text.pairs import PairForm
    from tfcli.text.sentencepiece_trainer import TokenizerType
    from tfcli.text.sources import Sources
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.events import Event
    from tfcli.training.loop import Trainer
    from tfcli.training.setup import TrainingJob

LISTED = 3  # files that are left out and named in the end
SHORT_PAIR = 50  # bytes on average, up to which characters do better as tokens than words
SAMPLED = 1 << 20  # tokens in which those of single bytes are counted
NOTEWORTHY, MISFIT = 0.01, 0.3  # shares of them


def format_held_out(summary: dict[str, Any]) -> str:
    """The held-out loss in a sentence, with its protocol and the baselines."""
    from tfcli.cli.training_view import format_baselines

    held_out = summary["held_out"]
    if held_out is None:
        return "Held out: not evaluated."
    baselines = summary["baselines"]
    simple = f"; baselines: {format_baselines(baselines)}" if baselines else ""
    part = "" if held_out["whole"] else ", evenly spaced subset"
    best = (
        f"; best checkpoint: step {summary['best_step']:,} (used by `generate`)"
        if summary["best_step"] != summary["steps"]
        else ""
    )
    worse = (
        " Training has not made it better: try a lower --learning-rate; or, if the train loss has "
        "fallen, more text."
        if summary["best_step"] == 0 and summary["steps"]
        else ""
    )
    return (
        f"Held out: {held_out['nats_per_byte']:z.4f} nats/byte on {held_out['bytes']:,} bytes, "
        f"{held_out['text']} (context {held_out['context']}, stride {held_out['stride']}{part})"
        f"{simple}{best}.{worse}"
    )


def report_saved(
    job: TrainingJob,
    trainer: Trainer,
    summary: dict[str, Any],
    last: Event,
    reporter: streams.Reporter,
    *,
    started: float | None,
    left_out: Sequence[Path] = (),
) -> None:
    """Says what a training has come to: how far, why it ended, how well it predicts.

    Args:
        last: its last event.
        started: the seconds of the run after the first step of this training; None without any.
        left_out: the files found that were not read, which were named before the training.

    """
    from tfcli.cli.humanize import format_count, format_duration, format_epochs
    from tfcli.quantities import counted
    from tfcli.training.events import Stopped

    reason = last.reason if isinstance(last, Stopped) else None
    timed = job.plan.budget.kind == "seconds"
    missed = timed and summary["steps"] < 0.8 * (job.steps or 0) and reason != "interrupted"
    planned = f" of about {job.steps:,} planned" if missed else ""
    reporter.note(
        f"Saved to {summary['path']}: {counted(summary['steps'], 'step')}{planned}, "
        f"{format_count(summary['tokens_seen'])} tokens ({format_epochs(summary['epochs'])}), "
        f"{format_duration(summary['seconds'])}."
    )
    if reason == "patience":
        reporter.note(
            f"Ended early: {counted(job.plan.patience or 0, 'evaluation')} without improvement "
            "(--patience)."
        )
    elif missed:
        before = trainer.resume_from.seconds if trainer.resume_from else 0.0
        spent = summary["seconds"] - before
        slow_start = started is None or started - before > spent / 2
        reporter.note(format_missed(shlex.quote(trainer.run.argument), slow_start=slow_start))
    over = summary["seconds"] - job.plan.budget.amount
    if timed and over > max(2.0, 0.05 * job.plan.budget.amount):
        reporter.note(f"Took {over:.0f} s longer than requested (start-up).")
    if left_out:
        named = ", ".join(map(str, left_out[:LISTED]))
        more = f" and {len(left_out) - LISTED:,} more" if len(left_out) > LISTED else ""
        reporter.note(f"Left out, and not trained on: {named}{more}.")
    reporter.note(format_held_out(summary))


def format_missed(run: str, *, slow_start: bool) -> str:
    """What to do where a budget of seconds ended long before the steps that were planned.

    Args:
        run: as the command line names it.
        slow_start: whether more than half of the time had passed after the first step.

    """
    why = "Most of the time went into the start" if slow_start else "Steps took longer than planned"
    return f"{why}; `tfcli train --resume {run} --time 2m` goes on."


def format_left(job: TrainingJob, trainer: Trainer) -> str:
    """How much of the budget a resumed run has left."""
    from tfcli.cli.humanize import format_duration

    if job.plan.budget.kind == "steps":
        return f", {max(0, int(job.plan.budget.amount) - trainer.step):,} to go"
    before = trainer.resume_from.seconds if trainer.resume_from else 0.0
    return f", {format_duration(max(0.0, job.plan.budget.amount - before))} left"


def opening_words(job: TrainingJob, form: PairForm | None = None) -> str:
    """The first words of the text, quoted for the shell: a prompt the model has seen."""
    if form is not None:
        return shlex.quote(first_prompt(job, form))
    text = job.tokenizer.decode(job.corpus.training[:256].tolist()).decode(errors="ignore")
    words = first_words(text)
    return shlex.quote(words if words.isprintable() else "")


def planned_json(job: TrainingJob, corpus: Corpus) -> dict[str, Any]:
    """What a dry run tells as JSON: the record that the run would have, and what to expect."""
    pairs = count_pairs(job)
    return job.metadata(corpus) | {
        "expected": _expected(job), "pairs": pairs, "notes": [*corpus.notes]
    }  # fmt: skip


def show_resumed(job: TrainingJob, run: Run, reporter: streams.Reporter, *, json: bool) -> None:
    """The plan of a run that would be resumed: what a dry run is asked for."""
    from tfcli.cli import streams
    from tfcli.cli.training_view import show_plan

    result = reporter if json else streams.ResultReporter(quiet=reporter.quiet)
    show_plan(job, run.name, result)
    if json:
        plan = run.metadata["plan"] | {"budget": job.plan.to_json()["budget"]}
        record = run.metadata | {"plan": plan}
        streams.write_json_result(
            record | {"expected": _expected(job), "pairs": count_pairs(job), "notes": []}
        )


def _expected(job: TrainingJob) -> dict[str, Any]:
    from tfcli.training.expectation import loss_range

    budget = job.plan.budget
    low, high = loss_range(job) or (None, None)
    return {
        "steps": job.steps,
        "tokens_per_step": job.batch_tokens,
        "tokens": job.tokens,
        "epochs": job.epochs,
        "seconds": budget.amount if budget.kind == "seconds" else None,
        "memory_bytes": job.memory_bytes,
        "lowest_nats_per_byte": low,
        "highest_nats_per_byte": high,
    }


def report_left_out(sources: Sources, exclude: Sequence[str], reporter: streams.Reporter) -> None:
    """Names what was found in folders and is not read, and what `--exclude` did not find there."""
    for pattern in exclude:
        if pattern not in sources.matched:
            reporter.note(
                f"Note: --exclude {shlex.quote(pattern)} matched nothing; it only applies to "
                "folders and globs."
            )
    if sources.left_out:
        named = ", ".join(f"{path} ({reason})" for path, reason in sources.left_out[:5])
        more = f", and {len(sources.left_out) - 5:,} more" if len(sources.left_out) > 5 else ""
        reporter.note(f"Note: left out {named}{more}.")


def report_no_lock(path: Path, alone: bool, reporter: streams.Reporter) -> None:
    """Says that nothing keeps a second trainer away, where the file system has no locks."""
    if not alone:
        reporter.note(
            f"Note: the file system of {path} does not support locking; make sure that no other "
            "process or machine trains this run."
        )


def report_reading(corpus: Corpus, reporter: streams.Reporter) -> None:
    """Says what was recognized, and what of it was skipped."""
    for note in corpus.notes:
        reporter.note(f"Note: {note}.")


def report_newer_text(run: Run, cache: Path, reporter: streams.Reporter) -> None:
    """Says what came to the text since the run started, which a resumed run leaves out."""
    from tfcli.cli.humanize import format_bytes
    from tfcli.training.newer_text import command_with_all, names_of, newer_text

    if reporter.quiet or not (newer := newer_text(run, cache)):
        return
    found = []
    if newer.files:
        found.append(f"{names_of(newer.files)} ({format_bytes(newer.bytes)}) came")
    if newer.changed:
        found.append(f"{names_of(newer.changed)} changed")
    reporter.note(
        f"Note: since {run.name} started, {' and '.join(found)}; a resumed run goes on with the "
        f"text of before. To train on all of it: {command_with_all(run)}"
    )


def tokenizer_type_for(corpus: Corpus) -> TokenizerType:
    """Characters for short pairs, whose answers are mostly about their characters; else BPE."""
    short = corpus.scan.bytes <= SHORT_PAIR * corpus.scan.documents
    return "char" if corpus.form and short else "bpe"


def report_fit(tokens: TokenizedCorpus, tokenizer: Tokenizer, reporter: streams.Reporter) -> None:
    """Says how much of the text the tokenizer has no tokens for."""
    import numpy as np

    ids = tokens.training[:SAMPLED]
    share = float(np.isin(ids, list(tokenizer.byte_ids)).mean()) if len(ids) else 0.0
    if share >= MISFIT:
        reporter.note(
            f"Warning: poor tokenizer fit: {percent(share)} of the tokens are byte fallback. Train "
            "a tokenizer on this text."
        )
    elif share >= NOTEWORTHY:
        reporter.note(
            f"Note: {percent(share, 1)} of the tokens are byte fallback: single bytes of "
            "characters that the tokenizer lacks."
        )


def first_words(text: str) -> str:
    """The first three words of the first line or sentence; what is held out may end inside one."""
    if text[:1].islower() or text[:1].isspace():
        begins = re.search(r"(?:\n|[.!?…]\s)\s*(?=\S+\s+\S)", text)
        text = text[begins.end() :] if begins else text
    return " ".join(text.split()[:3])[:40]


def first_words_of(run: Run) -> str | None:
    """The first words of a run's training text; None where that is no longer there, or is pairs."""
    from tfcli.training.run_text import corpus_of

    if run.form is not None:
        return None
    try:
        chunk = next(iter(corpus_of(run.corpus).training()), None)
    except TfcliError:
        return None
    words = first_words(chunk.data[:1024].decode(errors="ignore")) if chunk else ""
    return words if words.isprintable() else None


def run_path(name: str | None, first_file: str) -> Path:
    """The folder of a new run: the name or path given, or a free one from the first file.

    Raises:
        UsageError: it is neither the name of a run nor a path.

    """
    from tfcli.files import slugify
    from tfcli.runs.run import ROOT, RUN_JSON
    from tfcli.text.sources import split_weight

    if name is not None:
        return _named_path(name)
    first_file, _ = split_weight(first_file)
    given = Path(first_file)
    if given.name in {"", ".."}:  # `.` is a folder with a name, too
        given = given.resolve()
    stem = "piped" if first_file == "-" else slugify(given.name.split(".")[0])
    path, number = ROOT / stem, 1
    while (path / RUN_JSON).exists():
        number += 1
        path = ROOT / f"{stem[:58]}-{number}"
    return path


def _named_path(name: str) -> Path:
    """A path is what says so (`./a/b`), or leads into a folder that exists.

    Right in `checkpoints/` or outside of it, but not deeper: no command would list such a run. None
    leads upwards: a run is not left where nobody looks for it.
    """
    from tfcli.files import check_name, slugify
    from tfcli.runs.run import ROOT

    path, root = Path(name), ROOT.resolve()
    check_name(path.name, "run")
    if ".." in path.parts:
        raise UsageError(
            f"the run {name!r} would lie outside of {ROOT}/",
            why="a name must not lead upwards",
            hint=f"--run {path.name}   # or its whole path: "
            f"--run {shlex.quote(str(path.resolve()))}",
        )
    explicit = path.is_absolute() or name.startswith(("./", ".\\"))
    if len(path.parts) == 1 and not explicit:
        return ROOT / name
    folder = path.parent.resolve()
    if root in folder.parents:
        raise UsageError(
            f"a run must be directly inside {ROOT}/: {name!r}",
            hint=f"--run {slugify(str(path.resolve().relative_to(root)))}",
        )
    if explicit or folder == root or folder.is_dir():
        return path
    raise UsageError(
        f"{name!r} is neither a run name nor a path: folder {str(path.parent)!r} not found",
        why="run names cannot contain a slash",
        hint=f"--run {slugify(name)}   # or --run ./{name}, for a folder outside of {ROOT}/",
    )
