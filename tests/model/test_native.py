"""The compiled kernels against torch: every size, both number formats, and when they are used."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.model.helpers import random_ids, small_config
from tfcli.model import kernels
from tfcli.model.kernels import Dropout, add_rms_norm, cross_entropy, draw_dropout_mask
from tfcli.model.native import functions, library, reference
from tfcli.model.native.reference import Heads
from tfcli.model.transformer import Transformer

ROOT = Path(__file__).parents[2]
COMPILERS = ("cc", "gcc-9", "gcc-11", "gcc-14", "clang")

compiled = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
FORMATS = st.sampled_from([torch.float32, torch.bfloat16])
EPSILON = 1e-5


class Inputs:
    """Random tensors; those that need gradients in the order in which they were made."""

    def __init__(self, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
        self.dtype = dtype
        self.generator = torch.Generator().manual_seed(seed)
        self.made: list[Tensor] = []

    def activations(self, *shape: int) -> Tensor:
        values = 2 * torch.randn(shape, generator=self.generator) + 0.3
        return self._keep(values.to(self.dtype))

    def weight(self, width: int) -> Tensor:
        return self._keep(torch.rand(width, generator=self.generator) + 0.5)

    def _keep(self, values: Tensor) -> Tensor:
        self.made.append(values.requires_grad_())
        return values

    def gradients(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        return [torch.randn(o.shape, generator=self.generator).to(o.dtype) for o in outputs]


def check(
    inputs: Inputs, ours: Callable[..., object], torchs: Callable[..., object], *rest: object
) -> None:
    """Values and gradients are those of torch in float64, up to rounding to the number format.

    Args:
        rest: the arguments after the inputs.

    """

    def outputs(result: object) -> tuple[Tensor, ...]:
        return result if isinstance(result, tuple) else (cast(Tensor, result),)

    def exact(value: object) -> object:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.double()
        return value

    found = outputs(ours(*inputs.made, *rest))
    gradients = inputs.gradients(found)
    tolerance = 1e-5 if inputs.dtype == torch.float32 else 0.04
    wide = [tensor.detach().double().requires_grad_() for tensor in inputs.made]
    expected = outputs(torchs(*wide, *map(exact, rest)))
    for mine, theirs in zip(
        (*found, *torch.autograd.grad(found, inputs.made, gradients)),
        (*expected, *torch.autograd.grad(expected, wide, [g.double() for g in gradients])),
        strict=True,
    ):
        mine, theirs = mine.detach().double(), theirs.detach()
        scale = max(1.0, float(theirs.abs().max()))
        if theirs.dim() == 1:  # of a weight: rounding errors of all rows add up, like a random walk
            scale *= max(1.0, (inputs.made[0].numel() / theirs.numel()) ** 0.5)
        torch.testing.assert_close(mine / scale, theirs / scale, rtol=0, atol=tolerance)


# --- values and gradients -------------------------------------------------------------------------


@compiled
@given(st.integers(1, 70), st.integers(1, 70), FORMATS, st.integers(0, 99))
def test_norm(rows: int, width: int, dtype: torch.dtype, seed: int) -> None:
    inputs = Inputs(dtype, seed)
    inputs.activations(rows, width)
    inputs.weight(width)
    check(inputs, functions.rms_norm, reference.rms_norm, EPSILON)


@compiled
@given(st.integers(1, 70), st.integers(1, 70), st.booleans(), FORMATS, st.integers(0, 99))
def test_residual_connection_and_norm(
    rows: int, width: int, masked: bool, dtype: torch.dtype, seed: int
) -> None:
    inputs = Inputs(dtype, seed)
    dropout = Dropout(0.25 if masked else 0.0, draw_dropout_mask((rows, width), 0.25, [seed]))
    inputs.activations(rows, width)
    inputs.activations(rows, width)
    weight = inputs.weight(width)

    def without(x: Tensor, branch: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        total = x + dropout(branch)
        return total, reference.rms_norm(total, weight, EPSILON)

    assert library.library_for(inputs.made[0], weight) is not None
    check(inputs, lambda x, b, w: add_rms_norm(x, b, dropout, w, EPSILON), without)


@compiled
@given(st.integers(1, 9), st.integers(1, 700), FORMATS, st.integers(0, 99))
def test_swiglu(rows: int, width: int, dtype: torch.dtype, seed: int) -> None:
    inputs = Inputs(dtype, seed)
    inputs.activations(rows, 2 * width)
    check(inputs, functions.swiglu, reference.swiglu)


@compiled
@given(st.integers(1, 40), st.integers(1, 700), FORMATS, st.integers(0, 99))
def test_cross_entropy(rows: int, width: int, dtype: torch.dtype, seed: int) -> None:
    inputs = Inputs(dtype, seed)
    inputs.activations(rows, width)
    targets = torch.randint(-1, width, (rows,), generator=inputs.generator)  # -1: not counted
    check(inputs, functions.cross_entropy, _cross_entropy, targets, -1)


def _cross_entropy(logits: Tensor, targets: Tensor, ignored: int) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, targets, ignore_index=ignored, reduction="sum")


@compiled
def test_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([[300.0, -300.0, 0.0], [-1e4, -1e4, -1e4]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([1, 2]), -1)
    assert loss.item() == pytest.approx(600 + math.log(3), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.flatten().tolist() == pytest.approx([1, -1, 0, 1 / 3, 1 / 3, -2 / 3], abs=1e-6)


@compiled
@given(
    st.integers(1, 3), st.integers(1, 70), st.integers(1, 3), st.integers(1, 3),
    st.integers(1, 36), st.booleans(), st.booleans(), FORMATS, st.integers(0, 99),
)  # fmt: skip
def test_attention(
    rows: int, length: int, kv_heads: int, shared_by: int, half: int, normed: bool, rotated: bool,
    dtype: torch.dtype, seed: int,
) -> None:  # fmt: skip
    heads = Heads(kv_heads * shared_by, kv_heads, 2 * half)
    check_attention(heads, rows, length, normed, rotated, dtype, seed)


@compiled
@pytest.mark.parametrize("length", [64, 130])
def test_attention_with_heads_of_the_usual_size(length: int) -> None:
    check_attention(Heads(2, 2, 64), 2, length, True, True, torch.float32, 0)


def check_attention(
    heads: Heads, rows: int, length: int, normed: bool, rotated: bool, dtype: torch.dtype, seed: int
) -> None:
    inputs = Inputs(dtype, seed)
    D = heads.head_dim
    inputs.activations(rows, length, (heads.num_heads + 2 * heads.num_kv_heads) * D)
    if normed:
        inputs.weight(D)
        inputs.weight(D)
    angles = torch.rand(length, D // 2, generator=inputs.generator).repeat(1, 2)
    tables = (angles.cos(), angles.sin()) if rotated else None

    wide = None if tables is None else (tables[0].double(), tables[1].double())
    check(
        inputs,
        partial(functions.causal_attention, rotary=tables, heads=heads, epsilon=EPSILON),
        partial(reference.causal_attention, rotary=wide, heads=heads, epsilon=EPSILON),
    )


@compiled
@pytest.mark.parametrize("name", library.LIBRARIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_library_computes_attention(
    dtype: torch.dtype, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = library.FOLDER / name
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    if path.exists():
        shutil.copy(path, tmp_path)
    if library.load_library() is None:
        pytest.skip(library.status())
    matrix = torch.eye(64).bfloat16()
    product = matrix @ matrix
    check_attention(Heads(4, 2, 64), 2, 70, True, True, dtype, 0)
    check_attention(Heads(2, 1, 18), 1, 33, True, True, dtype, 1)
    check_attention(Heads(2, 2, 130), 1, 5, False, False, dtype, 2)
    assert torch.equal(matrix @ matrix, product)  # torch's kernels share tiles with ours


@compiled
@pytest.mark.parametrize("head_dim", [64, 80, 96])
def test_no_head_size_makes_attention_less_exact(head_dim: int) -> None:
    """Without norm and rotation, queries and keys are exact in bfloat16: nothing rounds them."""
    inputs, heads = Inputs(torch.bfloat16), Heads(2, 2, head_dim)
    qkv = inputs.activations(2, 130, 6 * head_dim)
    wide = qkv.detach().double().requires_grad_()
    found = functions.causal_attention(qkv, rotary=None, heads=heads, epsilon=EPSILON)
    expected = reference.causal_attention(wide, rotary=None, heads=heads, epsilon=EPSILON)
    (gradient,) = inputs.gradients([found])
    (to_qkv,) = torch.autograd.grad(found, qkv, gradient)
    (exact_to_qkv,) = torch.autograd.grad(expected, wide, gradient.double())
    for mine, theirs, error in ((found, expected, 0.0025), (to_qkv, exact_to_qkv, 0.005)):
        difference = mine.detach().double() - theirs.detach()
        assert float(difference.norm() / theirs.detach().norm()) < error


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_later_positions_have_no_gradient(dtype: torch.dtype) -> None:
    inputs = Inputs(dtype)
    qkv = inputs.activations(2, 40, 3 * 8)
    attended = functions.causal_attention(qkv, rotary=None, heads=Heads(1, 1, 8), epsilon=EPSILON)
    (gradient,) = torch.autograd.grad(attended[:, :35].sum(), qkv)
    assert gradient[:, 34].all()
    assert not gradient[:, 35:].any()


@compiled
def test_bfloat16_is_rounded_to_even_and_nan_stays() -> None:
    # a norm of width 1 and epsilon 0 gives +-weight, rounded
    halves = [1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, 3.4e38, float("nan")]
    for half in halves:
        weight = torch.tensor([half])
        result = functions.rms_norm(torch.ones(1, 1, dtype=torch.bfloat16), weight, 0.0)
        torch.testing.assert_close(result[0], weight.bfloat16(), rtol=0, atol=0, equal_nan=True)


@compiled
@pytest.mark.parametrize("masked", [False, True])
def test_second_derivatives_come_from_torch(masked: bool) -> None:
    heads, mask = Heads(2, 1, 4), torch.tensor([True, False] * 8) if masked else None

    def chain(room: ModuleType, x: Tensor, weight: Tensor, small: Tensor) -> Tensor:
        """All of them in a row."""
        angles = x[0, :4].detach()[None]
        y = room.rms_norm(x, weight, EPSILON)
        total, y = room.add_norm(x, y, mask, 2.0, weight, EPSILON)
        attended = room.causal_attention(
            y[None], small, small, rotary=(angles, angles), heads=heads, epsilon=EPSILON
        )
        y = room.swiglu(y + total + attended[0].repeat(1, 2))
        loss: Tensor = room.cross_entropy(y, torch.tensor([3]), -1)
        return loss

    inputs = Inputs()
    arguments = inputs.activations(1, 16), inputs.weight(16), inputs.weight(4)
    seconds = []
    for room in (functions, reference):
        firsts = torch.autograd.grad(chain(room, *arguments), arguments, create_graph=True)
        norm = torch.stack([first.square().sum() for first in firsts]).sum()
        seconds.append(torch.autograd.grad(norm, arguments))
    for mine, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


# --- in the model ---------------------------------------------------------------------------------


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As where there was no compiler."""
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    yield


def loss_and_gradients(model: Transformer, dropout: Tensor | None = None) -> list[Tensor]:
    ids = random_ids(model.config, rows=3, length=16)
    model.zero_grad()
    loss = model.loss(ids, ids.roll(-1, dims=1), dropout)
    loss.backward()  # type: ignore[no-untyped-call]
    return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("family", ["modern", "llama", "gpt2", "classic"])
def test_model_trains_as_without(
    family: str, dropout: float, dtype: torch.dtype, request: pytest.FixtureRequest
) -> None:
    model = Transformer(small_config(family), dropout, dtype)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.2, 0.3, generator=torch.Generator().manual_seed(1))
    model.train()
    mask = model.draw_dropout(range(3), (0,))
    ours = loss_and_gradients(model, mask)
    assert all(map(torch.equal, loss_and_gradients(model, mask), ours))  # the same bits
    request.getfixturevalue("without_library")
    assert library.load_library() is None
    tolerance = 1e-4 if dtype == torch.float32 else 0.06
    for mine, theirs in zip(ours, loss_and_gradients(model, mask), strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        torch.testing.assert_close(mine / scale, theirs / scale, rtol=0, atol=tolerance)


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_number_of_threads_changes_no_bit(dtype: torch.dtype) -> None:
    if not library.load_library().shares_threads():  # type: ignore[union-attr]
        pytest.skip("these kernels have one thread")
    inputs = Inputs(dtype)
    heads = Heads(4, 2, 8)
    x, weight, small = inputs.activations(2, 66, 64), inputs.weight(64), inputs.weight(8)
    targets = torch.arange(132) % 32

    def gradients(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        total, y = functions.add_norm(x, x * 2, None, 1.0, weight, EPSILON)
        attended = functions.causal_attention(
            y, small, small, rotary=None, heads=heads, epsilon=EPSILON
        )
        y = functions.swiglu(torch.cat((attended, total[..., :32]), -1))
        loss = functions.cross_entropy(y.flatten(0, 1), targets, -1)
        return [loss, *torch.autograd.grad(loss, inputs.made)]

    assert all(map(torch.equal, gradients(1), gradients(3)))


@compiled
def test_torch_computes_what_the_kernels_do_not() -> None:
    x, weight = torch.ones(2, 4), torch.ones(4)
    assert library.library_for(x, weight) is not None
    assert library.library_for(x.double()) is None
    assert library.library_for(x.half()) is None
    assert library.library_for(x, weight.bfloat16()) is None
    assert library.library_for(x.to("meta")) is None
    mask = torch.ones(2, 4, dtype=torch.bool)
    drawn_by_torch = kernels.add_rms_norm(x, x, Dropout(0.5, None), weight, EPSILON)[0]
    assert set(drawn_by_torch.flatten().tolist()) <= {1.0, 3.0}
    by_mask = kernels.add_rms_norm(x, x, Dropout(0.5, mask), weight, EPSILON)[0]
    assert (by_mask == 3).all()


# --- the library ----------------------------------------------------------------------------------


@pytest.fixture
def hatch_build() -> ModuleType:
    pytest.importorskip("hatchling")
    return import_module("hatch_build")


@pytest.fixture
def source_tree(tmp_path: Path, hatch_build: ModuleType) -> Path:
    unwanted = shutil.ignore_patterns("_kernels*", "__pycache__")
    shutil.copytree(ROOT / hatch_build.KERNELS, tmp_path / hatch_build.KERNELS, ignore=unwanted)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
def test_kernels_of_every_compiler_compute_the_same(
    compiler: str, source_tree: Path, hatch_build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    monkeypatch.setenv("CC", compiler)
    assert hatch_build.compile_kernels(source_tree) is None
    monkeypatch.setattr(library, "FOLDER", source_tree / hatch_build.KERNELS)
    assert library.status().startswith("compiled (")
    check_attention(Heads(4, 2, 18), 2, 37, True, True, torch.bfloat16, 0)
    check_attention(Heads(2, 2, 64), 1, 70, True, True, torch.float32, 0)
    inputs = Inputs()
    inputs.activations(5, 66)
    check(inputs, functions.swiglu, reference.swiglu)


def test_reason_of_a_failed_compilation_is_kept(
    source_tree: Path, hatch_build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "FOLDER", source_tree / hatch_build.KERNELS)
    monkeypatch.setenv("CC", "/no/such/compiler")
    reason = hatch_build.compile_kernels(source_tree)
    assert "/no/such/compiler did not run when tfcli was installed" in reason
    assert library.status() == f"torch's own ({reason})"
    assert library.load_library() is None


@compiled
@pytest.mark.skipif(sys.platform != "linux", reason="AMX is for Linux")
def test_compiler_without_amx_makes_the_other_libraries(
    source_tree: Path, hatch_build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = source_tree / hatch_build.KERNELS
    for source in folder.glob("*.c"):
        source.unlink()  # they take long to compile
    (folder / "library.c").write_text("int usable(void) { return 1; }\n")
    old = tmp_path / "old-compiler"
    old.write_text('#!/bin/sh\ncase "$*" in *-mamx*) exit 1;; esac\nexec cc "$@"\n')
    old.chmod(0o755)
    monkeypatch.setenv("CC", str(old))
    assert hatch_build.compile_kernels(source_tree) is None
    made = {path.name for path in folder.glob("*.so")}
    assert made == set(hatch_build.libraries("_kernels")) - {"_kernels_amx.so"}


def test_missing_and_broken_libraries_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing, broken = tmp_path / "missing", tmp_path / "broken"
    monkeypatch.setattr(library, "FOLDER", missing)
    assert library.status() == "torch's own (they were not compiled)"
    broken.mkdir()
    (broken / library.LIBRARIES[-1]).write_bytes(b"no library")
    monkeypatch.setattr(library, "FOLDER", broken)
    assert library.status().startswith("torch's own (the compiled kernels cannot be loaded: ")
    assert library.load_library() is None


@compiled
def test_a_library_cut_short_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's loader would kill the process."""
    name = library.LIBRARIES[-1]
    whole = next(path for path in map(library.FOLDER.joinpath, library.LIBRARIES) if path.exists())
    (tmp_path / name).write_bytes(whole.read_bytes()[:20_000])
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    assert library.load_library() is None
    assert "file too short" in library.status()


@compiled
@pytest.mark.parametrize(
    ("version", "usable", "reason"),
    [(99, 1, "belong to another version of tfcli"), (library.VERSION, 0, "lacks AVX2 or FMA")],
)
def test_library_for_another_version_or_processor_is_explained(
    version: int, usable: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "other.c"
    source.write_text(
        f"int version(void) {{ return {version}; }}\nint usable(void) {{ return {usable}; }}\n"
    )
    made = tmp_path / library.LIBRARIES[-1]
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    assert reason in library.status()
    assert library.load_library() is None


@compiled
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/self/maps is Linux's")
def test_kernels_and_torch_have_the_same_threads() -> None:
    code = (
        "import torch; from tfcli.model.native.library import load_library; load_library();"
        "print({line.split()[-1] for line in open('/proc/self/maps') if 'libgomp' in line})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert len(done.stdout.split(",")) == 1, done.stdout
