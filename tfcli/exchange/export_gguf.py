"""A run as a GGUF file, for llama.cpp, ollama and LM Studio.

Names of tensors and metadata are those of llama.cpp; the `gguf` package, an extra, writes the file.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from tfcli.errors import UsageError
from tfcli.exchange.architectures import QWEN2, architecture_of
from tfcli.exchange.card.words import MOST_SOURCES
from tfcli.exchange.formats import own_type
from tfcli.exchange.gguf_file import gguf_library
from tfcli.exchange.gguf_rope import ROPE_FACTORS, to_rope_factors
from tfcli.exchange.gguf_vocabulary import add_tokenizer, require_exportable
from tfcli.exchange.own_keys import KEY, own_keys
from tfcli.exchange.stored_tensors import stored_tensors
from tfcli.files import external_writer, require_absent, require_space, write_file
from tfcli.generation.request import Sampling
from tfcli.model.cost import count_parameters
from tfcli.model.safetensors_file import is_bfloat16, to_bfloat16, to_float32
from tfcli.runs.about import known_about
from tfcli.runs.infill_tokens import find_run_infill_tokens
from tfcli.runs.kept_files import CHAT_TEMPLATE, read_kept_files
from tfcli.runs.source_names import source_name
from tfcli.runs.weights import open_weights
from tfcli.text.pairs import ASSISTANT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from tfcli.errors import TfcliError
    from tfcli.exchange.formats import NumberType
    from tfcli.exchange.stored_tensors import StoredTensor
    from tfcli.model.config import ModelConfig
    from tfcli.model.safetensors_file import SafetensorsFile
    from tfcli.runs.about import About
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.pairs import PairForm
    from tfcli.text.tokenizer import Tokenizer

    Array = np.ndarray[Any, Any]

# Of `general.file_type`, by llama.h.
FILE_TYPES: dict[NumberType, int] = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}
MAX_F16 = 65504.0
BLOCK = 32  # numbers that share a scale in q8_0


def export_to_gguf(
    run: Run,
    step: ValidStep,
    path: Path,
    type: NumberType | None = None,
    *,
    on_damaged: Callable[[TfcliError], None] = lambda _: None,
) -> None:
    """Writes the file at `path`.

    Args:
        type: the number format of the matrices; None: as the run has them.
        on_damaged: is told if what was said of the run cannot be read; the file goes without it.

    Raises:
        ConflictError: `path` exists.
        UsageError: the `gguf` package is missing, or llama.cpp has no such model.
        DataError: the tokenizer would split some texts differently elsewhere.
        InputOutputError: writing failed.

    """
    require_absent(path)
    gguf = gguf_library("writing GGUF files")
    config, tokenizer = run.model_config, run.tokenizer()
    architecture = architecture_of(config)
    _require_known_shape(config)
    require_exportable(tokenizer)
    weights = open_weights(run, step)
    tensors = stored_tensors(config, "gguf")
    types = [_number_type(tensor, tensor.to_stored(weights.map), type) for tensor in tensors]
    require_space(path, sum(map(_bytes, tensors, types)) + (1 << 20))
    with external_writer(path) as temporary:
        writer = gguf.GGUFWriter(temporary, architecture.gguf)
        writer.add_name(run.name)
        _add_card(writer, run, known_about(run.path, on_damaged))
        _describe(writer, config)
        writer.add_file_type(FILE_TYPES[type or own_type(step)])
        add_tokenizer(
            writer, tokenizer, config.vocab_size, find_run_infill_tokens(run.metadata, tokenizer)
        )
        if template := read_kept_files(run.path).get(CHAT_TEMPLATE):
            writer.add_chat_template(template.decode(errors="replace"))
        for name, value in own_keys(run).items():
            add = writer.add_string if isinstance(value, str) else writer.add_uint64
            add(f"{KEY}.{name}", value)
        _write_tensors(writer, config, weights, list(zip(tensors, types, strict=True)))
        writer.close()
        require_absent(path)  # something may have been put there meanwhile


def _write_tensors(
    writer: Any,
    config: ModelConfig,
    weights: SafetensorsFile,
    tensors: list[tuple[StoredTensor, NumberType]],
) -> None:
    """First what they are, then one after the other, so that only one is in memory."""
    import numpy as np

    kinds = gguf_library("writing GGUF files").GGMLQuantizationType
    factors = to_rope_factors(config)
    if factors is not None:
        writer.add_tensor_info(
            ROPE_FACTORS, factors.shape, factors.dtype, factors.nbytes, kinds.F32
        )
    for tensor, type in tensors:
        # of the dtype it wants to know only that the shape is not in bytes
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.float32, _bytes(tensor, type), kinds[type.upper()]
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if factors is not None:
        writer.write_tensor_data(factors)
    for tensor, type in tensors:
        writer.write_tensor_data(_encode(tensor.to_stored(weights.map), type))


def export_to_ollama(
    run: Run,
    step: ValidStep,
    path: Path,
    type: NumberType | None = None,
    *,
    on_damaged: Callable[[TfcliError], None] = lambda _: None,
) -> None:
    """Writes a folder with `model.gguf` and, last, the Modelfile for `ollama create`."""
    require_absent(path)
    export_to_gguf(run, step, path / "model.gguf", type, on_damaged=on_damaged)
    lines = ["FROM ./model.gguf"]
    if run.form or CHAT_TEMPLATE not in read_kept_files(run.path):  # else it takes the file's own
        lines.append(f'TEMPLATE """{_template(run.form)}"""')
    lines += [f"PARAMETER stop {text}" for text in _texts_of_ends(run.tokenizer())]
    lines.append(f"PARAMETER num_ctx {run.model_config.context_length}")
    sampling = Sampling()  # as here, where nothing else is asked for
    kept = sampling.truncation
    lines += [
        f"PARAMETER temperature {sampling.temperature}", f"PARAMETER top_k {kept.top_k}",
        f"PARAMETER top_p {kept.top_p}", f"PARAMETER min_p {kept.min_p}",
    ]  # fmt: skip
    require_absent(path / "Modelfile")
    write_file(path / "Modelfile", "".join(f"{line}\n" for line in lines).encode())


def _template(form: PairForm | None) -> str:
    """How ollama frames what it is asked, as a template of Go."""
    if form is None:
        return "{{ .Prompt }}"
    separator = f"{{{{ {json.dumps(form.separator, ensure_ascii=False)} }}}}"
    if form.kind == "pairs":
        return f"{{{{ .Prompt }}}}{separator}"
    turns = f"{{{{ range .Messages }}}}{{{{ .Role }}}}: {{{{ .Content }}}}{separator}{{{{ end }}}}"
    return f"{turns}{ASSISTANT}: "


def _texts_of_ends(tokenizer: Tokenizer) -> list[str]:
    names = {i: text for text, i in tokenizer.special_ids.items()}
    return [names[i] for i in sorted(tokenizer.special.eos_ids) if i in names]


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


def _add_card(writer: Any, run: Run, about: About) -> None:
    """What the card of the run says, as far as GGUF has keys for it (`general.*`)."""
    if about.author:
        writer.add_author(about.author)
    if about.license:
        writer.add_license(about.license)
    if about.description:
        writer.add_description(about.description)
    writer.add_size_label(gguf_library("writing GGUF files").size_label(
        count_parameters(run.model_config), 0, 0, 0
    ))  # fmt: skip
    base = run.metadata.get("imported") or run.metadata.get("from")
    if base:
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, str(base))
    sources = [] if run.metadata.get("imported") else run.corpus.sources
    names = list(dict.fromkeys(map(source_name, sources)))[:MOST_SOURCES]
    if names:
        writer.add_dataset_count(len(names))
        for number, name in enumerate(names):
            writer.add_dataset_name(number, name)
            if about.text_url and len(names) == 1:
                writer.add_dataset_url(number, about.text_url)
    if about.text_url:
        writer.add_source_url(about.text_url)


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
    if config.rope_scaling and config.rope_scaling.kind == "linear":
        linear = gguf_library("writing GGUF files").RopeScalingType.LINEAR
        writer.add_rope_scaling_type(linear)
        writer.add_rope_scaling_factor(config.rope_scaling.factor)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)


def _context(config: ModelConfig) -> int:
    """llama.cpp has no sliding window in these models, so their context ends with the window."""
    return min(config.context_length, config.sliding_window or config.context_length)


# --- weights ------------------------------------------------------------------------------------


def rounded(config: ModelConfig, weights: SafetensorsFile, type: NumberType) -> dict[str, Array]:
    """The weights of a run as they are after being stored in `type`: what the export loses."""
    arrays: dict[str, Array] = {}
    for tensor in stored_tensors(config, "gguf"):
        array = tensor.to_stored(weights.map)
        arrays |= tensor.from_stored(_round(array, _number_type(tensor, array, type)))
    return arrays


def _number_type(tensor: StoredTensor, array: Array, type: NumberType | None) -> NumberType:
    """What a tensor is stored in, where `type` is asked for."""
    import numpy as np

    if tensor.keep_float32:
        return "f32"
    own: NumberType = (
        "bf16" if is_bfloat16(array) else "f16" if array.dtype == np.float16 else "f32"
    )
    type = type or own
    if type == "q8_0" and array.shape[1] % BLOCK:
        type = "f16"
    if type == "f16" != own and np.abs(to_float32(array)).max(initial=0) > MAX_F16:
        return "f32"
    return type


def _bytes(tensor: StoredTensor, type: NumberType) -> int:
    count = math.prod(tensor.shape)
    return count // BLOCK * (BLOCK + 2) if type == "q8_0" else count * (4 if type == "f32" else 2)


def _encode(array: Array, type: NumberType) -> Array:
    """The numbers of a tensor as the file has them."""
    import numpy as np

    if type == "bf16":
        return np.ascontiguousarray(array if is_bfloat16(array) else to_bfloat16(to_float32(array)))
    if type == "f16" and array.dtype == np.float16:
        return np.ascontiguousarray(array)
    array = to_float32(array)
    if type == "q8_0":
        gguf = gguf_library("writing GGUF files")
        packed: Array = gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q8_0)
        return packed
    return np.ascontiguousarray(array, np.float16 if type == "f16" else np.float32)


def _round(array: Array, type: NumberType) -> Array:
    """To the numbers of a type and back; in q8_0, 32 of a row share the scale max|x| / 127."""
    if type != "q8_0":
        return to_float32(_encode(array, type))
    gguf = gguf_library("writing GGUF files")
    back: Array = gguf.quants.dequantize(_encode(array, type), gguf.GGMLQuantizationType.Q8_0)
    return back
