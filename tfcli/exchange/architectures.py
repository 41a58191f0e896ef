"""Each family by the name it has elsewhere: its configuration, and what its weights are called.

    modern   Qwen3                      RMSNorm, SwiGLU, rotary positions, QK-norm
    llama    Llama; Mistral where attention has a sliding window
    gpt2     GPT-2

`classic` is nobody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError
from tfcli.model.config import Family, ModelConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from tfcli.text.tokenizer import SpecialTokens

    Array = np.ndarray[Any, np.dtype[np.float32]]

ARCHITECTURES: dict[str, Family] = {
    "Qwen3ForCausalLM": "modern",
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "GPT2LMHeadModel": "gpt2",
}
MODEL_TYPES = {
    "Qwen3ForCausalLM": "qwen3",
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "GPT2LMHeadModel": "gpt2",
}
LONGEST_CONTEXT = 1 << 17  # tokens; the tables of positions are computed for all of them


def architecture_of(config: ModelConfig) -> str:
    """The architecture that computes what a configuration does.

    Raises:
        UsageError: there is none.

    """
    if config.family == "classic":
        raise UsageError(
            "a model of the family classic cannot be exported",
            why="no other program has its parts",
            hint="train with --family modern (Qwen3), llama or gpt2",
        )
    if config.family == "gpt2":
        return "GPT2LMHeadModel"
    if config.family == "modern":
        return "Qwen3ForCausalLM"
    return "MistralForCausalLM" if config.sliding_window is not None else "LlamaForCausalLM"


# --- config.json --------------------------------------------------------------------------------


def to_config_json(config: ModelConfig, special: SpecialTokens) -> dict[str, Any]:
    """The content of `config.json`."""
    architecture = architecture_of(config)
    common = {
        "architectures": [architecture],
        "vocab_size": config.vocab_size,
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "tie_word_embeddings": config.tied_head,
        "dtype": "float32",
        "torch_dtype": "float32",  # what `dtype` was called before 2025
        "use_cache": True,
    }
    if config.family == "gpt2":
        return common | {
            "model_type": "gpt2",
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
    rotary = common | {
        "model_type": MODEL_TYPES[architecture],
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_dropout": 0.0,
        "attention_bias": False,
    }
    if architecture == "LlamaForCausalLM":
        return rotary | {"mlp_bias": False}
    window = config.sliding_window
    if architecture == "Qwen3ForCausalLM":
        kind = "full_attention" if window is None else "sliding_attention"
        rotary |= {
            "use_sliding_window": window is not None,
            "max_window_layers": config.num_layers if window is None else 0,
            "layer_types": [kind] * config.num_layers,
        }
    return rotary | {"sliding_window": window}


def from_config_json(value: dict[str, Any], *, vocab_size: int) -> ModelConfig:
    """The configuration of a model from elsewhere.

    Args:
        vocab_size: the pieces of its tokenizer, which may be fewer than the rows of its tables.

    Raises:
        DataError: its architecture, or a setting of it, is not one that we compute.

    """
    names = value.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise DataError(
            f"a model of the architecture {str(names)[:60]} cannot be imported",
            why=f"known are {', '.join(ARCHITECTURES)}",
        )
    family = ARCHITECTURES[name]
    kind = MODEL_TYPES[name]
    settings = _Settings(value)
    settings.require("model_type", kind)
    settings.require("is_causal", True)
    settings.require("quantization_config", None)
    fields = _gpt2(settings) if family == "gpt2" else _rotary(settings, kind)
    try:
        return ModelConfig(family=family, vocab_size=vocab_size, **fields)
    except UsageError as error:
        raise DataError("config.json describes no model that can be", why=error.why) from None


@dataclass(frozen=True)
class _Settings:
    """A `config.json`, of which every setting that is looked at must be what we can compute."""

    value: dict[str, Any]

    def number(self, name: str, default: Any = None) -> Any:
        found = self.value.get(name, default)
        if found is None and default is not None:
            found = default
        if type(found) not in {int, float}:
            raise DataError(f"config.json has no {name}, or it is {str(found)[:40]!r}")
        return found

    def measure(self, name: str, default: float) -> float:
        """A number that need not be whole."""
        try:
            return float(self.number(name, default))
        except OverflowError:
            raise DataError(f"config.json has a {name} beyond all numbers") from None

    def require(self, name: str, wanted: Any) -> None:
        """That a setting is `wanted`, or is not there, which means the same."""
        found = self.value.get(name)
        if found is not None and found != wanted:
            raise DataError(
                f"this model has {name} {str(found)[:60]!r} in its config.json",
                why=f"only {wanted!r} can be computed here",
            )


# Other names for the same, which transformers would listen to as well.
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
        "context_length": _context(settings.number("n_positions", 1024)),
        "num_layers": settings.number("n_layer"),
        "d_model": width,
        "num_heads": heads,
        "num_kv_heads": heads,
        "head_dim": _head_dim(width, heads),
        "d_ff": settings.number("n_inner", 4 * width),
        "norm_epsilon": settings.measure("layer_norm_epsilon", 1e-5),
    }


def _rotary(settings: _Settings, kind: str) -> dict[str, Any]:
    for name, wanted in {
        "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "rope_scaling": None,
        "partial_rotary_factor": 1.0, "pretraining_tp": 1,
    }.items():  # fmt: skip
        settings.require(name, wanted)
    width, heads = settings.number("hidden_size"), settings.number("num_attention_heads")
    tied = settings.value.get("tie_word_embeddings", False)
    return {
        "context_length": _context(settings.number("max_position_embeddings", 2048)),
        "num_layers": settings.number("num_hidden_layers"),
        "d_model": width,
        "num_heads": heads,
        "num_kv_heads": settings.number("num_key_value_heads", heads),
        "head_dim": settings.number("head_dim", _head_dim(width, heads)),
        "d_ff": settings.number("intermediate_size"),
        "tied_head": tied,
        "rope_theta": _theta(settings),
        "norm_epsilon": settings.measure("rms_norm_eps", 1e-6),
        "sliding_window": _window(settings, kind),
    }


def _head_dim(width: Any, heads: Any) -> Any:
    return width // heads if heads else 0


def _context(length: Any) -> Any:
    return min(length, LONGEST_CONTEXT)


def _theta(settings: _Settings) -> float:
    parameters = settings.value.get("rope_parameters") or {}
    if not isinstance(parameters, dict):
        raise DataError("config.json has rope_parameters that are none")
    inner = _Settings(parameters)
    for name, wanted in {
        "rope_type": "default", "type": "default", "partial_rotary_factor": 1.0,
    }.items():  # fmt: skip
        inner.require(name, wanted)
    return inner.measure("rope_theta", settings.measure("rope_theta", 10_000.0))


# What is meant where nothing is said: `MistralConfig` and `Qwen3Config` of transformers.
DEFAULT_WINDOW, DEFAULT_FULL_LAYERS = 4096, 28


def _window(settings: _Settings, kind: str) -> Any:
    """How far attention looks back: the same in every layer, or not at all."""
    value = settings.value
    window = value.get("sliding_window", DEFAULT_WINDOW)
    if kind == "llama" or (kind == "qwen3" and not value.get("use_sliding_window")):
        window = None
    if kind != "qwen3":
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
        raise DataError(f"config.json has layer_types {str(kinds)[:40]!r}")
    if set(kinds) == {"full_attention"}:
        return None
    if set(kinds) == {"sliding_attention"} and window is not None:
        return window
    raise DataError(
        "this model looks at all of the context in some layers, and in others not",
        why="here every layer looks back equally far",
    )


# --- weights ------------------------------------------------------------------------------------

ROTARY_OUTER = {
    "embedding.weight": "model.embed_tokens.weight",
    "final_norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
ROTARY_BLOCK = {
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj",
    "feed_forward.down": "mlp.down_proj",
}
GPT2_OUTER = {
    "embedding.weight": "transformer.wte.weight",
    "position_embedding.weight": "transformer.wpe.weight",
    "final_norm.weight": "transformer.ln_f.weight",
    "final_norm.bias": "transformer.ln_f.bias",
}
GPT2_BLOCK = {
    "attention_norm": "ln_1",
    "attention.output": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}
JOINED = "attn.c_attn"  # GPT-2's query, key and value in one matrix
PARTS = ("attention.query", "attention.key", "attention.value")


@dataclass(frozen=True)
class WeightMapping:
    """A weight of theirs: of which of ours it is made, and how.

    Attributes:
        name: theirs.
        ours: one name, or those that are put together along the first dimension.
        transposed: GPT-2 keeps its matrices (in, out).

    """

    name: str
    ours: tuple[str, ...]
    transposed: bool = False

    def shape(self, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
        """Theirs, of ours."""
        rows = sum(shapes[name][0] for name in self.ours)
        joined = (rows, *shapes[self.ours[0]][1:])
        return joined[::-1] if self.transposed else joined

    def make(self, read: Callable[[str], Array]) -> Array:
        """Their array, of ours."""
        import numpy as np

        parts = [read(name) for name in self.ours]
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return joined.T if self.transposed else joined

    def take(self, theirs: Array, shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
        """Our arrays, of theirs."""
        import numpy as np

        joined = theirs.T if self.transposed else theirs
        ends = np.cumsum([shapes[name][0] for name in self.ours])[:-1]
        return dict(zip(self.ours, np.split(joined, ends), strict=True))


def weight_mappings(config: ModelConfig) -> list[WeightMapping]:
    """All weights of the architecture that a configuration is elsewhere."""
    from tfcli.model.layout import weight_shapes

    if config.family == "gpt2":
        return _gpt2_weight_mappings(config)
    found = []
    for name in weight_shapes(config):
        if not name.startswith("blocks."):
            found.append(WeightMapping(ROTARY_OUTER[name], (name,)))
            continue
        _, layer, part = name.split(".", 2)
        part, kind = part.rsplit(".", 1)
        found.append(WeightMapping(f"model.layers.{layer}.{ROTARY_BLOCK[part]}.{kind}", (name,)))
    return found


def _gpt2_weight_mappings(config: ModelConfig) -> list[WeightMapping]:
    found = [WeightMapping(theirs, (ours,)) for ours, theirs in GPT2_OUTER.items()]
    for layer in range(config.num_layers):
        block, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        for kind in ("weight", "bias"):
            joined = tuple(f"{block}.{part}.{kind}" for part in PARTS)
            found.append(WeightMapping(f"{theirs}.{JOINED}.{kind}", joined, kind == "weight"))
            for ours, name in GPT2_BLOCK.items():
                is_matrix = kind == "weight" and "norm" not in ours
                found.append(
                    WeightMapping(f"{theirs}.{name}.{kind}", (f"{block}.{ours}.{kind}",), is_matrix)
                )
    return found
