"""`run.chat` answers as `tfcli generate --chat` does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tfcli
from tests.conftest import RealShell, Shell

TEMPLATE = "{% for m in messages %}{{ m.content }}\n{% endfor %}"


@pytest.fixture
def talking(trained: Shell, tmp_path: Path) -> tfcli.OpenRun:
    shutil.copytree(trained.folder / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "checkpoints/tale/chat_template.jinja").write_text(TEMPLATE)
    return tfcli.open_run("tale", folder=tmp_path / "checkpoints")


def test_answers_are_those_of_the_command(talking: tfcli.OpenRun, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Ann saw a ship."}]
    answer = talking.chat(messages, system="Bob.", greedy=True)
    asked = json.dumps({"messages": messages}).encode()
    command = ("generate", "--chat", "--jsonl", "--system", "Bob.", "--greedy")
    done = RealShell(tmp_path)(*command, stdin=asked)
    assert json.loads(done.out)["message"] == answer
    assert talking.chat("Ann saw a ship.", system="Bob.", greedy=True) == answer
    assert len(messages) == 1
    longer = talking.chat([*messages, answer, *messages], greedy=True, max_new_tokens=3)
    assert set(longer) == {"role", "content"}


def test_what_is_no_conversation_is_refused(talking: tfcli.OpenRun) -> None:
    for wrong in ([], 3, ["Ann"], [{"content": "Ann"}]):
        with pytest.raises(tfcli.errors.UsageError):
            talking.chat(wrong)  # type: ignore[arg-type]
    with pytest.raises(tfcli.errors.UsageError, match="special"):
        talking.chat("Ann", special=True)


def test_a_run_without_a_template_says_so(trained: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.folder)
    with pytest.raises(tfcli.errors.NotFoundError, match="has no chat template"):
        tfcli.open_run("tale").chat("Ann")
