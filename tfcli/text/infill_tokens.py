"""The tokens that show a model what stands before, behind and in a gap, and where that ends.

SentencePiece models have a piece for each byte. The bytes C0, C1 and F5 to FF occur in no UTF-8
(RFC 3629, section 1), so no text has their pieces, and generation never writes them, since no text
could follow: see `tfcli.generation.characters`. Other tokenizers may have tokens for gaps already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tfcli.errors import UsageError
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.text.tokenizer import Tokenizer

BYTES = b"\xc0", b"\xc1", b"\xf5", b"\xf6"  # of prefix, suffix, middle, and its end

# What models from elsewhere call theirs, in the same order: Qwen and OpenAI, StarCoder, SantaCoder,
# Code Llama, DeepSeek. All but Code Llama end a middle as they end a text.
NAMES = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)


class InfillTokens(NamedTuple):
    """The ids that stand before the prefix, the suffix and the middle, and the one that ends it.

    `end` is the tokenizer's `eos` where a model ends a middle as it ends a text.
    """

    prefix: int
    suffix: int
    middle: int
    end: int

    @property
    def markers(self) -> tuple[int, int, int]:
        """Those that are read and never predicted."""
        return self[:3]


def find_infill_tokens(tokenizer: Tokenizer, *, named_only: bool = False) -> InfillTokens | None:
    """The infill tokens; None where a tokenizer has none that no text becomes.

    Args:
        named_only: whether only those count that a tokenizer has by name; a model that has them
            was probably trained with them.

    """
    for names in NAMES:
        if all(name in tokenizer.special_ids for name in names):
            return make_infill_tokens(tokenizer, [tokenizer.special_ids[name] for name in names])
    if named_only or not isinstance(tokenizer, SentencePieceTokenizer):
        return None  # a byte-level vocabulary names bytes by letters, which a text may hold
    ids = {tokenizer.token_bytes[token]: token for token in tokenizer.byte_ids}
    return InfillTokens(*(ids[byte] for byte in BYTES))


def make_infill_tokens(tokenizer: Tokenizer, ids: Sequence[int]) -> InfillTokens | None:
    """The infill tokens of three or four ids; of three, a middle ends as a text does.

    None where there are fewer or more, or nothing ends a text.
    """
    eos = tokenizer.special.eos
    if len(ids) == len(BYTES) - 1 and eos is not None:
        ids = [*ids, eos]
    return InfillTokens._make(ids) if len(ids) == len(BYTES) else None


def require_infill_tokens(tokenizer: Tokenizer) -> InfillTokens:
    """The infill tokens.

    Raises:
        UsageError: the tokenizer has none.

    """
    found = find_infill_tokens(tokenizer)
    if found is None:
        raise UsageError(
            "this tokenizer has no tokens to mark a gap with",
            why=f"it has neither {', '.join(NAMES[0])} nor pieces for single bytes",
            hint="--infill 0, or a tokenizer of tfcli tokenizer train",
        )
    return found
