"""The README.md of an export: the card of its run, and how to use the model elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tfcli.exchange.architectures import architecture_of
from tfcli.exchange.card.facts import make_card
from tfcli.exchange.card.markdown import to_markdown
from tfcli.exchange.scanners import gguf_name
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer
from tfcli.text.escapes import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.errors import TfcliError
    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.tokenizer import Tokenizer

USE = """\
```python
from transformers import AutoModelForCausalLM, {tokenizer}

tokenizer = {tokenizer}.from_pretrained({folder})
model = AutoModelForCausalLM.from_pretrained({folder})
ids = tokenizer({prompt}, return_tensors="pt", return_token_type_ids=False)
print(tokenizer.decode(model.generate(**ids)[0], skip_special_tokens=True))
```"""

PAIRS = """\
It was trained on pairs of prompt and answer: `{separator}` follows each prompt, as in training, and
then comes the answer. tfcli adds it by itself; in other programs it belongs to the prompt."""

CONVERSATIONS = """\
It was trained on conversations: a prompt is `user: `, what is said, `{separator}` and
`assistant: `, as in training, and then comes the answer. tfcli adds them by itself; in other
programs they belong to the prompt."""

SENTENCEPIECE = """\
Every text starts with `<s>`, which the tokenizer adds. U+2581 is the tokenizer's own mark for a
space: programs other than tfcli decode it as a space."""

NOT_AUTO = """\
`AutoTokenizer` would take the class of Qwen2's own tokenizer, and give other ids."""


def draw_readme(
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
    usage = "## Usage\n\n" + _use(run, run.tokenizer(), folder)
    return f"{to_markdown(card, dtype=dtype)}\n{usage}\n"


def _use(run: Run, tokenizer: Tokenizer, folder: str) -> str:
    kind, form = tokenizer_class(run.model_config, tokenizer), run.form
    prompt = form.frame("Once upon") if form else "Once upon"
    parts = [
        USE.format(
            folder=json.dumps(f"./{folder}"), tokenizer=kind,
            prompt=json.dumps(prompt, ensure_ascii=False),
        )
    ]  # fmt: skip
    if form:
        said = PAIRS if form.kind == "pairs" else CONVERSATIONS
        parts.append(said.format(separator=escape(form.separator)))
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
