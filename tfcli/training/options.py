"""What a user may ask of a training; the plan decides the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tfcli.model.config import Family, Size
from tfcli.options import Options, option
from tfcli.quantities import parse_count, parse_duration
from tfcli.runtime.dtype import DType

Init = Literal["bigrams", "random"]
OptimizerKind = Literal["muon", "adamw"]

DEFAULT_SECONDS = 60.0

MOST_MASKED = 0.95  # some rows stay causal: by their loss the best step is chosen

BUDGET, MODEL, OPTIMIZATION = "Training budget", "Model", "Optimization"


def _weight(text: str) -> float:
    try:
        return float({"on": "1", "off": "0"}.get(text, text))
    except ValueError:
        raise ValueError(f"must be a number from 0 to 1, or on, not {text!r}") from None


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """What the user asked for; None leaves it to the plan."""

    seconds: float | None = option(
        None, name="time", metavar="60s|5m|1h", shown_default="60s", panel=BUDGET,
        from_text=parse_duration, conflicts=("steps", "epochs", "tokens"),
        help="Wall-clock time of the whole command; with --resume, added to the budget.",
    )  # fmt: skip
    steps: int | None = option(
        None, min=1, panel=BUDGET, from_text=parse_count, conflicts=("epochs", "tokens"),
        help="Number of optimizer steps.",
    )  # fmt: skip
    epochs: float | None = option(
        None, min=0.001, panel=BUDGET, conflicts=("tokens",), help="Passes over the text."
    )
    tokens: int | None = option(
        None, min=1, panel=BUDGET, from_text=parse_count,
        help="Number of tokens to train on, such as 2M.",
    )  # fmt: skip
    patience: int | None = option(
        None, min=1, shown_default="4 if --time gives over 20 epochs", panel=BUDGET,
        help="Stop after N evaluations without improvement.",
    )  # fmt: skip
    size: Size | None = option(
        None, metavar="SIZE", shown_default="from time, machine and text", panel=MODEL,
        help="nano, tiny, small, base or large: from 3 layers of 192 to 24 of 1024.",
    )  # fmt: skip
    family: Family | None = option(
        None, metavar="FAMILY", shown_default="modern", panel=MODEL,
        help="Architecture: modern (Qwen3-like), llama, gpt2 or classic.",
    )  # fmt: skip
    num_layers: int | None = option(
        None, min=1, aliases=("layers",), shown_default="from --size", panel=MODEL,
        help="Number of transformer blocks.",
    )  # fmt: skip
    d_model: int | None = option(
        None, min=1, aliases=("width",), shown_default="from --size", panel=MODEL,
        help="Hidden size.",
    )  # fmt: skip
    num_heads: int | None = option(
        None, min=1, aliases=("heads",), panel=MODEL,
        shown_default="d_model / 64, or d_model / 16 for short pairs",
        help="Number of attention heads.",
    )  # fmt: skip
    num_kv_heads: int | None = option(
        None, min=1, aliases=("kv_heads",), shown_default="num_heads", panel=MODEL,
        help="Number of key-value heads; fewer is grouped-query attention.",
    )  # fmt: skip
    context_length: int | None = option(
        None, min=2, aliases=("context", "block_size"), shown_default="from --size", panel=MODEL,
        help="Context length in tokens.",
    )  # fmt: skip
    tied_head: bool | None = option(
        None, aliases=("tied",), shown_default="untied in modern and llama", panel=MODEL,
        help="Tie input and output embeddings.",
    )  # fmt: skip
    init: Init | None = option(
        None, shown_default="bigrams if supported", panel=MODEL,
        help="Weight initialization: random, or bigrams of the text (modern and llama).",
    )  # fmt: skip
    document_mask: bool = option(
        False, panel=OPTIMIZATION, help="Mask attention across packed documents."
    )
    prompt_loss: float = option(
        0.0, min=0, max=1, off=0.0, metavar="WEIGHT|on", panel=OPTIMIZATION, from_text=_weight,
        help="Of pairs, how much prompts count in the loss: 0 to 1; on: as much as answers.",
    )  # fmt: skip
    infill: float = option(
        0.0, min=0, max=0.9, off=0.0, aliases=("fim_rate",), metavar="SHARE", panel=OPTIMIZATION,
        help="Fraction of texts, or of pieces of long ones, read with their middle last (fill in "
        "the middle); try 0.5.",
    )  # fmt: skip
    masked: float = option(
        0.0, min=0, max=MOST_MASKED, off=0.0, metavar="SHARE", panel=OPTIMIZATION,
        help="Fraction of rows trained with masked tokens and bidirectional attention; try 0.5.",
    )  # fmt: skip
    distill: bool | None = option(
        None, shown_default="with --time, from 8 epochs on", panel=OPTIMIZATION,
        help="Self-distillation: half of the budget for a teacher, half for a student that is "
        "trained on the text and on its predictions.",
    )  # fmt: skip
    batch_tokens: int | None = option(
        None, min=1, from_text=parse_count, shown_default="from device, time and text",
        panel=OPTIMIZATION, help="Tokens per optimizer step.",
    )  # fmt: skip
    optimizer: OptimizerKind | None = option(
        None, shown_default="muon; adamw for imported weights", panel=OPTIMIZATION,
        help="muon: Muon for matrices, AdamW for the rest; adamw: AdamW for all.",
    )  # fmt: skip
    learning_rate: float | None = option(
        None, min=1e-12, max=1000, aliases=("lr",), metavar="RATE", panel=OPTIMIZATION,
        shown_default="from the number of steps",
        help="Peak learning rate of the weight matrices; the others scale with it.",
    )  # fmt: skip
    weight_decay: float | None = option(
        None, min=0, metavar="RATE", shown_default="from the number of epochs",
        panel=OPTIMIZATION, help="Weight decay.",
    )  # fmt: skip
    dropout: float | None = option(
        None, min=0, max=0.9, metavar="RATE", shown_default="from the number of epochs",
        panel=OPTIMIZATION, help="Dropout rate.",
    )  # fmt: skip
    token_dropout: float | None = option(
        None, min=0, max=0.9, metavar="RATE", shown_default="from the number of epochs",
        panel=OPTIMIZATION, help="Fraction of input tokens replaced by <unk>.",
    )  # fmt: skip
    eval_every: int | None = option(
        None, min=1, metavar="STEPS", shown_default="8 times per run", panel=OPTIMIZATION,
        help="Evaluate on held-out text every N steps.",
    )  # fmt: skip
    save_every: int | None = option(
        None, min=1, metavar="STEPS", shown_default="8 times per run, and every 10 min",
        panel=OPTIMIZATION, help="Save a checkpoint every N steps.",
    )  # fmt: skip
    dtype: DType | None = option(
        None, metavar="DTYPE", shown_default="fastest on this machine", panel=OPTIMIZATION,
        help="dtype of matrix products: float32, bfloat16 or float16; weights stay float32.",
    )  # fmt: skip
    compile: bool | None = option(
        None, shown_default="where it pays", panel=OPTIMIZATION, help="Compile with torch.compile."
    )
    checkpointing: bool | None = option(
        None, name="gradient_checkpointing", shown_default="if memory needs it",
        panel=OPTIMIZATION,
        help="Recompute activations in the backward pass: less memory, a third more time.",
    )  # fmt: skip
    sharded: bool | None = option(
        None, name="shard", shown_default="if the model does not fit on one device",
        panel=OPTIMIZATION, help="Shard parameters across processes (FSDP).",
    )  # fmt: skip

    @property
    def timed(self) -> bool:
        """Whether the budget is a time, not a number of steps."""
        return self.steps is self.epochs is self.tokens is None

    @property
    def time_budget(self) -> float | None:
        """The seconds of a budget of time; None for one of steps."""
        return (self.seconds or DEFAULT_SECONDS) if self.timed else None
