"""`tfcli fill`: gaps filled, the text around them untouched; and what of it the plan shows."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.conftest import BOOK, Shell
from tests.text.documents_of_offices import word_of
from tfcli.cli.fill_output import EscapedFill, FillResult, PlainFill
from tfcli.generation.fill_request import FillRequest
from tfcli.generation.filling import FilledGap, FillJob, MiddleEvent
from tfcli.generation.gaps import parse_gaps
from tfcli.generation.request_lines import RequestLine
from tfcli.runs.run import open_run

TEXT = "Ann saw [] at noon.\nBob saw [2] in the snow."


def rows(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.decode().splitlines()]


def test_the_text_around_gaps_stays_and_json_has_what_fills_them(gaps: Shell) -> None:
    done = gaps("fill", TEXT, "--greedy")
    assert done.code == 0, done.err
    (row,) = rows(gaps("fill", TEXT, "--greedy", "--jsonl").out)
    assert row["text"].encode() == done.out
    first, second = (gap["text"] for gap in row["gaps"])
    assert row["text"] == f"Ann saw {first} at noon.\nBob saw {second} in the snow."
    for gap in row["gaps"]:
        assert len(gap["tokens"]) == len(gap["logprobs"])
        assert gap["finish_reason"] in {"eos", "length"}
    assert len(row["gaps"][1]["tokens"]) <= 2
    only = gaps("fill", TEXT, "--greedy", "--middle-only").out.decode()
    assert only == f"{first}\n{second}"


def test_stdin_and_files_give_the_same_as_the_argument(gaps: Shell) -> None:
    whole = gaps("fill", "Ann saw [] at noon.\n", "--seed", "3").out
    assert gaps("fill", "--seed", "3", stdin=b"Ann saw [] at noon.\n").out == whole
    (gaps.folder / "before.txt").write_text("Ann saw ")
    (gaps.folder / "after.txt").write_text(" at noon.\n")
    files = ("--prefix", "before.txt", "--suffix", "after.txt")
    assert gaps("fill", "--seed", "3", *files).out == whole
    middle = gaps("fill", "--seed", "3", *files, "--middle-only").out
    assert b"Ann saw " + middle + b" at noon.\n" == whole


def test_pages_beside_a_gap_keep_their_markup_and_documents_say_what_they_say(gaps: Shell) -> None:
    page = "<!doctype html>\n<title>Ann</title>\n<p>Ann saw\t"
    (gaps.folder / "before.html").write_text(page)
    (gaps.folder / "after.html").write_bytes(" at &amp; noon.</p>\n".encode("utf-16"))
    (gaps.folder / "before.docx").write_bytes(word_of(["Ann saw."]))
    files = ("--suffix", "after.html", "--greedy")
    done = gaps("fill", "--prefix", "before.html", *files)
    assert done.code == 0, done.err
    assert done.out.startswith(page.encode())
    assert done.out.endswith(b" at &amp; noon.</p>\n")
    assert gaps("fill", "--prefix", "before.docx", *files).out.startswith(b"Ann saw.\n")


def test_samples_are_those_of_their_seeds_whatever_is_beside_them(gaps: Shell) -> None:
    several = rows(gaps("fill", TEXT, "-n", "3", "--seed", "5", "--jsonl").out)
    assert [row["seed"] for row in several] == [5, 6, 7]
    (alone,) = rows(gaps("fill", TEXT, "--seed", "6", "--jsonl").out)
    assert alone["text"] == several[1]["text"]
    shown = gaps("fill", TEXT, "-n", "3", "--seed", "5").out.decode()
    assert shown == "".join(f"--- {i} ---\n{row['text']}\n" for i, row in enumerate(several, 1))


def test_lines_are_filled_in_order_and_invalid_ones_are_answered(gaps: Shell) -> None:
    lines = b"Ann saw [1] ship\\n\nno gap\nBob [2] two [1].\n"
    done = gaps("fill", "--lines", "--greedy", stdin=lines)
    assert done.code == 65
    assert "invalid lines: 1 of 3" in done.err
    first, second, third = done.out.decode().splitlines()
    assert (first[:8], first[-7:], second, third[:4]) == ("Ann saw ", " ship\\n", "", "Bob ")
    found = rows(gaps("fill", "--lines", "--greedy", "--jsonl", stdin=lines).out)
    assert [row["row"] for row in found] == [1, 2, 3]
    assert found[1]["error"].startswith("line 2: the text has no gap")
    only = gaps("fill", "--lines", "--greedy", "--middle-only", stdin=lines).out.decode()
    assert only.splitlines()[2].split("\t") == [gap["text"] for gap in found[2]["gaps"]]


def test_requests_have_options_of_their_own(gaps: Shell) -> None:
    asked = [
        {"text": TEXT, "id": "a", "greedy": True, "max_tokens": 5},
        {"prefix": "Ann saw ", "suffix": " at noon.", "seed": 3, "id": 2},
        {"text": "no gap"},
        {"text": "Ann [] noon", "suffix": "."},
        {"text": "Ann [] noon", "gap": 1},
        {"id": 6},
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in asked) + "Ann [] noon\n"
    done = gaps("fill", "--jsonl", stdin=lines.encode())
    assert (done.code, "invalid lines: 5 of 7" in done.err) == (65, True)
    first, second, *wrong = rows(done.out)
    (alone,) = rows(gaps("fill", TEXT, "--greedy", "--max-new-tokens", "5", "--jsonl").out)
    assert (first["id"], first["text"], first["gaps"]) == ("a", alone["text"], alone["gaps"])
    assert second["text"].encode() == gaps("fill", "Ann saw [] at noon.", "--seed", "3").out
    for row, words in zip(
        wrong,
        ("no gap", "cannot be combined with prefix", "unknown key 'gap'", "no text", "not valid"),
        strict=True,
    ):
        assert words in row["error"]
    assert wrong[3]["id"] == 6
    done = gaps("fill", "--jsonl", "--show", stdin=b'{"text": "a [] b"}\n')
    assert (done.code, "--show needs a single text" in done.err) == (2, True)


def without_end(gaps: Shell) -> tuple[str, str]:
    """The option that keeps a gap from ending by itself."""
    recorded = json.loads((gaps.folder / "checkpoints/gaps/run.json").read_text())
    return "--logit-bias", f"{recorded['infill_tokens']['end']}=-inf"


def test_a_gap_ends_before_a_stop_string(gaps: Shell) -> None:
    endless = ("fill", "Ann saw [] at noon.", "--greedy", *without_end(gaps), "--jsonl")
    (row,) = rows(gaps(*endless).out)
    (gap,) = row["gaps"]
    assert gap["finish_reason"] == "length"
    stop = gap["text"][3:5]
    (row,) = rows(gaps(*endless, "--stop", stop).out)
    (stopped,) = row["gaps"]
    assert stopped["finish_reason"] == "stop"
    assert stopped["text"] == gap["text"][: gap["text"].index(stop)]
    assert row["text"] == f"Ann saw {stopped['text']} at noon."


def test_a_gap_that_begins_with_its_stop_string_is_noted(gaps: Shell) -> None:
    endless = ("fill", "Ann saw [] at noon.", "--greedy", *without_end(gaps), "--jsonl")
    (row,) = rows(gaps(*endless).out)
    written = row["gaps"][0]["text"]
    done = gaps(*endless, "--stop", written[0])
    assert rows(done.out)[0]["gaps"][0]["text"] == ""
    assert "the gap: the model began with a stop text; --min-new-tokens 5 goes on" in done.err
    least = ("--stop", written[0], "--min-new-tokens", "5")
    assert len(rows(gaps(*endless, *least).out)[0]["gaps"][0]["tokens"]) >= 5


@pytest.mark.parametrize("lines", [False, True])
def test_an_empty_gap_leaves_one_space(
    capsysbinary: pytest.CaptureFixture[bytes], lines: bool
) -> None:
    text = "Ann saw [] at [] noon, Bob[] saw.[]"
    job = FillJob(FillRequest(text=parse_gaps(text)))
    output = EscapedFill(only=False) if lines else PlainFill(only=False, samples=1)
    result = FillResult(0, RequestLine(1, job.request))
    output.begin(result)
    for said in ("", "late", "", ""):
        job.gaps.append(FilledGap(text=said, finish_reason="eos"))
        output.add(result, MiddleEvent(job, said, ended=True))
    output.finish(result, job)
    output.close()
    shown = capsysbinary.readouterr().out
    assert shown.rstrip(b"\n") == b"Ann saw at late noon, Bob saw."
    assert job.filled() == "Ann saw  at late noon, Bob saw."  # of which JSON has every part


def test_a_gap_has_a_quarter_of_the_context_unless_told_otherwise(gaps: Shell) -> None:
    endless = ("fill", "Ann saw [] at noon. [3] Bob", *without_end(gaps), "--jsonl")
    for options, length in (
        ((), 48 // 4),
        (("--max-new-tokens", "20"), 20),
        (("--min-new-tokens", "17"), 17),
    ):
        (row,) = rows(gaps(*endless, *options).out)
        assert [len(gap["tokens"]) for gap in row["gaps"]] == [length, 3]


def test_both_orders_fill(gaps: Shell) -> None:
    greedy = ("--greedy", "--jsonl", "--min-new-tokens", "1")
    one, other = (
        rows(gaps("fill", "Ann saw [1] at noon.", *greedy, "--order", order).out)
        for order in ("spm", "psm")
    )
    assert one[0]["gaps"][0]["logprobs"] != other[0]["gaps"][0]["logprobs"]


@pytest.mark.parametrize("order", ["spm", "psm"])
def test_a_space_before_a_gap_belongs_to_its_first_word(gaps: Shell, order: str) -> None:
    tokenizer = open_run(gaps.folder / "checkpoints/gaps").tokenizer()
    for text in (
        "Ann saw [1] noon.",
        "Nobody [1] the moon in the snow.",
        "Bob saw [1] by the sea.",
    ):
        (row,) = rows(gaps("fill", text, "--greedy", "--jsonl", "--order", order).out)
        (gap,) = row["gaps"]
        (token,) = gap["tokens"]
        assert tokenizer.token_bytes[token].decode() == f" {gap['text']}"
        assert row["text"] == text.replace("[1]", gap["text"])


def test_a_gap_can_be_given_a_form(gaps: Shell) -> None:
    pytest.importorskip("llguidance")
    done = gaps("fill", "Ann saw [] at noon.", "--choices", "a ship,the moon")
    assert done.out.decode() in {f"Ann saw {it} at noon." for it in ("a ship", "the moon")}


def test_the_best_of_several_fills_each_gap_within_its_limits(gaps: Shell) -> None:
    best = ("--best-of", "4", "--seed", "3", "--jsonl")
    (row,) = rows(gaps("fill", TEXT, *best).out)
    first, second = row["gaps"]
    assert row["text"] == f"Ann saw {first['text']} at noon.\nBob saw {second['text']} in the snow."
    assert first["text"]
    assert 1 <= len(second["tokens"]) == len(second["logprobs"]) <= 2
    asked = [{"text": TEXT, "best_of": 4, "seed": 3}, {"text": TEXT, "seed": 3}]
    lines = "".join(f"{json.dumps(each)}\n" for each in asked * 2).encode()
    together = rows(gaps("fill", "--jsonl", stdin=lines).out)
    assert [each["row"] for each in together] == [1, 2, 3, 4]
    assert [each["text"] == row["text"] for each in together] == [True, False, True, False]
    stopped = rows(gaps("fill", "Ann saw [].", *best, "--stop", "e").out)[0]["gaps"][0]["text"]
    assert "e" not in stopped


def test_with_nothing_behind_a_gap_the_first_candidate_is_taken(gaps: Shell) -> None:
    asked = ("fill", "Ann saw []", "--seed", "3", "--max-new-tokens", "5")
    assert gaps(*asked, "--best-of", "4").out == gaps(*asked).out


def test_what_is_longer_than_the_context_is_cut_and_said(gaps: Shell) -> None:
    (gaps.folder / "long.txt").write_text(BOOK[:2000])
    done = gaps("fill", "--prefix", "long.txt", "--suffix", "long.txt", "--greedy")
    assert done.out.startswith(BOOK[:2000].encode())
    assert done.out.endswith(BOOK[:2000].encode())
    assert "the model sees" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("no gap here",), 2, "the text has no gap"),
        (("a [] b", "--prefix", "book.txt"), 2, "--prefix and --suffix cannot be combined"),
        (("a [] b", "--lines"), 2, "--lines cannot be combined with TEXT"),
        (("--lines", "--suffix", "book.txt"), 2, "cannot be combined with --lines"),
        (("--prefix", "missing.txt"), 66, "missing.txt"),
        (("--prefix", "checkpoints"), 74, "checkpoints is a folder, not a file"),
        (("--prefix", "-", "--suffix", "-"), 2, "cannot both be standard input"),
        (
            ("a [] b", "--best-of", "4", "--choices", "x,y"),
            2,
            "--choices cannot be combined with --best-of",
        ),
        (("a [] b", "--run", "nowhere"), 66, "run 'nowhere' not found"),
    ],
)
def test_what_cannot_be_filled_is_refused(
    gaps: Shell, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = gaps("fill", *arguments)
    assert (done.code, done.out) == (code, b"")
    assert words in done.err


def test_a_run_trained_from_left_to_right_is_refused(trained: Shell) -> None:
    done = trained("fill", "Once [] a time", "--run", "tale")
    assert done.code == 2
    assert "the run tale cannot fill gaps" in done.err
    assert "--infill" in done.err


def test_ordinary_text_is_generated_without_markers(gaps: Shell) -> None:
    for options in ((), ("--num-beams", "3")):
        done = gaps("generate", "Ann saw", "--max-new-tokens", "40", *options)
        assert done.code == 0
        assert "\ufffd" not in done.out.decode()


# --- the plan -----------------------------------------------------------------------------------


def test_the_plan_and_the_run_show_the_share(gaps: Shell, trained: Shell) -> None:
    plan = gaps("train", "book.txt", "--dry-run", "--steps", "9", "--infill", "0.3", "--json")
    assert json.loads(plan.out)["plan"]["infill"] == 0.3
    shown = gaps("train", "book.txt", "--dry-run", "--steps", "9", "--infill", "0.3")
    assert b"infilling 0.3" in shown.out
    assert "infill" in gaps("runs", "show", "gaps").out.decode()
    assert "infill" not in trained("runs", "show", "tale").out.decode()
    tale = str(trained.folder / "checkpoints" / "tale")
    differ = json.loads(gaps("runs", "diff", "gaps", tale, "--json").out)["configuration"]
    assert differ["plan.infill"] == [0.5, 0.0]


def test_pairs_and_other_shares_are_refused(gaps: Shell) -> None:
    (gaps.folder / "pairs.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 40)
    done = gaps("train", "pairs.jsonl", "--infill", "0.5", "--steps", "1")
    assert (done.code, "--infill is for text" in done.err) == (2, True)
    assert "an answer has to stay behind its prompt" in done.err
    done = gaps("train", "book.txt", "--infill", "1", "--steps", "1")
    assert (done.code, "--infill must be between 0 and 0.9" in done.err) == (2, True)


def test_ends_of_gaps_end_no_text_of_a_run_of_one_text(gaps: Shell) -> None:
    sampled = ("-n", "30", "--max-new-tokens", "30", "--temperature", "1.5", "--seed", "1")
    samples = rows(gaps("generate", "Ann saw", *sampled, "--jsonl").out)
    assert {sample["finish_reason"] for sample in samples} == {"length"}


def test_texts_end_where_documents_end_and_not_where_gaps_do(shell: Shell) -> None:
    """The documents are longer than the context: a row has ends of gaps, and rarely one of them."""
    draw = random.Random(1)
    with (shell.folder / "tales.jsonl").open("w") as file:
        for _ in range(60):
            sentences = [
                f"{draw.choice(('Ann', 'Bob', 'Eve'))} saw the {draw.choice(('moon', 'ship'))}."
                for _ in range(draw.randint(15, 25))
            ]
            file.write(json.dumps({"text": " ".join([*sentences, "Good night"])}) + "\n")
    made = shell(
        *("train", "tales.jsonl", "--steps", "100", "--seed", "1", "--vocab-size", "300"),
        *("--layers", "1", "--width", "64", "--context", "64", "--batch-tokens", "1024"),
        *("--infill", "0.5"),
    )
    assert made.code == 0, made.err
    sampled = ("-n", "100", "--max-new-tokens", "60", "--temperature", "1", "--min-p", "0")
    samples = rows(shell("generate", "Ann saw", *sampled, "--seed", "1", "--jsonl").out)
    ended = [sample["text"] for sample in samples if sample["finish_reason"] == "eos"]
    right = [text for text in ended if text.endswith("Good night")]
    assert len(right) > 10
    assert len(ended) - len(right) <= 15
