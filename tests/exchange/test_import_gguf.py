"""GGUF files in: what our export and the package `gguf` write, and what cannot be imported."""

from __future__ import annotations

import shlex
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.exchange.conftest import LINEAR, SHAPES, MakeRun
from tfcli.errors import DataError
from tfcli.exchange.export_gguf import export_to_gguf, rounded
from tfcli.exchange.gguf_file import GgufFile
from tfcli.exchange.import_gguf import inspect_gguf
from tfcli.exchange.import_run import import_run
from tfcli.model.safetensors_file import SafetensorsFile
from tfcli.runs.step import MODEL
from tfcli.runs.valid_steps import choose_step


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("shape", SHAPES)
def test_export_and_import_give_the_same_model(
    shape: str, make_run: MakeRun, tmp_path: Path
) -> None:
    run, step, _ = make_run(**SHAPES[shape])
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    again = import_run(inspect_gguf(tmp_path / "it.gguf"), tmp_path / "checkpoints" / "again")
    assert again.model_config == run.model_config
    before = SafetensorsFile(step.path / MODEL)
    after = SafetensorsFile(choose_step(again, None, on_damaged=fail).path / MODEL)
    assert before.tensors.keys() == after.tensors.keys()
    for name in before.tensors:
        assert np.array_equal(before.map(name), after.map(name)), name
    assert again.tokenizer().encode("Ann saw") == run.tokenizer().encode("Ann saw")


@pytest.fixture
def good(make_run: MakeRun, tmp_path: Path) -> Path:
    run, step, _ = make_run("llama", rope_scaling=LINEAR, tied_head=False)
    export_to_gguf(run, step, tmp_path / "it.gguf", "q8_0")
    inspect_gguf(tmp_path / "it.gguf")
    return tmp_path / "it.gguf"


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (text(b"llama"), text(b"mamba"), "architecture 'mamba' cannot be imported"),
        (b"llama.block_count", b"llama.block_cxunt", "no valid llama.block_count"),
        (b"llama.rope.dimension_count", b"llama.expert_used_count_xx", ""),
        (text(b"linear"), text(b"longro"), "scaling.type is 'longro'"),
        (b"blk.0.ffn_up.weight", b"blk.0.ffn_xx.weight", "lack blk.0.ffn_up.weight"),
        (b"token_embd.weight", b"token_embx.weight", "no valid token_embd.weight"),
        (b"tokenizer.ggml.model", b"tokenizer.ggml.mxdel", "tokenizer"),
        (b"tokenizer.ggml.tokens", b"tokenizer.ggml.txkens", "tokenizer"),
        (b"llama.vocab_size", b"../../etc/passwd", ""),
    ],
)
def test_changed_files_are_refused_or_mean_the_same(
    old: bytes, new: bytes, why: str, good: Path
) -> None:
    """Each change keeps the length of the file; two of them change nothing that matters."""
    content = good.read_bytes()
    assert old in content
    good.write_bytes(content.replace(old, new, 1))
    if not why:
        inspect_gguf(good)
        return
    with pytest.raises(DataError) as refused:
        inspect_gguf(good)
    assert why in f"{refused.value.what} {refused.value.why}"


@pytest.mark.parametrize(
    ("name", "value"), [("output_norm.weight", b"\0\0\x80\x7f"), ("blk.1.ffn_up.weight", b"\0\x7e")]
)
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_written(
    name: str, value: bytes, good: Path, tmp_path: Path
) -> None:
    """An infinity in float32; a scale in q8_0 that is NaN."""
    begin = GgufFile(good).tensors[name].begin
    content = bytearray(good.read_bytes())
    content[begin : begin + len(value)] = value
    good.write_bytes(content)
    path = tmp_path / "checkpoints" / "bad"
    with pytest.raises(DataError, match=f"{name} .* contains NaN or infinity"):
        import_run(inspect_gguf(good), path)
    assert not path.exists()


def test_one_of_several_files_is_refused(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a-00001-of-00002.gguf", "llama")
    writer.add_uint16("split.count", 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(DataError, match="one of several") as refused:
        inspect_gguf(tmp_path / "a-00001-of-00002.gguf")
    assert "--merge" in str(refused.value.hint)


def test_a_vocabulary_alone_is_told_the_way(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "vocab only.gguf", "llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", "a"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(DataError, match="has a vocabulary and no model") as caught:
        inspect_gguf(tmp_path / "vocab only.gguf")
    path = shlex.quote(str(tmp_path / "vocab only.gguf"))
    assert caught.value.hint == f"tfcli tokenizer import {path} --name 'vocab only'"


def test_quantized_weights_become_float16(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run("gpt2")
    export_to_gguf(run, step, tmp_path / "it.gguf", "q8_0")
    again = import_run(inspect_gguf(tmp_path / "it.gguf"), tmp_path / "checkpoints" / "again")
    after = SafetensorsFile(choose_step(again, None, on_damaged=fail).path / MODEL)
    expected = rounded(run.model_config, SafetensorsFile(step.path / MODEL), "q8_0")
    for name, array in expected.items():
        matrix = "norm" not in name and not name.endswith("bias") and "position" not in name
        assert after.tensors[name].format == ("F16" if matrix else "F32"), name
        np.testing.assert_allclose(after.read(name), array, rtol=2**-11, atol=2**-25)
