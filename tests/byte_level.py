"""Small byte-level tokenizers, made by the library `tokenizers`, with the scanners of known models.

They are the reference too: what the library itself makes of a text.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Literal, get_args

from tests.conftest import BOOK
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer
from tfcli.text.byte_level_vocabulary import byte_level_json

Scanner = Literal["gpt-2", "smollm", "llama-3", "qwen"]
SCANNERS: tuple[Scanner, ...] = get_args(Scanner)

# the regular expression of Llama 3's tokenizer.json; Qwen's differs in the number of digits
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
BEGIN, END, TURN, CALL = "<|begin|>", "<|endoftext|>", "<|im_end|>", "<tool_call>"
TEXT = (
    BOOK
    + (
        "El zorro viejo vio el barco al mediodía; ¿y el niño?\r\n古い狐は正午に船を見た。\n"
        "def fox(n):\n        return [n ** 2 for n in range(1024)]\nЛиса увидела корабль 🦊⛵\n"
    )
    * 20
)


@cache
def _trained(scanner: Scanner, vocab_size: int) -> str:
    import tokenizers
    from tokenizers import pre_tokenizers

    bytes_as_they_are = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    steps = {
        "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
        "smollm": pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]),
        "llama-3": pre_tokenizers.Sequence([
            pre_tokenizers.Split(tokenizers.Regex(LLAMA_3), "isolated"), bytes_as_they_are
        ]),
        "qwen": pre_tokenizers.Sequence([
            pre_tokenizers.Split(tokenizers.Regex(QWEN), "isolated"), bytes_as_they_are
        ]),
    }  # fmt: skip
    made = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=scanner == "llama-3"))
    made.pre_tokenizer = steps[scanner]
    if scanner == "qwen":
        made.normalizer = tokenizers.normalizers.NFC()
    made.decoder = tokenizers.decoders.ByteLevel()
    first = [END] if scanner == "smollm" else []  # the others have theirs at the end
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, special_tokens=first,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator([TEXT], trainer)
    made.add_special_tokens([BEGIN, END, TURN])
    made.add_tokens([tokenizers.AddedToken(CALL, normalized=False)])
    if scanner == "llama-3":
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single=f"{BEGIN} $A", special_tokens=[(BEGIN, made.token_to_id(BEGIN))]
        )
    return str(made.to_str())


def tokenizer_json(scanner: Scanner, vocab_size: int = 500) -> dict[str, Any]:
    """The content of a `tokenizer.json`; the caller may change it."""
    made: dict[str, Any] = json.loads(_trained(scanner, vocab_size))
    return made


def reference(scanner: Scanner, vocab_size: int = 500) -> Any:
    """The library's own tokenizer, to which special tokens in a text are text."""
    import tokenizers

    made = tokenizers.Tokenizer.from_str(_trained(scanner, vocab_size))
    made.encode_special_tokens = True
    return made


def id_of(content: dict[str, Any], text: str) -> int:
    ids: dict[str, int] = {t["content"]: t["id"] for t in content["added_tokens"]}
    return ids[text]


def kept(content: dict[str, Any], *, add_bos: bool = False) -> bytes:
    return byte_level_json(
        content, bos=id_of(content, BEGIN), eos=id_of(content, END), unk=None, add_bos=add_bos
    )


@cache
def byte_level(scanner: Scanner, vocab_size: int = 500) -> ByteLevelTokenizer:
    return ByteLevelTokenizer(
        kept(tokenizer_json(scanner, vocab_size), add_bos=scanner == "llama-3")
    )
