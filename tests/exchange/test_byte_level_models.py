"""Models with byte-level tokenizers: in from Hugging Face, out again, and through GGUF."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.byte_level import CALL, END, TURN, Scanner, byte_level, id_of, tokenizer_json
from tests.exchange.conftest import random_weights
from tests.exchange.test_huggingface import assert_same_model, fail, open_theirs
from tfcli.errors import DataError
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.exchange.gguf_file import GgufFile
from tfcli.exchange.import_gguf import inspect_gguf
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import import_run
from tfcli.generation.open_engine import open_model
from tfcli.model.safetensors_file import SafetensorsFile
from tfcli.runs.kept_files import CHAT_TEMPLATE
from tfcli.runs.run import Run, open_run
from tfcli.runs.step import MODEL
from tfcli.runs.valid_steps import ValidStep, choose_step

TEMPLATE = "{% for m in messages %}<|im_end|>{{ m['content'] }}{% endfor %}"
TEXT = "Ann saw 1234 moons; it's <|im_end|> <tool_call>\n  ¿niño? 古い狐"
PADDING = 12  # rows of the embedding without a token
LLAMA_3 = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 48,
}  # fmt: skip
SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "head_dim": 16,
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    kind: str
    scanner: Scanner
    settings: dict[str, Any]
    dtype: torch.dtype = torch.bfloat16


MODELS = {
    "GPT-2": Model("GPT2", "gpt-2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128}),
    "SmolLM2": Model("Llama", "smollm", SIZES | {"tie_word_embeddings": True}),
    "Llama 3": Model("Llama", "llama-3", SIZES | {"rope_parameters": LLAMA_3}, torch.float16),
    "Qwen2": Model("Qwen2", "qwen", SIZES | {"tie_word_embeddings": True}),
    "Qwen3": Model("Qwen3", "qwen", SIZES | {"head_dim": 24}, torch.float32),
}


@dataclass(frozen=True)
class Imported:
    """A folder as transformers writes it, and the run that was made of it."""

    folder: Path
    run: Run
    step: ValidStep


@pytest.fixture
def imported(tmp_path: Path) -> Callable[[str], Imported]:
    def make(name: str) -> Imported:
        folder = saved(MODELS[name], tmp_path / "in")
        run = import_run(inspect_checkpoint(folder), tmp_path / "checkpoints" / "it")
        return Imported(folder, run, choose_step(run, None, on_damaged=fail))

    return make


def saved(model: Model, folder: Path) -> Path:
    """A random model in shards, with everything that stands beside it."""
    content = tokenizer_json(model.scanner)
    end = id_of(content, END)
    torch.manual_seed(3)
    config = getattr(transformers, f"{model.kind}Config")(
        vocab_size=byte_level(model.scanner).vocab_size + PADDING, bos_token_id=end,
        eos_token_id=end, **model.settings,
    )  # fmt: skip
    name = "LMHeadModel" if model.kind == "GPT2" else "ForCausalLM"
    theirs: Any = getattr(transformers, f"{model.kind}{name}")(config)
    random_weights(theirs).to(model.dtype)
    theirs.save_pretrained(folder, max_shard_size="100KB")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "chat_template": TEMPLATE,
        "auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ends = {"eos_token_id": [end, id_of(content, TURN), 10**6]}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    return folder


def tensors_of(folder: Path) -> dict[str, tuple[str, bytes]]:
    """The number format and the bytes of every tensor."""
    files = [SafetensorsFile(path) for path in sorted(folder.glob("*.safetensors"))]
    return {
        name: (tensor.format, file.map(name).tobytes())
        for file in files
        for name, tensor in file.tensors.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_imported_model_computes_the_same_and_is_exported_as_it_was(
    name: str, imported: Callable[[str], Imported], tmp_path: Path
) -> None:
    it = imported(name)
    tokenizer, expected = it.run.tokenizer(), byte_level(MODELS[name].scanner)
    ids = tokenizer.encode(TEXT)
    assert ids == expected.encode(TEXT)
    assert it.run.model_config.vocab_size == tokenizer.vocab_size + PADDING
    assert_same_model(open_model(it.run, it.step), open_theirs(it.folder), ids)

    out = tmp_path / "out"
    export_to_huggingface(it.run, it.step, out)
    before = tensors_of(it.folder)
    if it.run.model_config.tied_head:
        before.pop("lm_head.weight", None)
    assert tensors_of(out) == before
    assert_same_model(open_model(it.run, it.step), open_theirs(out), ids)
    described = json.loads((out / "config.json").read_text())
    assert described["dtype"] == str(MODELS[name].dtype).removeprefix("torch.")


@pytest.mark.parametrize("name", ["SmolLM2", "Llama 3"])
def test_tokenizer_template_and_ends_are_kept_and_given_back(
    name: str, imported: Callable[[str], Imported], tmp_path: Path
) -> None:
    it = imported(name)
    special = it.run.tokenizer().special
    assert {special.eos, *special.other_eos} == special.eos_ids
    assert special.other_eos == {it.run.tokenizer().special_ids[TURN]}
    assert (it.run.path / CHAT_TEMPLATE).read_text() == TEMPLATE
    assert open_run(it.run.path).tokenizer().special == special

    out = tmp_path / "out"
    export_to_huggingface(it.run, it.step, out)
    ends = json.loads((out / "generation_config.json").read_text())["eos_token_id"]
    assert ends == [special.eos, *special.other_eos]
    assert "auto_map" not in (out / "tokenizer_config.json").read_text()
    theirs, again = (transformers.AutoTokenizer.from_pretrained(path) for path in (it.folder, out))
    assert again(TEXT)["input_ids"] == theirs(TEXT)["input_ids"]
    messages = [{"role": "user", "content": "Ann"}]
    text = again.apply_chat_template(messages, tokenize=False)
    assert text == f"{TURN}Ann" == theirs.apply_chat_template(messages, tokenize=False)


@pytest.mark.parametrize("name", MODELS)
def test_the_way_through_gguf_loses_nothing(
    name: str, imported: Callable[[str], Imported], tmp_path: Path
) -> None:
    it = imported(name)
    path = tmp_path / "it.gguf"
    export_to_gguf(it.run, it.step, path)
    file = GgufFile(path)
    formats = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
    assert file.tensors["blk.0.ffn_down.weight"].format.name == formats[MODELS[name].dtype]
    assert len(file.metadata["tokenizer.ggml.tokens"]) == it.run.model_config.vocab_size
    again = import_run(inspect_gguf(path), tmp_path / "checkpoints" / "again")
    assert again.model_config == it.run.model_config
    assert again.tokenizer().encode(TEXT) == it.run.tokenizer().encode(TEXT)
    assert again.tokenizer().token_bytes == it.run.tokenizer().token_bytes
    assert again.tokenizer().special == it.run.tokenizer().special
    assert (again.path / CHAT_TEMPLATE).read_text() == TEMPLATE
    before, after = (
        SafetensorsFile(step.path / MODEL)
        for step in (it.step, choose_step(again, None, on_damaged=fail))
    )
    for weight in before.tensors:  # vectors become float32, which changes none of them
        assert np.array_equal(before.read(weight), after.read(weight)), weight


def test_a_scanner_that_gguf_has_no_name_for_is_refused(
    imported: Callable[[str], Imported], tmp_path: Path
) -> None:
    it = imported("SmolLM2")
    path = it.folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = False
    path.write_text(json.dumps(content))
    run = import_run(inspect_checkpoint(it.folder), tmp_path / "checkpoints" / "other")
    step = choose_step(run, None, on_damaged=fail)
    with pytest.raises(DataError, match="cannot be exported to GGUF"):
        export_to_gguf(run, step, tmp_path / "it.gguf")
    assert not (tmp_path / "it.gguf").exists()


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    folder = saved(MODELS["SmolLM2"], tmp_path / "in")
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    last = max(token["id"] for token in content["added_tokens"])
    added = dict(content["added_tokens"][-1], content="<more>", id=last + PADDING + 1)
    path.write_text(json.dumps(content | {"added_tokens": [*content["added_tokens"], added]}))
    with pytest.raises(DataError, match="tokens, the model only"):
        inspect_checkpoint(folder)


def test_number_formats_can_be_asked_for(
    imported: Callable[[str], Imported], tmp_path: Path
) -> None:
    it = imported("Llama 3")
    for type, format in (("f32", "F32"), ("bf16", "BF16")):
        export_to_huggingface(it.run, it.step, tmp_path / type, type)  # type: ignore[arg-type]
        assert {kind for kind, _ in tensors_of(tmp_path / type).values()} == {format}
        export_to_gguf(it.run, it.step, tmp_path / f"{type}.gguf", type)  # type: ignore[arg-type]
        tensors = GgufFile(tmp_path / f"{type}.gguf").tensors
        assert tensors["token_embd.weight"].format.name == format
        assert tensors["output_norm.weight"].format.name == "F32"
    assert CALL in it.run.tokenizer().decode(it.run.tokenizer().encode(TEXT)).decode()
