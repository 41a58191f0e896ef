"""`tfcli trace` in the shell."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import BOOK, RealShell, Shell
from tests.html_pages import checked_page
from tfcli.files import read_json, write_checked_json

SENTENCE = "Nobody saw two birds by the sea.\nJosé saw a ship at noon."
NASTY = "<script>alert(1)</script>&'\"\x1b[31m"


def test_a_text_is_marked_and_its_source_is_named(trained: Shell) -> None:
    done = trained("trace", "tale", stdin=f"So: {SENTENCE} Yes.".encode())
    assert done.code == 0, done.err
    text = done.out.decode()
    number = BOOK.split("\n").index(SENTENCE.split("\n")[0]) + 1
    assert text.startswith("So: [")
    assert f"book.txt:{number}" in text
    assert "not that the model took them from there" in " ".join(text.split())
    assert re.search(r"^this text +\d+ %", text, re.MULTILINE)
    assert re.search(r"^held-out text, \d+ kB +0 %", text, re.MULTILINE)
    assert done.err.startswith("Next: tfcli trace tale < TEXT --html")


def test_what_a_model_writes_is_traced_in_a_pipe(trained: Shell) -> None:
    written = trained("generate", "Ann saw", "--run", "tale", "--max-new-tokens", "30").out
    found = json.loads(trained("trace", "tale", "--json", stdin=written).out)
    assert found["bytes"] == len(written)
    assert found["run"] == "tale"
    for span in found["spans"]:
        assert written[span["begin"] : span["end"]].decode() == span["text"]
        assert span["text"] in BOOK


def test_a_chapter_that_was_changed_is_left_out_and_named(shell: Shell) -> None:
    folder = shell.folder / "chapters"
    folder.mkdir()
    for n in range(4):
        (folder / f"{n}.txt").write_text(f"{BOOK} {n}")
    own = "the lighthouse keeper of Finisterre counted nineteen herons before breakfast"
    (folder / "3.txt").write_text(f"{own}. {BOOK}")
    small = ("--steps", "1", "--layers", "1", "--width", "32", "--context", "16")
    assert shell("train", "chapters", "--run", "novel", *small).code == 0
    before = json.loads(shell("trace", "novel", own, "--json").out)
    assert before["left_out"] == []
    (folder / "2.txt").write_text(BOOK)
    done = shell("trace", "novel", own, "--json")
    assert done.code == 0, done.err
    assert "Warning: left out chapters/2.txt, which changed" in " ".join(done.err.split())
    found = json.loads(done.out)
    assert found["left_out"] == [str(folder / "2.txt")]
    assert found["spans"][0]["passages"][0]["file"] == str(folder / "3.txt")
    assert found["training_words"] < before["training_words"]
    assert found["held_out_bytes"] > 0
    (folder / "3.txt").unlink()
    done = shell("trace", "novel", own, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["spans"] == []
    assert "left out chapters/2.txt, chapters/3.txt, which" in " ".join(done.err.split())
    for n in (0, 1):
        (folder / f"{n}.txt").write_text("other")
    done = shell("trace", "novel", SENTENCE)
    assert done.code in {65, 66}


def test_a_text_may_be_an_argument(trained: Shell) -> None:
    piped = json.loads(trained("trace", "tale", "--json", stdin=SENTENCE.encode()).out)
    for arguments in (["tale", SENTENCE], [SENTENCE]):  # the latter: of the newest run
        done = trained("trace", *arguments, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["spans"] == piped["spans"]
    done = trained("trace", "tale", SENTENCE, "--file", "book.txt")
    assert (done.code, "--file cannot be combined with TEXT" in done.err) == (2, True)


def test_a_text_that_is_the_name_of_a_file_is_noted(trained: Shell) -> None:
    done = trained("trace", "tale", "book.txt")
    assert done.code == 0
    assert "to trace its text: tfcli trace tale --file book.txt" in done.err
    assert "name of a file" not in trained("trace", "tale", "Ann saw").err


def test_the_page_is_one_file_without_scripts(trained: Shell, tmp_path: Path) -> None:
    path = tmp_path / "trace.html"
    text = f"{NASTY} {SENTENCE} " + "Bob saw the moon. " * 5
    done = trained("trace", "tale", "--html", str(path), stdin=text.encode())
    assert (done.code, done.out) == (0, b""), done.err
    assert checked_page(path).links
    assert "&lt;script&gt;" in path.read_text()


def test_spans_that_cross_are_one_stretch_with_the_numbers_of_both(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    from tfcli.cli.trace_output import write_trace
    from tfcli.insight.trace import Novelty, Span, Trace

    ends = [(2, 0, 9), (1, 5, 13), (2, 21, 29), (3, 29, 33)]
    spans = tuple(Span(number, begin, end, 2, -9.0, 1, ()) for number, begin, end in ends)
    text = b"one, two and three; one, two four"
    write_trace(Trace(text, spans, None, (Novelty(1, 0.5, None),), 20, 7, 9, 0))
    out = capsysbinary.readouterr().out.decode()
    assert out.startswith("[one, two and ][1,2]three; o[ne, two ][2][four][3]\n")


def test_a_page_stays_below_two_megabytes() -> None:
    from tfcli.cli.trace_page import draw_page
    from tfcli.insight.passages import Passage
    from tfcli.insight.trace import Copy, Novelty, Span, Trace
    from tfcli.insight.training_text import Place

    text = b"<&> words and words, again; " * 40_000
    passages = tuple(Passage(Place("a" * 50, 1, None), "<" * 80, ">" * 80) for _ in range(10))
    spans = tuple(
        Span(number + 1, 28 * number, 28 * number + 27, 5, -9.0, 99, passages)
        for number in range(40_000)
    )
    novelty = tuple(Novelty(n, 0.5, None) for n in range(1, 11))
    trace = Trace(text, spans, Copy(0, 27, 5), novelty, 5, 5, 5, 0)
    assert len(draw_page(trace, "tale").encode()) < 2_000_000


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing"], 66, "not found"),
        (["book.txt"], 66, "try: tfcli trace RUN --file book.txt"),
        (["tale", "--html", "page.txt"], 2, "does not end in .html"),
        (["tale", "--file", "nothing.txt"], 66, "nothing.txt"),
    ],
)
def test_what_cannot_be_done_is_said(
    trained: Shell, arguments: list[str], code: int, said: str
) -> None:
    done = trained("trace", *arguments, stdin=b"Ann")
    assert done.code == code
    assert said in done.err


def test_a_text_that_has_changed_is_refused(trained: Shell, tmp_path: Path) -> None:
    shutil.copytree(trained.folder, tmp_path / "work")
    shell = RealShell(tmp_path / "work")
    path = shell.folder / "book.txt"
    record = read_json(shell.folder / "checkpoints/tale/run.json")
    record["corpus"]["sources"] = [str(path)]
    record.pop("sha256", None)
    write_checked_json(shell.folder / "checkpoints/tale/run.json", record)
    path.write_text(BOOK.replace("Ann", "Eva", 1))
    done = shell("trace", "tale", stdin=b"Ann saw the moon.")
    assert (done.code, done.out) == (65, b"")
    assert "not what it was trained on" in done.err
    (shell.folder / "old.txt").write_text(BOOK)
    done = shell("trace", "tale", "--source", "old.txt", "--json", stdin=b"Ann saw the moon.")
    assert done.code == 0, done.err
    assert json.loads(done.out)["longest"]["text"] == "Ann saw the moon"
