"""The tokenizer in a Hugging Face folder, in one of its files, or in a GGUF file.

tokenizer.json          byte-level BPE; or made from a SentencePiece model
tokenizer.model         SentencePiece
vocab.json, merges.txt  byte-level BPE where there is no tokenizer.json, as GPT-2 and Qwen have it
tokenizer_config.json, special_tokens_map.json, generation_config.json, config.json
                        which tokens begin and end a text; which were added later

Nothing of it is trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, NotFoundError
from tfcli.exchange.gguf_file import GgufFile
from tfcli.exchange.gguf_tokenizer import tokenizer_from_gguf
from tfcli.exchange.scanners import GPT_2, QWEN
from tfcli.exchange.sentencepiece_json import from_tokenizer_json
from tfcli.files import file_not_found, read_json
from tfcli.text.byte_level_vocabulary import byte_level_json
from tfcli.text.sandbox import open_sandboxed, parse_sandboxed
from tfcli.text.sentencepiece_model import read_pieces, with_added, write_pieces
from tfcli.text.tokenizer_file import read_tokenizer_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tfcli.text.tokenizer import Tokenizer

MODEL, DESCRIBED, VOCAB, MERGES = "tokenizer.model", "tokenizer.json", "vocab.json", "merges.txt"
MAX_JSON_BYTES = 64 << 20
# Of those who have a vocab.json; GPT-2's own folder says nothing.
SCANNERS = {"GPT2Tokenizer": GPT_2, "Qwen2Tokenizer": QWEN}
USUAL_END = "<|endoftext|>"  # where a lone tokenizer.json says nothing of ends


def find_tokenizer_in(path: Path) -> Tokenizer:
    """The tokenizer in a folder or a file.

    Raises:
        NotFoundError: there is none.
        DataError: it is of an unsupported kind.
        UsageError: the library that it needs is missing.

    """
    if not path.exists():
        raise file_not_found(path)
    if path.suffix == ".gguf" and path.is_file():
        return tokenizer_from_gguf(GgufFile(path).metadata)
    folder, files = path, {DESCRIBED, MODEL, VOCAB}
    if path.is_file():
        folder = path.parent
        files = {DESCRIBED if path.suffix == ".json" else MODEL}
    named = {name: path if path.is_file() else path / name for name in files}
    found = {name: file for name, file in named.items() if file.is_file()}
    try:
        return _open(folder, found)
    except DataError as error:
        if str(path) in error.what:
            raise
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint) from None


def _open(folder: Path, found: dict[str, Path]) -> Tokenizer:
    described = _Described(folder)
    content = parse_sandboxed(read_tokenizer_file(found[DESCRIBED])) if DESCRIBED in found else None
    if content is not None and is_byte_level_json(content):
        return open_sandboxed(_kept(content, described))
    if MODEL in found:
        model = with_added(read_tokenizer_file(found[MODEL]), described.added())
        if content is not None:
            _require_agreement(model, content, found[DESCRIBED])
        return open_sandboxed(model)
    if content is not None:
        bos, eos = described.text("bos_token"), described.text("eos_token")
        add_bos = described.config.get("add_bos_token") is not False
        pieces = from_tokenizer_json(content, bos=bos, eos=eos, add_bos=add_bos)
        return open_sandboxed(with_added(write_pieces(pieces), described.added()))
    if VOCAB in found and (folder / MERGES).is_file():
        return open_sandboxed(_kept(_from_vocabulary(folder, described), described))
    raise NotFoundError(
        f"no {MODEL} or {DESCRIBED} in {folder}",
        why="a model is of no use without its tokenizer",
    )


def is_byte_level_json(content: dict[str, Any]) -> bool:
    """Whether a `tokenizer.json` has the step that makes characters of bytes."""
    scanner = content.get("pre_tokenizer")
    steps = scanner.get("pretokenizers", [scanner]) if isinstance(scanner, dict) else []
    return isinstance(steps, list) and any(
        isinstance(step, dict) and step.get("type") == "ByteLevel" for step in steps
    )


def _require_agreement(model: bytes, content: dict[str, Any], described: Path) -> None:
    """Refuses a `tokenizer.json` of a known kind whose pieces differ from the `tokenizer.model`.

    One of another kind cannot be compared.
    """
    try:
        theirs = from_tokenizer_json(content)
    except DataError:
        return
    ours = read_pieces(model)
    if [piece.text for piece in ours.pieces] != [piece.text for piece in theirs.pieces]:
        raise DataError(
            f"{described} and the {MODEL} beside it have different pieces",
            why="it is unclear which of them the model was trained with",
            hint="remove the wrong one",
        )


# --- byte-level BPE -----------------------------------------------------------------------------


def _kept(content: dict[str, Any], described: _Described) -> bytes:
    """The file that a run keeps."""
    try:
        content = _with_added(content, described)
        texts = {token["content"]: token["id"] for token in content["added_tokens"]}
        ids = {**content["model"]["vocab"], **texts}
        begin = _first_of(content.get("post_processor"))
        adds = described.config.get("add_bos_token")
        bos = begin if begin is not None else described.id("bos_token", ids)
        eos = described.id("eos_token", ids)
        unk = ids.get(described.text("unk_token") or content["model"].get("unk_token"))
        add_bos = bos is not None and (adds if isinstance(adds, bool) else begin is not None)
        eos = ids.get(USUAL_END) if eos is None else eos
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError("this tokenizer.json cannot be used", why=why[:200]) from None
    return byte_level_json(content, bos=bos, eos=eos, unk=unk, add_bos=add_bos)


def _with_added(content: dict[str, Any], described: _Described) -> dict[str, Any]:
    """With the tokens that only `tokenizer_config.json` knows."""
    added = list(content.get("added_tokens") or [])
    known = {token["id"] for token in added}
    for i, text, special in described.added():
        if i not in known and content["model"]["vocab"].get(text, i) == i:
            added.append({
                "id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": special,
            })  # fmt: skip
    return {**content, "added_tokens": sorted(added, key=lambda token: token["id"])}


def _first_of(processor: Any) -> int | None:
    """The id that a `tokenizer.json` puts in front of every text, if it does."""
    if not isinstance(processor, dict):
        return None
    if processor["type"] == "Sequence":
        found = map(_first_of, processor["processors"])
        return next((i for i in found if i is not None), None)
    if processor["type"] != "TemplateProcessing":
        return None
    first = processor["single"][0].get("SpecialToken")
    if first is None:
        return None
    i: int = processor["special_tokens"][first["id"]]["ids"][0]
    return i


def _from_vocabulary(folder: Path, described: _Described) -> dict[str, Any]:
    """The `tokenizer.json` that `vocab.json` and `merges.txt` stand for."""
    name = str(described.config.get("tokenizer_class", "GPT2Tokenizer")).removesuffix("Fast")
    if name not in SCANNERS:
        raise DataError(
            f"{folder} has no {DESCRIBED}",
            why=f"how {name[:40]} splits texts is not known",
            hint="AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)   # makes one",
        )
    try:
        lines = read_tokenizer_file(folder / MERGES).decode().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{folder / MERGES} is not UTF-8", why=str(error)) from None
    vocab = parse_sandboxed(read_tokenizer_file(folder / VOCAB))
    end = vocab.get(USUAL_END)
    special = [] if end is None else [
        {"id": end, "content": USUAL_END, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
    ]  # fmt: skip
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": None, "pre_tokenizer": SCANNERS[name].pre_tokenizer, "post_processor": None,
        "decoder": {
            "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True
        },
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": SCANNERS[name].ignore_merges, "vocab": vocab,
            "merges": [line for line in lines if line and not line.startswith("#version")],
        },
    }  # fmt: skip


# --- what stands beside it ----------------------------------------------------------------------


class _Described:
    """What the other files of a folder say about its tokenizer.

    Attributes:
        config: the content of `tokenizer_config.json`.

    """

    def __init__(self, folder: Path) -> None:
        self.config = _read(folder / "tokenizer_config.json")
        self._map = _read(folder / "special_tokens_map.json")
        self._ids = _read(folder / "config.json") | _read(folder / "generation_config.json")

    def text(self, name: str) -> str | None:
        """The text of a special token such as `bos_token`."""
        for source in (self.config, self._map):
            value = source.get(name)
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str):
                return text
        return None

    def id(self, name: str, ids: dict[str, int]) -> int | None:
        """The id of a special token by its text; or as the model's own files have it."""
        text = self.text(name)
        if text is not None and text in ids:
            return ids[text]
        value = self._ids.get(f"{name}_id")
        first = value[0] if isinstance(value, list) and value else value
        return first if type(first) is int and first in ids.values() else None

    def added(self) -> Iterator[tuple[int, str, bool]]:
        """The id and text of each token that was added later, and whether it is special."""
        decoder = self.config.get("added_tokens_decoder")
        for i, token in decoder.items() if isinstance(decoder, dict) else ():
            text = token.get("content") if isinstance(token, dict) else None
            if isinstance(text, str) and text and i.isdecimal() and len(i) < 8:
                yield int(i), text, token.get("special") is True


def _read(path: Path) -> dict[str, Any]:
    """A file that need not be there."""
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_JSON_BYTES:
        raise DataError(f"{path} is too large")
    return read_json(path)
