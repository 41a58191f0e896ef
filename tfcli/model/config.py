"""The configuration of a model: one frozen record, four families, a few named sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tfcli.errors import DataError, UsageError

Family = Literal["modern", "llama", "gpt2", "classic"]
Norm = Literal["rms_norm", "layer_norm"]
FeedForward = Literal["swiglu", "gelu", "relu"]
Positions = Literal["rotary", "learned", "sinusoidal"]
Size = Literal["nano", "tiny", "small", "base", "large"]

# What makes a family: norm, feed-forward layer, positions; and, as properties below, QK-norm and
# biases. "modern" is Qwen3; "llama" is Llama and
# Mistral (the same without QK-norm), or with `qkv_bias` Qwen2; "gpt2" is GPT-2; "classic" is the
# decoder of "Attention Is All You Need", with the norm before attention and feed-forward.
FAMILIES: dict[Family, tuple[Norm, FeedForward, Positions]] = {
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

SMALLEST_HEAD = 16  # that is suggested
MAX_LAYERS = 10_000
MAX_CONTEXT = 1 << 17  # tokens; the tables of positions are computed for all of them
MAX_NUMBER = 1e30  # float32 holds what is computed with it

# Fields that run.json may lack, since it was written before they existed.
ADDED_LATER: dict[str, object] = {
    "sliding_window": None, "qkv_bias": False, "output_bias": False, "rope_scaling": None,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """How the rotations of RoPE are slowed down, for contexts longer than a model began with.

    The formulas are in `model.rope`.

    Attributes:
        kind: "linear": all of them by the factor. "llama3": only the slow ones. "dynamic" (NTK):
            only beyond the context length of the model's own file, so nothing is slowed here.
        factor: by which.
        low_freq_factor, high_freq_factor: llama3; a pair that turns fewer times than the first in
            the original context is slow, one that turns more often than the second is not.
        original_context: llama3; the context length before, in tokens.

    """

    kind: Literal["linear", "llama3", "dynamic"]
    factor: float
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    original_context: int | None = None

    def faults(self) -> list[str]:
        """What is wrong with it."""
        bands = {
            name: getattr(self, name)
            for name in ("low_freq_factor", "high_freq_factor", "original_context")
        }
        if self.kind != "llama3" and any(value is not None for value in bands.values()):
            return [f"{self.kind} RoPE scaling has a factor and nothing else"]
        needed = {"factor": self.factor} | (bands if self.kind == "llama3" else {})
        faults = [
            f"{name} of the RoPE scaling must be a positive number, not {value!r}"
            for name, value in needed.items()
            if type(value) not in {int, float} or not 0 < value < MAX_NUMBER
        ]
        if not faults and bands["low_freq_factor"] is not None:
            low, high = bands["low_freq_factor"], bands["high_freq_factor"]
            faults += ["low_freq_factor must be less than high_freq_factor"] * (low >= high)
        return faults


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The architecture of a Transformer; `model.parameters` lists the parameters it has.

    Attributes:
        family: which norm, feed-forward layer and positions; see `FAMILIES`.
        vocab_size: number of token ids.
        context_length: context window, in tokens.
        num_layers: number of transformer blocks.
        d_model: hidden size.
        num_heads: number of query heads.
        num_kv_heads: number of key and value heads; fewer than `num_heads` is grouped-query
            attention.
        head_dim: size of one head.
        d_ff: intermediate size of a feed-forward layer.
        tied_head: whether input and output embeddings are tied.
        rope_theta: base of the RoPE frequencies.
        norm_epsilon: added to the variance in a norm.
        sliding_window: how many positions attention sees in each layer, the current one included;
            None is the whole context. Only models with RoPE have it.
        qkv_bias: whether query, key and value have a bias, as in Qwen2; only `llama` has it.
        output_bias: whether the output of attention has one too, as in a Llama with
            `attention_bias`; only with `qkv_bias`.
        rope_scaling: of models made for longer contexts than they began with; only with RoPE.

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
    qkv_bias: bool = False
    output_bias: bool = False
    rope_scaling: RopeScaling | None = None

    def __post_init__(self) -> None:
        faults = self._faults()
        if faults:
            raise UsageError(
                "this model cannot be built", why="; ".join(faults), hint=self._way_out()
            )

    def _way_out(self) -> str | None:
        """What to ask for instead, where that is one thing."""
        if type(self.num_heads) is not int or type(self.num_kv_heads) is not int:
            return None
        if min(self.num_heads, self.num_kv_heads) < 1 or self.family not in get_args(Family):
            return None
        if self.positions != "rotary" and self.num_kv_heads != self.num_heads:
            return "leave out --num-kv-heads, or choose --family modern"
        if self.positions != "rotary" and not self.tied_head:
            return "leave out --no-tied-head, or choose --family modern"
        if self.num_heads % self.num_kv_heads:
            most = min(self.num_kv_heads, self.num_heads)
            groups = next(n for n in range(most, 0, -1) if self.num_heads % n == 0)
            return f"--num-kv-heads {groups}"
        whole = type(self.head_dim) is int and type(self.d_model) is int
        if whole and self.positions == "rotary" and self.head_dim % 2 and not self.d_model % 2:
            return f"--num-heads {_heads_for(self.d_model)}"
        if whole and self.positions == "rotary" and self.head_dim % 2:
            return f"--d-model {self.num_heads * max(self.head_dim + 1, SMALLEST_HEAD)}"
        return None

    def _faults(self) -> list[str]:
        if self.family not in get_args(Family):
            return [f"family {self.family!r} is not one of {', '.join(get_args(Family))}"]
        faults = []
        for name, value in asdict(self).items():
            if name in {"rope_theta", "norm_epsilon"}:
                if type(value) not in {int, float} or not 0 < value < MAX_NUMBER:
                    faults.append(f"{name} must be a positive number, not {value!r}")
            elif name in {"tied_head", "qkv_bias", "output_bias"}:
                if type(value) is not bool:
                    faults.append(f"{name} must be true or false, not {value!r}")
            elif name == "rope_scaling" or (name == "sliding_window" and value is None):
                continue
            elif name != "family" and (type(value) is not int or value < 1):
                faults.append(f"{name} must be a positive integer, not {value!r}")
        if faults:
            return faults
        if self.context_length > MAX_CONTEXT:
            faults.append(f"context_length {self.context_length} is more than {MAX_CONTEXT:,}")
        if self.num_layers > MAX_LAYERS:  # listed layer by layer before any weight is checked
            faults.append(f"num_layers {self.num_layers} is more than {MAX_LAYERS:,}")
        if self.num_heads % self.num_kv_heads:
            faults.append(
                f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}"
            )
        if self.qkv_bias and self.family != "llama":
            faults.append(f"{self.family} has no qkv_bias, only llama has")
        if self.output_bias and not self.qkv_bias:
            faults.append("there is no output_bias without qkv_bias")
        if self.rope_scaling is not None:
            faults += self.rope_scaling.faults()
            if self.positions != "rotary":
                faults.append(f"{self.family} has no RoPE to scale")
        if self.positions == "rotary" and self.head_dim % 2:
            faults.append(f"RoPE needs an even head_dim, not {self.head_dim}")
        if self.positions != "rotary":
            if self.sliding_window is not None:
                faults.append(f"{self.family} has no sliding window")
            if self.num_heads * self.head_dim != self.d_model:
                faults.append(
                    f"d_model {self.d_model} is not num_heads {self.num_heads} x head_dim "
                    f"{self.head_dim}, as {self.family} needs"
                )
            if self.num_kv_heads != self.num_heads:
                faults.append(f"{self.family} needs as many key-value heads as query heads")
            if not self.tied_head:
                faults.append(f"{self.family} needs a tied head")
        return faults

    @property
    def norm(self) -> Norm:
        """The normalization before attention, feed-forward and head."""
        return FAMILIES[self.family][0]

    @property
    def feed_forward(self) -> FeedForward:
        """The kind of feed-forward layer."""
        return FAMILIES[self.family][1]

    @property
    def positions(self) -> Positions:
        """How the model is told the positions of the tokens."""
        return FAMILIES[self.family][2]

    @property
    def linear_bias(self) -> bool:
        """Whether every linear layer of a block has a bias."""
        return self.family in {"gpt2", "classic"}

    @property
    def is_qwen2(self) -> bool:
        """Whether it is a Qwen2: a Llama with biases on query, key and value alone."""
        return self.qkv_bias and not self.output_bias

    @property
    def qk_norm(self) -> bool:
        """Whether queries and keys are normalized, head by head."""
        return self.family == "modern"

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary, for `run.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> ModelConfig:
        """The reverse of `to_json`.

        Raises:
            DataError: unknown or missing keys, or values that do not fit.

        """
        from tfcli.files import read_record  # here, so that --help does not wait for it

        try:
            if isinstance(value, dict):
                value = ADDED_LATER | value
            return read_record(cls, value)
        except (ValueError, UsageError) as error:
            why = error.why if isinstance(error, UsageError) else str(error)
            raise DataError("invalid model configuration", why=why) from None


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
    """The configuration of a named size; arguments override it, and the rest follows from them.

    The head size is 64 where `d_model` allows it. `d_ff` is 4 d_model, or 8/3 of it for SwiGLU,
    which has three matrices instead of two (Shazeer, "GLU Variants Improve Transformer", 2020).

    Raises:
        UsageError: no such model can be built.

    """
    size_layers, size_width, size_heads = SIZES[size]
    width = size_width if d_model is None else d_model
    heads = num_heads
    if heads is None:
        heads = size_heads if d_model is None else _heads_for(width)
    if heads < 1:
        raise UsageError(f"invalid number of heads: {heads}")
    if width % heads:
        raise UsageError(
            f"a hidden size of {width} cannot be divided into {heads} heads",
            hint=f"--d-model {max(1, width // (2 * heads)) * 2 * heads}, or another --num-heads",
        )
    d_ff = 4 * width
    if FAMILIES[family][1] == "swiglu":
        d_ff = round(8 * width / 3 / 32) * 32 or 32
    return ModelConfig(
        family=family,
        vocab_size=vocab_size,
        context_length=context_length,
        num_layers=size_layers if num_layers is None else num_layers,
        d_model=width,
        num_heads=heads,
        num_kv_heads=heads if num_kv_heads is None else num_kv_heads,
        head_dim=width // heads,
        d_ff=d_ff,
        tied_head=tied_head,
        norm_epsilon=1e-6 if FAMILIES[family][0] == "rms_norm" else 1e-5,
    )


def _heads_for(width: int) -> int:
    """The most heads of an even size of at least 64 that divide a hidden size evenly."""
    for heads in range(width // 64, 1, -1):
        if width % heads == 0 and width // heads % 2 == 0:
            return heads
    return 1
