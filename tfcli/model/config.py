"""What a model is made of: one frozen record, four named families, a few named sizes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tfcli.errors import DataError, UsageError

Family = Literal["modern", "llama", "gpt2", "classic"]
Norm = Literal["rms_norm", "layer_norm"]
FeedForward = Literal["swiglu", "gelu", "relu"]
Positions = Literal["rotary", "learned", "sinusoidal"]
Size = Literal["nano", "tiny", "small", "base", "large"]

# The three choices that make a family. "modern" has the parts of Qwen3, "llama" those of Llama and
# Mistral (the same without QK-norm), "gpt2" those of GPT-2, "classic" those of "Attention Is All
# You Need" (decoder side, with the norm before each part).
CHOICES: dict[Family, tuple[Norm, FeedForward, Positions]] = {
    "modern": ("rms_norm", "swiglu", "rotary"),
    "llama": ("rms_norm", "swiglu", "rotary"),
    "gpt2": ("layer_norm", "gelu", "learned"),
    "classic": ("layer_norm", "relu", "sinusoidal"),
}

# size: (num_layers, d_model, num_heads)
SIZES: dict[Size, tuple[int, int, int]] = {
    "nano": (3, 192, 3),
    "tiny": (6, 256, 4),
    "small": (6, 384, 6),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
}

MOST_LAYERS = 10_000


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a Transformer.

    Attributes:
        family: which norm, feed-forward and positions; see `CHOICES`.
        vocab_size: number of token ids.
        context_length: most positions that the model looks at together.
        num_layers: number of blocks.
        d_model: width of the residual stream.
        num_heads: query heads of an attention layer.
        num_kv_heads: key and value heads; fewer than `num_heads` is grouped-query attention.
        head_dim: width of one head.
        d_ff: width inside a feed-forward layer.
        tied_head: whether the output head is the embedding table again.
        rope_theta: base of the rotary wavelengths.
        norm_epsilon: added to the variance in a norm.
        sliding_window: how many positions attention looks back on in one layer, its own among
            them; None is all of the context. Rotary models alone have it, those of Mistral most.

    """

    family: Family = "modern"
    vocab_size: int
    context_length: int
    num_layers: int
    d_model: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    d_ff: int
    tied_head: bool = True
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-6
    sliding_window: int | None = None

    def __post_init__(self) -> None:
        faults = self._faults()
        if faults:
            raise UsageError("this model cannot be built", why="; ".join(faults))

    def _faults(self) -> list[str]:
        if self.family not in get_args(Family):
            return [f"family {self.family!r} is none of {', '.join(get_args(Family))}"]
        faults = []
        for name, value in asdict(self).items():
            if name in {"rope_theta", "norm_epsilon"}:
                if type(value) not in {int, float} or not 0 < value < math.inf:
                    faults.append(f"{name} must be a number above 0, not {value!r}")
            elif name == "tied_head":
                if type(value) is not bool:
                    faults.append(f"tied_head must be true or false, not {value!r}")
            elif name == "sliding_window" and value is None:
                continue
            elif name != "family" and (type(value) is not int or value < 1):
                faults.append(f"{name} must be a whole number above 0, not {value!r}")
        if faults:
            return faults
        if self.num_layers > MOST_LAYERS:  # each is built, or listed, before its weights are met
            faults.append(f"{self.num_layers} layers are too many: more than {MOST_LAYERS:,}")
        if self.num_heads % self.num_kv_heads:
            faults.append(
                f"num_heads {self.num_heads} is no multiple of num_kv_heads {self.num_kv_heads}"
            )
        if self.positions == "rotary" and self.head_dim % 2:
            faults.append(f"rotary positions need an even head_dim, not {self.head_dim}")
        if self.positions != "rotary":
            if self.sliding_window is not None:
                faults.append(f"{self.family} has no sliding window")
            if self.num_heads * self.head_dim != self.d_model:
                faults.append(
                    f"d_model {self.d_model} is not num_heads {self.num_heads} x head_dim "
                    f"{self.head_dim}, as {self.family} needs"
                )
            if self.num_kv_heads != self.num_heads:
                faults.append(f"{self.family} has as many key-value heads as heads")
            if not self.tied_head:
                faults.append(f"{self.family} has a tied head")
        return faults

    @property
    def norm(self) -> Norm:
        """Which normalisation stands before each part of a block."""
        return CHOICES[self.family][0]

    @property
    def feed_forward(self) -> FeedForward:
        """Which feed-forward layer."""
        return CHOICES[self.family][1]

    @property
    def positions(self) -> Positions:
        """How the model knows the order of the tokens."""
        return CHOICES[self.family][2]

    @property
    def biases(self) -> bool:
        """Whether the linear layers have biases."""
        return self.norm == "layer_norm"

    @property
    def qk_norm(self) -> bool:
        """Whether queries and keys are normalised before they meet."""
        return self.family == "modern"

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary, for `run.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> ModelConfig:
        """The reverse of `to_json`.

        Raises:
            DataError: keys or values that no configuration has.

        """
        from tfcli.files import read_record  # not above: every --help would wait for it

        try:
            if isinstance(value, dict):
                value = {"sliding_window": None} | value  # a run of before there was one
            return read_record(cls, value)
        except (ValueError, UsageError) as error:
            why = error.why if isinstance(error, UsageError) else str(error)
            raise DataError("the model configuration is not one of ours", why=why) from None


def named_config(
    size: Size,
    *,
    vocab_size: int,
    context_length: int,
    family: Family = "modern",
    num_layers: int | None = None,
    d_model: int | None = None,
    num_heads: int | None = None,
    num_kv_heads: int | None = None,
    tied_head: bool = True,
) -> ModelConfig:
    """The configuration of a named size; what is given overrides it and the rest adapts.

    Heads are 64 wide where `d_model` allows it. `d_ff` is 4 d_model, or 8/3 of it for SwiGLU,
    which has three matrices instead of two (Shazeer, "GLU Variants Improve Transformer", 2020).
    """
    size_layers, size_width, size_heads = SIZES[size]
    layers = size_layers if num_layers is None else num_layers
    width = size_width if d_model is None else d_model
    heads = num_heads
    if heads is None:
        heads = size_heads if d_model is None else _heads_for(width)
    if heads < 1:
        raise UsageError(f"{heads} is no number of heads")
    if width % heads:
        raise UsageError(
            f"a width of {width} cannot be shared by {heads} heads",
            hint=f"--width {max(1, width // (2 * heads)) * 2 * heads}, or another --heads",
        )
    d_ff = 4 * width
    if CHOICES[family][1] == "swiglu":
        d_ff = round(8 * width / 3 / 32) * 32 or 32
    return ModelConfig(
        family=family,
        vocab_size=vocab_size,
        context_length=context_length,
        num_layers=layers,
        d_model=width,
        num_heads=heads,
        num_kv_heads=heads if num_kv_heads is None else num_kv_heads,
        head_dim=width // heads,
        d_ff=d_ff,
        tied_head=tied_head,
        norm_epsilon=1e-6 if CHOICES[family][0] == "rms_norm" else 1e-5,
    )


def _heads_for(width: int) -> int:
    """The most heads of at least 64 channels, an even number each, that share a width evenly."""
    for heads in range(width // 64, 1, -1):
        if width % heads == 0 and width // heads % 2 == 0:
            return heads
    return 1
