"""What `tfcli eval` writes: answers as JSON lines, and their figures with intervals."""

from __future__ import annotations

import contextlib
import json as json_lines
import sys
import time
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.cli.render import LINE_EVERY, cells, fit
from tfcli.generation.streaming import make_visible
from tfcli.quantities import counted, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tfcli.files.atomic import FileWriter
    from tfcli.generation.pair_evaluation import Answered
    from tfcli.text.pairs import PairForm

NAMED = 3  # wrong answers that are shown
MOST_GROUPS = 50  # that are shown
LONGEST_NAME = 40  # columns of a terminal


def write_answer(one: Answered, number: int, form: PairForm | None, out: FileWriter | None) -> None:
    """Writes a pair with its answer as a JSON line to a file, or to stdout without one."""
    value = {
        "row": number, **one.pair.returned, "prompt": _bare_prompt(one, form),
        "completion": one.pair.answer, "answer": one.answer, "exact": one.exact,
        "edits": one.edits, "nats": round(one.nats, 6),
        "tokens": one.tokens,
    }  # fmt: skip
    line = (json_lines.dumps(value, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
    if out is None:
        streams.write_result(line)
    else:
        out.write(line)


def _bare_prompt(one: Answered, form: PairForm | None) -> str:
    """A prompt without its frame; a conversation stays as the model reads it."""
    prompt = one.pair.prompt
    if form is None or form.kind == "pairs":
        return prompt.removesuffix(form.separator if form else "\n")
    return prompt


def rounded(value: Any) -> Any:
    """Figures with six decimals, as those of `score`."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


@contextlib.contextmanager
def answer_progress(*, quiet: bool) -> Iterator[Callable[[Any], None]]:
    """Says on stderr how many pairs are answered and right so far, once that takes a while."""
    on_terminal = streams.is_terminal(sys.stderr)
    following = time.monotonic() + streams.PROGRESS_DELAY

    def show(figures: Any) -> None:
        nonlocal following
        now = time.monotonic()
        if quiet or now < following:
            return
        following = now + (0.2 if on_terminal else LINE_EVERY)
        exact = sum(one.exact for one in figures.answered)
        text = f"{counted(len(figures.answered), 'pair')} answered, {exact:,} exactly"
        if on_terminal:
            streams.draw_line(text)
        else:
            streams.say(text)

    try:
        yield show
    finally:
        if on_terminal:
            streams.draw_line("")


def write_figures(found: Mapping[str, Any], write: Callable[[str], None]) -> None:
    """The figures, each with its interval of 95 %."""

    def plain(figure: Mapping[str, float]) -> str:
        value, low, high = (f"{figure[key]:.3g}" for key in ("value", "low", "high"))
        return f"{value:<8}  ({low} to {high})"

    exact, errors = found["exact_match"], found["character_error_rate"]
    lines = {
        "exact match": f"{_percent(exact)}  {exact['count']:,} of "
        f"{counted(found['pairs'], 'pair')}",
        "character errors": f"{_percent(errors)}  {counted(errors['edits'], 'edit')} in "
        f"{counted(errors['characters'], 'character')}",
        "nats/byte": f"{plain(found['nats_per_byte'])}  of the answers expected",
        "nats/token": f"{plain(found['nats_per_token'])}  ends included",
    }
    for name, said in lines.items():
        write(f"{name:<16}  {said}")


def _percent(figure: Mapping[str, float]) -> str:
    value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
    return f"{f'{value:.4g} %':<8}  ({low:.4g} to {high:.4g})"


def write_groups(by: Mapping[str, Any], write: Callable[[str], None]) -> None:
    """A table of the exact matches of each group."""
    rows = [(by["field"], "pairs", "exact match", "95 % interval", "character errors")]
    for group in by["groups"][:MOST_GROUPS]:
        exact, errors = group["exact_match"], group["character_error_rate"]["value"]
        rows.append((
            make_visible(group["value"]).replace("\n", "⏎"), f"{group['pairs']:,}",
            percent(exact["value"], 1),
            f"{percent(exact['low'], 1)} to {percent(exact['high'], 1)}",
            percent(errors, 1),
        ))  # fmt: skip
    width = min(LONGEST_NAME, max(cells(row[0]) for row in rows))
    others = [max(len(row[place]) for row in rows) for place in range(1, 5)]
    write("")
    for name, *figures in rows:
        right = (f"{each:>{wide}}" for each, wide in zip(figures, others, strict=True))
        write("  ".join((fit(name, width), *right)))
    if (more := len(by["groups"]) - MOST_GROUPS) > 0:
        write(f"... and {more:,} more, which --json has")


def to_stdout(line: str) -> None:
    """Writes a line to stdout."""
    streams.write_result(f"{line}\n".encode())


def report_long(answered: list[Answered], reporter: streams.Reporter) -> None:
    """Counts and names the pairs that the model cannot see all of."""
    long = [one for one in answered if not one.fits]
    if long:
        named = ", ".join(repr(one.pair.prompt[:30]) for one in long[:NAMED])
        reporter.note(
            f"Note: {counted(len(long), 'pair')} longer than the context, answered from "
            f"what fits: {named}{', ...' if len(long) > NAMED else ''}"
        )


def show_wrong(answered: list[Answered], form: PairForm | None, reporter: streams.Reporter) -> None:
    """Shows the first wrong answers."""
    for one in [one for one in answered if not one.exact][:NAMED]:
        prompt, expected, given = (
            repr(text if len(text) <= 40 else f"{text[:39]}…")
            for text in (_bare_prompt(one, form), one.pair.answer, one.answer)
        )
        reporter.note(make_visible(f"Wrong: {prompt} -> {given}, expected {expected}"))
