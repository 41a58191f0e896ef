"""Byte-level BPE, the tokenizers of GPT-2, Llama 3, Qwen, SmolLM and many more.

Every byte has a token, so no byte of a text is lost. How a text is split before its bytes are
merged differs from model to model; the library `tokenizers` knows all of these scanners.

Special tokens such as `<|im_end|>` are never made of text: the library is not told of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, UsageError
from tfcli.text.byte_level_vocabulary import read_byte_level, spelled_bytes
from tfcli.text.tokenizer import SpecialTokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tfcli.text.tokenizer import Ids, Tokenizer

PART = 1 << 14  # characters that a thread encodes at a time
# A long text may be cut after a word. No known scanner has a token across such a place; but the
# apostrophe of `it's` is left alone.
AFTER_WORD = re.compile(r"(?<=[^\W\d_])(?=[^\w'’])")
AROUND = 64  # characters on both sides of a cut that are tried
PROBE = "".join(map(chr, range(0x20, 0x7F))) + " a \t\r\n ① Ａ e\u0301 ▁ 日本  "
RUN = 2000  # of one character, on which a careless scanner takes for ever


class ByteLevelTokenizer:
    """Byte-level BPE; see `tfcli.text.tokenizer.Tokenizer` for its methods.

    Attributes:
        vocabulary: what the file says.
        prefix: a space for a model that was trained with `add_prefix_space`, else nothing.

    """

    def __init__(self, serialized: bytes) -> None:
        """Opens a kept file, see `byte_level_json`.

        Raises:
            DataError: it is not one, or its tokenizer would lose text.

        """
        self.serialized = serialized
        self.vocabulary = found = read_byte_level(serialized)
        self.vocab_size = found.size
        self.prefix = found.prefix
        self.token_bytes: list[bytes] = [b""] * self.vocab_size
        for i, spelled in zip(found.ids.values(), spelled_bytes(list(found.ids)), strict=True):
            self.token_bytes[i] = spelled or b""  # one with other characters is never made
        for i, token in found.added.items():
            self.token_bytes[i] = b"" if token.special else token.text.encode()
        for each in (found.bos, found.eos, found.unk):
            if each is not None:
                self.token_bytes[each] = b""
        self.special = SpecialTokens(
            bos=found.bos if found.add_bos else None,
            eos=found.eos,
            unk=None if found.unk in {found.bos, found.eos} else found.unk,  # GPT-2's is its end
            control=frozenset(i for i, spelled in enumerate(self.token_bytes) if not spelled),
        )
        self.special_ids = {
            token.text: i for i, token in found.added.items() if i in self.special.control
        }
        self.byte_ids = frozenset(
            i
            for i, spelled in enumerate(self.token_bytes)
            if len(spelled) == 1 and spelled >= b"\x80"
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the kept file."""
        return hashlib.sha256(self.serialized).hexdigest()

    # --- text to ids ----------------------------------------------------------------------------

    def encode(self, text: str | bytes) -> list[int]:
        """See `Tokenizer.encode`."""
        text = text if isinstance(text, str) else text.decode()
        return self.encode_continuation(self.prefix + text) if text else []

    def encode_continuation(self, text: str) -> list[int]:
        """See `Tokenizer.encode_continuation`.

        Raises:
            DataError: the vocabulary lacks a byte of the text.

        """
        return [i for part in self._cut(text) for i in self._encode_part(part)]

    def encode_batch(self, texts: Sequence[bytes], *, threads: int) -> list[list[Ids]]:
        """See `Tokenizer.encode_batch`. The library works outside Python's lock.

        Its own threads are not used: they warn whoever starts a process after them.
        """
        parts = [list(self._cut(text.decode())) for text in texts]
        every = [part for own in parts for part in own]
        if threads > 1 and len(every) > 1:
            with ThreadPoolExecutor(threads) as pool:
                encoded = iter(list(pool.map(self._encode_array, every)))
        else:
            encoded = map(self._encode_array, every)
        return [[next(encoded) for _ in own] for own in parts]

    def _encode_array(self, part: str) -> Ids:
        import numpy as np

        return np.array(self._encode_part(part), np.int32)

    def _encode_part(self, text: str) -> list[int]:
        """The ids of a text that is not long; all of its bytes are in them."""
        ids = self._ask_library(text)
        if sum([len(self.token_bytes[i]) for i in ids]) != len(text.encode()):
            raise self._lost(text)
        return ids

    def _ask_library(self, text: str) -> list[int]:
        try:
            ids: list[int] = self._library.encode(text, add_special_tokens=False).ids
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # which is no Exception
                raise
            raise DataError(
                "the tokenizer's scanner failed on a text", why=str(error)[:200]
            ) from None
        return ids

    def _lost(self, text: str) -> DataError:
        known = {spelled for spelled in self.token_bytes if len(spelled) == 1}
        for character in text:
            if lacking := {bytes([byte]) for byte in character.encode()} - known:
                return DataError(
                    f"this tokenizer has no tokens for the character U+{ord(character):04X}",
                    why=f"its vocabulary lacks the byte 0x{min(lacking).hex().upper()}",
                )
        return DataError("this tokenizer loses text", why=repr(text[:40]))

    @cached_property
    def _library(self) -> Any:
        """The library's tokenizer; it knows only what text may become."""
        tokenizers = tokenizers_library("this tokenizer")
        found, special = self.vocabulary, self.special.control
        plain = {token.text: i for i, token in found.added.items() if i not in special}
        scanner = {
            "version": "1.0", "added_tokens": [], "pre_tokenizer": found.pre_tokenizer,
            "model": {"type": "BPE", "vocab": {}, "merges": []},
        }  # fmt: skip
        try:
            library = tokenizers.Tokenizer.from_str(json.dumps(scanner))
            ids = {text: i for text, i in found.ids.items() if i not in special} | plain
            merges = found.pairs()
            if len(ids) < len(found.ids | plain):
                merges = self._merges_of_text(merges)
            library.model = tokenizers.models.BPE(
                vocab=ids, merges=merges, ignore_merges=found.ignore_merges
            )
            library.add_tokens([
                tokenizers.AddedToken(
                    text, single_word=found.added[i].single_word, normalized=False
                )
                for text, i in plain.items()
            ])  # fmt: skip
        except DataError:
            raise
        except Exception as error:  # the library has no errors of its own
            raise DataError("this tokenizer.json cannot be used", why=str(error)[:200]) from None
        return library

    def _merges_of_text(self, merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The merges but those of special tokens, which no text shall become."""
        special = self.special.control
        hidden = {text for text, i in self.vocabulary.ids.items() if i in special}
        return [pair for pair in merges if not hidden & {*pair, "".join(pair)}]

    def _cut(self, text: str) -> Iterator[str]:
        """Cuts a long text into parts of about `PART` characters whose ids are those of the whole.

        It cuts after words, where the ids of what is around are those of its two sides.
        """
        start = 0
        while len(text) - start > PART:
            end = next(
                (
                    match.start()
                    for match in AFTER_WORD.finditer(text, start + PART)
                    if self._may_cut(text, match.start())
                ),
                len(text),
            )
            yield text[start:end]
            start = end
        if start < len(text) or not text:
            yield text[start:]

    def _may_cut(self, text: str, place: int) -> bool:
        around = self._around
        left, right = text[max(0, place - around) : place], text[place : place + around]
        ask = self._ask_library
        return ask(left + right) == ask(left) + ask(right)

    @cached_property
    def _around(self) -> int:
        added = self.vocabulary.added.values()
        return max([AROUND, *(len(token.text) for token in added if not token.special)])

    def try_out(self) -> None:
        """Encodes texts that find out what is wrong with a tokenizer from elsewhere.

        Raises:
            DataError: it loses text, its merges do not fit its vocabulary, or its scanner fails.

        """
        self.encode(PROBE)
        own = set(re.sub(r"\\[A-Za-z]", "", json.dumps(self.vocabulary.pre_tokenizer)))
        for character in sorted(own | set("aA1 .\n'")):
            self.encode(character * RUN + "!")

    # --- ids to text ----------------------------------------------------------------------------

    def decode(self, ids: Iterable[int]) -> bytes:
        """See `Tokenizer.decode`."""
        return self.decode_continuation(ids).removeprefix(self.prefix.encode())

    def decode_continuation(self, ids: Iterable[int]) -> bytes:
        """See `Tokenizer.decode_continuation`."""
        return b"".join([self.token_bytes[i] for i in ids])


def tokenizers_library(doing: str) -> Any:
    """The library.

    Raises:
        UsageError: it is missing.

    """
    try:
        import tokenizers

        _ = tokenizers.Tokenizer  # a folder of that name beside us is a package without anything
    except (ImportError, AttributeError):
        raise UsageError(
            f"{doing} needs the package tokenizers", hint='pip install "tfcli[models]"'
        ) from None
    return tokenizers


def named_bos(tokenizer: Tokenizer) -> int | None:
    """The token that a model calls the beginning of a text, also where none is put before one."""
    if isinstance(tokenizer, ByteLevelTokenizer):
        return tokenizer.vocabulary.bos
    return tokenizer.special.bos
