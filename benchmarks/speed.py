"""How much of what the machine can multiply a training step uses (model FLOPs utilisation).

    python -m benchmarks.speed [--rounds 5] [--compile]

For models of about 1 and 10 million parameters: the seconds of a whole update (forward, backward,
optimizer), and the operations that the model takes, of those that a large matrix product makes in
the same time. Both are measured in turns in one process; the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
from statistics import median

import torch

from tfcli.model.config import named_config
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.model.transformer import Transformer
from tfcli.runtime.device import choose_device
from tfcli.runtime.dtype import choose_dtype
from tfcli.training.compiling import compile_loss
from tfcli.training.optimizers import Optimizer, OptimizerConfig
from tfcli.training.probe import Probe
from tfcli.training.setup import BATCH_TOKENS

SHAPES = ((2, 192), (6, 384))  # layers, width
VOCAB_SIZE, CONTEXT = 1024, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    device = choose_device()
    dtype, probe = choose_dtype(device), Probe(device)
    rows = BATCH_TOKENS[device.type] // CONTEXT
    print(f"{device}, {dtype}, batches of {rows * CONTEXT:,} tokens\n")
    print("| layers x width | parameters | ms a step | tokens/s | peak GFLOP/s | MFU |")
    print("| --- | --- | --- | --- | --- | --- |")
    for layers, width in SHAPES:
        config = named_config(
            "nano", vocab_size=VOCAB_SIZE, context_length=CONTEXT,
            num_layers=layers, d_model=width, tied_head=False,
        )  # fmt: skip
        model = Transformer(config, precision=getattr(torch, dtype))
        model.init_weights(0)
        model.to(device)
        compiled = compile_loss(model, rows, only_if_faster=False)[0] if arguments.compile else None
        loss = compiled or model.loss
        optimizer = Optimizer(model, OptimizerConfig(), getattr(torch, dtype))
        measured = [
            (
                probe.peak(dtype),
                probe.update_seconds(loss, optimizer, rows, config),
            )
            for _ in range(arguments.rounds)
        ]
        peak, seconds = (median(column) for column in zip(*measured, strict=True))
        tokens = rows * CONTEXT
        used = training_flops_per_token(config) * tokens / seconds
        print(
            f"| {layers} x {width} | {count_parameters(config):,} | {1000 * seconds:.1f} | "
            f"{tokens / seconds:,.0f} | {peak / 1e9:.0f} | {used / peak:.0%} |"
        )


if __name__ == "__main__":
    main()
