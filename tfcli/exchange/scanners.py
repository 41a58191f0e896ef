"""How known byte-level tokenizers split a text before they merge its bytes.

A `tokenizer.json` says it itself. A GGUF file has only a name, `tokenizer.ggml.pre`; which regular
expressions the names stand for: github.com/ggml-org/llama.cpp, src/llama-vocab.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcli.errors import DataError

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
_QWEN_35 = _QWEN.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(
    r" ?[^\s\p{L}\p{N}]", r" ?[^\s\p{L}\p{M}\p{N}]"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_GPT_4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDING}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN = _GPT_4O.replace(_ENDING, "").replace(r"\p{N}{1,3}", r"\p{N}")


def _byte_level(*, use_regex: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
        "use_regex": use_regex,
    }  # fmt: skip


def _split(regex: str) -> dict[str, Any]:
    split = {
        "type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False
    }  # fmt: skip
    return {"type": "Sequence", "pretokenizers": [split, _byte_level(use_regex=False)]}


@dataclass(frozen=True)
class Scanner:
    """How a text is split.

    Attributes:
        pre_tokenizer: as `tokenizer.json` has it.
        ignore_merges: whether a word that is a token is not merged from its parts.
        add_bos: whether a text begins with `bos`, where a file does not say it.

    """

    pre_tokenizer: dict[str, Any]
    ignore_merges: bool = False
    add_bos: bool = False


GPT_2 = Scanner(_byte_level(use_regex=True))
SMOLLM = Scanner({
    "type": "Sequence",
    "pretokenizers": [{"type": "Digits", "individual_digits": True}, _byte_level(use_regex=True)],
})  # fmt: skip
LLAMA_3 = Scanner(_split(_LLAMA_3), ignore_merges=True, add_bos=True)
QWEN = Scanner(_split(_QWEN))

_NAMES: list[tuple[Scanner, str]] = [
    (GPT_2, "gpt-2 phi-2 mpt olmo jais trillion gigachat mellum a.x-4.0 exaone4 granite-docling"),
    (SMOLLM, "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2"),
    (LLAMA_3, "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2"),
    (Scanner(_split(_LLAMA_3)), "dbrx smaug-bpe glm4 chatglm-bpe"),
    (QWEN, "qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2"),
    (Scanner(_split(_QWEN_35)), "qwen35"),
    (Scanner(_split(_GPT_4O)), "gpt-4o llama4 kanana2 minimax-m2"),
    (Scanner(_split(_TEKKEN), ignore_merges=True, add_bos=True), "tekken"),
]
BY_GGUF_NAME = {name: scanner for scanner, names in _NAMES for name in names.split()}


def scanner_of_gguf(name: object) -> Scanner:
    """The scanner that a GGUF file names.

    Raises:
        DataError: it is not known.

    """
    if not isinstance(name, str) or name not in BY_GGUF_NAME:
        named = "names no scanner" if name is None else f"has the scanner {str(name)[:40]!r}"
        raise DataError(
            f"the tokenizer of this GGUF file {named}",
            why=f"it would split texts in an unknown way; known are {', '.join(BY_GGUF_NAME)}",
            hint="tfcli import FOLDER   # the same model in Hugging Face format, if there is one",
        )
    return BY_GGUF_NAME[name]


def gguf_name(pre_tokenizer: dict[str, Any], *, ignore_merges: bool) -> str | None:
    """What a GGUF file calls the scanner of a `tokenizer.json`; None where it is not known."""
    steps = _plain(pre_tokenizer)
    return next(
        (
            names.split()[0]
            for scanner, names in _NAMES
            if _plain(scanner.pre_tokenizer) == steps and scanner.ignore_merges == ignore_merges
        ),
        None,
    )


def _plain(pre_tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    """Its steps, without what makes no difference to how a text is split."""
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    ignored = {"add_prefix_space", "trim_offsets"}
    plain = [{key: step[key] for key in step if key not in ignored} for step in steps]
    return [{"use_regex": True} | step if step["type"] == "ByteLevel" else step for step in plain]
