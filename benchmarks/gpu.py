"""Training and generation on one GPU, and nanoGPT's `train.py` on the same one: under six minutes.

    python -m benchmarks.gpu [--nanogpt DIR] [--seconds 320]

* training: models of GPT-2's layout with 12, 124 and 350 million parameters, compiled, on batches
  of 65,536 tokens; the median of up to 20 steps. DIR is a checkout of github.com/karpathy/nanoGPT,
  which trains the same shapes on batches of the same size, compiled too, in micro-batches of
  16,384 tokens. Its share of the peak is MFU: the operations of the model, counted by the same
  formula for both, of those that a large matrix product makes in the same time on the same card.
* sharded: the same for 124 million, not compiled, as a single process of a sharded training.
* decode: greedy, one text, 128 tokens after a prompt of 16. Its share of the peak is that of the
  bytes that are read for it (weights and cache), of those that a copy of a large tensor moves.

What does not fit into the time or the memory is left out, and the table says so. If the
environment variable OUT names a folder, the table is written to gpu.md there too. Without a GPU
the script works only with `--tiny`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

import numpy as np
import torch

from benchmarks.nanogpt_checkout import NanoGPT, iteration_seconds
from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import number_tokenizer, start_training
from tfcli.generation.engines.torch_engine import TorchEngine
from tfcli.model.config import named_config
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.model.transformer import Transformer
from tfcli.runtime.device import choose_device
from tfcli.runtime.distributed import SINGLE_PROCESS, DistributedContext, init, shutdown
from tfcli.runtime.dtype import choose_dtype
from tfcli.runtime.memory import is_out_of_memory
from tfcli.training.events import NotCompiled, StepFinished
from tfcli.training.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.model.config import ModelConfig
    from tfcli.runtime.device import Device
    from tfcli.runtime.dtype import DType

    Cells = tuple[str, ...]

ENOUGH_SECONDS = 8.0  # for the steps of one training
NANOGPT_SECONDS = 100.0  # for a whole process, most of which is its start and compiling
LEAST_SECONDS = 45.0  # what has to be left to begin with a training
PROMPT, TOKENS = 16, 128


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model to train, and how; `micro_tokens` is for nanoGPT, tfcli makes its own plan."""

    name: str
    layers: int
    width: int
    vocab_size: int
    context: int
    batch_tokens: int = 65_536
    micro_tokens: int = 16_384
    steps: int = 20
    warm_up: int = 5

    @property
    def config(self) -> ModelConfig:
        """Of the model."""
        return named_config(
            "nano", family="gpt2", vocab_size=self.vocab_size, context_length=self.context,
            num_layers=self.layers, d_model=self.width,
        )  # fmt: skip


SHAPES = (
    Shape(name="12M", layers=6, width=384, vocab_size=4096, context=256),
    Shape(name="124M", layers=12, width=768, vocab_size=50304, context=1024),
    Shape(name="350M", layers=24, width=1024, vocab_size=50304, context=1024),
)
SHARDED = SHAPES[1]
TINY = Shape(
    name="tiny", layers=1, width=32, vocab_size=300, context=64,
    batch_tokens=256, micro_tokens=128, steps=2, warm_up=1,
)  # fmt: skip


class Rate(NamedTuple):
    """How fast something was, and which share of the device's peak that is."""

    tokens_per_second: float
    share: float


@dataclass(frozen=True)
class Bench:
    """Where and against what everything is measured.

    Attributes:
        dtype: the number format that tfcli chooses there; nanoGPT gets the same.
        peak: floating-point operations per second of a large matrix product.
        bandwidth: bytes per second that copying a large tensor reads and writes.
        compile: whether models are compiled.
        deadline: in terms of `time.monotonic()`.

    """

    device: torch.device
    folder: Path
    nanogpt: NanoGPT | None
    dtype: DType
    peak: float
    bandwidth: float
    compile: bool
    deadline: float

    @property
    def kind(self) -> Device:
        """The device as options name it."""
        kind: Device = self.device.type  # type: ignore[assignment]
        return kind

    @property
    def seconds_left(self) -> float:
        """Until the deadline."""
        return self.deadline - time.monotonic()

    # --- training -------------------------------------------------------------------------------

    def train(self, shape: Shape) -> Rate:
        """By tfcli, as one process that needs no others."""
        return self.train_with(shape, shape.name, compile=self.compile)

    def train_sharded(self, shape: Shape) -> Rate:
        """By tfcli, as one process of a sharded training."""
        with single_process_group(self.folder) as processes:
            return self.train_with(shape, "sharded", compile=False, processes=processes)

    def train_with(
        self,
        shape: Shape,
        name: str,
        *,
        compile: bool,
        processes: DistributedContext = SINGLE_PROCESS,
    ) -> Rate:
        """The steps of a run of that name."""
        trainer = start_training(
            shape.config, number_tokenizer(shape.vocab_size), self.folder / name,
            device=self.kind, processes=processes, steps=shape.warm_up + shape.steps + 1,
            batch_tokens=shape.batch_tokens, compile=compile, dropout=0.0, token_dropout=0.0,
            eval_every=1000, save_every=1000,
        )  # fmt: skip
        seconds: list[float] = []
        for event in trainer.events():
            if isinstance(event, NotCompiled):
                print(f"{name} is not compiled: {event.why}", file=sys.stderr)
            if isinstance(event, StepFinished) and event.step > shape.warm_up:
                seconds.append(shape.batch_tokens / event.tokens_per_second)
                if len(seconds) == shape.steps or sum(seconds) > ENOUGH_SECONDS:
                    break  # before the end, which would evaluate and save
        return self.training_rate(shape, seconds)

    def train_nanogpt(self, shape: Shape) -> Rate:
        """By nanoGPT's `train.py`."""
        assert self.nanogpt is not None
        config = shape.config
        ids = np.random.default_rng(0).integers(0, shape.vocab_size, 4 * shape.batch_tokens)
        self.nanogpt.write_data(shape.name, ids, ids, shape.vocab_size)
        output = self.nanogpt.train_for(
            min(NANOGPT_SECONDS, self.seconds_left),
            [
                f"--dataset={shape.name}", f"--device={self.device.type}",
                f"--dtype={self.dtype}", f"--compile={self.compile}",
                f"--n_layer={config.num_layers}", f"--n_head={config.num_heads}",
                f"--n_embd={config.d_model}", "--bias=True",
                f"--block_size={config.context_length}",
                f"--batch_size={shape.micro_tokens // config.context_length}",
                f"--gradient_accumulation_steps={shape.batch_tokens // shape.micro_tokens}",
                f"--max_iters={shape.warm_up + shape.steps}", "--log_interval=1",
                "--eval_iters=1", "--eval_interval=1000", "--always_save_checkpoint=False",
            ],
        )  # fmt: skip
        return self.training_rate(shape, iteration_seconds(output)[shape.warm_up :])

    def training_rate(self, shape: Shape, seconds: Sequence[float]) -> Rate:
        """Of steps that took so long; the median."""
        if not seconds:
            raise RuntimeError("no step in the time there was")
        tokens_per_second = shape.batch_tokens / statistics.median(seconds)
        used = training_flops_per_token(shape.config) * tokens_per_second
        return Rate(tokens_per_second, used / self.peak)

    # --- decoding -------------------------------------------------------------------------------

    def decode(self, shape: Shape) -> Rate:
        """Greedy, one text."""
        config = shape.config
        model = Transformer(config)
        model.init_weights(0)
        engine = TorchEngine(model.to(self.device).eval())
        tokens = min(TOKENS, config.context_length - PROMPT - 1)
        token = int(engine.forward([0], [list(range(5, 5 + PROMPT))]).argmax())
        seconds = []
        for _ in range(tokens):
            began = time.perf_counter()
            token = int(engine.forward([0], [[token]]).argmax())
            seconds.append(time.perf_counter() - began)
        tokens_per_second = 1 / statistics.median(seconds)  # some record a graph first
        position = 2 * config.num_layers * config.num_kv_heads * config.head_dim * 4
        read = engine.weight_bytes + position * (PROMPT + tokens // 2)
        return Rate(tokens_per_second, tokens_per_second * read / self.bandwidth)

    # --- the rows -------------------------------------------------------------------------------

    def rows(self, shapes: Sequence[Shape]) -> Iterator[Cells]:
        """Everything, the quick first."""
        for shape in shapes:
            yield self.attempt("decode", "tfcli", shape, self.decode)
        for shape in shapes:
            yield self.attempt("training", "tfcli", shape, self.train)
            if self.nanogpt is not None:
                yield self.attempt("training", "nanoGPT", shape, self.train_nanogpt)
            if shape in (SHARDED, TINY):
                program = "tfcli, sharded, not compiled"
                yield self.attempt("training", program, shape, self.train_sharded)

    def attempt(
        self, what: str, program: str, shape: Shape, work: Callable[[Shape], Rate]
    ) -> Cells:
        """A row of the table, with the reason where there is no figure."""
        start = (what, f"{count_parameters(shape.config):,}", program)
        if self.seconds_left < LEAST_SECONDS:
            return *start, "left out: no time", ""
        try:
            rate = work(shape)
            return *start, f"{rate.tokens_per_second:,.0f}", f"{rate.share:.1%}"
        except RuntimeError as error:
            if is_out_of_memory(error):
                return *start, "out of memory", ""
            print(error, file=sys.stderr)
            return *start, f"failed: {str(error).splitlines()[0]}", ""
        finally:  # the memory is for the next
            if self.compile:
                torch.compiler.reset()
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()


@contextlib.contextmanager
def single_process_group(runs: Path) -> Iterator[DistributedContext]:
    """Makes this process the only one of a distributed training, with a folder for its runs."""
    alone = {
        "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0",
    }  # fmt: skip
    os.environ.update(alone)
    group = init(runs)
    try:
        yield replace(group, sharded=True)
    finally:
        shutdown(barrier=False)  # there is nobody to wait for
        for name in alone:
            os.environ.pop(name)


def measure_bandwidth(device: torch.device) -> float:
    """Bytes per second that a copy reads and writes, the best of a few."""
    size = 1 << (30 if device.type == "cuda" else 26)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * size / min(seconds)


@dataclass(frozen=True)
class Tee:
    """Writes to several files."""

    files: tuple[TextIO, ...]

    def write(self, text: str) -> int:
        """To each of them."""
        return max(file.write(text) for file in self.files)

    def flush(self) -> None:
        """Each of them."""
        for file in self.files:
            file.flush()


@contextlib.contextmanager
def copied_output() -> Iterator[None]:
    """What is printed goes to gpu.md in the folder OUT too, if that is set."""
    if not (out := os.environ.get("OUT")):
        yield
        return
    with (
        (Path(out) / "gpu.md").open("w", encoding="utf-8") as file,
        contextlib.redirect_stdout(Tee((sys.stdout, file))),
    ):
        yield


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--nanogpt", type=Path, metavar="DIR", help="a checkout of nanoGPT")
    parser.add_argument("--seconds", type=float, default=320.0, help="to be done in")
    wanted = parser.parse_args(arguments)
    deadline = time.monotonic() + wanted.seconds
    device = choose_device()
    if device.type == "cpu" and not wanted.tiny:
        parser.error("there is no GPU here, or this build of torch cannot use it; try --tiny")
    cuda = device.type == "cuda"
    dtype = choose_dtype(device)
    with tempfile.TemporaryDirectory() as folder, copied_output():
        name = torch.cuda.get_device_name(device) if cuda else device.type
        print_heading("gpu", arguments, gpu=name)
        scratch = Path(folder)
        bench = Bench(
            device=device,
            folder=scratch / "checkpoints",
            nanogpt=NanoGPT.copy(wanted.nanogpt, scratch / "nanogpt") if wanted.nanogpt else None,
            dtype=dtype,
            peak=Probe(device).peak(dtype),
            bandwidth=measure_bandwidth(device),
            compile=cuda and not wanted.tiny,
            deadline=deadline,
        )
        print(
            f"Peak: {bench.peak / 1e12:,.3g} TFLOP/s in {dtype} (a large matrix product), "
            f"{bench.bandwidth / 1e9:,.3g} GB/s (a copy of a large tensor).\n"
        )
        print_table(
            ["what", "parameters", "program", "tokens/s", "share of the peak"],
            bench.rows((TINY,) if wanted.tiny else SHAPES),
        )


if __name__ == "__main__":
    main()
