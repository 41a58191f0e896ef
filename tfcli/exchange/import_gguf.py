"""Import of a GGUF file, the format of llama.cpp.

Nothing in the file is trusted: see `gguf_file`. Tensors in F32, F16 and BF16 stay as they are;
quantized ones are unpacked to float16, which is finer than any of them.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError
from tfcli.exchange.architectures import GPT2, LLAMA, QWEN2, QWEN3, Architecture, clipped_context
from tfcli.exchange.gguf_file import FLOATS, GgufFile, gguf_library
from tfcli.exchange.gguf_rope import ROPE_FACTORS, from_rope_factors
from tfcli.exchange.gguf_tokenizer import tokenizer_from_gguf
from tfcli.exchange.import_run import ImportPlan, SourceTensor, require_tensors, shortened
from tfcli.exchange.infill_keys import GGUF_END, infill_from_gguf, own_end
from tfcli.exchange.own_keys import documents_in, form_in, own_keys_of_gguf
from tfcli.model.config import ModelConfig, RopeScaling
from tfcli.model.safetensors_file import is_finite
from tfcli.runs.kept_files import CHAT_TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from tfcli.text.tokenizer import Tokenizer

    Array = np.ndarray[Any, Any]

ARCHITECTURES = {one.gguf: one for one in (LLAMA, QWEN2, QWEN3, GPT2)}
HEAD, TABLE = "output.weight", "token_embd.weight"
SPLITS = "split.count"
MAX_MULTIPLE = 8192  # no number of a quantized format is a larger multiple of its scale
MAX_F16 = 65504.0

# Further ends of a text: keys of the metadata, and the names that llama.cpp takes for ends as well.
ENDS = (GGUF_END, "tokenizer.ggml.eom_token_id")
END_NAMES = (
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
    "<|end_of_text|>", "<EOT>", "_<EOT>",
)  # fmt: skip


def inspect_gguf(path: Path, *, context_length: int | None = None) -> ImportPlan:
    """Checks a file, without unpacking any weight.

    Args:
        context_length: to import the model with a shorter context than its own.

    Raises:
        NotFoundError: the file does not exist.
        DataError: it cannot be imported; the message says why.
        UsageError: a library that it needs is missing.

    """
    file = GgufFile(path)
    if file.metadata.get(SPLITS, 1) not in {0, 1}:
        raise DataError(
            f"{path} is one of several files that a model was split into",
            hint=f"llama-gguf-split --merge {path} WHOLE.gguf",
        )
    if not file.tensors:
        name = shlex.quote(path.stem)
        raise DataError(
            f"{path} has a vocabulary and no model",
            hint=f"tfcli tokenizer import {shlex.quote(str(path))} --name {name}",
        )
    if any(tensor.format.name not in FLOATS for tensor in file.tensors.values()):
        gguf_library("importing a quantized GGUF file")
    described = _Metadata(file.metadata, path)
    tensors = {name: _source(name, file) for name in file.tensors}
    factors = tensors.pop(ROPE_FACTORS, None)
    tied_head = HEAD not in tensors or (TABLE in tensors and file.same(HEAD, TABLE))
    config = _config(described, tensors, tied_head)
    if factors is not None and config.positions == "rotary":
        scaling = from_rope_factors(factors.read(), config.rope_theta)
        config = replace(config, rope_scaling=scaling or config.rope_scaling)
    if config.tied_head:
        tensors.pop(HEAD, None)
    require_tensors(config, "gguf", tensors, path)
    tokenizer = tokenizer_from_gguf(file.metadata)
    infill = infill_from_gguf(file.metadata, tokenizer)
    unknown_ends = _add_ends(tokenizer, described, own_end(infill, tokenizer))
    if tokenizer.vocab_size > config.vocab_size:
        raise DataError(
            f"{path} has {tokenizer.vocab_size:,} tokens, but only {config.vocab_size:,} embeddings"
        )
    template = file.metadata.get("tokenizer.chat_template")
    own = own_keys_of_gguf(file.metadata)
    return ImportPlan(
        path=path,
        config=shortened(config, context_length),
        tokenizer=tokenizer,
        format="gguf",
        tensors=tensors,
        files={CHAT_TEMPLATE: template.encode()} if isinstance(template, str) else {},
        form=form_in(own),
        documents=documents_in(own),
        infill_tokens=infill,
        own_context=described.own("context_length"),
        unknown_ends=unknown_ends,
    )


def _add_ends(tokenizer: Tokenizer, described: _Metadata, of_gaps: list[int]) -> list[int]:
    """Tells a tokenizer of further tokens that end a text; returns those that it does not have.

    Args:
        of_gaps: those that end no text.

    """
    special = tokenizer.special
    ids = {described.number(key, -1) for key in ENDS}
    unknown = sorted(i for i in ids if not -1 <= i < tokenizer.vocab_size)
    ids |= {tokenizer.special_ids.get(name, -1) for name in END_NAMES}
    ids -= {special.eos, *of_gaps}
    others = frozenset(i for i in ids if 0 <= i < tokenizer.vocab_size)
    tokenizer.special = replace(special, other_eos=special.other_eos | others)
    return unknown


# --- the model ----------------------------------------------------------------------------------


class _Metadata:
    """The metadata of a file, each value checked when it is asked for.

    Attributes:
        architecture: which model it is.

    Raises:
        DataError: it is of no supported architecture.

    """

    def __init__(self, values: Mapping[str, Any], path: Path) -> None:
        self.values, self.path = values, path
        name = values.get("general.architecture")
        if not isinstance(name, str) or name not in ARCHITECTURES:
            raise DataError(
                f"a model of the architecture {str(name)[:60]!r} cannot be imported",
                why=f"supported are {', '.join(ARCHITECTURES)}",
            )
        self.architecture: Architecture = ARCHITECTURES[name]

    def own(self, key: str, default: int | float | None = None) -> Any:
        """A number of the architecture."""
        return self.number(f"{self.architecture.gguf}.{key}", default)

    def number(self, key: str, default: int | float | None = None) -> Any:
        value = self.values.get(key, default)
        if type(value) not in {int, float}:
            raise DataError(f"{self.path} has no valid {key}: {str(value)[:40]!r}")
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """A number that was rounded to float32, as it was before: 1e-5, not 9.99999974e-06."""
        import numpy as np

        with np.errstate(over="ignore"):
            return float(str(np.float32(self.own(key, default))))


def _config(
    described: _Metadata, tensors: Mapping[str, SourceTensor], tied_head: bool
) -> ModelConfig:
    """The configuration that the metadata describe, and the presence of some tensors."""
    architecture, own = described.architecture, described.own
    table = tensors.get(TABLE)
    if table is None or len(table.shape) != 2:
        raise DataError(f"{described.path} has no valid {TABLE}")
    width, heads = own("embedding_length"), own("attention.head_count")
    fields: dict[str, Any] = {
        "vocab_size": table.shape[0],
        "context_length": clipped_context(own("context_length")),
        "num_layers": own("block_count"),
        "d_model": width,
        "num_heads": heads,
        "num_kv_heads": own("attention.head_count_kv", heads),
        "head_dim": own("attention.key_length", width // heads if heads else 0),
        "d_ff": own("feed_forward_length"),
        "tied_head": tied_head,
    }
    if architecture is GPT2:
        fields["norm_epsilon"] = described.real("attention.layer_norm_epsilon")
    else:
        fields |= _llama(described, fields["head_dim"], tensors)
    try:
        return ModelConfig(family=architecture.family, **fields)
    except UsageError as error:
        raise DataError(f"{described.path} describes an impossible model", why=error.why) from None


def _llama(
    described: _Metadata, head_dim: int, tensors: Mapping[str, SourceTensor]
) -> dict[str, Any]:
    """The fields of Llama, Qwen2 and Qwen3 alone."""
    for key in ("attention.value_length", "rope.dimension_count"):
        if described.own(key, head_dim) != head_dim:
            raise DataError(
                f"this model has a {key} of {described.own(key)}",
                why=f"only that of its keys, {head_dim}, is supported",
            )
    qkv_bias = "blk.0.attn_q.bias" in tensors
    output_bias = "blk.0.attn_output.bias" in tensors
    if described.architecture is LLAMA and qkv_bias != output_bias:
        raise DataError("this Llama has biases in some parts of its attention only")
    return {
        "norm_epsilon": described.real("attention.layer_norm_rms_epsilon"),
        "rope_theta": described.real("rope.freq_base", 10_000.0),
        "rope_scaling": _scaling(described),
        "sliding_window": described.own("attention.sliding_window", 0) or None,
        "qkv_bias": qkv_bias or described.architecture is QWEN2,
        "output_bias": output_bias,
    }


def _scaling(described: _Metadata) -> RopeScaling | None:
    key = f"{described.architecture.gguf}.rope.scaling.type"
    kind = described.values.get(key)
    if kind not in (None, "none", "linear"):
        raise DataError(
            "the RoPE of this model is not supported", why=f"{key} is {str(kind)[:40]!r}"
        )
    factor = described.real("rope.scaling.factor", described.own("rope.scale_linear", 1.0))
    if kind == "none" or factor in (0, 1):
        return None
    return RopeScaling(kind="linear", factor=factor)


# --- tensors ------------------------------------------------------------------------------------


def _source(name: str, file: GgufFile) -> SourceTensor:
    import numpy as np

    tensor = file.tensors[name]
    if tensor.format.name in FLOATS:
        mapped = file.map(name)
        return SourceTensor(
            name, tensor.shape, mapped.dtype, partial(file.map, name), partial(is_finite, mapped)
        )
    scales = file.scales(name)
    small = scales.max(initial=0) * np.float32(MAX_MULTIPLE) < MAX_F16
    dtype = np.dtype(np.float16 if small else np.float32)
    return SourceTensor(
        name, tensor.shape, dtype, partial(file.unpack, name, dtype),
        lambda: bool(np.isfinite(file.scales(name)).all()),
    )  # fmt: skip
