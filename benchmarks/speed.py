"""How much of the device's peak a training step uses (model FLOPs utilization, MFU).

    python -m benchmarks.speed [--rounds 5] [--compile]

For models of about 1 and 10 million parameters: the milliseconds of a whole step (forward,
backward, optimizer), and the model's floating-point operations as a share of those that a large
matrix product makes in the same time. Both are measured in turns in one process; the table shows
the median of the rounds.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.report import new_parser, print_heading, print_table
from tfcli.model.config import named_config
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.model.transformer import Transformer
from tfcli.runtime.device import choose_device
from tfcli.runtime.dtype import choose_dtype
from tfcli.training.batches import Batch
from tfcli.training.compiling import compile_loss
from tfcli.training.optimizers import Optimizer, OptimizerConfig
from tfcli.training.probe import Probe
from tfcli.training.setup import BATCH_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.model.config import ModelConfig

SHAPES = ((2, 192), (6, 384))  # layers, width
TINY_SHAPES = ((1, 32),)
VOCAB_SIZE, CONTEXT = 1024, 256


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    wanted = parser.parse_args(arguments)
    print_heading("speed", arguments)
    device = choose_device()
    dtype = choose_dtype(device)
    rows = BATCH_TOKENS[device.type] // CONTEXT
    compiled = "compiled" if wanted.compile else "not compiled"
    print(f"On {device}, {dtype}, batches of {rows * CONTEXT:,} tokens, {compiled}.\n")

    def measured() -> Iterator[tuple[object, ...]]:
        for layers, width in TINY_SHAPES if wanted.tiny else SHAPES:
            config = named_config(
                "nano", vocab_size=VOCAB_SIZE, context_length=CONTEXT,
                num_layers=layers, d_model=width, tied_head=False,
            )  # fmt: skip
            rounds = 1 if wanted.tiny else wanted.rounds
            peak, seconds = measure(config, device, rows, rounds, compile=wanted.compile)
            tokens = rows * CONTEXT
            used = training_flops_per_token(config) * tokens / seconds
            yield (
                f"{layers} x {width}", f"{count_parameters(config):,}", f"{1000 * seconds:.1f}",
                f"{tokens / seconds:,.0f}", f"{peak / 1e9:.0f}", f"{used / peak:.0%}",
            )  # fmt: skip

    print_table(
        ["layers x width", "parameters", "ms per step", "tokens/s", "peak GFLOP/s", "MFU"],
        measured(),
    )


def measure(
    config: ModelConfig, device: torch.device, rows: int, rounds: int, *, compile: bool
) -> tuple[float, float]:
    """The device's peak in FLOP/s, and the seconds of a training step on so many rows."""
    dtype, probe = choose_dtype(device), Probe(device)
    model = Transformer(config, dtype=getattr(torch, dtype))
    model.init_weights(0)
    model.to(device)
    ids = np.zeros((rows, CONTEXT), np.int64)
    batch = Batch(inputs=ids, targets=ids)
    compiled = compile_loss(model, batch, only_if_faster=False)[0] if compile else None
    loss = compiled or model.loss
    optimizer = Optimizer(model, OptimizerConfig(), getattr(torch, dtype))
    measured = [
        (probe.peak(dtype), probe.time_step(loss, optimizer, rows, config)) for _ in range(rounds)
    ]
    peak, seconds = (median(column) for column in zip(*measured, strict=True))
    return peak, seconds


if __name__ == "__main__":
    main()
