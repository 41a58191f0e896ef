"""The three tokens by which a model is shown what stands before, behind and in a gap.

SentencePiece models have a piece for each byte. The bytes C0, C1 and F5 to FF occur in no UTF-8
(RFC 3629, section 1), so no text has their pieces, and generation never writes them, since no text
could follow: see `tfcli.generation.characters`. Other tokenizers may have tokens for gaps already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tfcli.errors import UsageError
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer

if TYPE_CHECKING:
    from tfcli.text.tokenizer import Tokenizer

BYTES = b"\xc0", b"\xc1", b"\xf5"  # of prefix, suffix and middle

# What models from elsewhere call theirs, in the same order: Qwen and OpenAI, StarCoder, SantaCoder,
# Code Llama, DeepSeek.
NAMES = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)


class InfillTokens(NamedTuple):
    """The ids that stand before the prefix, the suffix and the middle."""

    prefix: int
    suffix: int
    middle: int


def find_infill_tokens(tokenizer: Tokenizer, *, named_only: bool = False) -> InfillTokens | None:
    """The three tokens; None where a tokenizer has none that no text becomes.

    Args:
        named_only: whether only those count that a tokenizer has by name; a model that has them
            was probably trained with them.

    """
    for names in NAMES:
        if all(name in tokenizer.special_ids for name in names):
            return InfillTokens(*(tokenizer.special_ids[name] for name in names))
    if named_only or not isinstance(tokenizer, SentencePieceTokenizer):
        return None  # a byte-level vocabulary names bytes by letters, which a text may hold
    ids = {tokenizer.token_bytes[token]: token for token in tokenizer.byte_ids}
    return InfillTokens(*(ids[byte] for byte in BYTES))


def require_infill_tokens(tokenizer: Tokenizer) -> InfillTokens:
    """The three tokens.

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
