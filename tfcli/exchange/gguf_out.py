"""A run as a GGUF file: what llama.cpp, ollama and LM Studio open.

The names of the weights and of what describes them are those of llama.cpp; the `gguf` package, an
extra, writes the file.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tfcli.errors import UsageError
from tfcli.exchange.architectures import architecture_of
from tfcli.exchange.tokenizer_json import exportable_pieces
from tfcli.files import external_writer, require_absent, require_space, write_file
from tfcli.runs.step import MODEL
from tfcli.runs.valid_steps import open_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from tfcli.model.config import ModelConfig
    from tfcli.model.tensor_file import TensorFile
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.pieces import Pieces

    Array = np.ndarray[Any, Any]

NumberType = Literal["f32", "f16", "q8_0"]

ARCHITECTURES = {"modern": "qwen3", "llama": "llama", "gpt2": "gpt2"}
LARGEST_F16 = 65504.0
BLOCK = 32  # numbers that share a scale in q8_0
NAMES = {
    "embedding": "token_embd",
    "position_embedding": "position_embd",
    "final_norm": "output_norm",
    "head": "output",
    "attention_norm": "attn_norm",
    "attention.query": "attn_q",
    "attention.key": "attn_k",
    "attention.value": "attn_v",
    "attention.query_norm": "attn_q_norm",
    "attention.key_norm": "attn_k_norm",
    "attention.output": "attn_output",
    "feed_forward_norm": "ffn_norm",
    "feed_forward.gate": "ffn_gate",
    "feed_forward.up": "ffn_up",
    "feed_forward.down": "ffn_down",
}
PARTS = ("attention.query", "attention.key", "attention.value")  # one matrix in GPT-2


@dataclass(frozen=True)
class Stored:
    """An array as it is stored: its numbers, in what format, and what it is called."""

    name: str
    array: Array
    type: NumberType


def export_to_gguf(run: Run, step: ValidStep, path: Path, type: NumberType) -> None:
    """Writes the file at `path`.

    Raises:
        ConflictError: there is something at `path`.
        UsageError: the `gguf` package is missing, or the family has no counterpart elsewhere.
        DataError: the tokenizer would be read differently elsewhere.
        InputOutputError: the disk refused.

    """
    require_absent(path)
    gguf = _gguf()
    config = run.model_config
    architecture_of(config)  # refuses what nobody else knows
    pieces = exportable_pieces(run.tokenizer(), "GGUF")
    weights = open_weights(run, step)
    require_space(path, (step.path / MODEL).stat().st_size + (1 << 20))
    with external_writer(path) as temporary:
        writer = gguf.GGUFWriter(temporary, ARCHITECTURES[config.family])
        writer.add_name(run.name)
        _describe(writer, config)
        writer.add_file_type({"f32": 0, "f16": 1, "q8_0": 7}[type])
        _add_tokenizer(writer, pieces)
        for stored in as_stored(config, weights, type):
            writer.add_tensor(stored.name, *_encoded(stored))
        _write(writer)
        require_absent(path)  # which something may have come to meanwhile


def _write(writer: Any) -> None:
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    except OSError as error:
        if error.errno is None:  # numpy's own words for a write that came out short
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        raise


def export_to_ollama(run: Run, step: ValidStep, path: Path, type: NumberType) -> None:
    """A folder with the model as `model.gguf`, and the Modelfile for `ollama create`, last."""
    require_absent(path)
    export_to_gguf(run, step, path / "model.gguf", type)
    pieces = exportable_pieces(run.tokenizer(), "GGUF")
    eos = pieces.pieces[pieces.eos_id].text
    lines = ["FROM ./model.gguf", 'TEMPLATE "{{ .Prompt }}"', f"PARAMETER stop {eos}"]
    lines.append(f"PARAMETER num_ctx {run.model_config.context_length}")
    require_absent(path / "Modelfile")
    write_file(path / "Modelfile", "".join(f"{line}\n" for line in lines).encode())


def _gguf() -> Any:
    try:
        import gguf
    except ImportError:
        raise UsageError(
            "GGUF files cannot be written without the package gguf", hint="pip install gguf"
        ) from None
    return gguf


# --- what describes the model -------------------------------------------------------------------


def _describe(writer: Any, config: ModelConfig) -> None:
    writer.add_context_length(_context(config))
    writer.add_embedding_length(config.d_model)
    writer.add_block_count(config.num_layers)
    writer.add_feed_forward_length(config.d_ff)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_vocab_size(config.vocab_size)
    if config.family == "gpt2":
        writer.add_layer_norm_eps(config.norm_epsilon)
        return
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)


def _context(config: ModelConfig) -> int:
    """llama.cpp looks at the whole context in these models: no further than the window, then."""
    return min(config.context_length, config.sliding_window or config.context_length)


def _add_tokenizer(writer: Any, pieces: Pieces) -> None:
    writer.add_tokenizer_model("llama")  # SentencePiece's own way to merge
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.text for piece in pieces.pieces])
    writer.add_token_scores([piece.score for piece in pieces.pieces])  # decide the order of merges
    writer.add_token_types([int(piece.type) for piece in pieces.pieces])
    writer.add_unk_token_id(pieces.unk_id)
    writer.add_bos_token_id(pieces.bos_id)
    writer.add_eos_token_id(pieces.eos_id)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(pieces.dummy_prefix)


# --- weights ------------------------------------------------------------------------------------


def as_stored(config: ModelConfig, weights: TensorFile, type: NumberType) -> Iterator[Stored]:
    """The weights under llama.cpp's names; matrices in `type`, the rest in float32."""
    import numpy as np

    for name in weights.tensors:
        part, kind = name.rsplit(".", 1)
        prefix = ""
        if part.startswith("blocks."):
            _, layer, part = part.split(".", 2)
            prefix = f"blk.{layer}."
        array = weights.read(name)
        stored_as = NAMES[part]
        if config.family == "gpt2" and part in PARTS:
            if part != PARTS[0]:
                continue
            siblings = [name.replace(PARTS[0], sibling) for sibling in PARTS]
            array, stored_as = np.concatenate([weights.read(own) for own in siblings]), "attn_qkv"
        if config.family == "llama" and part in PARTS[:2]:
            heads = config.num_heads if part == PARTS[0] else config.num_kv_heads
            array = _interleaved(array, heads)
        yield Stored(f"{prefix}{stored_as}.{kind}", array, _type(array, part, type))


def _type(array: Array, part: str, type: NumberType) -> NumberType:
    import numpy as np

    if array.ndim < 2 or part == "position_embedding":
        return "f32"
    if type == "q8_0" and array.shape[1] % BLOCK:
        type = "f16"
    if type == "f16" and np.abs(array).max(initial=0) > LARGEST_F16:
        return "f32"
    return type


def _interleaved(matrix: Array, heads: int) -> Array:
    """The `llama` architecture turns neighbours, (2i, 2i + 1), where we turn (i, i + D/2)."""
    rows, width = matrix.shape
    paired = matrix.reshape(heads, 2, rows // heads // 2, width)
    return paired.swapaxes(1, 2).reshape(rows, width)


def _encoded(stored: Stored) -> tuple[Any, ...]:
    """The arguments of `GGUFWriter.add_tensor` after the name."""
    import numpy as np

    if stored.type == "q8_0":
        gguf = _gguf()
        kind = gguf.GGMLQuantizationType.Q8_0
        return gguf.quants.quantize(stored.array, kind), None, kind
    return (np.ascontiguousarray(stored.array, np.float16 if stored.type == "f16" else np.float32),)


def rounded(weights: TensorFile, type: NumberType) -> dict[str, Array]:
    """Our own weights as they are after being stored in `type`: what the export costs."""
    import numpy as np

    arrays = {}
    for name in weights.tensors:
        array = weights.read(name)
        stored = _type(array, name.rsplit(".", 1)[0], type)
        if stored == "f16":
            array = array.astype(np.float16).astype(np.float32)
        elif stored == "q8_0":
            array = _through_q8_0(array)
        arrays[name] = array
    return arrays


def _through_q8_0(matrix: Array) -> Array:
    """Each 32 numbers of a row share a scale: the largest of them, over 127."""
    gguf = _gguf()
    kind = gguf.GGMLQuantizationType.Q8_0
    back: Array = gguf.quants.dequantize(gguf.quants.quantize(matrix, kind), kind)
    return back
