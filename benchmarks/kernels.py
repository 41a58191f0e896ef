"""How fast each of our own CPU kernels is, with each set of instructions that this processor has.

    python -m benchmarks.kernels [--rounds 100] [--dtype bfloat16]

Milliseconds of processor time of one thread, forward and backward: the fastest of the rounds, in
which the libraries take turns, since other work on the machine only ever slows them down. The
tensors are those of a step of 3 x 192 on 4 x 256 tokens with a vocabulary of 1,024.
`python -m benchmarks.speed --kernels` compares whole steps with torch's own kernels.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.report import new_parser, print_heading, print_table
from tfcli.model.native import functions, library
from tfcli.model.native.reference import Heads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROWS, LENGTH, HEADS, HEAD_DIM, FEED_FORWARD, VOCAB_SIZE = 4, 256, 3, 64, 512, 1024
EPSILON = 1e-6


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    wanted = parser.parse_args(arguments)
    print_heading("kernels", arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        folders = dict(one_library_each(Path(folder)))
        rounds = 1 if wanted.tiny else wanted.rounds
        rows = measure(getattr(torch, wanted.dtype), rounds, list(folders.values()))
        print_table([f"{wanted.dtype}, ms", "pass", *folders], rows)
    torch.set_num_threads(threads)


def one_library_each(parent: Path) -> Iterator[tuple[str, Path]]:
    """Folders with one library that this processor can use, and what it was compiled for."""
    source = library.FOLDER
    for name in library.LIBRARIES:
        library.FOLDER = parent / name
        library.FOLDER.mkdir()
        if (source / name).exists():
            (library.FOLDER / name).symlink_to(source / name)
        found = library.load_library()
        if found is not None:
            yield found.features().decode(), library.FOLDER
    library.FOLDER = source


def measure(
    dtype: torch.dtype, rounds: int, folders: Sequence[Path]
) -> Iterator[tuple[object, ...]]:
    """The rows of the table: kernel, direction, milliseconds with each library."""
    usual = library.FOLDER
    for name, (function, inputs) in cases(dtype).items():
        fastest = {folder: [float("inf")] * 2 for folder in folders}
        for _ in range(rounds):
            for library.FOLDER in folders:
                times = forward_and_backward(function, inputs)
                fastest[library.FOLDER] = list(map(min, fastest[library.FOLDER], times))
        library.FOLDER = usual
        for i, direction in enumerate(("forward", "backward")):
            yield name, direction, *(f"{1000 * fastest[folder][i]:.2f}" for folder in folders)


def cases(dtype: torch.dtype) -> dict[str, tuple[Callable[..., object], list[Tensor]]]:
    """Each kernel, with the tensors that it takes."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype).requires_grad_()

    tokens, width = ROWS * LENGTH, HEADS * HEAD_DIM
    weight, q_weight, k_weight = (
        random(size, dtype=torch.float32) for size in (width, HEAD_DIM, HEAD_DIM)
    )
    angles = torch.rand(LENGTH, HEAD_DIM // 2, generator=generator).repeat(1, 2)
    rotary, heads = (angles.cos(), angles.sin()), Heads(HEADS, HEADS, HEAD_DIM)
    targets = torch.randint(VOCAB_SIZE, (tokens,), generator=generator)
    return {
        "attention": (
            lambda qkv, q, k: functions.causal_attention(
                qkv, q, k, rotary=rotary, heads=heads, epsilon=EPSILON
            ),
            [random(ROWS, LENGTH, 3 * width), q_weight, k_weight],
        ),
        "residual connection, RMSNorm": (
            lambda x, branch, weight: functions.add_norm(x, branch, None, 1.0, weight, EPSILON),
            [random(tokens, width), random(tokens, width), weight],
        ),
        "SwiGLU": (functions.swiglu, [random(tokens, 2 * FEED_FORWARD)]),
        "cross-entropy": (
            lambda logits: functions.cross_entropy(logits, targets, -1),
            [random(tokens, VOCAB_SIZE)],
        ),
    }


def forward_and_backward(
    function: Callable[..., object], inputs: list[Tensor]
) -> tuple[float, float]:
    """Seconds of processor time of this thread."""
    began = time.thread_time()
    result = function(*inputs)
    between = time.thread_time()
    outputs = result if isinstance(result, tuple) else (result,)
    gradients = [torch.ones_like(output) for output in outputs]
    resumed = time.thread_time()
    torch.autograd.grad(outputs, inputs, gradients)
    return between - began, time.thread_time() - resumed


if __name__ == "__main__":
    main()
