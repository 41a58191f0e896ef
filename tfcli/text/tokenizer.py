"""What a tokenizer is: text to token ids and back, and which ids stand for no text.

Everything that needs an id asks a tokenizer for it. So a new kind of tokenizer is one module that
implements `Tokenizer`, and a line in `tfcli.text.tokenizer_file` that opens it. One from elsewhere
is opened by `tfcli.text.sandbox`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    Ids = np.ndarray[tuple[int], np.dtype[np.int32]]


@dataclass(frozen=True)
class SpecialTokens:
    """The ids that stand for no text.

    Attributes:
        bos: begins every sequence; None where the tokenizer has no such token, and a model reads
            a sequence without one.
        eos: ends a document; may be the same token as `bos`, as in GPT-2.
        unk: stands for what cannot be spelled.
        control: all ids that stand for no text, those above included.
        other_eos: further ids that end a text, beside `eos`; Llama 3 has some.

    """

    bos: int | None
    eos: int | None
    unk: int | None
    control: frozenset[int]
    other_eos: frozenset[int] = frozenset()

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """Every id that ends a text."""
        return self.other_eos if self.eos is None else self.other_eos | {self.eos}

    @cached_property
    def suppressed(self) -> tuple[int, ...]:
        """The ids that are never generated: all that stand for no text and do not end one."""
        return tuple(sorted(self.control - self.eos_ids))


class Tokenizer(Protocol):
    """Text to token ids and back, without loss: `decode(encode(text)) == text` in UTF-8.

    A text is a whole document. Some models expect a prefix in front of one (a space, with Llama 2);
    `encode` adds it and `decode` removes it. What comes later in a document has none: that is what
    `encode_continuation` and `decode_continuation` are for.

    A model may have embeddings for more ids than its tokenizer has; those stand for nothing.

    Attributes:
        special: the ids that stand for no text; a run may know further ones that end a text.

    """

    special: SpecialTokens

    @property
    def vocab_size(self) -> int:
        """Number of ids: they are 0 to `vocab_size - 1`."""

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The bytes of every id, so that text can be streamed token by token; none if special."""

    @property
    def byte_ids(self) -> frozenset[int]:
        """The ids that stand for one byte of a character that has no token of its own."""

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The ids of special tokens by their text, such as `<|im_end|>`; no text becomes them.

        But `tfcli.text.special_text` makes them of it.
        """

    @property
    def prefix(self) -> str:
        """What `encode` puts in front of a text."""

    @property
    def serialized(self) -> bytes:
        """The tokenizer as a file, which a run keeps a copy of."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `serialized`."""

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of a text (UTF-8 if bytes), special tokens not included."""

    def encode_continuation(self, text: str) -> list[int]:
        """The ids of text that continues a document: `encode` without the prefix."""

    def encode_batch(self, texts: Sequence[bytes], *, threads: int) -> list[list[Ids]]:
        """The ids of many texts at once, each as `encode_continuation` gives them.

        Args:
            texts: valid UTF-8 each.
            threads: how many to use.

        Returns:
            For each text its ids, as one or several arrays in order: int32, shape (tokens,).

        """

    def decode(self, ids: Iterable[int]) -> bytes:
        """The text that `encode` made `ids` of: their bytes without the prefix."""

    def decode_continuation(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`; special tokens have none."""
