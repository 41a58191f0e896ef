"""Which model of transformers and llama.cpp a configuration is, and its `config.json`.

    modern   Qwen3                      RMSNorm, SwiGLU, RoPE, QK-norm
    llama    Llama                      RMSNorm, SwiGLU, RoPE; with or without biases in attention
             Mistral                    with a sliding window
             Qwen2                      with biases on query, key and value
    gpt2     GPT-2                      LayerNorm, GELU, learned positions, biases
    classic  none

The names of the weights are in `model.parameters`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError
from tfcli.model.config import MAX_CONTEXT, Family, ModelConfig
from tfcli.model.rope import from_rope_parameters, to_rope_parameters

if TYPE_CHECKING:
    from tfcli.text.tokenizer import SpecialTokens


@dataclass(frozen=True)
class Architecture:
    """A model of transformers, and what computes the same elsewhere.

    Attributes:
        name: of its class in transformers.
        model_type: its name in `config.json`.
        gguf: its name in llama.cpp.
        family: its family here.
        qkv_bias: whether its queries, keys and values have a bias.

    """

    name: str
    model_type: str
    gguf: str
    family: Family
    qkv_bias: bool = False


QWEN3 = Architecture("Qwen3ForCausalLM", "qwen3", "qwen3", "modern")
QWEN2 = Architecture("Qwen2ForCausalLM", "qwen2", "qwen2", "llama", qkv_bias=True)
LLAMA = Architecture("LlamaForCausalLM", "llama", "llama", "llama")
MISTRAL = Architecture("MistralForCausalLM", "mistral", "llama", "llama")
GPT2 = Architecture("GPT2LMHeadModel", "gpt2", "gpt2", "gpt2")
WINDOW_BY_LAYER = {QWEN2, QWEN3}  # config.json says for each layer whether it has the window
ARCHITECTURES = {one.name: one for one in (QWEN3, QWEN2, LLAMA, MISTRAL, GPT2)}


def architecture_of(config: ModelConfig) -> Architecture:
    """The architecture that computes what a configuration does.

    Raises:
        UsageError: there is none.

    """
    if config.family == "classic":
        raise UsageError(
            "a model of the family classic cannot be exported",
            why="no other program implements it",
            hint="train with --family modern (Qwen3), llama or gpt2",
        )
    if config.family == "gpt2":
        return GPT2
    if config.family == "modern":
        return QWEN3
    if config.is_qwen2:
        return QWEN2
    if config.output_bias and config.sliding_window is not None:
        raise UsageError(
            "this model cannot be exported",
            why="no other program has a Llama with biases and a sliding window",
        )
    return LLAMA if config.sliding_window is None else MISTRAL


# --- config.json --------------------------------------------------------------------------------


def to_config_json(
    config: ModelConfig, special: SpecialTokens, *, dtype: str = "float32"
) -> dict[str, Any]:
    """The content of `config.json`.

    Args:
        dtype: the number format of the weights.

    """
    architecture = architecture_of(config)
    common = {
        "architectures": [architecture.name],
        "model_type": architecture.model_type,
        "vocab_size": config.vocab_size,
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "tie_word_embeddings": config.tied_head,
        "dtype": dtype,
        "torch_dtype": dtype,  # what `dtype` was called before 2025
        "use_cache": True,
    }
    if config.family == "gpt2":
        return common | {
            "n_positions": config.context_length,
            "n_embd": config.d_model,
            "n_layer": config.num_layers,
            "n_head": config.num_heads,
            "n_inner": config.d_ff,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": config.norm_epsilon,
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
        }
    described = common | {
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rope_theta,  # before transformers 5
        "rope_parameters": to_rope_parameters(config),
        "attention_dropout": 0.0,
    }
    if architecture is not QWEN2:  # which has its biases without a word
        described |= {"attention_bias": config.output_bias}
    if architecture is LLAMA:
        return described | {"mlp_bias": False}
    window = config.sliding_window
    if architecture in WINDOW_BY_LAYER:
        kind = "full_attention" if window is None else "sliding_attention"
        described |= {
            "use_sliding_window": window is not None,
            "max_window_layers": config.num_layers if window is None else 0,
            "layer_types": [kind] * config.num_layers,
        }
    return described | {"sliding_window": window}


def from_config_json(value: dict[str, Any]) -> ModelConfig:
    """The configuration that a `config.json` describes.

    Raises:
        DataError: its architecture, or one of its settings, is not supported.

    """
    names = value.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    if not isinstance(name, str) or name not in ARCHITECTURES:
        shown = name if isinstance(name, str) else str(names)
        raise DataError(
            f"a model of the architecture {shown[:60]} cannot be imported",
            why=f"supported are {', '.join(ARCHITECTURES)}",
        )
    architecture = ARCHITECTURES[name]
    settings = _Settings(value)
    settings.require("model_type", architecture.model_type)
    settings.require("is_causal", True)
    settings.require("quantization_config", None)
    fields = _gpt2(settings) if architecture is GPT2 else _llama(settings, architecture)
    try:
        return ModelConfig(
            family=architecture.family, vocab_size=settings.number("vocab_size"), **fields
        )
    except UsageError as error:
        raise DataError("config.json describes an impossible model", why=error.why) from None


@dataclass(frozen=True)
class _Settings:
    """A `config.json`, each setting of which must have a value that is supported here."""

    value: dict[str, Any]

    def number(self, name: str, default: Any = None) -> Any:
        found = self.value.get(name, default)
        if found is None and default is not None:
            found = default
        if type(found) not in {int, float}:
            raise DataError(f"config.json has no valid {name}: {str(found)[:40]!r}")
        return found

    def real(self, name: str, default: float) -> float:
        """A floating-point number."""
        try:
            return float(self.number(name, default))
        except OverflowError:
            raise DataError(f"config.json has a {name} that is too large") from None

    def require(self, name: str, wanted: Any) -> None:
        """Refuses any other value; a setting that is missing is `wanted`."""
        found = self.value.get(name)
        if found is not None and found != wanted:
            raise DataError(
                f"this model has {name} {str(found)[:60]!r} in its config.json",
                why=f"only {wanted!r} is supported",
            )


# Other names of the same settings, which transformers accepts too.
GPT2_ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}


def _gpt2(settings: _Settings) -> dict[str, Any]:
    for name, wanted in {
        "activation_function": "gelu_new", "tie_word_embeddings": True, "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False,
    }.items():  # fmt: skip
        settings.require(name, wanted)
    for alias, name in GPT2_ALIASES.items():
        if alias in settings.value:
            settings.require(alias, settings.value.get(name))
    width, heads = settings.number("n_embd"), settings.number("n_head")
    return {
        "context_length": clipped_context(settings.number("n_positions", 1024)),
        "num_layers": settings.number("n_layer"),
        "d_model": width,
        "num_heads": heads,
        "num_kv_heads": heads,
        "head_dim": _head_dim(width, heads),
        "d_ff": settings.number("n_inner", 4 * width),
        "norm_epsilon": settings.real("layer_norm_epsilon", 1e-5),
    }


def _llama(settings: _Settings, architecture: Architecture) -> dict[str, Any]:
    """Llama, and what differs from it in a few settings."""
    for name, wanted in {
        "hidden_act": "silu", "mlp_bias": False, "partial_rotary_factor": 1.0, "pretraining_tp": 1,
    }.items():  # fmt: skip
        settings.require(name, wanted)
    attention_bias = (architecture is LLAMA and settings.value.get("attention_bias")) or False
    if architecture is not QWEN2:  # which does not have this setting
        settings.require("attention_bias", attention_bias)
    width, heads = settings.number("hidden_size"), settings.number("num_attention_heads")
    return {
        "context_length": clipped_context(settings.number("max_position_embeddings", 2048)),
        "num_layers": settings.number("num_hidden_layers"),
        "d_model": width,
        "num_heads": heads,
        "num_kv_heads": settings.number("num_key_value_heads", heads),
        "head_dim": settings.number("head_dim", _head_dim(width, heads)),
        "d_ff": settings.number("intermediate_size"),
        "tied_head": settings.value.get("tie_word_embeddings", False),
        "norm_epsilon": settings.real("rms_norm_eps", 1e-6),
        "sliding_window": _window(settings, architecture),
        "qkv_bias": architecture.qkv_bias or attention_bias,
        "output_bias": attention_bias,
        **_rope(settings),
    }


def _head_dim(width: Any, heads: Any) -> Any:
    return width // heads if heads else 0


def clipped_context(length: Any) -> Any:
    """A context length that has tables of positions: some models claim millions of tokens."""
    return min(length, MAX_CONTEXT)


def _rope(settings: _Settings) -> dict[str, Any]:
    """From `rope_parameters`, or what came before transformers 5: `rope_scaling`, `rope_theta`.

    Where a file has both, `rope_scaling` counts, as in transformers.
    """
    value = settings.value
    rope = value.get("rope_scaling") or value.get("rope_parameters") or {}
    if not isinstance(rope, dict):
        raise DataError(f"config.json has invalid rope_parameters: {str(rope)[:40]!r}")
    try:
        return from_rope_parameters({"rope_theta": value.get("rope_theta")} | rope)
    except ValueError as error:
        raise DataError("the RoPE of this model is not supported", why=str(error)) from None


# Defaults of transformers' `MistralConfig`, `Qwen2Config` and `Qwen3Config`.
DEFAULT_WINDOW, DEFAULT_FULL_LAYERS = 4096, 28


def _window(settings: _Settings, architecture: Architecture) -> Any:
    """The sliding window, which must be the same in every layer."""
    value = settings.value
    window = value.get("sliding_window", DEFAULT_WINDOW)
    by_layer = architecture in WINDOW_BY_LAYER
    if architecture is LLAMA or (by_layer and not value.get("use_sliding_window")):
        window = None
    if not by_layer:
        return window
    kinds = value.get("layer_types")
    if kinds is None and window is not None:
        full = min(
            settings.number("max_window_layers", DEFAULT_FULL_LAYERS),
            settings.number("num_hidden_layers"),
        )
        rest = settings.number("num_hidden_layers") - full
        kinds = ["full_attention"] * bool(full) + ["sliding_attention"] * bool(rest)
    if kinds is None:
        return None
    if not isinstance(kinds, list) or not all(isinstance(one, str) for one in kinds):
        raise DataError(f"config.json has invalid layer_types: {str(kinds)[:40]!r}")
    if set(kinds) == {"full_attention"}:
        return None
    if set(kinds) == {"sliding_attention"} and window is not None:
        return window
    raise DataError(
        "this model has a sliding window in some layers only",
        why="here all layers have the same window",
    )
