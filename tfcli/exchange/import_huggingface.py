"""Import of a Hugging Face folder.

Nothing in the folder is trusted. Only JSON, a tokenizer and safetensors are read, and every shape
is compared with `config.json` before any weight is read.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.exchange.architectures import from_config_json
from tfcli.exchange.formats import INDEX
from tfcli.exchange.import_run import ImportPlan, SourceTensor, require_tensors, shortened
from tfcli.exchange.infill_keys import infill_from_config, own_end
from tfcli.exchange.own_keys import KEY, documents_in, form_in
from tfcli.exchange.stored_tensors import stored_tensors
from tfcli.exchange.tokenizer_import import find_tokenizer_in
from tfcli.files import read_json, require_regular_file, to_json
from tfcli.model.safetensors_file import SafetensorsFile, is_finite
from tfcli.runs.kept_files import CHAT_TEMPLATE, MAX_BYTES, TOKENIZER_CONFIG
from tfcli.runs.run import RUN_JSON
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.text.tokenizer import Tokenizer

WEIGHTS = "model.safetensors"
HEAD = "lm_head.weight"  # may be saved even where it is tied
MAX_JSON_BYTES = 64 << 20
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Buffers that older programs saved beside the weights.
BUFFERS = re.compile(r"(.*\.)?(rotary_emb\.inv_freq|attn\.(bias|masked_bias))")


def inspect_checkpoint(path: Path, *, context_length: int | None = None) -> ImportPlan:
    """Checks a folder, without reading any weight.

    Args:
        context_length: to import the model with a shorter context than its own.

    Raises:
        NotFoundError: the folder, or a file in it, does not exist.
        DataError: it cannot be imported; the message says why.

    """
    if path.is_file():
        raise DataError(
            f"{path} is neither a folder in Hugging Face format nor a GGUF file",
            hint=f"tfcli import {shlex.quote(str(path.parent))} --run NAME   # the folder it is in",
        )
    if not path.is_dir():
        raise NotFoundError(
            f"folder not found: {str(path)!r}",
            why="tfcli downloads nothing: a model has to be on this machine",
            hint="download it first, then give its folder or its GGUF file",
        )
    if (path / RUN_JSON).is_file():
        raise DataError(
            f"{path} is a run of tfcli already",
            hint=f"tfcli generate --run {shlex.quote(str(path))}",
        )
    tensors = _find_tensors(path)
    described = _read_json(path / "config.json")
    config = shortened(from_config_json(described), context_length)
    tokenizer = find_tokenizer_in(path)
    if tokenizer.vocab_size > config.vocab_size:
        raise DataError(
            f"the tokenizer in {path} has {tokenizer.vocab_size:,} tokens, the model only "
            f"{config.vocab_size:,}",
            why="it is not the tokenizer that the model was trained with",
        )
    if not config.tied_head and HEAD not in tensors:
        config = replace(config, tied_head=True)  # as every program opens it
    if config.tied_head and (head := tensors.pop(HEAD, None)):
        table = stored_tensors(config, "huggingface")[0].name
        _require_tied(head, tensors.get(table), path)
    require_tensors(config, "huggingface", tensors, path)
    infill = infill_from_config(_read_if_there(path / TOKENIZER_CONFIG), tokenizer)
    of_gaps = own_end(infill, tokenizer)
    unknown_ends = _add_ends(tokenizer, described, config.vocab_size, path, of_gaps)
    return ImportPlan(
        path=path,
        config=config,
        tokenizer=tokenizer,
        format="huggingface",
        tensors=tensors,
        files=_files_to_keep(path, tokenizer),
        form=form_in(described.get(KEY)),
        documents=documents_in(described.get(KEY)),
        infill_tokens=infill,
        own_context=described.get("max_position_embeddings", described.get("n_positions")),
        unknown_ends=unknown_ends,
    )


# --- inspection ---------------------------------------------------------------------------------


def _add_ends(
    tokenizer: Tokenizer,
    described: dict[str, Any],
    vocab_size: int,
    path: Path,
    of_gaps: list[int],
) -> list[int]:
    """Tells a tokenizer of further tokens that end a text.

    They are the `eos_token_id` of `config.json` and `generation_config.json`, one or several; a
    model that talks has one for a turn and one for a text.

    Args:
        of_gaps: those that end no text.

    Returns:
        Those that the model does not have: in a small one, they may be the defaults of its family.

    """
    ids: set[int] = set()
    for value in (described, _read_if_there(path / "generation_config.json")):
        found = value.get("eos_token_id")
        ids |= {i for i in (found if isinstance(found, list) else [found]) if type(i) is int}
    special = tokenizer.special
    ends = ids - {special.eos, *of_gaps}
    others = frozenset(i for i in ends if 0 <= i < tokenizer.vocab_size)
    tokenizer.special = replace(special, other_eos=special.other_eos | others)
    return sorted(i for i in ids if not 0 <= i < vocab_size)


def _files_to_keep(path: Path, tokenizer: Tokenizer) -> dict[str, bytes]:
    """What the run keeps as it is: see `runs.kept_files`."""
    files: dict[str, bytes] = {}
    settings = _read_if_there(path / TOKENIZER_CONFIG)
    template = settings.pop("chat_template", None)
    if isinstance(template, list):  # several, each with a name
        by_name = {str(one.get("name")): one for one in template if isinstance(one, dict)}
        template = by_name.get("default", {}).get("template")
    if isinstance(template, str):
        files[CHAT_TEMPLATE] = template.encode(errors="replace")
    if (path / CHAT_TEMPLATE).is_file():
        require_regular_file(path / CHAT_TEMPLATE)
        with (path / CHAT_TEMPLATE).open("rb") as file:
            files[CHAT_TEMPLATE] = file.read(MAX_BYTES)
    if settings and not isinstance(tokenizer, SentencePieceTokenizer):
        settings.pop("auto_map", None)  # code from elsewhere
        files[TOKENIZER_CONFIG] = to_json(settings)
    return files


def _find_weights(path: Path) -> dict[str, SafetensorsFile]:
    if (path / INDEX).is_file():
        where = _read_json(path / INDEX).get("weight_map")
        if not isinstance(where, dict) or not all(
            isinstance(name, str) and PLAIN_NAME.fullmatch(name) for name in where.values()
        ):
            raise DamagedError(
                f"{path / INDEX} contains invalid file names",
                why="each must be a plain name that ends in .safetensors",
            )
        files = {name: SafetensorsFile(path / name) for name in sorted(set(where.values()))}
        for name, file in where.items():
            if name not in files[file].tensors:
                raise DamagedError(f"{path / file} lacks {name[:80]}, which its index lists")
        return {name: files[file] for name, file in where.items()}
    if (path / WEIGHTS).is_file():
        file = SafetensorsFile(path / WEIGHTS)
        return dict.fromkeys(file.tensors, file)
    pickled = next((found for kind in PICKLED for found in path.glob(kind)), None)
    if pickled:
        raise DataError(
            f"{pickled} is a pickle file, which can run any code, and is not opened",
            why=f"there is no {WEIGHTS} beside it",
            hint="if you trust it, convert it with transformers: AutoModelForCausalLM"
            f'.from_pretrained("{path}").save_pretrained("NEW_FOLDER")',
        )
    raise NotFoundError(f"no {WEIGHTS} in {path}")


def _read_json(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # reading a pipe would block
        raise DataError(f"{path} is not a file")
    if path.exists() and path.stat().st_size > MAX_JSON_BYTES:
        raise DataError(f"{path} is too large")
    return read_json(path)


def _read_if_there(path: Path) -> dict[str, Any]:
    return _read_json(path) if path.exists() else {}


def _find_tensors(path: Path) -> dict[str, SourceTensor]:
    """The tensors by the names that transformers gives them."""
    weights = _find_weights(path)
    tensors = {}
    for name, file in weights.items():
        if BUFFERS.fullmatch(name):
            continue
        ours = name  # GPT-2's own files leave the first part of its names out
        if not name.startswith(("model.", "transformer.", "lm_head.")):
            ours = f"transformer.{name}"
        tensors[name if ours in weights else ours] = _source(name, file)
    return tensors


def _source(name: str, file: SafetensorsFile) -> SourceTensor:
    """A tensor of a file; float64 becomes float32, others stay as they are."""
    import numpy as np

    mapped = file.map(name)
    if mapped.dtype.itemsize <= 4:
        return SourceTensor(
            name, mapped.shape, mapped.dtype, partial(file.map, name), partial(is_finite, mapped)
        )
    return SourceTensor(
        name, mapped.shape, np.dtype(np.float32), partial(file.read, name),
        lambda: is_finite(file.read(name)),
    )  # fmt: skip


def _require_tied(head: SourceTensor, table: SourceTensor | None, path: Path) -> None:
    """Refuses a saved head that differs from the embedding it is said to be tied to."""
    import numpy as np

    if table and not np.array_equal(head.read(), table.read()):
        raise DataError(
            f"input and output embeddings in {path} differ",
            why="config.json says that they are tied (tie_word_embeddings)",
        )
