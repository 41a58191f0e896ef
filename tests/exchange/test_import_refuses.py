"""Invalid or malicious folders: a clear error, no memory allocated, nothing written."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tests.exchange.conftest import MakeRun
from tfcli.errors import DataError, NotFoundError, TfcliError
from tfcli.exchange.architectures import from_config_json
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import import_run

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path) -> Path:
    """A folder that can be imported, for the test to damage."""
    run, step, _ = make_run(tied_head=False)
    export_to_huggingface(run, step, tmp_path / "in")
    return tmp_path / "in"


def configure(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def header(folder: Path, entries: object, *, length: int | None = None) -> None:
    data = json.dumps(entries).encode()
    size = struct.pack("<Q", len(data) if length is None else length)
    (folder / WEIGHTS).write_bytes(size + data + bytes(64))


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.model").unlink()
    (folder / "tokenizer.json").unlink()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def another_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    last = max(value["model"]["vocab"], key=value["model"]["vocab"].__getitem__)
    value["model"]["vocab"]["Ω"] = value["model"]["vocab"].pop(last)
    value["model"]["merges"] = [
        pair for pair in value["model"]["merges"] if last not in ("".join(pair), *pair)
    ]
    path.write_text(json.dumps(value))


def index(folder: Path, name: object) -> None:
    names = load_file(folder / WEIGHTS)
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(names, name)}))


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "file not found: "),
    "config is not JSON": (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
    "another architecture": (
        lambda f: configure(f, architectures=["GemmaForCausalLM"]),
        "architecture GemmaForCausalLM cannot be imported",
    ),
    "no architecture": (lambda f: configure(f, architectures=None), "cannot be imported"),
    "unknown RoPE scaling": (
        lambda f: configure(f, rope_parameters={"rope_type": "yarn", "rope_theta": 1.0}), "yarn"
    ),
    "another activation": (lambda f: configure(f, hidden_act="gelu"), "hidden_act"),
    "biases": (lambda f: configure(f, attention_bias=True), "attention_bias"),
    "layers of two types": (
        lambda f: configure(f, use_sliding_window=True, sliding_window=8, max_window_layers=0,
                            layer_types=["full_attention", "sliding_attention"]),
        "in some layers",
    ),
    "a hidden size that is a string": (lambda f: configure(f, hidden_size="wide"), "hidden_size"),
    "a huge hidden size": (lambda f: configure(f, hidden_size=2**62), "has shape"),
    "a negative hidden size": (lambda f: configure(f, hidden_size=-4), "impossible model"),
    "no heads": (lambda f: configure(f, num_attention_heads=0), "impossible model"),
    "a billion layers": (lambda f: configure(f, num_hidden_layers=10**9), "impossible model"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "no model.safetensors"),
    "pickled weights": (pickled, "pickle file"),
    "a missing shard": (lambda f: index(f, "model-00002-of-00002.safetensors"), "file not found"),
    "a path as a shard": (lambda f: index(f, "../in/model.safetensors"), "plain name"),
    "an absolute path as a shard": (lambda f: index(f, "/etc/passwd"), "plain name"),
    "a shard that is a number": (lambda f: index(f, 5), "plain name"),
    "an index without shards": (lambda f: (f / INDEX).write_text("{}"), "plain name"),
    "a missing weight": (
        lambda f: edit_weights(f, lambda w: w.pop("model.norm.weight")), "lack model.norm.weight"
    ),
    "an unknown weight": (
        lambda f: edit_weights(f, lambda w: w.update({"model.extra": np.ones(3)})), "unknown weight"
    ),
    "overlapping arrays": (
        lambda f: header(f, {
            name: {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]} for name in "ab"}),
        "overlap",
    ),
    "a pipe as config": (lambda f: pipe(f / "config.json"), "is not a file"),
    "a pipe as weights": (lambda f: pipe(f / WEIGHTS), "no model.safetensors"),
    "another model type": (lambda f: configure(f, model_type="granite"), "model_type"),
    "quantized": (lambda f: configure(f, quantization_config={"bits": 4}), "quantization_config"),
    "RoPE type under its older key": (
        lambda f: configure(f, rope_parameters={"type": "longrope", "factor": 4}), "longrope"
    ),
    "RoPE scaling under its older key": (
        lambda f: configure(f, rope_scaling={"type": "yarn", "factor": 2.0}), "yarn"
    ),
    "RoPE scaling without a factor": (
        lambda f: configure(f, rope_scaling={"type": "linear"}), "factor 'None'"
    ),
    "RoPE scaling by nothing": (
        lambda f: configure(f, rope_scaling={"type": "linear", "factor": 0}), "positive"
    ),
    "llama3 RoPE without its original context": (
        lambda f: configure(f, rope_scaling={
            "rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}),
        "original_max_position_embeddings",
    ),
    "partial RoPE": (
        lambda f: configure(f, rope_parameters={"partial_rotary_factor": 0.5}), "partial_rotary"
    ),
    "a rope_scaling that is not an object": (lambda f: configure(f, rope_scaling=4), "rope_param"),
    "an epsilon too large for a float": (lambda f: configure(f, rms_norm_eps=10**400), "too large"),
    "a theta too large for a float": (
        lambda f: configure(f, rope_parameters={}, rope_theta=10**400), "too large"
    ),
    "layer types that are a number": (
        lambda f: configure(f, use_sliding_window=True, sliding_window=8, layer_types=5),
        "layer_types",
    ),
    "Qwen3's default layer types": (
        lambda f: configure(f, use_sliding_window=True, sliding_window=8, layer_types=None,
                            max_window_layers=1), "in some layers",
    ),
    "an untied head where it should be tied": (
        lambda f: configure(f, tie_word_embeddings=True), "embeddings in .* differ"
    ),
    "tokenizers that differ": (lambda f: another_tokenizer(f), "different pieces"),
    "a wrong shape": (
        lambda f: edit_weights(f, lambda w: w.update({"model.norm.weight": np.ones(3)})),
        "has shape",
    ),
    "integer weights": (
        lambda f: edit_weights(f, lambda w: w.update(
            {"model.norm.weight": np.ones(64, np.int64)})), "unsupported number format",
    ),
    "NaN weights": (
        lambda f: edit_weights(f, lambda w: w["model.norm.weight"].fill(np.nan)), "NaN or infinity"
    ),
    "a header of 2^63": (lambda f: header(f, {}, length=2**63), "header is longer"),
    "a header that is not an object": (lambda f: header(f, []), "not a safetensors file"),
    "a huge shape": (
        lambda f: header(f, {"a": {"dtype": "F32", "shape": [2**40, 2**40],
                                   "data_offsets": [0, 64]}}), "shape in its header",
    ),
    "an empty file": (lambda f: (f / WEIGHTS).write_bytes(b""), "not a safetensors file"),
    "no tokenizer": (
        without_tokenizer,
        "no tokenizer.model",
    ),
    "an invalid tokenizer": (
        lambda f: (f / "tokenizer.model").write_bytes(b"junk"), "SentencePiece model"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_invalid_folder_is_refused_and_nothing_is_written(
    fault: str, folder: Path, tmp_path: Path
) -> None:
    damage, message = FAULTS[fault]
    damage(folder)
    path = tmp_path / "checkpoints" / "theirs"
    with pytest.raises((DataError, NotFoundError)) as refused:
        import_run(inspect_checkpoint(folder), path)
    assert re.search(message, f"{refused.value.what}; {refused.value.why}")
    assert not list(path.glob("*"))


def test_missing_folder_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not found"):
        inspect_checkpoint(tmp_path / "nothing")


def test_longer_context_than_the_model_has_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="context length is 96"):
        inspect_checkpoint(folder, context_length=97)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(data=st.data())
def test_any_config_json_is_read_or_refused(data: st.DataObject) -> None:
    known: dict[str, Any] = {
        "architectures": ["Qwen3ForCausalLM"], "hidden_size": 8, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": 8, "max_position_embeddings": 8,
        "rope_parameters": {}, "sliding_window": None, "use_sliding_window": None,
        "layer_types": None, "tie_word_embeddings": True, "head_dim": 4, "rms_norm_eps": 1e-6,
        "rope_theta": 1.0, "rope_scaling": None, "vocab_size": 300,
    }  # fmt: skip
    names = data.draw(st.lists(st.sampled_from(list(known)), min_size=1, unique=True))
    try:
        from_config_json(known | {name: data.draw(ANY) for name in names})
    except TfcliError as error:
        assert error.exit_code == 65


def test_what_is_no_folder_of_a_model_is_told_the_way(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run()
    export_to_huggingface(run, step, tmp_path / "out")
    for path, said in {
        tmp_path / "out" / WEIGHTS: f"tfcli import {tmp_path / 'out'} --run NAME",
        tmp_path / "owner" / "model": "downloads nothing",
        run.path: f"tfcli generate --run {run.path}",
    }.items():
        with pytest.raises(TfcliError) as caught:
            inspect_checkpoint(path)
        assert said in f"{caught.value.why} {caught.value.hint}"
