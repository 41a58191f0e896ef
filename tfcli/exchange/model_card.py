"""The card of a run as Markdown, and the README.md of an export, which it is.

Hugging Face reads the block of metadata at the top.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tfcli.exchange.architectures import architecture_of
from tfcli.exchange.card import make_card
from tfcli.exchange.card_words import Section, describe_card, origin
from tfcli.exchange.scanners import gguf_name
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.errors import TfcliError
    from tfcli.exchange.card import Facts
    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.tokenizer import Tokenizer

# Of the licenses that Hugging Face has a name for, those that people choose.
LICENSES = {
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "cc",
    "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "unlicense", "bsd", "bsd-2-clause",
    "bsd-3-clause", "gpl", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "eupl-1.1",
    "eupl-1.2", "isc", "zlib", "odbl", "pddl", "gfdl", "artistic-2.0", "unknown", "other",
}  # fmt: skip


def model_card(
    run: Run,
    step: ValidStep,
    folder: str,
    *,
    dtype: str,
    on_damaged: Callable[[TfcliError], None] = lambda _: None,
) -> str:
    """The README.md of an export.

    Args:
        folder: name of the folder that holds the card.
        dtype: number format of the weights.
        on_damaged: see `make_card`.

    """
    card = make_card(run, step, on_damaged=on_damaged)
    usage = "## Usage\n\n" + _use(run.model_config, run.tokenizer(), folder)
    return f"{to_markdown(card, dtype=dtype)}\n{usage}\n"


def to_markdown(card: Facts, *, dtype: str | None = None) -> str:
    """A card in Markdown, ending in a newline.

    Args:
        dtype: number format of the weights, if they are beside it.

    """
    sections = describe_card(card)
    if dtype:
        next(s for s in sections if s.title == "Model").facts["dtype"] = dtype
    parameters = f"{card['model']['parameters']:,}"
    parts = [
        _metadata(card),
        f"# {_plain(card['name'])}",
        *([_escaped(card["description"])] if card["description"] else []),
        f"A language model of {parameters} parameters, {_plain(origin(card))}.",
        *(_section(section) for section in sections),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> str:
    parts = [f"## {section.title}"]
    if section.facts:
        parts.append(_table(section.facts))
        parts += map(_escaped, section.text)
    elif len(section.text) > 1:
        parts.append("\n".join(f"- {_escaped(each)}" for each in section.text))
    else:
        parts += map(_escaped, section.text)
    return "\n\n".join(parts)


def _table(facts: dict[str, str]) -> str:
    rows = [f"| {_escaped(name)} | {_escaped(value)} |" for name, value in facts.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def _escaped(text: str) -> str:
    """Somebody's text in one line, without HTML, links or columns of its own."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text).replace("|", "\\|")
    return re.sub(r"<(?!s>`)", "&lt;", text).replace("[", "\\[")


def _metadata(card: Facts) -> str:
    lines = ["library_name: transformers", "pipeline_tag: text-generation"]
    if named := card["license"]:
        known = named.lower() in LICENSES
        lines.append(f"license: {named.lower() if known else 'other'}")
        lines += [] if known else [f"license_name: {json.dumps(named)}"]
    lines += ["tags:", "- tfcli", f"- {card['model']['family']}"]
    return "\n".join(["---", *lines, "---"])


def _use(config: ModelConfig, tokenizer: Tokenizer, folder: str) -> str:
    kind = tokenizer_class(config, tokenizer)
    parts = [USE.format(folder=json.dumps(f"./{folder}"), tokenizer=kind)]
    if kind != "AutoTokenizer":
        parts.append(NOT_AUTO)
    if not isinstance(tokenizer, ByteLevelTokenizer):
        parts.append(SENTENCEPIECE)
    return "\n\n".join(parts)


def tokenizer_class(config: ModelConfig, tokenizer: Tokenizer) -> str:
    """The class of transformers that opens an exported tokenizer.

    AutoTokenizer does, except beside a model of type qwen2: there it takes Qwen2's own class,
    whatever `tokenizer_config.json` says (transformers 5, `tokenization_auto.py`).
    """
    if architecture_of(config).name != "Qwen2ForCausalLM":
        return "AutoTokenizer"
    if isinstance(tokenizer, ByteLevelTokenizer):
        found = tokenizer.vocabulary
        if gguf_name(found.pre_tokenizer, ignore_merges=found.ignore_merges) == "qwen2":
            return "AutoTokenizer"
    return "PreTrainedTokenizerFast"


NOT_AUTO = """\
`AutoTokenizer` would take the class of Qwen2's own tokenizer, and give other ids."""


def _plain(name: object) -> str:
    """An untrusted name as one line without Markdown."""
    return re.sub(r"[^\w .,/-]", "_", str(name), flags=re.ASCII)


USE = """\
```python
from transformers import AutoModelForCausalLM, {tokenizer}

tokenizer = {tokenizer}.from_pretrained({folder})
model = AutoModelForCausalLM.from_pretrained({folder})
ids = tokenizer("Once upon", return_tensors="pt", return_token_type_ids=False)
print(tokenizer.decode(model.generate(**ids, max_new_tokens=100)[0], skip_special_tokens=True))
```"""

SENTENCEPIECE = """\
Every text starts with `<s>`, which the tokenizer adds. U+2581 is the tokenizer's own mark for a
space: programs other than tfcli decode it as a space."""
