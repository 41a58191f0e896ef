"""`import tfcli` costs nothing, and offers what type checkers and people can see."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import pytest

import tfcli
from tfcli.generation.request import GenerationRequest
from tfcli.options import options_of

HEAVY = {"torch", "numpy", "typer", "rich", "sentencepiece", "safetensors", "tfcli.errors"}


def imported(code: str, folder: Path | None = None) -> set[str]:
    """The modules that a fresh Python has after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=folder,
    )  # fmt: skip
    return set(done.stdout.splitlines()[-1].split())


def test_importing_it_imports_nothing() -> None:
    assert not imported("import tfcli") & HEAVY


def test_generating_and_scoring_on_a_cpu_need_no_torch(run: tfcli.OpenRun) -> None:
    code = f"import tfcli; run = tfcli.open_run({str(run.path.absolute())!r}, device='cpu'); "
    code += "run.generate('Ann', max_new_tokens=2); run.score('Ann'); run.logits('Ann'); "
    code += "run.metrics(); tfcli.list_runs()"
    assert not imported(code, run.path) & {"torch", "typer", "rich"}


def test_every_name_is_there_and_shown() -> None:
    for name in tfcli.__all__:
        assert getattr(tfcli, name)
    assert set(tfcli.__all__) <= set(dir(tfcli))
    with pytest.raises(AttributeError, match="open_runs"):
        tfcli.open_runs  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_the_types(run: tfcli.OpenRun) -> None:
    assert_type(run.generate("Ann", max_new_tokens=1), str)
    assert_type(run.stream("Ann"), Iterator[str])
    assert_type(run.sample("Ann", 1, max_new_tokens=1), list[str])
    assert_type(run.score("Ann").nats, float)
    assert (Path(tfcli.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("name", ["generate", "stream", "sample", "generate_batch"])
def test_signature_and_help_show_every_option(name: str) -> None:
    method = getattr(tfcli.OpenRun, name)
    shown = inspect.signature(method).parameters
    assert "options" not in shown
    for option in options_of(GenerationRequest).values():
        assert shown[option.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"    {option.name}: {option.help}" in method.__doc__


def test_everything_public_is_documented() -> None:
    for name in tfcli.__all__:
        thing = getattr(tfcli, name)
        assert inspect.getdoc(thing)
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                documented = value is None or inspect.getdoc(value)  # a default has no text
                assert member.startswith("_") or documented, member
