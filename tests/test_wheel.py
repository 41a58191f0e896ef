"""The wheel: for any Python 3, and for one platform if the compiled decoder is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINES, KERNELS = "tfcli/generation/engines", "tfcli/model/native"
SOURCES = ["pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "tfcli"]


def test_a_compiled_library_ties_the_wheel_to_its_platform_and_to_no_python() -> None:
    pytest.importorskip("hatchling")
    wheel_tag = import_module("hatch_build").wheel_tag
    python, abi, platform = wheel_tag(compiled=True).split("-")
    assert (python, abi) == ("py3", "none")
    assert platform.startswith(("linux_", "macosx_", "win"))
    assert wheel_tag(compiled=False) == "py3-none-any"


@pytest.fixture
def source_tree(tmp_path: Path) -> Path:
    """A copy, so that the decoder that other tests use is left alone."""
    tree = tmp_path / "source"
    tree.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "_decoder*", "_kernels*")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, tree / name)
    return tree


def build_wheel(source: Path, compiler: str | None) -> Path:
    environment = {key: value for key, value in os.environ.items() if key != "CC"}
    if compiler:
        environment["CC"] = compiler
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    target = source.parent / "wheels"
    command = ["-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "-w", str(target)]
    subprocess.run([sys.executable, *command, str(source)], check=True, env=environment)
    (wheel,) = target.iterdir()
    return wheel


def engine_of(wheel: Path) -> str:
    """What the package in a wheel says of its engine and kernels, unpacked as pip would."""
    site = wheel.parent.parent / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "from tfcli.generation.engines import native; from tfcli.model.native import library;"
        "print(native.status()); print(library.status())"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, cwd=site, capture_output=True
    )
    return done.stdout.decode().strip()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_wheel_with_the_decoder_is_for_any_python_on_this_platform(source_tree: Path) -> None:
    wheel = build_wheel(source_tree, compiler=None)
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith(f"{ENGINES}/_decoder") for name in names)
    assert f"{ENGINES}/_decoder_missing.txt" not in names
    assert "tfcli/py.typed" in names
    assert any(name.startswith(f"{KERNELS}/_kernels") for name in names)
    assert f"{KERNELS}/_kernels_missing.txt" not in names
    for status in engine_of(wheel).splitlines():
        assert status.startswith("compiled (")


@pytest.mark.slow
def test_a_wheel_without_the_decoder_is_for_any_platform(source_tree: Path) -> None:
    wheel = build_wheel(source_tree, compiler="/no/such/compiler")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    for status in engine_of(wheel).splitlines():
        assert "/no/such/compiler did not run when tfcli was installed" in status
