"""The infill tokens, as exports and other programs name them.

GGUF                   tokenizer.ggml.fim_pre_token_id, ..._suf_..., ..._mid_...; and eot_token_id,
                       by which llama.cpp ends a generation, if a middle has an end of its own
tokenizer_config.json  additional_special_tokens: <0xC0>, <0xC1>, <0xF5>; and <0xF6>, that end
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.text.infill_tokens import BYTES, find_infill_tokens, make_infill_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.tokenizer import Tokenizer

GGUF_MARKERS = tuple(f"tokenizer.ggml.fim_{part}_token_id" for part in ("pre", "suf", "mid"))
GGUF_END = "tokenizer.ggml.eot_token_id"  # also of a turn, in models that talk
CONFIG_KEYS = ("additional_special_tokens", "extra_special_tokens")  # transformers 4 and 5
PIECES = [f"<0x{byte.hex().upper()}>" for byte in BYTES]


def own_end(infill: InfillTokens | None, tokenizer: Tokenizer) -> list[int]:
    """The end of a middle, where it is not also that of a text."""
    if infill is None or infill.end in tokenizer.special.eos_ids:
        return []
    return [infill.end]


def infill_from_gguf(metadata: Mapping[str, Any], tokenizer: Tokenizer) -> InfillTokens | None:
    """The infill tokens that a file names, or else the tokens of its vocabulary."""
    named = find_infill_tokens(tokenizer, named_only=True)
    ids = [metadata.get(key) for key in GGUF_MARKERS]
    if not all(type(i) is int and 0 <= i < tokenizer.vocab_size for i in ids):
        return named
    known = find_infill_tokens(tokenizer)
    ends = (metadata.get(GGUF_END), named and named.end)
    if known and [*known.markers] == ids and known.end in ends:
        return known
    return make_infill_tokens(tokenizer, [int(i) for i in ids if i is not None])


def infill_from_config(config: Mapping[str, Any], tokenizer: Tokenizer) -> InfillTokens | None:
    """The infill tokens that `tokenizer_config.json` names, or else the vocabulary."""
    listed = [token for key in CONFIG_KEYS for token in _list(config.get(key))]
    known = find_infill_tokens(tokenizer)
    if known is None or not all(piece in listed for piece in PIECES[:3]):
        return find_infill_tokens(tokenizer, named_only=True)
    return known if PIECES[3] in listed else make_infill_tokens(tokenizer, known.markers)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
