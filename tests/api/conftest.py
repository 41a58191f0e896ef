"""The run of the command-line tests, opened in Python."""

from __future__ import annotations

import pytest

import tfcli
from tests.conftest import Shell


@pytest.fixture
def run(trained: Shell, monkeypatch: pytest.MonkeyPatch) -> tfcli.OpenRun:
    monkeypatch.chdir(trained.folder)
    return tfcli.open_run("tale")
