"""`tfcli generate -i`: the session's options, and the file that its text belongs to."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pexpect
import pytest

from tests.cli.test_terminal import MODEL
from tests.cli.test_word_wrap import screen
from tests.conftest import Shell, bare_environment, forked
from tests.text.documents_of_offices import word_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")


def session(shell: Shell, *arguments: str, env: dict[str, str] | None = None) -> pexpect.spawn:
    return pexpect.spawn(
        forked()[0],
        [*forked()[1:], "generate", "--run", "tale", "-i", "--max-new-tokens", "4", *arguments,
         *([] if "--temperature" in arguments else ["--greedy"])],
        cwd=str(shell.folder),
        env=bare_environment() | {"TERM": "xterm-256color", "COLUMNS": "300"} | (env or {}),
        dimensions=(30, 300), encoding="utf-8", timeout=20,
    )  # fmt: skip


def say(child: pexpect.spawn, line: str, *expected: str) -> None:
    """Types a line at the prompt, and expects what is shown before the next prompt."""
    child.expect("> $")
    child.sendline(line)
    for text in expected:
        child.expect_exact(text)


def quit_session(child: pexpect.spawn) -> None:
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_file_is_continued_and_saved_back(trained: Shell, tmp_path: Path) -> None:
    story = tmp_path / "story.txt"
    story.write_bytes(b"Bob saw the moon at noon.\r\nAnn")
    child = session(trained, "--file", str(story))
    child.expect("Going on from")
    child.expect_exact("7 words, 30 bytes")
    child.expect_exact("Bob saw the moon at noon.\r\nAnn\r\n")
    say(child, " saw")
    child.expect(rf"{MODEL}([^\x1b]+)\x1b\[0m")
    written = child.match[1].replace("\r\n", "\n")
    say(child, "/quit", "Unsaved changes to", "/save, or quit again")
    assert story.read_bytes() == b"Bob saw the moon at noon.\r\nAnn"
    say(child, "/save", "Saved to")
    assert story.read_bytes().decode() == f"Bob saw the moon at noon.\r\nAnn saw{written}"
    say(child, "/quit")
    quit_session(child)


def test_enter_ends_a_word_of_the_person(trained: Shell) -> None:
    child = session(trained)
    for line in ("Ann s", "/retry"):
        say(child, line)
        child.expect(rf"{MODEL}([^\x1b]*)\x1b\[0m")
        assert not child.match[1][:1].isalpha()
    say(child, "/quit")
    quit_session(child)


def after_a_stop_string(trained: Shell) -> tuple[pexpect.spawn, str]:
    """A session whose model first came to a space, and what it wrote after Enter."""
    child = session(trained, "--stop", " ")
    say(child, "Ann", "the stop string ' ' comes next; Enter goes on after it")
    say(child, "")
    child.expect(rf"{MODEL}([^\x1b ]+)\x1b\[0m")
    return child, child.match[1].strip()


def test_enter_goes_on_after_a_stop_string_that_comes_next(trained: Shell) -> None:
    child, written = after_a_stop_string(trained)
    say(child, "/save t.txt", "Saved to")
    assert (trained.folder / "t.txt").read_text() == f"Ann {written}"
    say(child, "/quit")
    quit_session(child)


def test_a_stop_string_that_was_passed_is_in_the_list_of_continuations(trained: Shell) -> None:
    child, written = after_a_stop_string(trained)
    say(child, "/retry 2")
    for number in (1, 2):
        child.expect_exact(f"--- {number} ---")
        child.expect(rf"{MODEL}([^\x1b]+)\x1b\[0m")
        assert child.before.replace("\r\n", "") + child.match[1].rstrip() == f"Ann {written}"
    say(child, "/quit")
    quit_session(child)


def test_enter_goes_on_after_the_stop_string_that_was_written(trained: Shell) -> None:
    child = session(
        trained, "--stop", " ", "--temperature", "3", "--seed", "1", "--max-new-tokens", "99",
        "--ignore-eos",
    )  # fmt: skip
    pieces = []
    for line in ("Ann s", *[""] * 7):
        say(child, line)
        child.expect(rf"{MODEL}([^\x1b]*)\x1b\[0m")
        pieces.append(child.match[1].strip())
    say(child, "/save whole.txt", "Saved to")
    written = (trained.folder / "whole.txt").read_text()
    assert re.fullmatch("Ann s" + " +".join(re.escape(each) for each in pieces), written)
    say(child, "/quit")
    quit_session(child)


def test_a_quoted_name_is_said_without_its_quotes(trained: Shell, tmp_path: Path) -> None:
    (tmp_path / "a chapter.txt").write_text("Ann")
    child = session(trained)
    say(child, f'/load "{tmp_path}/a chapter.txt"', f"Going on from {tmp_path}/a chapter.txt (")
    say(child, "/quit")
    quit_session(child)


def test_a_file_that_does_not_exist_yet_is_created_on_save(trained: Shell, tmp_path: Path) -> None:
    story = tmp_path / "new.txt"
    child = session(trained, "--file", str(story), "Ann saw")
    child.expect_exact("does not exist yet; /save creates it")
    child.expect_exact("> Ann saw\r\n")  # the prompt is shown as if it was typed
    child.expect(MODEL)
    child.expect("> $")
    child.sendeof()
    child.expect_exact("quit again to discard them")
    assert not story.exists()
    say(child, "/save", "Saved to")
    assert story.read_text().startswith("Ann saw")
    child.expect("> $")
    child.sendeof()
    quit_session(child)


def test_a_document_is_continued_but_never_overwritten(trained: Shell, tmp_path: Path) -> None:
    story = tmp_path / "story.docx"
    story.write_bytes(word_of(["Nobody saw the moon.", "Ann saw"]))
    before = story.read_bytes()
    child = session(trained, "--file", str(story))
    child.expect_exact("is DOCX; only its text is read")
    child.expect_exact("/save NAME writes the text to a file of its own")
    child.expect_exact("Nobody saw the moon.\r\nAnn saw\r\n")
    say(child, "/save", "/save needs the name of a file")
    say(child, f"/save {story}", "which .docx is not")
    say(child, f"/save {tmp_path}/story.txt", "Saved to")
    assert (tmp_path / "story.txt").read_text() == "Nobody saw the moon.\nAnn saw\n"
    assert story.read_bytes() == before
    say(child, "/quit")
    quit_session(child)


def test_a_file_in_another_encoding_is_continued(trained: Shell, tmp_path: Path) -> None:
    story = tmp_path / "old.txt"
    story.write_bytes("José vio «la luna».".encode("cp1252"))
    child = session(trained, "--file", str(story), "--encoding", "cp1252")
    child.expect_exact("is CP1252")
    child.expect_exact("José vio «la luna».")
    say(child, "/save", "/save needs the name of a file")
    say(child, f"/save {tmp_path}/new.txt", "Saved to")
    assert (tmp_path / "new.txt").read_text().startswith("José vio «la luna».")
    say(child, "/quit")
    quit_session(child)
    assert story.read_bytes() == "José vio «la luna».".encode("cp1252")


def test_loading_replaces_the_text_and_undo_brings_it_back(trained: Shell, tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text("Nobody saw")
    (tmp_path / "bytes").write_bytes(b"\xff\xfd")
    (tmp_path / "old.txt").write_text("El niño salió mañana", encoding="cp1252")
    child = session(trained)
    say(child, "Ann saw")
    say(child, f"/load {tmp_path}/story.txt", "Nobody saw\r\n")
    say(child, "/retry", "nothing to retry")
    say(child, "/undo", "Ann saw")
    for name, error in (
        ("", "/load needs the name of a file"),
        (f" {tmp_path}/no.txt", "file not found"),
        (f" {tmp_path}/bytes", "not UTF-8 text"),
        (f" {tmp_path}/old.txt", "iconv -f CP1252 -t UTF-8 -- "),
        (f" {tmp_path}", "is not a regular file"),
    ):
        say(child, f"/load{name}", error)
    say(child, f"/save {tmp_path}/kept.txt", "Saved to")  # the errors have not cost the text
    assert (tmp_path / "kept.txt").read_text().startswith("Ann saw")
    say(child, "/quit")
    quit_session(child)


def test_commands_are_listed_and_an_empty_text_is_noted(trained: Shell, tmp_path: Path) -> None:
    child = session(trained)
    say(child, "/tmp", "unknown command: /tmp", "/retry, /take")
    say(child, f"/save {tmp_path}/s.txt", "0 bytes", "the text is empty")
    say(child, "/quit")
    quit_session(child)


def test_a_file_of_others_is_not_overwritten(trained: Shell, tmp_path: Path) -> None:
    story = tmp_path / "story.txt"
    story.write_text("Nobody saw")
    child = session(trained)
    say(child, "Ann saw")
    say(child, f"/save {story}", "already exists")
    say(child, f"/load {story}", "Going on from")
    child.expect("> $")
    story.write_text("Nobody saw it coming")
    child.sendline("/save")
    child.expect_exact("was changed by another program")
    assert story.read_text() == "Nobody saw it coming"
    say(child, f"/save {story}/it.txt", "error: ")
    say(child, f"/save {tmp_path}/no/such/it.txt", "folder not found")
    assert not (tmp_path / "no").exists()
    child.expect("> $")
    child.sendcontrol("c")
    say(child, "/quit")  # the text is as it was loaded
    quit_session(child)


def test_a_new_text_does_not_replace_the_chapter(trained: Shell, tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(f"Bob saw chapter {name} at noon.\n")
    child = session(trained, "--file", f"{tmp_path}/one.txt")
    say(child, "Ann", "Ann")
    say(child, "/new", "/undo brings back", "unsaved changes")
    say(child, "The old fox")
    say(child, "/save", "/save needs the name of a file")
    say(child, f"/save {tmp_path}/one.txt", "already exists and holds another text", "mv ")
    say(child, f"/load {tmp_path}/two.txt", "Going on from")
    say(child, f"/save {tmp_path}/one.txt", "already exists")  # although it was loaded before
    say(child, "/undo", "The old fox")  # the text that belongs to no file
    say(child, "/save", "/save needs the name of a file")
    say(child, "/undo", "New text")
    say(child, "/undo", "Ann")  # the chapter, and its name
    say(child, "/save", "Saved to")
    say(child, "/quit")
    quit_session(child)
    assert (tmp_path / "one.txt").read_text().startswith("Bob saw chapter one.txt at noon. Ann")
    assert (tmp_path / "two.txt").read_text() == "Bob saw chapter two.txt at noon.\n"


def test_lines_are_continued_and_pasted(trained: Shell, tmp_path: Path) -> None:
    child = session(trained, "--file", f"{tmp_path}/new.txt", "--max-new-tokens", "0")
    child.expect("> $")
    child.sendline("Ann said: \\")
    child.expect("[.] $")
    child.sendline("\\")
    child.expect("[.] $")
    child.sendline("-Bob saw the moon.")
    child.expect("> $")
    child.send("\x1b[200~/two birds\rby the sea\x1b[201~\r")
    say(child, "/save", "Saved to")
    say(child, "/quit")
    quit_session(child)
    assert (tmp_path / "new.txt").read_text() == (
        "Ann said:\n\n-Bob saw the moon./two birds\nby the sea"
    )


def test_no_word_of_the_text_is_cut_where_it_is_shown_again(trained: Shell, tmp_path: Path) -> None:
    story = tmp_path / "story.txt"
    story.write_text("Somebody saw something. " * 6)
    child = session(trained, "--file", str(story), env={"COLUMNS": "40"})
    child.expect_exact("):")
    child.expect("Type what comes")
    typed = child.before.index("\r\n") + 2
    shown = screen(re.sub(r"\x1b\[[02]?m", "", child.before[typed:]).replace("\r\n", "\n"))
    child.expect("> $")
    assert max(map(len, shown)) < 40
    assert " ".join(" ".join(shown).split()) == story.read_text().strip()
    child.sendline("/quit")
    quit_session(child)


def test_options_in_use_are_shown(trained: Shell) -> None:
    child = session(trained, "--seed", "5")
    say(child, "/show")
    child.expect(r"max_new_tokens\x1b\[0m +4 +default 256\r\n")
    child.expect(r"greedy *\x1b\[0m +on +default off\r\n")
    child.expect(r"seed *\x1b\[0m +5 +default random\r\n")
    child.expect_exact("/show all lists them")
    assert "top_k" not in child.before
    say(child, "/show all")
    child.expect(r"top_k *\x1b\[0m +0 +default off\r\n")
    child.expect(r"min_p *\x1b\[0m +0\.05 +default 0\.05\r\n")
    say(child, "/show none", "/show, or /show all")
    say(child, "/set greedy on", "greedy: on, as before")
    say(child, "/set stop \\n", "stop: - -> '\\n'")
    say(child, "/quit")
    quit_session(child)


def test_help_is_a_table_that_fits_the_terminal(trained: Shell) -> None:
    child = session(trained, env={"COLUMNS": "50"})
    say(child, "/help")
    child.expect("/quit.*\r\n")
    shown = re.sub(r"\x1b\[(1m|0m|\?2004l\r)", "", child.before)
    lines = shown.split("\r\n")[1:]
    assert max(map(len, lines)) <= 50
    assert any(line.startswith("/set NAME VALUE ") for line in lines)
    say(child, "/quit")
    quit_session(child)


def test_no_color_means_none(trained: Shell) -> None:
    child = session(trained, env={"NO_COLOR": "1"})
    say(child, "Ann saw")
    child.expect("> $")
    assert "\x1b[3" not in child.before
    child.sendline("/quit")
    quit_session(child)


def test_file_is_for_interactive_sessions(trained: Shell) -> None:
    done = trained("generate", "--file", "book.txt")
    assert done.code == 2
    assert "--file requires -i" in done.err
    assert "try: tfcli generate < book.txt" in done.err


def test_one_of_several_continuations_is_taken_and_turns_are_undone(
    trained: Shell, tmp_path: Path
) -> None:
    story = tmp_path / "story.txt"
    child = session(trained, "--temperature", "3", "--seed", "1")
    say(child, "Ann saw")
    say(child, "/take 1", "no such continuation", "/retry 3")
    say(child, "/retry 2", "--- 1 ---", "--- 2 ---", "/take 1 to /take 2 chooses one")
    say(child, f"/save {story}", "Saved to")
    second = story.read_text()
    say(child, "/take 1")
    say(child, f"/save {tmp_path / 'first.txt'}", "Saved to")
    first = (tmp_path / "first.txt").read_text()
    assert first != second
    assert first.startswith("Ann saw")
    say(child, "/take 3", "no such continuation", "/take 1 to /take 2")
    say(child, "Then")
    say(child, "/undo x", "/undo takes a number from 1 to 99")
    say(child, "/undo 5", "New text.", "There were only 2 to undo.")
    say(child, "/sav\t", "Saved to")
    say(child, "/quit")
    quit_session(child)
