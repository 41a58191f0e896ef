"""nanoGPT's own CPU recipe and `tfcli train`, on the same text and for the same wall-clock time.

    python -m benchmarks.nanogpt [FILE] --nanogpt DIR [--time 79s] [--rounds 1] [-- OPTIONS of
        tfcli train]

DIR is a checkout of github.com/karpathy/nanoGPT; it is only read. Without it tfcli alone is
measured, for --time. Without FILE the text is 2.2 MB of Python's standard library. The same for
both are

* the split: the first nine tenths of the bytes to train on, the last to measure on. nanoGPT gets
  them as its `prepare.py` makes them, an id for each character of the whole file, so that none of
  the last tenth is unknown to it;
* the time: nanoGPT's recipe as its README has it, a whole process, then a whole `tfcli train` with
  that time, or `--time`, for its budget;
* the measure: nats per byte of UTF-8 on all of the last tenth, by the same code, of the weights
  that each kept as its best: in windows of the model's context without overlap, and in windows
  that begin every half context, of which only the second half counts. A window of tfcli begins
  with `<s>`; nanoGPT has no such token and sees one character of the text instead.

nanoGPT's seed is always 1337; round n of tfcli has seed n. nanoGPT's tokens are characters, those
of tfcli pieces of words.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.nanogpt_checkout import NanoGPT, call
from benchmarks.report import new_parser, print_heading, print_table, split_options
from benchmarks.texts import choose_text
from tfcli.generation.open_engine import open_model
from tfcli.model.cost import evaluation_rows
from tfcli.runs.run import open_run
from tfcli.runs.valid_steps import choose_step
from tfcli.text.corpus import open_corpus
from tfcli.training.batches import IGNORE_INDEX, Batch
from tfcli.training.evaluation import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from benchmarks.nanogpt_checkout import Ids
    from tfcli.text.corpus import Corpus

DATASET, CHECKPOINT = "shakespeare_char", Path("out-shakespeare-char/ckpt.pt")
RECIPE = shlex.split("""
    config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 --log_interval=1
    --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --dropout=0.0
    --max_iters=2000 --lr_decay_iters=2000
""")
ITERATIONS, BATCH_TOKENS = 2000, 12 * 64
TINY_RECIPE = shlex.split("""
    --eval_iters=1 --eval_interval=4 --max_iters=4 --always_save_checkpoint=True
    --n_layer=1 --n_embd=32
""")
TINY_ITERATIONS = 4
TINY_OPTIONS = ["--layers", "1", "--width", "32", "--context", "32"]
TINY_TIME, DEFAULT_TIME = "2s", "79s"


@dataclass(frozen=True)
class Result:
    """A row of the table: losses in nats per byte, `tokens` seen in training."""

    program: str
    parameters: int
    seconds: float
    tokens: int
    without_overlap: float
    half_overlap: float
    bytes: int

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table has it."""
        return (
            self.program,
            f"{self.parameters:,}",
            f"{self.seconds:.1f}",
            f"{self.tokens / self.seconds:,.0f}",
            f"{self.without_overlap:.4f}",
            f"{self.half_overlap:.4f}",
        )


COLUMNS = ("program", "parameters", "wall-clock seconds", "its tokens/s", "nats per byte",
           "... with half overlap")  # fmt: skip


# --- the measure --------------------------------------------------------------------------------


def windows(
    tokens: Ids, before: int, *, context: int, stride: int, rows: int, restart: bool
) -> Iterator[Batch]:
    """Windows of `context` tokens that begin every `stride`; each token is a target once.

    Args:
        before: the token in front of them.
        rows: windows in a batch.
        restart: whether each window begins with `before`, and not only the first.

    """
    inputs = np.zeros((-(-len(tokens) // stride), context), np.int64)
    targets = np.full(inputs.shape, IGNORE_INDEX, np.int64)
    shifted = np.concatenate([[before], tokens[:-1]])
    done = 0
    for row, start in enumerate(range(0, len(tokens), stride)):
        end = min(start + context, len(tokens))
        inputs[row, : end - start] = shifted[start:end]
        targets[row, done - start : end - start] = tokens[done:end]
        if restart:
            inputs[row, 0] = before
        done = end
    whole = Batch(inputs=inputs, targets=targets)
    for first in range(0, len(inputs), rows):
        yield whole.rows(slice(first, first + rows))


def measure(
    model: Any, tokens: Ids, token_bytes: list[bytes], before: int, *, restart: bool
) -> dict[str, Any]:
    """Both losses of a model with the interface of a `Transformer`.

    Args:
        token_bytes: the bytes of every id.

    """
    context: int = model.config.context_length
    tokenizer: Any = SimpleNamespace(token_bytes=token_bytes)
    found: dict[str, Any] = {}
    for name, stride in (("without_overlap", context), ("half_overlap", context // 2)):
        batches = windows(
            tokens, before, context=context, stride=stride, rows=evaluation_rows(model.config),
            restart=restart,
        )  # fmt: skip
        held_out = evaluate(model, batches, tokenizer, stride=stride, whole=True)
        assert held_out is not None, "the last tenth of a text that nanoGPT could train on"
        found |= {name: held_out.nats_per_byte, "bytes": held_out.bytes}
    return found


# --- nanoGPT ------------------------------------------------------------------------------------


def run_nanogpt(checkout: Path, corpus: Corpus, *, tiny: bool) -> Result:
    """Trains by its recipe, and measures."""
    training, held_out = (
        b"".join(chunk.data for chunk in part).decode()
        for part in (corpus.training(), corpus.held_out())
    )
    characters = sorted(set(training + held_out))
    ids = {character: i for i, character in enumerate(characters)}
    arrays = [np.array([ids[c] for c in text], np.uint16) for text in (training, held_out)]
    with tempfile.TemporaryDirectory() as folder:
        nanogpt = NanoGPT.copy(checkout, Path(folder))
        nanogpt.write_data(DATASET, arrays[0], arrays[1], len(characters))
        seconds = nanogpt.train([*RECIPE, *(TINY_RECIPE if tiny else [])])
        spelled = [character.encode() for character in characters]
        # in a process of its own, so that its modules stay out of ours
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            before = int(arrays[0][-1])
            task = pool.submit(measure_nanogpt, nanogpt.folder, arrays[1], spelled, before)
            found = task.result()
    iterations = TINY_ITERATIONS if tiny else ITERATIONS
    tokens = (iterations + 1) * BATCH_TOKENS  # it counts from 0 to the last included
    return Result(program="nanoGPT", seconds=seconds, tokens=tokens, **found)


def measure_nanogpt(
    folder: Path, tokens: Ids, token_bytes: list[bytes], before: int
) -> dict[str, Any]:
    """To be called in a process of its own: imports nanoGPT's `model.py`."""
    import torch

    sys.stdout = sys.stderr  # it prints, and stdout is for the table
    sys.path.insert(0, str(folder))
    nanogpt = import_module("model")
    checkpoint = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    gpt = nanogpt.GPT(nanogpt.GPTConfig(**checkpoint["model_args"]))
    gpt.load_state_dict(checkpoint["model"])

    class Adapter(torch.nn.Module):
        """What an evaluation asks of a `Transformer`; one window is one segment."""

        def __init__(self) -> None:
            super().__init__()
            self.gpt = gpt
            self.config = SimpleNamespace(
                context_length=gpt.config.block_size, vocab_size=gpt.config.vocab_size
            )

        def hidden_states(self, ids: Tensor, **_: object) -> Tensor:
            layers = gpt.transformer
            x = layers.wte(ids) + layers.wpe(torch.arange(ids.shape[1]))
            for block in layers.h:
                x = block(x)
            return layers.ln_f(x)  # type: ignore[no-any-return]

        def logits(self, hidden: Tensor) -> Tensor:
            return gpt.lm_head(hidden)  # type: ignore[no-any-return]

    found = measure(Adapter(), tokens, token_bytes, before, restart=False)
    return {"parameters": sum(p.numel() for p in gpt.parameters()), **found}


# --- tfcli --------------------------------------------------------------------------------------


def run_tfcli(file: Path, corpus: Corpus, budget: str, seed: int, options: list[str]) -> Result:
    """Trains for a time, and measures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "tfcli", "train", str(file)),
            *("--time", budget, "--seed", str(seed), "--json", "--quiet", *options),
        ]
        seconds, output = call(command, Path(folder))
        summary = json.loads(output)
        run = open_run(Path(folder) / summary["path"])
        model = open_model(run, choose_step(run, None, on_damaged=print), "cpu")
        tokenizer = run.tokenizer()
        bos, eos = tokenizer.special.bos, tokenizer.special.eos
        assert bos is not None
        assert eos is not None
        ids: list[int] = []
        for chunk in corpus.held_out():
            ids += tokenizer.encode(chunk.data) + [eos] * chunk.last
        found = measure(model, np.array(ids), list(tokenizer.token_bytes), bos, restart=True)
    return Result(
        program=f"tfcli, seed {seed}",
        parameters=summary["parameters"],
        seconds=seconds,
        tokens=summary["tokens_seen"],
        **found,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--nanogpt", type=Path, metavar="DIR", help="a checkout of nanoGPT")
    parser.add_argument("--time", help="budget of tfcli; nanoGPT's wall-clock time if left out")
    parser.add_argument("--rounds", type=int, default=1)
    own, options = split_options(arguments)
    wanted = parser.parse_args(own)
    print_heading("nanogpt", arguments)
    if wanted.tiny:
        wanted.time, options = TINY_TIME, [*options, *TINY_OPTIONS]
    with tempfile.TemporaryDirectory() as folder:
        file = choose_text(wanted.file, Path(folder), tiny=wanted.tiny)
        corpus = open_corpus([file], cache=Path(folder) / "cache")
        print(f"Held out: {corpus.scan.bytes - corpus.scan.training_bytes:,} bytes.")
        if wanted.nanogpt is None:
            print("tfcli alone: --nanogpt DIR names a checkout of github.com/karpathy/nanoGPT.")
        print()

        def results() -> Iterator[tuple[str, ...]]:
            for seed in range(wanted.rounds):
                budget = wanted.time or DEFAULT_TIME
                if wanted.nanogpt is not None:
                    nanogpt = run_nanogpt(wanted.nanogpt, corpus, tiny=wanted.tiny)
                    budget = wanted.time or f"{nanogpt.seconds:.0f}s"
                    yield nanogpt.cells
                yield run_tfcli(file, corpus, budget, seed, options).cells

        print_table(COLUMNS, results())


if __name__ == "__main__":
    main()
