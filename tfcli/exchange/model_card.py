"""The model card (README.md) of an exported model.

After Mitchell et al., "Model Cards for Model Reporting", 2019. Hugging Face reads the block of
metadata at the top.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from tfcli import __version__
from tfcli.exchange.architectures import architecture_of
from tfcli.exchange.scanners import gguf_name
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.tokenizer import Tokenizer


def model_card(run: Run, step: ValidStep, folder: str, *, dtype: str) -> str:
    """The model card in Markdown, from what the run records.

    Args:
        folder: name of the folder that holds the card.
        dtype: number format of the weights.

    """
    config, state, corpus = run.model_config, step.state, run.metadata["corpus"]
    tokenizer = run.tokenizer()
    flops = state.tokens_seen * training_flops_per_token(config)
    epochs = state.tokens_seen / max(corpus["training_tokens"], 1)
    sections = [
        _metadata(run),
        f"# {_plain(run.name)}",
        f"A language model of {count_parameters(config):,} parameters, {_origin(run)}.",
        "## Model details",
        _table({
            "architecture": f"{architecture_of(config).name} (family `{config.family}`)",
            "layers, hidden size": f"{config.num_layers}, {config.d_model}",
            "attention heads": f"{config.num_heads} of size {config.head_dim}, "
                               f"{config.num_kv_heads} key-value heads",
            "feed-forward size": config.d_ff,
            "context length": f"{config.context_length:,} tokens",
            "vocabulary": f"{tokenizer.vocab_size:,} tokens ({_kind(tokenizer)})",
            "dtype": dtype,
        }),
    ]  # fmt: skip
    if not run.metadata.get("imported"):
        sections += [
            "## Training data",
            _table({
                "text": f"{corpus['bytes']:,} bytes, documents: {corpus['documents']:,}",
                **_form(run),
                "SHA-256 of the text": f"`{corpus['fingerprint']}`",
                "training part": f"{corpus['training_bytes']:,} bytes, "
                                 f"{corpus['training_tokens']:,} tokens",
                "held-out part": f"{corpus['held_out_bytes']:,} bytes, {_held_out(run)}",
                "SHA-256 of the tokenizer": f"`{run.metadata['tokenizer']['fingerprint']}`",
                "initialized from": run.metadata.get("from") or "scratch",
            }),
            "## Training procedure",
            _table({
                "tokens seen": f"{state.tokens_seen:,} ({epochs:.1f} epochs)",
                "steps": f"{state.step:,}",
                "time": f"{state.seconds:,.0f} s",
                "compute": f"{flops:.2e} FLOPs",
                "seed": run.metadata["seed"],
                **_settings(run.metadata["plan"]),
            }),
        ]  # fmt: skip
    sections += ["## Evaluation", _quality(run, step), "## Limits", _limits(run), "## Usage"]
    return "\n\n".join([*sections, _use(config, tokenizer, folder)]) + "\n"


def _kind(tokenizer: Tokenizer) -> str:
    byte_level = isinstance(tokenizer, ByteLevelTokenizer)
    return "byte-level BPE" if byte_level else "SentencePiece with byte fallback"


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


def _form(run: Run) -> dict[str, str]:
    """How a prompt has to be written, if the model answers prompts."""
    if run.form is None:
        return {}
    return {"prompts": f"`PROMPT` is written as `{json.dumps(run.form.frame('PROMPT'))}`"}


def _held_out(run: Run) -> str:
    """What was held out, without the names of files, which are nobody else's business."""
    corpus = run.corpus
    if corpus.val:
        return "a text of its own"
    if corpus.pairs:
        return f"pairs chosen at random: {corpus.pairs.held_out_pairs:,}"
    if len(corpus.held_out) == 1 and corpus.held_out[0][1] == corpus.bytes:
        return "the end of the text"
    return f"stretches of the text: {len(corpus.held_out)}"


def _origin(run: Run) -> str:
    if imported := run.metadata.get("imported"):
        return f"imported from {_plain(imported)} with tfcli {__version__}"
    if base := run.metadata.get("from"):
        return f"fine-tuned from {_plain(base)} with tfcli {__version__}"
    return f"trained from scratch with tfcli {__version__}"


def _plain(name: object) -> str:
    """An untrusted name as one line without Markdown."""
    return re.sub(r"[^\w .,/-]", "_", str(name), flags=re.ASCII)


def _settings(plan: dict[str, Any]) -> dict[str, object]:
    """The hyperparameters of a plan."""
    optimizer = plan.get("optimizer", {})
    known = {
        "learning rate (Muon)": optimizer.get("matrix_learning_rate"),
        "learning rate (AdamW)": optimizer.get("table_learning_rate"),
        "weight decay": optimizer.get("weight_decay"),
        "dropout": plan.get("dropout"),
        "token dropout": plan.get("token_dropout"),
        "infilling": plan.get("infill") or None,
        "rows trained both ways": plan.get("masked") or None,
        "dtype": plan.get("dtype", plan.get("precision")),
    }
    return {name: value for name, value in known.items() if value is not None}


def _limits(run: Run) -> str:
    return LIMITS + (f"\n\n{CAUSAL}" if run.metadata["plan"].get("masked") else "")


CAUSAL = """\
A share of its training was to predict masked tokens from both sides. Exported it reads from left to
right, as every causal language model does; filling gaps from both sides needs tfcli."""

LIMITS = """\
It knows only the text that it was trained on, with that text's errors, views and style. It makes
up facts. It was not trained to follow instructions or to refuse anything. It may reproduce passages
of its text verbatim: share it only where you may share the text."""

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


def _metadata(run: Run) -> str:
    lines = ["library_name: transformers", "pipeline_tag: text-generation", "tags:", "- tfcli"]
    lines.append(f"- {run.metadata['model']['family']}")
    return "\n".join(["---", *lines, "---"])


def _table(facts: dict[str, object]) -> str:
    rows = [f"| {key} | {_cell(value)} |" for key, value in facts.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _quality(run: Run, step: ValidStep) -> str:
    measured = step.state.final_or_latest
    if measured is None:
        return "Not evaluated on held-out text."
    part = "all of it" if measured.whole else "an evenly spaced subset"
    facts: dict[str, object] = {
        "held-out loss": f"**{measured.nats_per_byte:.4f} nats per byte** "
                         f"({measured.nats_per_byte / math.log(2):.4f} bits per byte)",
        "evaluated on": f"{measured.bytes:,} bytes, {measured.tokens:,} tokens: {part}",
        "protocol": f"windows of {measured.context} tokens with stride {measured.stride}, "
                    "each starting with `<s>`",
        "other data": "not evaluated",
    }  # fmt: skip
    baselines = run.metadata.get("baselines")
    if baselines:
        facts["gzip"] = f"{baselines['gzip']:.4f} nats per byte on the same text"
        if baselines.get("ngram"):
            order = baselines["ngram_order"]
            facts[f"{order}-gram model"] = f"{baselines['ngram']:.4f} nats per byte"
    return _table(facts)
