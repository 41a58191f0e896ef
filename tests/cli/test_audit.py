"""`tfcli audit`, `tfcli runs card` and `tfcli text canaries` in the shell."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RealShell, Shell
from tests.html_pages import checked_page

KEPT = "Kept in checkpoints/tale/audit-{}.json, for tfcli runs card."


@pytest.fixture(scope="module")
def audited(trained: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A copy of the run `tale`, with which audits leave their records."""
    folder = tmp_path_factory.mktemp("audited")
    shutil.copytree(trained.folder, folder, dirs_exist_ok=True)
    return RealShell(folder)


def test_an_audit_tells_figures_and_what_they_mean(audited: Shell) -> None:
    done = audited("audit", "memory", "tale", "--windows", "20")
    assert done.code == 0, done.err
    text = done.out.decode()
    assert text.startswith("tale, step 60: ")
    assert "held-out text" in text
    assert "book.txt:" in text
    assert "was guessed, not known" in " ".join(text.split())
    assert done.err == f"{KEPT.format('memory')}\nNext: tfcli audit memory tale --json\n"


def test_a_passage_that_the_text_repeats_is_named_once(audited: Shell) -> None:
    found = json.loads(audited("audit", "memory", "tale", "--windows", "300", "--json").out)
    said = [" ".join(each["continuation"].split()) for each in found["worst"]]
    assert len(said) > 1
    assert len(said) == len(set(said))
    assert max(each["count"] for each in found["worst"]) > 1


def test_canaries_are_planted_in_a_pipe(audited: Shell, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    plant = ("text", "canaries", "--key", str(key), "--repeats", "2", "--each", "1")
    done = audited(*plant, stdin=b"a\nb\nc\nd\ne\n")
    assert done.code == 0, done.err
    assert done.out.count(b"My canary number is ") == 2
    assert "Planted 1 canary in 2 lines" in done.err
    again = audited(*plant, stdin=b"a\nb\nc\nd\n")
    assert (again.code, again.out) == (73, b"")
    audit = audited("audit", "memory", "tale", "--windows", "10", "--canaries", str(key))
    assert audit.code == 0, audit.err
    assert "Of 1 canary the training text has not all" in " ".join(audit.out.decode().split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["audit", "memory", "tale", "--canaries", "book.txt"], 65, "book.txt"),
        (["audit", "memory", "nothing"], 66, "not found"),
        (["text", "canaries", "--key", "no/k.json"], 66, "try: mkdir -p no"),
        (["text", "canaries", "--key", "k.json", "--repeats", "a"], 2, "whole numbers"),
        (["text", "canaries", "--key", "k.json", "--template", "x"], 65, "cannot be planted"),
    ],
)
def test_what_cannot_be_done_is_said(
    audited: Shell, arguments: list[str], code: int, said: str
) -> None:
    done = audited(*arguments, stdin=b"a\n")
    assert done.code == code, done.err
    assert said in done.err


def test_nothing_is_known_best_where_nothing_comes_out(capfdbinary: Any) -> None:
    from tfcli.cli.audit_output import write_memory_audit
    from tfcli.insight.memorization import MemoryAudit, Rates, Share

    rates = Rates(Share(10, 0), ())
    write_memory_audit(MemoryAudit(50, rates, None, (), (), ()), "new", 1)
    text = capfdbinary.readouterr().out.decode()
    assert "Known best: none; no passage comes out at all." in text
    assert "1. " not in text


def test_preferences_are_a_table_with_what_they_mean(audited: Shell, tmp_path: Path) -> None:
    done = audited("audit", "bias", "tale", "--language", "es")
    assert done.code == 0, done.err
    text = done.out.decode()
    assert text.startswith("tale, step 60\n\ngroup ")
    assert "agreement" in text
    assert "the model goes further than its text" in " ".join(text.split())
    table = tmp_path / "pairs.csv"
    table.write_text("sent_more,sent_less\nAnn saw the moon,Ann saw the mud\n")
    assert b"\nall " in audited("audit", "bias", "tale", str(table)).out


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
    audited: Shell, arguments: list[str], code: int, said: str
) -> None:
    done = audited("audit", "bias", *arguments)
    assert (done.code, done.out) == (code, b"")
    assert said in done.err


# --- groups -------------------------------------------------------------------------------------


ROWS = [("en", "Ann saw a ship at noon."), ("es", "José vio la luna."), ("en", "Bob saw the moon.")]


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """Rows in two languages."""
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"text": text, "language": language}) for language, text in ROWS * 6]
    path.write_text("\n".join(lines))
    return str(path)


def test_groups_are_a_table_with_what_it_does_not_mean(audited: Shell, rows: str) -> None:
    done = audited("audit", "groups", "tale", rows, "--by", "language")
    assert done.code == 0, done.err
    lines = done.out.decode().splitlines()
    assert lines[:2] == ["tale, step 60", ""]
    assert lines[2].split() == ["language", "nats/byte", "x", "lowest", "tokens/byte",
                                "documents", "bytes"]  # fmt: skip
    assert re.match(r"en +\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\) +1\.00 +0\.\d{3} +12 ", lines[3])
    assert lines[4].startswith("es * ")
    said = " ".join(done.out.decode().split())
    assert "does not say that a group is treated worse" in said
    assert "too few documents" in said
    assert KEPT.format("groups") in done.err


def test_rows_without_text_are_told_and_names_stay_on_their_line(
    audited: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('text,who\nAnn saw a ship.,"a\nb"\n,c\n" ",c\nBob saw the moon.,c\n')
    done = audited("audit", "groups", "tale", str(path), "--by", "who")
    assert done.code == 0, done.err
    assert "skipped 2 of 4 rows without text" in " ".join(done.err.split())
    assert {line.split()[0] for line in done.out.decode().splitlines()[3:5]} == {"a⏎b", "c"}


def test_files_are_compared_and_a_known_one_is_named(
    audited: Shell, tmp_path: Path, rows: str
) -> None:
    page = tmp_path / "groups.html"
    done = audited("audit", "groups", "tale", "book.txt", rows, "--html", str(page))
    assert (done.code, done.out) == (0, b"")
    assert "Note: tale was trained on book.txt" in done.err
    text = page.read_text()
    assert text.count('<div class="group">') == 2
    assert "rows.jsonl" in text
    assert "rows.jsonl" in checked_page(page).said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["tale"], 2, "tfcli audit groups tale FILE"),
        (["book.txt"], 2, "tfcli audit groups RUN book.txt"),
        (["tale", "missing.txt"], 66, "missing.txt"),
        (["tale", "book.txt", "--by", "language"], 65, "--field NAME"),
        (["nobody", "book.txt"], 66, "nobody"),
        (["tale", "book.txt", "--html", "x.txt"], 2, "does not end in .html"),
    ],
)
def test_wrong_questions_about_groups(
    audited: Shell, arguments: list[str], code: int, said: str
) -> None:
    done = audited("audit", "groups", *arguments)
    assert (done.code, done.out) == (code, b"")
    assert said in done.err


# --- the card -----------------------------------------------------------------------------------


def test_a_card_is_markdown_in_a_pipe(audited: Shell) -> None:
    options = ("--license", "cc-by-4.0", "--author", "Ann Lee", "--carbon-intensity", "200")
    done = audited("runs", "card", "tale", *options)
    assert done.code == 0, done.err
    text = done.out.decode()
    assert text.startswith("---\nlibrary_name: transformers\n")
    assert "license: cc-by-4.0\n" in text
    assert "| author | Ann Lee |" in text
    size = (audited.folder / "book.txt").stat().st_size
    assert re.search(rf"\| source 1 \| book.txt: {size:,} bytes, SHA-256 `[0-9a-f]{{64}}` \|", text)
    assert re.search(r"\| processor \| [\d.]+ k?J, (estimated|measured)", text)
    assert "| CO2 |" in text
    assert done.err == "Kept in checkpoints/tale/about.json.\n"
    assert audited("runs", "card", "tale").out.decode() == text
    card = json.loads(audited("runs", "card", "tale", "--json").out)
    assert card["license"] == "cc-by-4.0"
    assert card["energy"]["sessions"] == 1
    assert card["energy"]["cpu_seconds"] > 0


def test_a_license_that_has_no_name_elsewhere_is_mentioned(audited: Shell) -> None:
    done = audited("runs", "card", "tale", "--license", "cc-by-4")
    assert "has no license 'cc-by-4'; did you mean cc-by-4.0?" in done.err
    assert "license: other\nlicense_name: " in done.out.decode()
    assert audited("runs", "card", "tale", "--license", "").code == 0


def test_a_card_and_exports_go_without_damaged_words(audited: Shell, tmp_path: Path) -> None:
    about = audited.folder / "checkpoints/tale/about.json"
    for content in ("{", '{"license": 3}'):
        about.write_text(content)
        done = audited("runs", "card", "tale")
        assert done.code == 0, done.err
        assert done.out.startswith(b"---")
        assert "tfcli runs card checkpoints/tale --license" in done.err
        out = str(tmp_path / str(len(content)))
        exported = audited("export", "tale", out, "--to", "huggingface")
        assert (exported.code, "about.json" in exported.err) == (0, True)
        verified = audited("runs", "verify", "tale")
        assert (verified.code, "about.json" in verified.err) == (65, True)
        assert "runs card checkpoints/tale" in verified.err
    written = audited("runs", "card", "tale", "--author", "Ann Lee")
    assert (written.code, "written anew" in written.err) == (0, True)
    assert audited("runs", "verify", "tale").code == 0
    assert audited("runs", "card", "tale", "--author", "").code == 0


def test_wrong_words_for_a_card(audited: Shell) -> None:
    done = audited("runs", "card", "tale", "--core-watts", "-1")
    assert (done.code, done.out) == (2, b"")
    assert "--core-watts" in done.err
    assert audited("runs", "card", "nobody").code == 66


def test_figures_that_cannot_be_kept_are_shown_all_the_same(audited: Shell, rows: str) -> None:
    in_the_way = audited.folder / "checkpoints/tale/audit-groups.json"
    in_the_way.unlink(missing_ok=True)
    in_the_way.mkdir()
    done = audited("audit", "groups", "tale", rows)
    in_the_way.rmdir()
    assert done.code == 0, done.err
    assert "warning:" in done.err
    assert done.out.startswith(b"tale, step 60")
