"""A run as a Hugging Face folder, for `from_pretrained`, vLLM, mlx-lm and many more.

config.json             the configuration
model.safetensors       the weights; several files and an index if large
tokenizer.json          the tokenizer, for `tokenizers`
tokenizer.model         the same, for SentencePiece
tokenizer_config.json, generation_config.json
README.md               the model card
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tfcli.exchange.architectures import to_config_json
from tfcli.exchange.card.readme import draw_readme
from tfcli.exchange.formats import DTYPES, INDEX, own_type
from tfcli.exchange.infill_keys import own_end
from tfcli.exchange.own_keys import KEY, own_keys
from tfcli.exchange.stored_tensors import StoredTensor, stored_tensors
from tfcli.exchange.tokenizer_json import (
    exportable_pieces,
    to_tokenizer_config,
    to_tokenizer_json,
    with_control,
)
from tfcli.files import FolderWriter, new_folder, require_absent, require_space, to_json
from tfcli.generation.request import Sampling
from tfcli.model.safetensors_file import FORMATS, to_bfloat16, to_float32, write_tensors
from tfcli.runs.infill_tokens import find_run_infill_tokens
from tfcli.runs.kept_files import CHAT_TEMPLATE, TOKENIZER_CONFIG, read_kept_files
from tfcli.runs.step import MODEL
from tfcli.runs.weights import open_weights
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer, named_bos
from tfcli.text.byte_level_vocabulary import without_our_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from tfcli.errors import TfcliError
    from tfcli.model.config import ModelConfig
    from tfcli.model.safetensors_file import SafetensorsFile
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.byte_level_vocabulary import ByteLevelVocabulary
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.tokenizer import Tokenizer

    Array = np.ndarray[Any, Any]

HalfOrSingle = Literal["f32", "f16", "bf16"]
MAX_SHARD_BYTES = 5_000_000_000


def export_to_huggingface(
    run: Run,
    step: ValidStep,
    path: Path,
    type: HalfOrSingle | None = None,
    *,
    on_damaged: Callable[[TfcliError], None] = lambda _: None,
) -> None:
    """Writes the folder at `path`.

    Args:
        type: the number format of the weights; None: as the run has them.
        on_damaged: see `make_card`.

    Raises:
        UsageError: the family exists nowhere else.
        DataError: the tokenizer would split some texts differently elsewhere.
        ConflictError: `path` exists.
        InputOutputError: writing failed.

    """
    require_absent(path)
    config, tokenizer = run.model_config, run.tokenizer()
    weights = open_weights(run, step)
    special = replace(tokenizer.special, bos=named_bos(tokenizer))
    described = to_config_json(config, special, dtype=DTYPES[type or own_type(step)])
    if own := own_keys(run):
        described[KEY] = own
    kept = read_kept_files(run.path)
    infill = find_run_infill_tokens(run.metadata, tokenizer)
    tokenizer_files = tokenizer_as_files(tokenizer, config.context_length, kept, infill)
    tensors = [_Tensor(stored, weights, type) for stored in stored_tensors(config, "huggingface")]
    require_space(path, sum(tensor.nbytes for tensor in tensors) + (1 << 20))
    with new_folder(path, replace=False) as folder:
        _write_weights(folder, tensors)
        for name, content in tokenizer_files.items():
            folder.write(name, content)
        generation = _generation_config(config, tokenizer, own_end(infill, tokenizer))
        folder.write("generation_config.json", to_json(generation))
        card = draw_readme(
            run, step, path.resolve().name, dtype=described["dtype"], on_damaged=on_damaged
        )
        folder.write("README.md", card.encode())
        folder.write("config.json", to_json(described))


def _generation_config(
    config: ModelConfig, tokenizer: Tokenizer, of_gaps: list[int]
) -> dict[str, Any]:
    special, sampling = tokenizer.special, Sampling()  # as here, where nothing else is asked for
    ends = [special.eos, *sorted(special.other_eos), *of_gaps]
    return {
        "bos_token_id": named_bos(tokenizer),
        "eos_token_id": ends if len(ends) > 1 else special.eos,
        "do_sample": True, "temperature": sampling.temperature, **sampling.truncation._asdict(),
        "max_new_tokens": default_max_new_tokens(config),  # GPT-2 knows no more positions
    }  # fmt: skip


def default_max_new_tokens(config: ModelConfig) -> int:
    """The default number of tokens to generate: leaves room for a prompt."""
    return max(1, min(100, config.context_length // 2))


def export_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Writes a folder with a tokenizer alone.

    Raises:
        DataError: it would split some texts differently elsewhere.
        ConflictError: `path` exists.

    """
    require_absent(path)
    files = tokenizer_as_files(tokenizer)
    with new_folder(path, replace=False) as folder:
        for name, content in files.items():
            folder.write(name, content)


def tokenizer_as_files(
    tokenizer: Tokenizer,
    context_length: int | None = None,
    kept: Mapping[str, bytes] = MappingProxyType({}),
    infill: InfillTokens | None = None,
) -> dict[str, bytes]:
    """The files of a tokenizer by name.

    Args:
        kept: what its run keeps of the model it came from, see `runs.kept_files`.
        infill: by which its model knows a gap, if it fills any.

    Raises:
        DataError: it would split some texts differently elsewhere.

    """
    template = {name: content for name, content in kept.items() if name == CHAT_TEMPLATE}
    if isinstance(tokenizer, ByteLevelTokenizer):
        described = _byte_level_config(tokenizer.vocabulary, context_length)
        return {
            "tokenizer.json": to_json(without_our_key(tokenizer.serialized)),
            TOKENIZER_CONFIG: kept.get(TOKENIZER_CONFIG) or to_json(described),
            **template,
        }
    pieces = exportable_pieces(tokenizer, "Hugging Face")
    tokens = [*infill.markers, *own_end(infill, tokenizer)] if infill else []
    described = to_tokenizer_config(pieces, context_length, tokens)
    if template:  # which writes control tokens
        del described["split_special_tokens"]
    return {
        "tokenizer.json": to_json(to_tokenizer_json(with_control(pieces, tokens))),
        "tokenizer.model": tokenizer.serialized,
        TOKENIZER_CONFIG: to_json(described),
        **template,
    }


def _byte_level_config(
    vocabulary: ByteLevelVocabulary, context_length: int | None
) -> dict[str, Any]:
    """The content of `tokenizer_config.json`, where its author's is not known."""
    texts = {i: text for text, i in vocabulary.ids.items()}
    texts |= {i: token.text for i, token in vocabulary.added.items()}
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # which follows tokenizer.json
        "bos_token": texts.get(-1 if vocabulary.bos is None else vocabulary.bos),
        "eos_token": texts.get(-1 if vocabulary.eos is None else vocabulary.eos),
        "unk_token": texts.get(-1 if vocabulary.unk is None else vocabulary.unk),
        "add_bos_token": vocabulary.add_bos,
        "clean_up_tokenization_spaces": False,
    }
    return config if context_length is None else config | {"model_max_length": context_length}


class _Tensor:
    """A tensor as the folder has it, made only when it is written."""

    def __init__(
        self, stored: StoredTensor, weights: SafetensorsFile, type: HalfOrSingle | None
    ) -> None:
        import numpy as np

        self.name, self.shape = stored.name, stored.shape
        own = stored.to_stored(weights.map).dtype
        self.dtype = np.dtype(FORMATS[type.upper()][0]) if type else own
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        self._stored, self._weights = stored, weights

    def __array__(self, *_: object) -> Array:
        array = self._stored.to_stored(self._weights.map)
        if array.dtype == self.dtype:
            return array
        array = to_float32(array)
        return to_bfloat16(array) if self.dtype.names else array.astype(self.dtype)


def _write_weights(folder: FolderWriter, tensors: list[_Tensor]) -> None:
    """One file; or several shards, with an index of what is in which."""
    shards = list(_shards(tensors))
    files: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = MODEL if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        arrays = {tensor.name: tensor for tensor in shard}
        with folder.new_file(name) as file:
            write_tensors(file.write, arrays, {"format": "pt"})
        files |= dict.fromkeys(arrays, name)
    if len(shards) > 1:
        size = {"total_size": sum(tensor.nbytes for tensor in tensors)}
        folder.write(INDEX, to_json({"metadata": size, "weight_map": files}))


def _shards(tensors: list[_Tensor]) -> Iterator[list[_Tensor]]:
    """The tensors in groups of at most `MAX_SHARD_BYTES`, in order."""
    shard: list[_Tensor] = []
    size = 0
    for tensor in tensors:
        if shard and size + tensor.nbytes > MAX_SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(tensor)
        size += tensor.nbytes
    yield shard
