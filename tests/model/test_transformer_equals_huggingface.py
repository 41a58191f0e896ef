"""Each family but `classic` equals the transformers model with the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tfcli.model.config import ModelConfig
from tfcli.model.transformer import Transformer

from .helpers import CONFIGS, random_ids, random_model

LLAMA = {
    "embedding.weight": "model.embed_tokens.weight",
    "final_norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
LLAMA_BLOCK = {
    "attention_norm.weight": "input_layernorm.weight",
    "attention.query.weight": "self_attn.q_proj.weight",
    "attention.key.weight": "self_attn.k_proj.weight",
    "attention.value.weight": "self_attn.v_proj.weight",
    "attention.query.bias": "self_attn.q_proj.bias",
    "attention.key.bias": "self_attn.k_proj.bias",
    "attention.value.bias": "self_attn.v_proj.bias",
    "attention.output.weight": "self_attn.o_proj.weight",
    "attention.output.bias": "self_attn.o_proj.bias",
    "attention.query_norm.weight": "self_attn.q_norm.weight",
    "attention.key_norm.weight": "self_attn.k_norm.weight",
    "feed_forward_norm.weight": "post_attention_layernorm.weight",
    "feed_forward.gate.weight": "mlp.gate_proj.weight",
    "feed_forward.up.weight": "mlp.up_proj.weight",
    "feed_forward.down.weight": "mlp.down_proj.weight",
}

GPT2 = {
    "embedding.weight": "transformer.wte.weight",
    "position_embedding.weight": "transformer.wpe.weight",
    "final_norm.weight": "transformer.ln_f.weight",
    "final_norm.bias": "transformer.ln_f.bias",
}
GPT2_BLOCK = {
    "attention_norm.weight": "ln_1.weight",
    "attention_norm.bias": "ln_1.bias",
    "attention.output.weight": "attn.c_proj.weight",
    "attention.output.bias": "attn.c_proj.bias",
    "feed_forward_norm.weight": "ln_2.weight",
    "feed_forward_norm.bias": "ln_2.bias",
    "feed_forward.up.weight": "mlp.c_fc.weight",
    "feed_forward.up.bias": "mlp.c_fc.bias",
    "feed_forward.down.weight": "mlp.c_proj.weight",
    "feed_forward.down.bias": "mlp.c_proj.bias",
}


def as_llama(model: Transformer) -> dict[str, Tensor]:
    """Our weights under the names of Llama, Mistral and Qwen."""
    weights = {}
    for name, weight in model.state_dict().items():
        if name.startswith("blocks."):
            _, layer, rest = name.split(".", 2)
            weights[f"model.layers.{layer}.{LLAMA_BLOCK[rest]}"] = weight
        else:
            weights[LLAMA[name]] = weight
    return weights


def as_gpt2(model: Transformer) -> dict[str, Tensor]:
    """Our weights under the names of GPT-2, whose matrices are transposed and whose query, key
    and value are concatenated into one.
    """
    ours = model.state_dict()
    weights = {theirs: ours[name] for name, theirs in GPT2.items()}
    for layer in range(model.config.num_layers):
        from_block, to_block = f"blocks.{layer}.", f"transformer.h.{layer}."
        for name, theirs in GPT2_BLOCK.items():
            weight = ours[from_block + name]
            weights[to_block + theirs] = weight.T if weight.ndim == 2 else weight
        for kind in ("weight", "bias"):
            parts = [
                ours[f"{from_block}attention.{part}.{kind}"] for part in ("query", "key", "value")
            ]
            joined = torch.cat(parts)
            weights[f"{to_block}attn.c_attn.{kind}"] = joined.T if kind == "weight" else joined
    return weights


def rope_scaling(config: ModelConfig) -> dict[str, object]:
    scaling = config.rope_scaling
    if scaling is None:
        return {"rope_type": "default"}
    if scaling.kind != "llama3":
        return {"rope_type": scaling.kind, "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_context,
    }


def make_llama(config: ModelConfig, kind: str) -> nn.Module:
    import transformers

    extra: dict[str, object] = {}
    if kind in {"Llama", "Qwen3"}:
        extra["attention_bias"] = config.output_bias
    if config.sliding_window is not None:
        extra["sliding_window"] = config.sliding_window
        if kind in {"Qwen2", "Qwen3"}:
            extra |= {"use_sliding_window": True, "max_window_layers": 0}
    elif kind == "Mistral":
        extra["sliding_window"] = None
    theirs = getattr(transformers, f"{kind}Config")(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        intermediate_size=config.d_ff,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        hidden_act="silu",
        max_position_embeddings=config.context_length,
        rms_norm_eps=config.norm_epsilon,
        tie_word_embeddings=config.tied_head,
        rope_parameters={"rope_theta": config.rope_theta, **rope_scaling(config)},
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="eager",
        **extra,
    )
    model: nn.Module = getattr(transformers, f"{kind}ForCausalLM")(theirs)
    return model.eval()


def make_gpt2(config: ModelConfig) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    theirs = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.context_length,
        n_embd=config.d_model,
        n_layer=config.num_layers,
        n_head=config.num_heads,
        n_inner=config.d_ff,
        activation_function="gelu_new",
        layer_norm_epsilon=1e-5,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="eager",
    )
    model: nn.Module = GPT2LMHeadModel(theirs)
    return model.eval()


def weight_names(model: nn.Module) -> set[str]:
    """The names of the weights of `model`, tied ones once."""
    return {name for name, _ in model.named_parameters()}


@torch.no_grad()
def assert_same_logits(ours: Transformer, theirs: nn.Module, weights: dict[str, Tensor]) -> None:
    theirs.load_state_dict(weights, strict=False)
    ids = random_ids(ours.config, rows=3, length=ours.config.context_length)
    torch.testing.assert_close(ours(ids), theirs(input_ids=ids).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("modern")])
def test_modern_equals_qwen3(name: str) -> None:
    ours = random_model(CONFIGS[name], dtype=torch.float32)
    theirs = make_llama(CONFIGS[name], "Qwen3")
    weights = as_llama(ours)
    assert set(weights) == weight_names(theirs)
    assert_same_logits(ours, theirs, weights)


def test_modern_equals_qwen3_with_other_rope_theta_and_epsilon() -> None:
    config = replace(CONFIGS["modern"], rope_theta=1_000_000.0, norm_epsilon=0.01)
    ours = random_model(config, dtype=torch.float32)
    assert_same_logits(ours, make_llama(config, "Qwen3"), as_llama(ours))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("llama", "Llama"), ("llama", "Mistral"), ("llama, sliding window", "Mistral"),
        ("llama, q, k, v bias", "Qwen2"), ("llama, attention bias", "Llama"),
        ("llama, llama3 RoPE", "Llama"), ("llama, dynamic RoPE", "Llama"),
    ],
)  # fmt: skip
def test_llama_equals_llama_mistral_and_qwen2(name: str, kind: str) -> None:
    ours = random_model(CONFIGS[name], dtype=torch.float32)
    theirs = make_llama(CONFIGS[name], kind)
    weights = as_llama(ours)
    assert set(weights) == weight_names(theirs)
    assert_same_logits(ours, theirs, weights)


def test_gpt2_equals_gpt2() -> None:
    ours = random_model(CONFIGS["gpt2"], dtype=torch.float32)
    theirs = make_gpt2(CONFIGS["gpt2"])
    weights = as_gpt2(ours)
    assert set(weights) == weight_names(theirs)
    assert_same_logits(ours, theirs, weights)
