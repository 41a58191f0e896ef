"""The inside of a `tokenizer.json` of byte-level BPE, read and checked; nothing in it is trusted.

    text -> normalizer      none; NFC is left out, for no byte of a text may change
         -> added tokens    found first, wherever they are
         -> pre-tokenizer   splits the text: the scanner, which differs from model to model
         -> ByteLevel       each byte becomes a printable character
         -> model           pairs of characters are merged, the earliest merge first

A run keeps the file as its authors wrote it, with one more key: which tokens begin and end a text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

from tfcli.errors import DataError

OUR_KEY = "tfcli"
MAX_VOCAB_SIZE = 1 << 20
MAX_TOKEN_LENGTH = 1000  # characters
# Steps of a scanner that only split; others replace characters or drop white space.
SPLITTERS = frozenset({"ByteLevel", "Digits", "FixedLength", "Punctuation", "Split"})


def _byte_characters() -> dict[int, str]:
    """GPT-2's table: the character that stands for each byte.

    Those that can be seen stand for themselves, the others for what comes after U+00FF: OpenAI's
    gpt-2, encoder.py, `bytes_to_unicode`.
    """
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {
        byte: chr(0x100 + i) for i, byte in enumerate(others)
    }


BYTE_CHARACTERS = _byte_characters()
_BYTES = {character: bytes([byte]) for byte, character in BYTE_CHARACTERS.items()}


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in a text before anything else is.

    Attributes:
        special: whether it stands for no text; then it is not looked for.
        single_word: whether it is found only where no letters are around it.

    """

    id: int
    text: str
    special: bool
    single_word: bool = False


@dataclass(frozen=True)
class ByteLevelVocabulary:
    """What a `tokenizer.json` says.

    Attributes:
        ids: of the model's tokens, spelled in the characters of bytes.
        merges_in_file: the pairs that are merged, the earliest first: texts or lists; see `pairs`.
        added: by id.
        pre_tokenizer: the scanner as JSON, without a space put in front.
        prefix: the space that it puts in front of a text, or nothing.
        ignore_merges: whether a word that is a token is not merged from its parts.
        bos, eos, unk: ids, each None where there is none.
        add_bos: whether `bos` begins every text.

    """

    ids: dict[str, int]
    merges_in_file: list[Any]
    added: dict[int, AddedToken]
    pre_tokenizer: dict[str, Any]
    prefix: str
    ignore_merges: bool
    bos: int | None
    eos: int | None
    unk: int | None
    add_bos: bool

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs that are merged, the earliest first; made anew each time.

        Raises:
            DataError: one is not a pair of tokens.

        """
        try:
            pairs = [
                tuple(merge.split(" ") if isinstance(merge, str) else merge)
                for merge in self.merges_in_file
            ]
        except TypeError as error:
            raise _unusable(f"a merge is not a pair of tokens: {error}") from None
        if {*map(len, pairs)} - {2}:
            raise _unusable("a merge is not a pair of tokens")
        return cast("list[tuple[str, str]]", pairs)

    @property
    def size(self) -> int:
        """Number of ids, those included that stand for nothing."""
        return max([*self.ids.values(), *self.added], default=-1) + 1


def byte_level_json(
    tokenizer_json: dict[str, Any],
    *,
    bos: int | None,
    eos: int | None,
    unk: int | None,
    add_bos: bool,
) -> bytes:
    """The file that a run keeps, of a `tokenizer.json` and what stands beside it elsewhere.

    Raises:
        DataError: it cannot be written in UTF-8.

    """
    ours = {"bos": bos, "eos": eos, "unk": unk, "add_bos": add_bos}
    kept = {**tokenizer_json, OUR_KEY: ours}
    try:
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()
    except (UnicodeEncodeError, RecursionError) as error:  # a lone surrogate
        raise _unusable(str(error)) from None


def without_our_key(serialized: bytes) -> dict[str, Any]:
    """The `tokenizer.json` that a kept file was made of."""
    value: dict[str, Any] = json.loads(serialized)
    return {key: each for key, each in value.items() if key != OUR_KEY}


def read_byte_level(serialized: bytes) -> ByteLevelVocabulary:
    """Reads a kept file.

    Raises:
        DataError: it is not one, or its tokenizer would lose or rewrite text.

    """
    try:
        value = json.loads(serialized)
        model, ours = value["model"], value.get(OUR_KEY)
        if model.get("type", "BPE") != "BPE":
            raise ValueError(f"its model is of the kind {str(model['type'])[:40]!r}, not BPE")
        if ours is None:
            raise DataError(
                "this tokenizer.json does not say which tokens begin and end a text",
                hint="tfcli tokenizer import PATH --name NAME",
            )
        _check_normalizer(value.get("normalizer"))
        for name in ("continuing_subword_prefix", "end_of_word_suffix"):
            if model.get(name):
                raise ValueError(f"it has the setting {name}")
        scanner, prefix = _scanner(value.get("pre_tokenizer"))
        added = _added(value.get("added_tokens") or [])
        ids = _ids(model["vocab"], added)
        merges = model["merges"]
        if not isinstance(merges, list):
            raise ValueError("it has no merges")
        found = ByteLevelVocabulary(
            ids, merges, added, scanner, prefix, model.get("ignore_merges") is True,
            **{name: _special_id(ours.get(name)) for name in ("bos", "eos", "unk")},
            add_bos=ours.get("add_bos") is True,
        )  # fmt: skip
        if max(-1 if i is None else i for i in (found.bos, found.eos, found.unk)) >= found.size:
            raise ValueError("a token that begins or ends a text is not in its vocabulary")
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        known = isinstance(error, ValueError) and not isinstance(error, UnicodeDecodeError)
        raise _unusable(str(error) if known else f"{type(error).__name__}: {error}") from None
    return found


def spelled_bytes(tokens: list[str]) -> list[bytes | None]:
    """The bytes of tokens in the characters of bytes; None of one that has other characters."""
    import numpy as np

    table = np.full(1 << 16, 256, np.uint16)
    table[list(map(ord, _BYTES))] = [spelled[0] for spelled in _BYTES.values()]
    # all at once: a character is two bytes here, and stands for one
    characters = np.frombuffer("".join(tokens).encode("utf-16-le", "surrogatepass"), np.uint16)
    spelled = table[characters]
    if (spelled > 255).any():
        return [_spelled(token) for token in tokens]
    joined = spelled.astype(np.uint8).tobytes()
    ends = list(accumulate(map(len, tokens)))
    return [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _spelled(token: str) -> bytes | None:
    return b"".join([_BYTES[c] for c in token]) if _BYTES.keys() >= {*token} else None


# --- the parts of the file ----------------------------------------------------------------------


def _check_normalizer(normalizer: Any) -> None:
    """Refuses a rewriting of the text, but for NFC, which is left out."""
    if normalizer is None:
        return
    if normalizer["type"] == "Sequence":
        for each in normalizer["normalizers"]:
            _check_normalizer(each)
    elif normalizer["type"] != "NFC":
        raise ValueError(f"it changes the text ({str(normalizer['type'])[:40]})")


def _scanner(value: Any) -> tuple[dict[str, Any], str]:
    """The pre-tokenizer without the space that it puts in front of a text; and that space."""
    steps = (
        [] if value is None else value["pretokenizers"] if value["type"] == "Sequence" else [value]
    )
    byte_levels = [step for step in steps if step["type"] == "ByteLevel"]
    for step in steps:
        removes = "Removed" in (step.get("behavior"), step.get("behaviour"))
        if step["type"] not in SPLITTERS or removes:
            raise ValueError(f"its scanner may lose text ({str(step['type'])[:40]})")
    if len(byte_levels) != 1 or steps[-1] is not byte_levels[0]:
        raise ValueError("it is not byte-level: its scanner does not end with ByteLevel")
    prefix = " " if byte_levels[0].get("add_prefix_space", True) else ""
    if prefix and len(steps) > 1:
        raise ValueError("it puts a space in front of every word")
    last = {**byte_levels[0], "add_prefix_space": False}
    return {"type": "Sequence", "pretokenizers": [*steps[:-1], last]}, prefix


def _added(tokens: list[Any]) -> dict[int, AddedToken]:
    added: dict[int, AddedToken] = {}
    for token in tokens:
        i, text = _id(token["id"]), _text(token["content"])
        single_word = token.get("single_word") is True
        if i in added:
            raise ValueError(f"it has two tokens with the id {i}")
        added[i] = AddedToken(i, text, token.get("special") is True, single_word)
    if len({token.text for token in added.values()}) < len(added):
        raise ValueError("it has an added token twice")
    return added


def _ids(vocab: Any, added: dict[int, AddedToken]) -> dict[str, int]:
    """The ids of the model's tokens, the added ones among them."""
    if not isinstance(vocab, dict):
        raise ValueError("it has no vocabulary")
    ids: dict[str, int] = vocab
    if not all(type(i) is int for i in ids.values()):
        raise ValueError("an id is not a whole number")
    if ids and (min(ids.values()) < 0 or max(ids.values()) >= MAX_VOCAB_SIZE):
        raise ValueError(f"its ids are not all from 0 to {MAX_VOCAB_SIZE - 1:,}")
    if max(map(len, ids), default=0) > MAX_TOKEN_LENGTH:
        raise ValueError(f"a token has more than {MAX_TOKEN_LENGTH:,} characters")
    used = set(ids.values())
    if len(used) < len(ids):
        raise ValueError("it has two tokens with the same id")
    for token in added.values():
        if ids.get(token.text, token.id) != token.id:
            raise ValueError(f"its token {token.text[:40]!r} has two ids")
        if token.id in used and token.text not in ids:
            raise ValueError(f"it has two tokens with the id {token.id}")
    if max([*used, *added], default=0) >= 2 * len(used | added.keys()):
        raise ValueError("most of its ids stand for nothing")
    return ids


def _special_id(value: Any) -> int | None:
    return None if value is None else _id(value)


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_VOCAB_SIZE:
        raise ValueError(f"{str(value)[:40]!r} is not an id")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN_LENGTH:
        raise ValueError("an added token is empty or too long")
    value.encode()  # fails for a lone surrogate
    return value


def _unusable(why: str) -> DataError:
    return DataError("this tokenizer.json cannot be used", why=why[:200])
