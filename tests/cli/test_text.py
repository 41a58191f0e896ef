"""Texts as people bring them, through the whole program."""

from __future__ import annotations

import bz2
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BOOK, Shell

TINY = ("--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "256")
PROSE = [f"{line} and so on." for line in BOOK.splitlines()[:400]]


def train(shell: Shell, *arguments: str, steps: int = 2) -> dict[str, Any]:
    """Trains; returns what `runs show` has of it."""
    done = shell("train", *arguments, "--steps", str(steps), "--run", "it", *TINY)
    assert done.code == 0, done.err
    shown = json.loads(shell("runs", "show", "it", "--json").out)
    return {"err": done.err, **shown}


def corpus(shell: Shell) -> dict[str, Any]:
    return json.loads((shell.folder / "checkpoints/it/run.json").read_text())["corpus"]  # type: ignore[no-any-return]


def write(shell: Shell, name: str, rows: list[dict[str, str]]) -> None:
    (shell.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_each_file_has_its_own_share_held_out_and_is_named(shell: Shell) -> None:
    (shell.folder / "other.txt").write_text("".join(f"{line}\n" for line in PROSE))
    shown = train(shell, "book.txt", "other.txt")
    assert "the ends of book.txt and other.txt" in str(shown["err"])
    first, second = corpus(shell)["held_out"]
    size = (shell.folder / "book.txt").stat().st_size
    assert first[1] == size
    assert second[0] > size


def test_text_of_ones_own_is_held_out(shell: Shell) -> None:
    (shell.folder / "val.txt").write_text("".join(f"{line}\n" for line in PROSE[:50]))
    shown = train(shell, ".", "--val", "val.txt")
    assert shown["held_out"]["text"] == "val.txt"
    assert corpus(shell)["training_bytes"] == len(BOOK.encode())
    shutil.rmtree(shell.folder / "checkpoints/.cache")
    done = shell("train", "--resume", "it", "--steps", "1")
    assert done.code == 0, done.err


def test_field_is_found_and_said_and_the_run_resumes_without_its_cache(shell: Shell) -> None:
    write(shell, "rows.json", [{"id": "a", "content": text} for text in PROSE])
    shown = train(shell, "rows.json")
    assert "rows.json: 400 rows of JSON, text in 'content'" in str(shown["err"])
    assert corpus(shell)["documents"] == 400
    shutil.rmtree(shell.folder / "checkpoints/.cache")
    done = shell("train", "--resume", "it", "--steps", "1")
    assert done.code == 0, done.err


def test_options_of_reading_are_kept_for_a_resumed_run(shell: Shell) -> None:
    write(shell, "rows", [{"title": "a title", "body": text} for text in PROSE])
    train(shell, "rows", "--field", "body")
    shutil.rmtree(shell.folder / "checkpoints/.cache")
    done = shell("train", "--resume", "it", "--steps", "1")
    assert done.code == 0, done.err


def test_text_that_moved_is_given_by_its_new_name(shell: Shell) -> None:
    train(shell, "book.txt")
    moved = shell.folder / "elsewhere" / "novel.txt"
    moved.parent.mkdir()
    (shell.folder / "book.txt").rename(moved)
    shutil.rmtree(shell.folder / "checkpoints/.cache")
    done = shell("train", "--resume", "it", "--steps", "1")
    assert done.code == 66
    assert "--resume it FILE" in done.err
    done = shell("train", "--resume", "it", str(moved), "--steps", "1")
    assert done.code == 0, done.err
    done = shell("train", "--resume", "it", "--steps", "1")  # where it is now is known
    assert done.code == 0, done.err


def test_text_that_grew_is_said_with_the_way_on(shell: Shell) -> None:
    train(shell, "book.txt")
    with (shell.folder / "book.txt").open("a") as file:
        file.write("One more line.\n")
    shutil.rmtree(shell.folder / "checkpoints/.cache")
    done = shell("train", "--resume", "it", "--steps", "1")
    assert done.code == 65
    assert "has grown by 15 bytes" in done.err
    assert "--from it" in done.err


def test_another_text_is_refused(shell: Shell) -> None:
    train(shell, "book.txt")
    (shell.folder / "other.txt").write_text(BOOK.replace("Ann", "Eve"))
    done = shell("train", "--resume", "it", "other.txt", "--steps", "1")
    assert done.code == 65
    assert "other.txt is not the text of it" in done.err
    assert "tfcli train --resume it # without FILE" in done.err
    shutil.rmtree(shell.folder / "checkpoints/.cache")
    done = shell("train", "--resume", "it", "other.txt", "--steps", "1")
    assert done.code == 65
    assert "has changed" in done.err


def test_folder_with_runs_in_it_is_trained_on_again(shell: Shell) -> None:
    (shell.folder / "two.txt").write_text("".join(f"{line}\n" for line in PROSE))
    train(shell, ".")
    first = corpus(shell)["fingerprint"]
    shell("runs", "rm", "it", "--yes")
    shutil.rmtree(shell.folder / "checkpoints", ignore_errors=True)
    train(shell, ".")
    done = shell("train", ".", "--steps", "1", "--run", "again", *TINY)
    assert done.code == 0, done.err
    again = json.loads((shell.folder / "checkpoints/again/run.json").read_text())["corpus"]
    assert again["fingerprint"] == first == corpus(shell)["fingerprint"]
    assert "checkpoints (written by tfcli)" in done.err


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.txt.bz2"])
def test_score_reads_what_train_reads(trained: Shell, tmp_path: Path, name: str) -> None:
    texts = PROSE[:3]
    data = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    path = tmp_path / name
    path.write_bytes(bz2.compress(data) if name.endswith("bz2") else data)
    whole = json.loads(trained("score", str(path), "--run", "tale", "--json").out)
    assert whole["bytes"] == sum(len(text.encode()) for text in texts)
    lines = trained("score", str(path), "--run", "tale", "--by", "line").out.decode().splitlines()
    assert [line.split("\t")[2] for line in lines] == texts
    nats = sum(float(line.split("\t")[1]) for line in lines)
    assert whole["nats"] == pytest.approx(nats, rel=1e-4)


def test_byte_order_mark_of_a_scored_text_is_no_text(trained: Shell, tmp_path: Path) -> None:
    (tmp_path / "marked.txt").write_text("\ufeffAnn saw a ship.\n")
    (tmp_path / "plain.txt").write_text("Ann saw a ship.\n")
    scores = {
        trained("score", str(tmp_path / name), "--run", "tale", "--json").out
        for name in ("marked.txt", "plain.txt")
    }
    piped = trained("score", "--run", "tale", "--json", stdin="\ufeffAnn saw a ship.\n\n".encode())
    assert scores == {piped.out}


def test_tokenizer_is_trained_on_rows(shell: Shell) -> None:
    write(shell, "rows.json", [{"id": "a", "content": text} for text in PROSE])
    done = shell("tokenizer", "train", "rows.json", "--name", "words")
    assert done.code == 0, done.err
    encoded = shell("tokenizer", "encode", "-t", "words", stdin=b'{"id": "a", "content"')
    assert len(encoded.out.split()) > 12, "it has seen no JSON"


def test_tokenizer_that_does_not_fit_is_said(shell: Shell) -> None:
    assert shell("tokenizer", "train", "book.txt", "--name", "words").code == 0
    (shell.folder / "ja.txt").write_text("吾輩は猫である。名前はまだ無い。\n" * 200)
    done = shell("train", "ja.txt", "-t", "words", "--steps", "1", "--run", "it", *TINY)
    assert done.code == 0, done.err
    assert "poor tokenizer fit" in done.err


def test_context_can_be_shorter_than_that_of_the_run_to_start_from(shell: Shell) -> None:
    assert train(shell, "book.txt")
    (shell.folder / "short.txt").write_text("A few words.\n" * 3)
    done = shell("train", "short.txt", "--from", "it", "--steps", "1", "--run", "new")
    assert done.code == 0, done.err
    done = shell(
        "train", "book.txt", "--from", "it", "--context", "8", "--steps", "1", "--run", "b"
    )
    assert done.code == 0, done.err
    assert "context 8" in done.err
    done = shell(
        "train", "book.txt", "--from", "it", "--context", "64", "--steps", "1", "--run", "c"
    )
    assert done.code == 2
    assert "at most 16" in done.err


def notes_of_newer_text(shell: Shell) -> list[str]:
    done = shell("train", "--resume", "it", "--steps", "1")
    assert done.code == 0, done.err
    text = " ".join(done.err.split())
    return [text[text.index("Note: since") :]] if "Note: since" in text else []


def test_new_chapter_is_said_when_a_run_is_resumed(shell: Shell) -> None:
    novel = shell.folder / "novel"
    novel.mkdir()
    (novel / "one.txt").write_text(BOOK)
    (novel / "cover.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    train(shell, "novel", "--exclude", "draft*")
    assert not notes_of_newer_text(shell)
    (novel / "draft.txt").write_text("Not yet a chapter.\n")
    (novel / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(255)))
    assert not notes_of_newer_text(shell)
    (novel / "two.txt").write_text("Ann saw the sea.\n" * 20)
    (note,) = notes_of_newer_text(shell)
    assert "novel/two.txt (340 bytes) came" in note
    assert "tfcli train novel --exclude 'draft*' --from it" in note
    with (novel / "one.txt").open("a") as file:
        file.write("One more line.\n")
    (note,) = notes_of_newer_text(shell)
    assert "novel/two.txt (340 bytes) came and novel/one.txt changed" in note


def test_touched_text_that_is_the_same_is_not_said(shell: Shell) -> None:
    train(shell, "book.txt")
    (shell.folder / "book.txt").write_text(BOOK)
    assert not notes_of_newer_text(shell)
    (shell.folder / "book.txt").write_text(BOOK.replace("Ann", "Eve"))
    (note,) = notes_of_newer_text(shell)
    assert "tfcli train book.txt --from it" in note
