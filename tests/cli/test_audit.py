"""`tfcli audit memory` and `tfcli text canaries` in the shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Shell


def test_an_audit_tells_figures_and_what_they_mean(trained: Shell) -> None:
    done = trained("audit", "memory", "tale", "--windows", "20")
    assert done.code == 0, done.err
    text = done.out.decode()
    assert text.startswith("tale, step 60: ")
    assert "held-out text" in text
    assert "book.txt:" in text
    assert "was guessed, not known" in " ".join(text.split())
    assert done.err == "Next: tfcli audit memory tale --json\n"


def test_canaries_are_planted_in_a_pipe(trained: Shell, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    plant = ("text", "canaries", "--key", str(key), "--repeats", "2", "--each", "1")
    done = trained(*plant, stdin=b"a\nb\nc\nd\ne\n")
    assert done.code == 0, done.err
    assert done.out.count(b"My canary number is ") == 2
    assert "Planted 1 canary in 2 lines" in done.err
    again = trained(*plant, stdin=b"a\nb\nc\nd\n")
    assert (again.code, again.out) == (73, b"")
    audit = trained("audit", "memory", "tale", "--windows", "10", "--canaries", str(key))
    assert audit.code == 0, audit.err
    assert "Of 1 canary the training text has not all" in " ".join(audit.out.decode().split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["audit", "memory", "tale", "--canaries", "book.txt"], 65, "book.txt"),
        (["audit", "memory", "nothing"], 66, "not found"),
        (["text", "canaries", "--key", "k.json", "--repeats", "a"], 2, "whole numbers"),
        (["text", "canaries", "--key", "k.json", "--template", "x"], 65, "cannot be planted"),
    ],
)
def test_what_cannot_be_done_is_said(
    trained: Shell, arguments: list[str], code: int, said: str
) -> None:
    done = trained(*arguments, stdin=b"a\n")
    assert done.code == code, done.err
    assert said in done.err


def test_preferences_are_a_table_with_what_they_mean(trained: Shell, tmp_path: Path) -> None:
    done = trained("audit", "bias", "tale", "--language", "es")
    assert done.code == 0, done.err
    text = done.out.decode()
    assert text.startswith("tale, step 60\n\ngroup ")
    assert "agreement" in text
    assert "the model goes further than its text" in " ".join(text.split())
    table = tmp_path / "pairs.csv"
    table.write_text("sent_more,sent_less\nAnn saw the moon,Ann saw the mud\n")
    assert b"\nall " in trained("audit", "bias", "tale", str(table)).out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--language", "fr"], 2, "no pairs of our own in 'fr'"),
        (["tale", "missing.tsv"], 66, "missing.tsv"),
        (["tale", "book.txt"], 65, "no columns `more` and `less`"),
        (["nobody"], 66, "nobody"),
    ],
)
def test_wrong_questions_about_preferences(
    trained: Shell, arguments: list[str], code: int, said: str
) -> None:
    done = trained("audit", "bias", *arguments)
    assert (done.code, done.out) == (code, b"")
    assert said in done.err
