"""A run as a GGUF file, for llama.cpp, ollama and LM Studio.

Names of tensors and metadata are those of llama.cpp; the `gguf` package, an extra, writes the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError
from tfcli.exchange.architectures import QWEN2, architecture_of
from tfcli.exchange.stored_tensors import stored_tensors
from tfcli.exchange.tokenizer_json import exportable_pieces
from tfcli.files import external_writer, require_absent, require_space, write_file
from tfcli.generation.request import Sampling
from tfcli.runs.step import MODEL
from tfcli.runs.weights import open_weights
from tfcli.text.sentencepiece_model import PieceType
from tfcli.text.sentencepiece_tokenizer import SPACE_MARK

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tfcli.exchange.formats import NumberType
    from tfcli.exchange.stored_tensors import StoredTensor
    from tfcli.model.config import ModelConfig
    from tfcli.model.safetensors_file import SafetensorsFile
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.sentencepiece_model import Piece, SentencePieceModel

    Array = np.ndarray[Any, Any]

MAX_F16 = 65504.0
BLOCK = 32  # numbers that share a scale in q8_0


def export_to_gguf(run: Run, step: ValidStep, path: Path, type: NumberType) -> None:
    """Writes the file at `path`.

    Raises:
        ConflictError: `path` exists.
        UsageError: the `gguf` package is missing, or llama.cpp has no such model.
        DataError: the tokenizer would split some texts differently elsewhere.
        InputOutputError: writing failed.

    """
    require_absent(path)
    gguf = _gguf()
    config = run.model_config
    architecture = architecture_of(config)
    _require_known_shape(config)
    pieces = exportable_pieces(run.tokenizer(), "GGUF")
    _require_separate_symbols(pieces)
    weights = open_weights(run, step)
    require_space(path, (step.path / MODEL).stat().st_size + (1 << 20))
    with external_writer(path) as temporary:
        writer = gguf.GGUFWriter(temporary, architecture.gguf)
        writer.add_name(run.name)
        _describe(writer, config)
        writer.add_file_type({"f32": 0, "f16": 1, "q8_0": 7}[type])
        _add_tokenizer(writer, pieces)
        for tensor in stored_tensors(config, "gguf"):
            array = tensor.to_stored(weights.read)
            writer.add_tensor(tensor.name, *_encode(array, _number_type(tensor, array, type)))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        require_absent(path)  # something may have been put there meanwhile


def export_to_ollama(run: Run, step: ValidStep, path: Path, type: NumberType) -> None:
    """Writes a folder with `model.gguf` and, last, the Modelfile for `ollama create`."""
    require_absent(path)
    export_to_gguf(run, step, path / "model.gguf", type)
    pieces = exportable_pieces(run.tokenizer(), "GGUF")
    eos = pieces.pieces[pieces.eos_id].text
    lines = ["FROM ./model.gguf", 'TEMPLATE "{{ .Prompt }}"', f"PARAMETER stop {eos}"]
    lines.append(f"PARAMETER num_ctx {run.model_config.context_length}")
    sampling = Sampling()  # as here, where nothing else is asked for
    kept = sampling.truncation
    lines += [
        f"PARAMETER temperature {sampling.temperature}", f"PARAMETER top_k {kept.top_k}",
        f"PARAMETER top_p {kept.top_p}", f"PARAMETER min_p {kept.min_p}",
    ]  # fmt: skip
    require_absent(path / "Modelfile")
    write_file(path / "Modelfile", "".join(f"{line}\n" for line in lines).encode())


def _gguf() -> Any:
    try:
        import gguf
    except ImportError:
        raise UsageError(
            "writing GGUF files needs the package gguf", hint='pip install "tfcli[gguf]"'
        ) from None
    return gguf


def _require_known_shape(config: ModelConfig) -> None:
    """Refuses what llama.cpp would not open."""
    heads = config.num_heads * config.head_dim
    if architecture_of(config) is QWEN2 and heads != config.d_model:
        raise UsageError(
            "this model cannot be exported to GGUF",
            why=f"llama.cpp's qwen2 needs heads that add up to the hidden size {config.d_model}, "
            f"not {config.num_heads} heads of {config.head_dim}",
            hint="--to huggingface",
        )


# --- metadata -----------------------------------------------------------------------------------


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
    """llama.cpp has no sliding window in these models, so their context ends with the window."""
    return min(config.context_length, config.sliding_window or config.context_length)


def _add_tokenizer(writer: Any, pieces: SentencePieceModel) -> None:
    writer.add_tokenizer_model("llama")  # SentencePiece's own way to merge
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_token_text(piece) for piece in pieces.pieces])
    writer.add_token_scores([piece.score for piece in pieces.pieces])  # decide the order of merges
    writer.add_token_types([int(piece.type) for piece in pieces.pieces])
    writer.add_unk_token_id(pieces.unk_id)
    writer.add_bos_token_id(pieces.bos_id)
    writer.add_eos_token_id(pieces.eos_id)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(pieces.dummy_prefix)


def _require_separate_symbols(pieces: SentencePieceModel) -> None:
    """Refuses user-defined symbols that can overlap in a text.

    llama.cpp cuts a text at the longest first, wherever it stands, and we from left to right.
    """
    symbols = [p.text for p in pieces.pieces if p.type is PieceType.USER_DEFINED]
    beginnings: dict[str, list[str]] = {}
    for symbol in symbols:
        for length in range(1, len(symbol)):
            beginnings.setdefault(symbol[:length], []).append(symbol)
    for symbol in symbols:
        for length in range(1, len(symbol)):
            for other in beginnings.get(symbol[-length:], ()):
                if other != symbol and len(other.encode()) >= len(symbol.encode()):
                    raise DataError(
                        "this tokenizer cannot be exported to GGUF",
                        why="llama.cpp would tokenize some texts differently: the user-defined "
                        f"symbols {symbol!r} and {other!r} overlap",
                        hint="--to huggingface",
                    )


def _token_text(piece: Piece) -> str:
    """llama.cpp finds user-defined symbols in the text as it is, before it marks the spaces."""
    if piece.type is PieceType.USER_DEFINED:
        return piece.text.replace(SPACE_MARK, " ")
    return piece.text


# --- weights ------------------------------------------------------------------------------------


def rounded(config: ModelConfig, weights: SafetensorsFile, type: NumberType) -> dict[str, Array]:
    """The weights of a run as they are after being stored in `type`: what the export loses."""
    arrays: dict[str, Array] = {}
    for tensor in stored_tensors(config, "gguf"):
        array = tensor.to_stored(weights.read)
        arrays |= tensor.from_stored(_round(array, _number_type(tensor, array, type)))
    return arrays


def _number_type(tensor: StoredTensor, array: Array, type: NumberType) -> NumberType:
    """What a tensor is stored in, where `type` is asked for."""
    import numpy as np

    if tensor.keep_float32:
        return "f32"
    if type == "q8_0" and array.shape[1] % BLOCK:
        type = "f16"
    if type == "f16" and np.abs(array).max(initial=0) > MAX_F16:
        return "f32"
    return type


def _encode(array: Array, type: NumberType) -> tuple[Any, ...]:
    """The arguments of `GGUFWriter.add_tensor` after the name."""
    import numpy as np

    if type == "q8_0":
        gguf = _gguf()
        kind = gguf.GGMLQuantizationType.Q8_0
        return gguf.quants.quantize(array, kind), None, kind
    return (np.ascontiguousarray(array, np.float16 if type == "f16" else np.float32),)


def _round(array: Array, type: NumberType) -> Array:
    """To the numbers of a type and back; in q8_0, 32 of a row share the scale max|x| / 127."""
    import numpy as np

    if type == "f32":
        return array
    if type == "f16":
        return array.astype(np.float16).astype(np.float32)
    gguf = _gguf()
    kind = gguf.GGMLQuantizationType.Q8_0
    back: Array = gguf.quants.dequantize(gguf.quants.quantize(array, kind), kind)
    return back
