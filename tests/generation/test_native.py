"""The compiled decoder: which compilers build it, and the explanation where it cannot be used."""

from __future__ import annotations

import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.generation.conftest import numpy_engine, pure_engine, random_model
from tests.model.helpers import CONFIGS
from tfcli.generation.engines import native
from tfcli.generation.engines.torch_engine import TorchEngine

ROOT = Path(__file__).parents[2]
# gcc below 12 lacks __builtin_shufflevector, and below 11 -march=x86-64-v3
COMPILERS = ("cc", "gcc-9", "gcc-10", "gcc-11", "gcc-12", "gcc-13", "gcc-14", "clang")


@pytest.fixture
def hatch_build() -> ModuleType:
    pytest.importorskip("hatchling")
    return import_module("hatch_build")


@pytest.fixture
def source_tree(tmp_path: Path, hatch_build: ModuleType) -> Path:
    for folder in (hatch_build.DECODER, hatch_build.KERNELS):
        (tmp_path / folder).mkdir(parents=True)
        for source in (ROOT / folder).glob("*.[ch]"):
            shutil.copy(source, tmp_path / folder)
    return tmp_path


@pytest.fixture
def use_library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Redirects `native` to a folder with another library for the length of the test."""

    def use(folder: Path) -> None:
        monkeypatch.setattr(native, "FOLDER", folder)
        native.find.cache_clear()

    yield use
    native.find.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
def test_decoder_of_every_compiler_computes_the_same(
    compiler: str,
    source_tree: Path,
    hatch_build: ModuleType,
    use_library: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    monkeypatch.setenv("CC", compiler)
    assert hatch_build.compile_decoder(source_tree) is None
    use_library(source_tree / hatch_build.DECODER)
    text = [1, 5, 3, 7, 2, 2, 9, 10, 4]
    for config in CONFIGS.values():
        model = random_model(config)
        engine = numpy_engine(model)
        assert engine.native is not None
        expected = pure_engine(model).forward_all([0], [text])
        np.testing.assert_allclose(engine.forward_all([0], [text]), expected, rtol=1e-4, atol=1e-4)
        assert engine.description.startswith("compiled (")


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_decoder_is_used_if_there_is_a_compiler() -> None:
    assert native.load_library() is not None
    engine = numpy_engine(random_model(CONFIGS["modern"]))
    assert engine.description in {native.status(1), native.status()}
    assert native.status(1).endswith(", 1 thread)")
    assert native.status(2).endswith(", 2 threads)")


def test_reason_of_a_failed_compilation_is_kept(
    source_tree: Path, hatch_build: ModuleType, use_library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_library(source_tree / hatch_build.DECODER)
    monkeypatch.setenv("CC", "/no/such/compiler")
    reason = hatch_build.compile_decoder(source_tree)
    assert reason is not None
    assert native.status() == f"numpy ({reason})"
    assert "/no/such/compiler did not run when tfcli was installed" in reason
    engine = numpy_engine(random_model(CONFIGS["modern"]))
    assert engine.description == native.status()


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_reason_quotes_the_compiler_and_is_removed_on_success(
    source_tree: Path, hatch_build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    for source in (source_tree / hatch_build.DECODER).glob("*.c"):
        source.unlink()  # they take long to compile
    source = source_tree / hatch_build.DECODER / "decoder.c"
    source.write_text("no C at all;\n")
    reason = hatch_build.compile_decoder(source_tree)
    assert "failed when tfcli was installed: decoder.c:1" in reason
    assert len(reason.splitlines()) == 1
    source.write_text("int usable(void) { return 1; }\n")
    assert hatch_build.compile_decoder(source_tree) is None
    assert list((source_tree / hatch_build.DECODER).glob("_decoder*.so"))
    assert not (source_tree / hatch_build.DECODER_REASON).exists()


def test_missing_compiler_is_given_as_the_reason(
    source_tree: Path, hatch_build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(source_tree))
    assert "no C compiler was found" in hatch_build.compile_decoder(source_tree)


def test_unloadable_library_is_explained(tmp_path: Path, use_library: Any) -> None:
    use_library(tmp_path)
    assert native.status() == "numpy (it was not compiled)"
    (tmp_path / "_decoder.so").write_bytes(b"no library")
    native.find.cache_clear()
    assert native.status().startswith("numpy (the compiled decoder cannot be loaded: ")
    assert native.load_library() is None


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize(
    ("layout", "usable", "reason"),
    [("1", "1", "belongs to another version of tfcli"), ("{own}", "0", "lacks AVX2 or FMA")],
)
def test_library_for_another_version_or_processor_is_explained(
    layout: str, usable: str, reason: str, tmp_path: Path, use_library: Any
) -> None:
    own = native.load_library()
    assert own is not None
    source, library = tmp_path / "other.c", tmp_path / "_decoder.so"
    source.write_text(
        f"unsigned long layout(void) {{ return {layout.format(own=own.layout())}ul; }}\n"
        f"int usable(void) {{ return {usable}; }}\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    use_library(tmp_path)
    assert reason in native.status()
    assert native.load_library() is None


def test_torch_engine_names_its_device() -> None:
    assert TorchEngine(random_model(CONFIGS["modern"])).description == "torch (cpu)"
