"""GGUF files, read with the `gguf` package; `test_llama_cpp` reads them with llama.cpp."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests.conftest import BOOK
from tests.exchange.conftest import SHAPES, MakeRun
from tfcli.errors import ConflictError, DataError, UsageError
from tfcli.exchange.export_gguf import export_to_gguf, export_to_ollama, rounded
from tfcli.exchange.formats import NumberType
from tfcli.exchange.gguf_rope import ROPE_FACTORS
from tfcli.generation.request import DEFAULT_TRUNCATION
from tfcli.model.safetensors_file import SafetensorsFile
from tfcli.runs.step import MODEL
from tfcli.text.pairs import PairForm, PairScan
from tfcli.text.sentencepiece_model import read_pieces
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """The metadata of a file, and its arrays in float32."""
    reader = gguf.GGUFReader(path)
    facts = {name: field.contents() for name, field in reader.fields.items()}
    arrays = {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for tensor in reader.tensors
    }
    return facts, arrays


@pytest.mark.parametrize("shape", SHAPES)
def test_metadata_describes_the_model(shape: str, make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run(**SHAPES[shape])
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    facts, arrays = read(tmp_path / "it.gguf")
    config = run.model_config
    kind = facts["general.architecture"]
    llama = "qwen2" if config.is_qwen2 else "llama"
    assert kind == {"modern": "qwen3", "llama": llama, "gpt2": "gpt2"}[config.family]
    assert facts[f"{kind}.context_length"] == config.context_length
    assert facts[f"{kind}.embedding_length"] == config.d_model
    assert facts[f"{kind}.feed_forward_length"] == config.d_ff
    assert facts[f"{kind}.block_count"] == config.num_layers
    assert facts[f"{kind}.attention.head_count"] == config.num_heads
    assert facts[f"{kind}.attention.head_count_kv"] == config.num_kv_heads
    if config.family != "gpt2":
        assert facts[f"{kind}.rope.freq_base"] == config.rope_theta
        assert facts[f"{kind}.attention.key_length"] == config.head_dim
        eps = facts[f"{kind}.attention.layer_norm_rms_epsilon"]
        assert eps == pytest.approx(config.norm_epsilon)
    pieces = read_pieces(run.tokenizer().serialized).pieces
    assert facts["tokenizer.ggml.tokens"] == [piece.text for piece in pieces]
    assert facts["tokenizer.ggml.scores"] == [piece.score for piece in pieces]
    assert facts["tokenizer.ggml.token_type"] == [int(piece.type) for piece in pieces]
    assert facts["tokenizer.ggml.add_bos_token"] is True
    assert facts["tokenizer.ggml.add_space_prefix"] is False
    ours = SafetensorsFile(step.path / MODEL)
    np.testing.assert_array_equal(arrays["token_embd.weight"], ours.read("embedding.weight"))
    np.testing.assert_array_equal(
        arrays["blk.1.ffn_down.weight"], ours.read("blocks.1.feed_forward.down.weight")
    )
    total = sum(array.size for name, array in arrays.items() if name != ROPE_FACTORS)
    assert total == sum(np.prod(tensor.shape) for tensor in ours.tensors.values())


def with_symbols(*symbols: str) -> Tokenizer:
    return train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), user_defined_symbols=symbols)[0]


def test_user_defined_symbols_are_written_as_they_stand_in_texts(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run, step, _ = make_run(tokenizer=with_symbols("<|user|>", "saw the", "\n", "user", "aa"))
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    facts, _ = read(tmp_path / "it.gguf")
    tokens, types = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    assert tokens[259:264] == ["<|user|>", "saw the", "\n", "user", "aa"]
    assert types[259:264] == [gguf.TokenType.USER_DEFINED] * 5
    assert gguf.TokenType.USER_DEFINED not in types[264:]
    assert any(token.startswith("▁") for token in tokens[264:])


@pytest.mark.parametrize("symbols", [("abc", "cde"), ("<|a", "a|>"), ("ab", "bcd")])
def test_symbols_that_llama_cpp_would_find_elsewhere_are_refused(
    symbols: tuple[str, ...], make_run: MakeRun, tmp_path: Path
) -> None:
    run, step, _ = make_run(tokenizer=with_symbols(*symbols))
    with pytest.raises(DataError, match="cannot be exported to GGUF"):
        export_to_gguf(run, step, tmp_path / "it.gguf", "f32")


def test_query_and_key_rows_are_permuted_only_for_llama(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run("llama", num_kv_heads=1)
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    _, arrays = read(tmp_path / "it.gguf")
    ours = SafetensorsFile(step.path / MODEL).read("blocks.0.attention.query.weight")
    half = run.model_config.head_dim // 2
    for head in range(2):
        rows = ours[head * 2 * half : (head + 1) * 2 * half]
        theirs = arrays["blk.0.attn_q.weight"][head * 2 * half : (head + 1) * 2 * half]
        np.testing.assert_array_equal(theirs[0::2], rows[:half])  # the first of each rotary pair
        np.testing.assert_array_equal(theirs[1::2], rows[half:])


@pytest.mark.parametrize("type", ["f16", "q8_0"])
def test_quantized_weights_are_those_that_the_export_measures(
    type: NumberType, make_run: MakeRun, tmp_path: Path
) -> None:
    run, step, _ = make_run()
    export_to_gguf(run, step, tmp_path / "it.gguf", type)
    _, arrays = read(tmp_path / "it.gguf")
    ours = rounded(run.model_config, SafetensorsFile(step.path / MODEL), type)
    exact = SafetensorsFile(step.path / MODEL)
    for name, theirs in {
        "embedding.weight": "token_embd.weight",
        "blocks.0.attention.value.weight": "blk.0.attn_v.weight",
        "blocks.1.attention_norm.weight": "blk.1.attn_norm.weight",
    }.items():
        np.testing.assert_array_equal(arrays[theirs], ours[name])
        error = np.abs(ours[name] - exact.read(name)).max()
        assert (error == 0) == ("norm" in name)
        assert error < 0.01


def test_matrix_of_unsuitable_width_is_stored_as_f16_in_q8_0(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run, step, _ = make_run(width=40)
    export_to_gguf(run, step, tmp_path / "it.gguf", "q8_0")
    types = {
        tensor.name: tensor.tensor_type.name
        for tensor in gguf.GGUFReader(tmp_path / "it.gguf").tensors
    }
    assert types["blk.0.attn_v.weight"] == "F16"
    assert types["blk.0.ffn_down.weight"] == "Q8_0"  # 96 wide
    assert types["output_norm.weight"] == "F32"


def test_matrix_with_values_too_large_for_f16_is_stored_as_f32(
    make_run: MakeRun, tmp_path: Path
) -> None:
    from tfcli.runs.step import load_arrays, save_step
    from tfcli.runs.valid_steps import open_step

    run, step, _ = make_run()
    arrays = load_arrays(step.path / MODEL)
    arrays["embedding.weight"][5] = 1e5
    step = open_step(save_step(run.path, step.state, arrays, {}))
    export_to_gguf(run, step, tmp_path / "it.gguf", "f16")
    _, exported = read(tmp_path / "it.gguf")
    np.testing.assert_array_equal(exported["token_embd.weight"], arrays["embedding.weight"])
    assert np.isfinite(exported["blk.0.attn_v.weight"]).all()


def test_existing_files_are_not_overwritten(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run()
    (tmp_path / "mine.txt").write_text("years of work")
    with pytest.raises(ConflictError, match="already exists"):
        export_to_gguf(run, step, tmp_path / "mine.txt", "f32")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "Modelfile").write_text("mine")
    with pytest.raises(ConflictError, match="already exists"):
        export_to_ollama(run, step, tmp_path / "folder", "f32")
    assert (tmp_path / "mine.txt").read_text() == "years of work"
    assert (tmp_path / "folder" / "Modelfile").read_text() == "mine"


def test_sliding_window_limits_the_context_length(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run("llama", sliding_window=20)
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    assert read(tmp_path / "it.gguf")[0]["llama.context_length"] == 20


def test_ollama_export_has_a_modelfile(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run()
    export_to_ollama(run, step, tmp_path / "out", "f16")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"Modelfile", "model.gguf"}
    lines = (tmp_path / "out" / "Modelfile").read_text().splitlines()
    assert lines[:2] == ["FROM ./model.gguf", 'TEMPLATE """{{ .Prompt }}"""']
    assert f"PARAMETER min_p {DEFAULT_TRUNCATION.min_p}" in lines


@pytest.mark.parametrize(
    ("form", "template"),
    [
        (PairForm(separator=' "\n'), r"""{{ .Prompt }}{{ " \"\n" }}"""),
        (
            PairForm("messages", "\n"),
            r"""{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ "\n" }}{{ end }}assistant: """,
        ),
    ],
    ids=["pairs", "messages"],
)
def test_ollama_frames_prompts_as_in_training(
    make_run: MakeRun, tmp_path: Path, form: PairForm, template: str
) -> None:
    run, step, _ = make_run()
    run.metadata["corpus"]["pairs"] = asdict(PairScan(form, 1, 1, 1))
    export_to_ollama(run, step, tmp_path / "out", "f16")
    assert f'TEMPLATE """{template}"""\n' in (tmp_path / "out" / "Modelfile").read_text()


def test_models_without_a_gguf_form_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    classic, step, _ = make_run("classic", name="classic")
    with pytest.raises(UsageError, match="classic"):
        export_to_gguf(classic, step, tmp_path / "it.gguf", "f32")
    wide, step, _ = make_run("llama", name="wide", qkv_bias=True, head_dim=40)
    with pytest.raises(UsageError, match="to GGUF"):
        export_to_gguf(wide, step, tmp_path / "it.gguf", "f32")
    unigram = train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), type="unigram")[0]
    run, step, _ = make_run(name="unigram", tokenizer=unigram)
    with pytest.raises(DataError, match="unigram tokenizer cannot be exported to GGUF"):
        export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    assert not list(tmp_path.glob("*.gguf*"))


def test_all_pieces_of_a_tokenizer_are_read(tokenizer: Tokenizer) -> None:
    assert len(read_pieces(tokenizer.serialized).pieces) == tokenizer.vocab_size
