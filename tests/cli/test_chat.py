"""`tfcli generate --chat` in a shell and at the keyboard, with templates for the run `tale`."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.cli.test_interactive import quit_session, say
from tests.conftest import RealShell, Shell, bare_environment, forked

# The model knows nothing but sentences on lines of their own: a line is a turn.
LINES = (
    "{% for m in messages %}{% if m.role == 'critic' %}{{ raise_exception('no critics') }}"
    "{% endif %}{{ m.content }}\n{% endfor %}"
)
THINKING = "{# <think> #}{% for m in messages %}{{ m.content }}|{% endfor %}"


@pytest.fixture(scope="module")
def talking(trained: Shell, tmp_path_factory: pytest.TempPathFactory) -> RealShell:
    """A shell in a folder with the run `tale`, to which a template was given; and `mind`."""
    folder = tmp_path_factory.mktemp("talking")
    for name, template in (("mind", THINKING), ("tale", LINES)):
        run = folder / "checkpoints" / name
        shutil.copytree(trained.folder / "checkpoints" / "tale", run)
        (run / "chat_template.jinja").write_text(template)
    return RealShell(folder)


CHAT = ("generate", "--run", "tale", "--greedy", "--chat")


def rows(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.decode().splitlines()]


def requests(*values: object) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def answer_of(shell: Shell, text: str) -> str:
    """What the model writes after a text, up to the end of the line."""
    plain = shell("generate", "--run", "tale", "--greedy", "--stop", "\\n", text)
    return plain.out.decode()


# --- in a shell ---------------------------------------------------------------------------------


def test_an_answer_is_the_text_up_to_the_end_of_turn(talking: Shell) -> None:
    expected = answer_of(talking, "Ann saw a ship at noon.\n")
    done = talking(*CHAT, "Ann saw a ship at noon.")
    assert (done.code, done.err) == (0, "")
    assert done.out.decode() == f"{expected}\n"
    assert talking(*CHAT, stdin=b"Ann saw a ship at noon.\n").out == done.out
    shown = talking(*CHAT, "Ann saw a ship at noon.", "--echo")
    assert shown.out.decode() == f"Ann saw a ship at noon.\n{expected}\n"


def test_a_system_prompt_comes_first(talking: Shell) -> None:
    done = talking(*CHAT, "Ann", "--echo", "--system", "Bob saw the moon at noon.")
    assert done.out.startswith(b"Bob saw the moon at noon.\nAnn\n")


def test_several_samples_and_lines_have_an_answer_each(talking: Shell) -> None:
    done = talking(*CHAT, "Ann", "-n", "2")
    expected = answer_of(talking, "Ann\n")
    assert done.out.decode() == f"--- 1 ---\n{expected}\n--- 2 ---\n{expected}\n"
    done = talking(*CHAT, "--lines", stdin=b"Ann\nBob\n")
    assert done.out.decode().splitlines() == [expected, answer_of(talking, "Bob\n")]
    done = talking(*CHAT, "Ann", "--num-beams", "2", "--max-new-tokens", "3")
    assert done.code == 2
    assert "--num-beams" in done.err


def test_conversations_on_lines_are_answered(talking: Shell) -> None:
    system = {"role": "system", "content": "Nobody saw a ship."}
    said = [
        {"role": "user", "content": "Ann"},
        {"role": "assistant", "content": "Bob"},
        {"role": "user", "content": "José"},
    ]
    done = talking(
        *CHAT, "--jsonl", "--system", "Eva.", "--echo",
        stdin=requests(
            {"messages": said, "id": 7}, {"messages": [system, *said]}, {"prompt": "Ann"},
            {"messages": [{"role": "critic", "content": "x"}]}, {"messages": []},
            {"messages": said, "prompt": "Ann"}, {"messages": said, "special": True},
        ),
    )  # fmt: skip
    assert done.code == 65
    first, second, third, *wrong = rows(done.out)
    assert first["text"].startswith("Eva.\nAnn\nBob\nJosé\n")
    assert first["id"] == 7
    assert second["text"].startswith("Nobody saw a ship.\nAnn\nBob\nJosé\n")
    assert third["text"].startswith("Eva.\nAnn\n")
    assert first["finish_reason"] == "stop"
    for answer in (first, second, third):
        assert answer["message"]["role"] == "assistant"
        assert answer["text"].endswith(f"\n{answer['message']['content']}")
    problems = ("no critics", "empty list", "prompt cannot be combined", "special cannot be")
    for answer, problem in zip(wrong, problems, strict=True):
        assert problem in answer["error"]


def test_messages_are_for_a_chat(talking: Shell) -> None:
    asked = requests({"messages": [{"role": "user", "content": "Ann"}]})
    (answer,) = rows(talking("generate", "--run", "tale", "--jsonl", stdin=asked).out)
    assert "messages need --chat" in answer["error"]


def test_thoughts_are_left_out_in_a_pipe_and_kept_in_json(talking: Shell) -> None:
    pytest.importorskip("llguidance")
    forced = ("generate", "--run", "mind", "--chat", "Ann", "--regex", "<think>b</think>\n\nBob")
    assert talking(*forced).out == b"Bob\n"
    (answer,) = rows(talking(*forced, "--jsonl").out)
    assert answer["text"] == "<think>b</think>\n\nBob"
    expected = {"role": "assistant", "content": "Bob", "reasoning_content": "b"}
    assert answer["message"] == expected
    done = talking(*forced[:-1], "<think>b</think>\n\nBob|a", "--lines", stdin=b"")
    assert done.code == 2  # beside PROMPT
    lines = talking(*forced[:4], "--regex", forced[-1], "--lines", stdin=b"Ann\nBob\n")
    assert lines.out == b"Bob\nBob\n"


def test_special_tokens_of_a_prompt_are_text_unless_asked_for(talking: Shell) -> None:
    plain = ("generate", "--run", "tale", "--greedy", "--max-new-tokens", "6")
    text = "Ann saw a ship at noon.\n</s>"
    typed = talking(*plain, text).out
    meant = talking(*plain, text, "--special").out
    assert typed != meant
    (answer,) = rows(talking(*plain, text, "--special", "--jsonl").out)
    assert answer["text"].encode() == meant


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["Ann", "--system", "x"], "--system requires --chat"),
        (["--chat", "--unconditional"], "--unconditional cannot be combined with --chat"),
        (["--chat", "Ann", "--special"], "--special cannot be combined with --chat"),
        (["--chat", "Ann", "--raw"], "--raw cannot be combined with --chat"),
    ],
)
def test_what_makes_no_sense_is_refused(talking: Shell, arguments: list[str], what: str) -> None:
    done = talking("generate", "--run", "tale", *arguments)
    assert (done.code, done.out) == (2, b"")
    assert what in done.err


def test_without_a_template_it_says_so(trained: Shell) -> None:
    done = trained("generate", "--run", "tale", "--chat", "Ann")
    assert done.code == 66
    assert "run 'tale' has no chat template" in done.err
    assert "checkpoints/tale/chat_template.jinja" in done.err
    assert "try: tfcli generate -i --run tale" in done.err


def test_a_template_that_fails_is_named(talking: Shell, tmp_path: Path) -> None:
    run = tmp_path / "bad"
    shutil.copytree(talking.folder / "checkpoints" / "tale", run)
    for content, what in ((b"{% if %}", "cannot be rendered"), (b"\xff", "not valid UTF-8")):
        (run / "chat_template.jinja").write_bytes(content)
        done = talking("generate", "--run", str(run), "--chat", "Ann")
        assert (done.code, done.out) == (65, b"")
        assert f"{run}/chat_template.jinja" in done.err
        assert what in done.err


# --- at the keyboard ----------------------------------------------------------------------------

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")
MODEL, DIM = r"\x1b\[36m", r"\x1b\[2m"


def session(
    shell: Shell, *arguments: str, run: str = "tale", env: dict[str, str] | None = None
) -> pexpect.spawn:
    return pexpect.spawn(
        forked()[0],
        [*forked()[1:], "generate", "-i", "--chat", "--run", run, "--seed", "1", *arguments],
        cwd=str(shell.folder),
        env=bare_environment() | {"TERM": "xterm-256color", "COLUMNS": "300"} | (env or {}),
        dimensions=(30, 300), encoding="utf-8", timeout=20,
    )  # fmt: skip


@posix
def test_a_conversation_is_kept_and_saved(talking: Shell, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    child = session(talking, "--system", "Eva.", "--max-new-tokens", "5", "--greedy")
    child.expect_exact("Say something")
    say(child, "Ann")
    child.expect(rf"{MODEL}([^\x1b]*)\x1b\[0m")
    say(child, "Bob")
    child.expect(rf"{MODEL}([^\x1b]*)\x1b\[0m")
    say(child, f"/save {file}", "Saved to", "5 messages")
    messages = json.loads(file.read_text())
    roles = ["system", "user", "assistant", "user", "assistant"]
    assert [each["role"] for each in messages] == roles
    assert [each["content"] for each in messages[:2]] == ["Eva.", "Ann"]
    say(child, "/undo", "Ann")
    say(child, "/quit", "Unsaved changes")
    say(child, "/undo", "New conversation.")
    say(child, f"/load {file}", "Going on from", "5 messages", "> Bob")
    say(child, "/retry")
    child.expect(rf"{MODEL}([^\x1b]*)\x1b\[0m")
    say(child, "/quit")
    quit_session(child)


@posix
def test_one_of_several_answers_is_taken(talking: Shell, tmp_path: Path) -> None:
    child = session(talking, "--max-new-tokens", "9", "--temperature", "3")
    say(child, "Ann")
    say(child, "/retry 3", "--- 1 ---", "--- 2 ---", "--- 3 ---")
    child.expect_exact("/take 1 to /take 3 chooses one; now it is 3.")
    say(child, f"/save {tmp_path}/third.json", "Saved to")
    say(child, "/take 1", "> Ann")
    say(child, f"/save {tmp_path}/first.json", "Saved to")
    say(child, "/take 3", "> Ann")
    say(child, f"/save {tmp_path}/again.json", "Saved to")
    first, third, again = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("first", "third", "again")
    )
    assert third == again
    assert first != third
    assert first[0] == third[0]
    child.expect("> $")
    child.send("/sy\t")
    child.expect_exact("/system ")
    child.sendline("")
    say(child, "/quit")
    quit_session(child)


@posix
def test_a_file_goes_on_where_it_ended(talking: Shell, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    said = [{"role": "user", "content": "Ann"}, {"role": "assistant", "content": "Bob saw"}]
    file.write_text(json.dumps(said))
    (tmp_path / "wrong.json").write_text('["Ann"]')
    child = session(talking, "--file", str(file), "--max-new-tokens", "2")
    child.expect_exact("2 messages")
    child.expect_exact("> Ann")
    say(child, "", "press Enter to continue")  # the answer
    say(child, f"/load {tmp_path}/wrong.json", "is not a conversation", "must be an object")
    say(child, "/save", "Saved to")
    after = json.loads(file.read_text())
    assert after[1]["content"].startswith("Bob saw ")
    assert len(after) == 2
    say(child, "/quit")
    quit_session(child)


@posix
def test_the_system_prompt_can_be_changed(talking: Shell) -> None:
    child = session(talking, "--max-new-tokens", "3")
    say(child, "/system", "There is no system prompt")
    say(child, "/system Be kind.", "System prompt changed")
    say(child, "/show", "System prompt: Be kind.")
    say(child, "/system", "System prompt removed: Be kind.")
    say(child, "/retry", "nothing to retry")
    say(child, "", "there is no answer to continue")
    say(child, "/temp 1", "/set temp 1")
    say(child, "/help", "/system TEXT")
    say(child, "/new", "New conversation.")
    say(child, "/quit")
    quit_session(child)


@posix
def test_thoughts_are_dim_and_not_said_again(talking: Shell, tmp_path: Path) -> None:
    pytest.importorskip("llguidance")
    child = session(talking, "--regex", "<think>\na b\n</think>\n\nBob", run="mind")
    say(child, "Ann")
    child.expect(rf"{DIM}a b\r\n\r\n\x1b\[0m{MODEL}Bob\x1b\[0m")
    say(child, f"/save {tmp_path}/talk.json", "Saved to")
    expected = {"role": "assistant", "content": "Bob", "reasoning_content": "a b"}
    assert json.loads((tmp_path / "talk.json").read_text())[1] == expected
    say(child, "/quit")
    quit_session(child)


@posix
def test_without_colors_the_model_has_a_name(talking: Shell) -> None:
    child = session(talking, "--max-new-tokens", "3", env={"NO_COLOR": "1"})
    say(child, "Ann", "tale: ")
    child.expect("> $")
    assert not re.search(r"\x1b\[3", child.before)
    child.sendline("/quit")
    quit_session(child)


@posix
def test_what_a_template_refuses_is_not_said(talking: Shell, tmp_path: Path) -> None:
    run = tmp_path / "shy"
    shutil.copytree(talking.folder / "checkpoints" / "tale", run)
    shy = "{% if 'x' in messages[-1].content %}{{ raise_exception('no x') }}{% endif %}" + LINES
    (run / "chat_template.jinja").write_text(shy)
    child = session(talking, "--max-new-tokens", "3", run=str(run))
    say(child, "fox", "refuses this conversation", "no x")
    say(child, "/retry", "nothing to retry")
    say(child, "Ann")
    child.expect(MODEL)
    say(child, "/quit")
    quit_session(child)
