"""How fast a training step is, on the device and with our own kernels.

    python -m benchmarks.speed [--rounds 5] [--compile]
    python -m benchmarks.speed --kernels [--rounds 5] [--dtype bfloat16]
    python -m benchmarks.speed --losses TEXT [--dtype bfloat16]

The first: for models of about 1 and 10 million parameters, the milliseconds of a whole step
(forward, backward, optimizer), and the model's floating-point operations as a share of those that a
large matrix product makes in the same time (model FLOPs utilization, MFU). Both are measured in
turns in one process; the table shows the median of the rounds.

The second: a step on the CPU without and with the kernels of `tfcli/model/native`, in turns, and
where its time goes: matrix products, and everything else. Milliseconds of processor time of one
thread, which other work on the machine disturbs less than time on the clock; medians.

The third: how far the losses of 200 steps on the bytes of a text are apart without and with the
kernels, from the same first weights and batches.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.report import new_parser, print_heading, print_table
from tfcli.model.config import named_config
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.model.native import library
from tfcli.model.transformer import Transformer
from tfcli.runtime.device import choose_device
from tfcli.runtime.dtype import choose_dtype
from tfcli.training.batches import Batch
from tfcli.training.compiling import compile_loss
from tfcli.training.optimizers import Optimizer, OptimizerConfig
from tfcli.training.probe import Probe
from tfcli.training.setup import BATCH_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.model.config import ModelConfig

SHAPES = ((2, 192), (6, 384))  # layers, width
TINY_SHAPES = ((1, 32),)
VOCAB_SIZE, CONTEXT = 1024, 256
KERNEL_SHAPES = ((3, 192, 128, 0.0), (3, 192, 256, 0.0), (3, 192, 128, 0.1))  # and context, dropout
TINY_KERNEL_SHAPES = ((1, 32, 16, 0.0),)
KERNEL_TOKENS = 1024  # in a step
LOSS_SHAPE, LOSS_STEPS = (2, 128, 128), 200  # layers, width, context
STEPS = 3  # that are profiled
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--kernels", action="store_true")
    parser.add_argument("--losses", type=Path, metavar="TEXT")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    wanted = parser.parse_args(arguments)
    print_heading("speed", arguments)
    if wanted.kernels:
        shapes = TINY_KERNEL_SHAPES if wanted.tiny else KERNEL_SHAPES
        rounds = 1 if wanted.tiny else wanted.rounds
        compare_kernels(shapes, rounds, getattr(torch, wanted.dtype))
        return
    if wanted.losses:
        compare_losses(wanted.losses.read_bytes(), getattr(torch, wanted.dtype))
        return
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
        (probe.peak(dtype), probe.time_step(model, loss, optimizer, rows)) for _ in range(rounds)
    ]
    peak, seconds = (median(column) for column in zip(*measured, strict=True))
    return peak, seconds


def compare_kernels(
    shapes: Sequence[tuple[int, int, int, float]], rounds: int, dtype: torch.dtype
) -> None:
    """Prints the table of steps without and with our kernels."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print(f"Steps of {KERNEL_TOKENS:,} tokens, {dtype}; kernels: {library.status()}.\n")

    def measured() -> Iterator[tuple[object, ...]]:
        for layers, width, context, dropout in shapes:
            config = named_config(
                "nano", vocab_size=VOCAB_SIZE, context_length=context,
                num_layers=layers, d_model=width, tied_head=False,
            )  # fmt: skip
            step = training_step(config, dropout, dtype)
            times: dict[bool, list[float]] = {False: [], True: []}
            shares: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(rounds):
                for ours in times:
                    with our_kernels(ours):
                        times[ours].append(processor_seconds(step))
                        shares[ours].append(share_of_products(step))
            whole = {ours: median(times[ours]) for ours in times}
            for ours, seconds in whole.items():
                products = median(shares[ours]) * seconds
                yield (
                    f"{layers} x {width}", context, dropout, "ours" if ours else "torch's",
                    f"{1000 * seconds:.1f}", f"{1000 * products:.1f}",
                    f"{1000 * (seconds - products):.1f}", f"{whole[False] / seconds:.2f}",
                )  # fmt: skip

    columns = ["model", "context", "dropout", "kernels", "step", "products", "the rest", "faster"]
    print_table(columns, measured())
    torch.set_num_threads(threads)


def training_step(config: ModelConfig, dropout: float, dtype: torch.dtype) -> Callable[[], object]:
    """A step of a new model on random tokens; the first ones, which are slower, are done."""
    model = Transformer(config, dropout, dtype)
    model.init_weights(0)
    model.train()
    optimizer = Optimizer(model, OptimizerConfig(), dtype)
    rows = KERNEL_TOKENS // config.context_length
    ids = torch.randint(config.vocab_size, (rows, config.context_length))

    def step() -> None:
        loss = model.loss(ids, ids, model.draw_dropout(range(rows), (0,))) / ids.numel()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(0.1)

    for ours in (False, True):
        with our_kernels(ours):
            step()
    return step


def compare_losses(text: bytes, dtype: torch.dtype) -> None:
    """Prints how far apart the losses are, in nats per byte, and what the format does to them."""
    torchs = training_losses(text, dtype, ours=False)
    others = {
        "ours": training_losses(text, dtype, ours=True),
        "torch's in float32": training_losses(text, torch.float32, ours=False),
    }
    print(f"{LOSS_SHAPE[0]} x {LOSS_SHAPE[1]}, {dtype}; kernels: {library.status()}.\n")
    rows = (
        (n, name, f"{apart[:n].max():.2g}", f"{apart[:n].mean():.2g}")
        for n in (20, LOSS_STEPS)
        for name, apart in ((name, (losses - torchs).abs()) for name, losses in others.items())
    )
    print_table(["steps", "torch's and", "largest difference", "mean"], rows)


def training_losses(text: bytes, dtype: torch.dtype, *, ours: bool) -> torch.Tensor:
    """The loss of each step, (LOSS_STEPS,), with our kernels or torch's."""
    layers, width, context = LOSS_SHAPE
    config = named_config(
        "nano", vocab_size=256, context_length=context, num_layers=layers, d_model=width
    )
    model = Transformer(config, dtype=dtype)
    model.init_weights(0)
    model.train()
    optimizer = Optimizer(model, OptimizerConfig(), dtype)
    ids = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
    generator, losses = torch.Generator().manual_seed(0), []
    with our_kernels(ours):
        for _ in range(LOSS_STEPS):
            starts = torch.randint(
                len(ids) - context, (KERNEL_TOKENS // context, 1), generator=generator
            )
            batch = ids[starts + torch.arange(context + 1)]
            loss = model.loss(batch[:, :-1], batch[:, 1:]) / batch[:, 1:].numel()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step(1.0)
            losses.append(loss.item())
    return torch.tensor(losses)


@contextmanager
def our_kernels(used: bool) -> Iterator[None]:
    """With our kernels, if there are any, or without."""
    folder = library.FOLDER
    library.FOLDER = folder if used else Path("/nowhere")
    try:
        yield
    finally:
        library.FOLDER = folder


def processor_seconds(work: Callable[[], object]) -> float:
    """How long the processor works on it, in this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def share_of_products(work: Callable[[], object]) -> float:
    """How much of the time of its operations are matrix products."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(STEPS):
            work()
    times = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    return float(sum(times.get(name, 0.0) for name in PRODUCTS) / sum(times.values()))


if __name__ == "__main__":
    main()
