"""A tokenizer for people: strings in, strings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.api.arguments import require_ids, require_text
from tfcli.generation.scorer import token_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfcli.text.tokenizer import Tokenizer


class RunTokenizer:
    """The tokenizer of a run: text to token ids, and back without loss.

    Attributes:
        bos: the id that begins every text the model reads; None if it has none.
        eos: the id that ends a text; None if it has none.
        unk: the id that stands for what cannot be spelled; None if it has none.

    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        special = tokenizer.special
        self.bos, self.eos, self.unk = special.bos, special.eos, special.unk

    @property
    def vocab_size(self) -> int:
        """Number of tokens; their ids are 0 to `vocab_size - 1`."""
        return self._tokenizer.vocab_size

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"<tokenizer of {self.vocab_size:,} tokens>"

    def encode(self, text: str, *, bos: bool = False) -> list[int]:
        """The token ids of a text.

        Args:
            bos: whether to put `bos` in front, if there is one: that is what the model reads.

        """
        ids = self._tokenizer.encode(require_text(text))
        return ids if self.bos is None or not bos else [self.bos, *ids]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids; special tokens have none.

        Bytes that are no whole character, where `ids` are cut in the middle of one, become U+FFFD.

        Raises:
            UsageError: there is no such id.

        """
        known = require_ids(ids, self.vocab_size)
        return self._tokenizer.decode(known).decode(errors="replace")

    def tokenize(self, text: str) -> list[str]:
        r"""What each token of a text stands for; parts of a character escaped, as `\xe2`."""
        return [token_text(self._tokenizer, token) for token in self.encode(text)]
