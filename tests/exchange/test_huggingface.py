"""Exported models compute the same in transformers, and imported ones the same here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

from tests.exchange.conftest import SHAPES, MakeRun, random_weights
from tfcli.api.open_run import open_run as open_run_of_api
from tfcli.errors import ConflictError, UsageError
from tfcli.exchange import export_huggingface
from tfcli.exchange.architectures import from_config_json, to_config_json
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import import_run
from tfcli.files import verify_folder
from tfcli.generation.engines.engine import Engine
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.open_engine import open_engine, open_model
from tfcli.generation.request import DEFAULT_TRUNCATION, Sampling, Truncation
from tfcli.model.safetensors_file import SafetensorsFile
from tfcli.model.transformer import Transformer
from tfcli.runs.run import Run, open_run
from tfcli.runs.step import MODEL, map_arrays
from tfcli.runs.valid_steps import ValidStep, choose_step
from tfcli.text.sentencepiece_tokenizer import BEGIN
from tfcli.text.tokenizer import Tokenizer

TEXT = "Ann saw the moon at noon. The old fox saw two birds by the sea."


@torch.no_grad()
def greedy(logits_of: Any, ids: list[int], count: int) -> list[int]:
    """Greedy generation without a cache."""
    for _ in range(count):
        ids = [*ids, int(logits_of(torch.tensor([ids]))[0, -1].argmax())]
    return ids


@torch.no_grad()
def assert_same_model(ours: Transformer, theirs: Any, ids: list[int]) -> list[int]:
    """Asserts equal logits, and equal greedy continuations of the first 8 ids; returns those."""
    batch = torch.tensor([ids])
    torch.testing.assert_close(ours(batch), theirs(batch).logits, rtol=0, atol=1e-5)
    prompt = ids[:8]
    our_ids = greedy(ours, prompt, 64)
    their_ids = theirs.generate(
        torch.tensor([prompt]), max_new_tokens=64, do_sample=False, eos_token_id=None,
        pad_token_id=0,
    )  # fmt: skip
    assert their_ids[0].tolist() == our_ids
    return our_ids


def open_theirs(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


# --- export -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_exported_model_computes_the_same(
    shape: str, make_run: MakeRun, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    run, step, model = make_run(**SHAPES[shape])
    export_to_huggingface(run, step, tmp_path / "out")
    assert_same_model(model, open_theirs(tmp_path / "out"), [BEGIN, *tokenizer.encode(TEXT)])


@pytest.mark.parametrize("shape", SHAPES)
def test_exported_tokenizer_opens_as_the_card_says(
    shape: str, make_run: MakeRun, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """With the class that it names; AutoTokenizer takes Qwen2's own for every such model."""
    run, step, _ = make_run(**SHAPES[shape])
    export_to_huggingface(run, step, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    (name,) = re.findall(r"tokenizer = (\w+)\.from_pretrained", card)
    theirs = getattr(transformers, name).from_pretrained(tmp_path / "out")
    assert theirs(TEXT)["input_ids"] == [BEGIN, *tokenizer.encode(TEXT)]


@pytest.mark.parametrize(
    ("family", "qkv_bias"), [("modern", False), ("llama", False), ("llama", True)]
)
def test_sliding_window_is_exported(
    family: Any, qkv_bias: bool, make_run: MakeRun, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    run, step, model = make_run(family, sliding_window=7, tied_head=False, qkv_bias=qkv_bias)
    export_to_huggingface(run, step, tmp_path / "out")
    theirs = open_theirs(tmp_path / "out")
    assert theirs.config.sliding_window == 7
    assert_same_model(model, theirs, [BEGIN, *tokenizer.encode(TEXT)])


def test_large_model_is_exported_in_shards(
    make_run: MakeRun, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_huggingface, "MAX_SHARD_BYTES", 100_000)
    run, step, model = make_run(tied_head=False)
    export_to_huggingface(run, step, tmp_path / "out")
    shards = sorted((tmp_path / "out").glob("model-*-of-*.safetensors"))
    assert len(shards) > 2
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert_same_model(model, open_theirs(tmp_path / "out"), [BEGIN, *tokenizer.encode(TEXT)])
    plan = inspect_checkpoint(tmp_path / "out")  # and imported again
    again = import_run(plan, tmp_path / "checkpoints" / "again")
    assert_same_weights(open_model(again, choose_step(again, None, on_damaged=fail)), model)


def test_export_is_valid_and_has_a_model_card(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run()
    export_to_huggingface(run, step, tmp_path / "out")
    verify_folder(tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert readme.startswith("---\nlibrary_name: transformers\n")
    for text in (
        "1.2500 nats per byte",
        "7,000",
        "Qwen3ForCausalLM",
        "trained from scratch",
        'from_pretrained("./out")',
        run.metadata["corpus"]["fingerprint"],
    ):
        assert text in readme
    config = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert config["bos_token_id"] == 1
    assert config["eos_token_id"] == 2
    assert Truncation(**{name: config[name] for name in Truncation._fields}) == DEFAULT_TRUNCATION
    assert config["temperature"] == Sampling().temperature
    assert (tmp_path / "out" / "tokenizer.model").read_bytes() == run.tokenizer().serialized


def test_existing_files_are_not_overwritten(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConflictError, match="already exists"):
        export_to_huggingface(run, step, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    export_to_huggingface(run, step, tmp_path / "empty")
    assert (tmp_path / "empty" / "config.json").is_file()


def test_classic_cannot_be_exported(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run("classic")
    with pytest.raises(UsageError, match="classic cannot be exported") as refused:
        export_to_huggingface(run, step, tmp_path / "out")
    assert refused.value.hint
    assert "Qwen3" in refused.value.hint
    assert "gpt2" in refused.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shape", SHAPES)
def test_config_json_round_trip(shape: str, make_run: MakeRun) -> None:
    run = make_run(**SHAPES[shape])[0]
    config, special = run.model_config, run.tokenizer().special
    value = json.loads(json.dumps(to_config_json(config, special)))
    assert (value["bos_token_id"], value["eos_token_id"]) == (special.bos, special.eos)
    assert from_config_json(value) == config


def engines(run: Run, step: ValidStep) -> list[Engine]:
    """Every engine: torch, numpy, and numpy with the compiled decoder."""
    weights = map_arrays(step.path / MODEL)
    return [
        open_engine(run, step, "cpu", engine="torch"),
        NumpyEngine(run.model_config, weights, native=False),
        NumpyEngine(run.model_config, weights),
    ]


def greedy_of_engine(engine: Engine, ids: list[int], count: int) -> list[int]:
    engine.reset(0)
    generated, new = list(ids), list(ids)
    for _ in range(count):
        new = [int(engine.forward([0], [new])[0].argmax())]
        generated += new
    return generated


# --- import -------------------------------------------------------------------------------------

COMMON = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 96, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("Llama", {}),
    "Llama, other parameters": (
        "Llama",
        {"rms_norm_eps": 1e-3, "tie_word_embeddings": True, "head_dim": 20,
         "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}},
    ),
    "Mistral": ("Mistral", {"sliding_window": 9}),
    "Mistral, no window": ("Mistral", {"sliding_window": None}),
    "Qwen2": ("Qwen2", {}),
    "Qwen2, other parameters": (
        "Qwen2",
        {"tie_word_embeddings": True, "use_sliding_window": True, "sliding_window": 11,
         "max_window_layers": 0,
         "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0}},
    ),
    "Llama, attention bias": ("Llama", {"attention_bias": True}),
    "Llama 3": (
        "Llama",
        {"head_dim": 16, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 48}},
    ),
    "Llama, linear RoPE": (
        "Llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 3.0}},
    ),
    "Qwen2, dynamic RoPE": (
        "Qwen2",
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 3.0}},
    ),
    "Qwen3": ("Qwen3", {"head_dim": 16}),
    "Qwen3, window": (
        "Qwen3", {"use_sliding_window": True, "sliding_window": 11, "max_window_layers": 0}
    ),
}  # fmt: skip


def fail(error: Exception) -> None:
    raise error


def assert_same_weights(one: Transformer, other: Transformer) -> None:
    weights = dict(other.named_parameters())
    for name, weight in one.named_parameters():
        assert torch.equal(weight, weights[name]), name


def make_theirs(kind: str, vocab_size: int, extra: dict[str, Any]) -> Any:
    import transformers

    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=vocab_size, attn_implementation="eager", **(COMMON | extra)
    )
    return random_weights(getattr(transformers, f"{kind}ForCausalLM")(config))


def saved(theirs: Any, tokenizer: Tokenizer, folder: Path, **options: Any) -> Path:
    theirs.save_pretrained(folder, **options)
    (folder / "tokenizer.model").write_bytes(tokenizer.serialized)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_imported_model_computes_the_same(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    kind, extra = MODELS[name]
    theirs = make_theirs(kind, tokenizer.vocab_size, extra)
    plan = inspect_checkpoint(saved(theirs, tokenizer, tmp_path / "in"))
    run = import_run(plan, tmp_path / "checkpoints" / "theirs")
    step = choose_step(run, None, on_damaged=fail)
    ids = [BEGIN, *tokenizer.encode(TEXT)]
    their_ids = assert_same_model(open_model(run, step), theirs, ids)
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits[0].numpy()
    for engine in engines(run, step):
        np.testing.assert_allclose(engine.forward_all([0], [ids]), expected, rtol=0, atol=1e-4)
        assert greedy_of_engine(engine, ids[:8], 64) == their_ids
    export_to_huggingface(run, step, tmp_path / "out")
    again = open_theirs(tmp_path / "out").state_dict()
    for name, weight in theirs.state_dict().items():
        assert torch.equal(again[name], weight), name


@pytest.mark.parametrize("rope_scaling", [{"rope_type": "default"}, {"type": "default"}, None])
def test_default_rope_scaling_is_none(
    rope_scaling: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """With config.json as before transformers 5."""
    theirs = make_theirs("Llama", tokenizer.vocab_size, {})
    path = saved(theirs, tokenizer, tmp_path / "in") / "config.json"
    config = json.loads(path.read_text())
    del config["rope_parameters"]
    config |= {"rope_theta": 500_000.0, "rope_scaling": rope_scaling}
    path.write_text(json.dumps(config))
    run = import_run(inspect_checkpoint(path.parent), tmp_path / "checkpoints" / "theirs")
    assert run.model_config.rope_theta == 500_000.0
    model = open_model(run, choose_step(run, None, on_damaged=fail))
    assert_same_model(model, open_theirs(path.parent), [BEGIN, *tokenizer.encode(TEXT)])


def test_imported_gpt2_computes_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=tokenizer.vocab_size, n_positions=96, n_embd=48, n_layer=2, n_head=4, n_inner=80,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    theirs: Any = random_weights(GPT2LMHeadModel(config))
    plan = inspect_checkpoint(saved(theirs, tokenizer, tmp_path / "in"))
    run = import_run(plan, tmp_path / "checkpoints" / "theirs")
    model = open_model(run, choose_step(run, None, on_damaged=fail))
    assert_same_model(model, theirs, [BEGIN, *tokenizer.encode(TEXT)])
    export_to_huggingface(run, choose_step(run, None, on_damaged=fail), tmp_path / "out")
    again = open_theirs(tmp_path / "out").state_dict()
    for name, weight in theirs.state_dict().items():
        assert torch.equal(again[name], weight), name


def test_gpt2_names_without_prefix_are_imported(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=tokenizer.vocab_size, n_positions=96, n_embd=48, n_layer=1,
                        n_head=4, bos_token_id=1, eos_token_id=2)  # fmt: skip
    theirs: Any = random_weights(GPT2LMHeadModel(config))
    folder = saved(theirs, tokenizer, tmp_path / "in")
    weights = load_file(folder / "model.safetensors")
    without_prefix = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
    without_prefix |= {
        "h.0.attn.bias": np.ones((1, 1, 96, 96), np.float32),
        "h.0.attn.masked_bias": np.ones(1, np.float32),
    }
    save_file(without_prefix, folder / "model.safetensors")
    run = import_run(inspect_checkpoint(folder), tmp_path / "checkpoints" / "theirs")
    model = open_model(run, choose_step(run, None, on_damaged=fail))
    assert_same_model(model, theirs, [BEGIN, *tokenizer.encode(TEXT)])


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (torch.float16, "F16"), (torch.bfloat16, "BF16"), (torch.float32, "F32"),
        (torch.float64, "F32"),
    ],
)  # fmt: skip
def test_number_formats_are_kept(
    dtype: torch.dtype, kept: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    theirs = make_theirs("Llama", tokenizer.vocab_size, {}).to(dtype)
    folder = saved(theirs, tokenizer, tmp_path / "in")
    run = import_run(inspect_checkpoint(folder), tmp_path / "checkpoints" / "theirs")
    step = choose_step(run, None, on_damaged=fail)
    assert {one.format for one in SafetensorsFile(step.path / MODEL).tensors.values()} == {kept}
    model = open_model(run, step)
    expected = theirs.state_dict()["model.layers.1.mlp.up_proj.weight"].float()
    weight = dict(model.named_parameters())["blocks.1.feed_forward.up.weight"]
    assert torch.equal(weight, expected)
    assert_same_model(model, open_theirs(folder), [BEGIN, *tokenizer.encode(TEXT)])


def test_embedding_rows_without_a_token_are_kept_and_never_generated(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    theirs = make_theirs("Llama", tokenizer.vocab_size + 12, {})
    with torch.no_grad():
        theirs.lm_head.weight[tokenizer.vocab_size :] = 3.0  # they would be likely
    plan = inspect_checkpoint(saved(theirs, tokenizer, tmp_path / "in"), context_length=40)
    assert plan.unused_rows == 12
    run = import_run(plan, tmp_path / "checkpoints" / "theirs")
    step = choose_step(run, None, on_damaged=fail)
    model = open_model(run, step)
    assert model.config.context_length == 40
    ids = torch.tensor([[BEGIN, *tokenizer.encode(TEXT)][:40]])
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, rtol=0, atol=1e-5)
    opened = open_run_of_api(run.path)
    assert len(opened.generate("Ann", max_new_tokens=20, seed=1)) > 0
    export_to_huggingface(run, step, tmp_path / "out")
    again = open_theirs(tmp_path / "out").state_dict()
    for name, weight in theirs.state_dict().items():
        assert torch.equal(again[name], weight), name


@pytest.mark.parametrize(("said", "stored"), [(True, True), (False, False)])
def test_tied_head_is_found_whatever_is_said(
    said: bool, stored: bool, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """A file may say that the head is tied and hold it, or that it is not and lack it."""
    theirs = make_theirs("Llama", tokenizer.vocab_size, {"tie_word_embeddings": True})
    folder = saved(theirs, tokenizer, tmp_path / "in")
    weights = load_file(folder / MODEL)
    weights.pop("lm_head.weight", None)
    if stored:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    save_file(weights, folder / MODEL)
    described = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": said}
    (folder / "config.json").write_text(json.dumps(described))
    run = import_run(inspect_checkpoint(folder), tmp_path / "checkpoints" / "theirs")
    assert run.model_config.tied_head
    model = open_model(run, choose_step(run, None, on_damaged=fail))
    assert_same_model(model, theirs, [BEGIN, *tokenizer.encode(TEXT)])


def test_tokenizer_json_is_enough(make_run: MakeRun, tokenizer: Tokenizer, tmp_path: Path) -> None:
    run, step, _ = make_run()
    export_to_huggingface(run, step, tmp_path / "out")
    (tmp_path / "out" / "tokenizer.model").unlink()
    again = import_run(inspect_checkpoint(tmp_path / "out"), tmp_path / "checkpoints" / "again")
    assert again.tokenizer().encode(TEXT) == tokenizer.encode(TEXT)
    assert open_run(again.path).metadata["imported"] == "out"
