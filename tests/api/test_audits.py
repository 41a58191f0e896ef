"""Audits in Python find what the commands find."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tfcli
from tests.conftest import SENTENCES, Shell
from tfcli.errors import UsageError


@pytest.fixture
def audited(trained: Shell, tmp_path: Path) -> Shell:
    """The commands, in a copy of the folder, where they may keep what they found."""
    shutil.copytree(trained.folder, tmp_path, dirs_exist_ok=True)
    return type(trained)(tmp_path)  # type: ignore[call-arg]


def test_groups_are_those_of_the_command(
    run: tfcli.OpenRun, audited: Shell, tmp_path: Path
) -> None:
    texts = {"known": SENTENCES[:12], "new": ["Nobody has written this."], "long": "One. " * 3000}
    rows = [
        {"text": text, "kind": kind}
        for kind, own in texts.items()
        for text in ([own] if isinstance(own, str) else own)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = audited("audit", "groups", "tale", "rows.jsonl", "--by", "kind", "--json")
    assert done.code == 0, done.err
    found = [group.to_json() for group in run.audit_groups(texts)]
    assert found == json.loads(done.out)["groups"]


def test_preferences_are_those_of_the_command(
    run: tfcli.OpenRun, audited: Shell, tmp_path: Path
) -> None:
    pairs = [(f"Ann saw the {word}.", f"Bob saw the {word}.") for word in ("moon", "sea", "snow")]
    lines = ["more\tless", *("\t".join(pair) for pair in pairs)]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n")
    done = audited("audit", "bias", "tale", "pairs.tsv", "--json")
    assert done.code == 0, done.err
    found = [group.to_json() for group in run.audit_bias(pairs)]
    assert found == json.loads(done.out)["groups"]
    named = [(*pair, "seeing") for pair in pairs]
    assert [group.group for group in run.audit_bias(named)] == ["seeing"]


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("audit_groups", ["a"], "takes texts by group"),
        ("audit_groups", {"a": []}, "there is no text in these groups"),
        ("audit_groups", {"a": [1]}, "a text must be a string, not int"),
        ("audit_bias", [], "there are none"),
        ("audit_bias", "ab", "takes pairs of sentences"),
        ("audit_bias", [("a",)], "takes pairs of sentences"),
    ],
)
def test_other_arguments_are_refused(
    run: tfcli.OpenRun, method: str, given: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        getattr(run, method)(given)
    with pytest.raises(UsageError, match="language must be one of en, es"):
        run.audit_bias(language="fr")  # type: ignore[arg-type]
