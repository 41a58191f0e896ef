"""nanoGPT's own CPU recipe and `tfcli train`, on the same text and for the same wall-clock time.

    python -m benchmarks.nanogpt FILE --nanogpt DIR [--time 79s] [--rounds 1] [--iterations 2000]

DIR is a checkout of github.com/karpathy/nanoGPT; it is only read. The same for both are

* the split: the first nine tenths of the bytes to learn from, the last to measure on. nanoGPT gets
  them as its `prepare.py` makes them, an id for each character of the whole file, so that none of
  the last tenth is unknown to it;
* the time: nanoGPT's recipe as its README has it, a whole process, then a whole `tfcli train` with
  that time, or `--time`, for its budget. Other options go to `tfcli train`;
* the measure: nats a byte of UTF-8 on all of the last tenth, by the same code, of the weights that
  each kept as its best: in windows of the model's context without overlap, and in windows that
  begin every half context, of which only the second half counts. A window of tfcli begins with
  `<s>`; nanoGPT has no such token and sees one character of the text instead.

nanoGPT's seed is always 1337; round n of tfcli has seed n. `--iterations` shortens the recipe, to
try this script. nanoGPT's tokens are characters, those of tfcli pieces of words.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.open_engine import open_model
from tfcli.runs.run import open_run
from tfcli.runs.valid_steps import choose_step
from tfcli.text.corpus import open_corpus
from tfcli.training.batches import IGNORE_INDEX, Batch
from tfcli.training.evaluation import ROWS, evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.text.corpus import Corpus

    Ids = np.ndarray[Any, Any]  # shape (tokens,)

PARTS = ["train.py", "model.py", "configurator.py", "config/train_shakespeare_char.py"]
DATA = Path("data/shakespeare_char")
CHECKPOINT = Path("out-shakespeare-char/ckpt.pt")
RECIPE = shlex.split("""
    config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 --log_interval=1
    --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --dropout=0.0
""")
BATCH_TOKENS = 12 * 64
EVALUATE_EVERY = 250  # in the recipe's config file


@dataclass(frozen=True)
class Result:
    """A row of the table: losses in nats a byte, `tokens` seen in training."""

    program: str
    parameters: int
    seconds: float
    tokens: int
    without_overlap: float
    half_overlap: float
    bytes: int

    def __str__(self) -> str:
        return (
            f"| {self.program} | {self.parameters:,} | {self.seconds:.1f} | "
            f"{self.tokens / self.seconds:,.0f} | {self.without_overlap:.4f} | "
            f"{self.half_overlap:.4f} |"
        )


HEAD = """\
| program | parameters | wall-clock seconds | its tokens/s | nats a byte | ... with half overlap |
| --- | --- | --- | --- | --- | --- |"""


def windows(
    tokens: Ids, before: int, *, context: int, stride: int, restart: bool
) -> Iterator[Batch]:
    """Windows of `context` tokens that begin every `stride`; each token is a target once.

    Args:
        before: the token in front of them.
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
    for row in range(0, len(inputs), ROWS):
        yield Batch(inputs[row : row + ROWS], targets[row : row + ROWS])


def measure(
    model: Any, tokens: Ids, spelled: list[bytes], before: int, *, restart: bool
) -> dict[str, Any]:
    """Both losses of a model that has a `config.context_length`; `spelled` has each id's bytes."""
    context: int = model.config.context_length
    tokenizer: Any = SimpleNamespace(token_bytes=spelled)
    found: dict[str, Any] = {}
    for name, stride in (("without_overlap", context), ("half_overlap", context // 2)):
        rows = windows(tokens, before, context=context, stride=stride, restart=restart)
        held_out = evaluate(model, rows, tokenizer, stride=stride, whole=True)
        assert held_out is not None, "the last tenth of a text that nanoGPT could train on"
        found |= {name: held_out.nats_per_byte, "bytes": held_out.bytes}
    return found


def run_nanogpt(checkout: Path, corpus: Corpus, iterations: int) -> Result:
    training, held_out = (
        b"".join(piece.data for piece in part).decode()
        for part in (corpus.training(), corpus.held_out())
    )
    characters = sorted(set(training + held_out))
    ids = {character: i for i, character in enumerate(characters)}
    arrays = [np.array([ids[c] for c in text], np.uint16) for text in (training, held_out)]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for part in PARTS:
            (scratch / part).parent.mkdir(exist_ok=True)
            shutil.copy(checkout / part, scratch / part)
        (scratch / DATA).mkdir(parents=True)
        for name, array in zip(("train.bin", "val.bin"), arrays, strict=True):
            array.tofile(scratch / DATA / name)
        (scratch / DATA / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(characters)}))
        length = [f"--max_iters={iterations}", f"--lr_decay_iters={iterations}"]
        if iterations < EVALUATE_EVERY:  # or it would end without a checkpoint
            length.append(f"--eval_interval={iterations}")
        seconds = call([sys.executable, "train.py", *RECIPE, *length], scratch)[0]
        spelled = [character.encode() for character in characters]
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # its modules stay out of ours
            task = apart.submit(measure_nanogpt, scratch, arrays[1], spelled, int(arrays[0][-1]))
            found = task.result()
    tokens = (iterations + 1) * BATCH_TOKENS  # it counts from 0 to the last included
    return Result(program="nanoGPT", seconds=seconds, tokens=tokens, **found)


def measure_nanogpt(
    scratch: Path, tokens: Ids, spelled: list[bytes], before: int
) -> dict[str, Any]:
    """To be called in a process of its own: imports nanoGPT's `model.py`."""
    import torch

    sys.stdout = sys.stderr  # it prints, and stdout is for the table
    sys.path.insert(0, str(scratch))
    nanogpt = import_module("model")
    checkpoint = torch.load(scratch / CHECKPOINT, map_location="cpu", weights_only=True)
    gpt = nanogpt.GPT(nanogpt.GPTConfig(**checkpoint["model_args"]))
    gpt.load_state_dict(checkpoint["model"])

    class AllLogits(torch.nn.Module):
        """Its model gives the logits of every position only where it is given targets."""

        def __init__(self) -> None:
            super().__init__()
            self.gpt = gpt
            self.config = SimpleNamespace(context_length=checkpoint["model_args"]["block_size"])

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.gpt(inputs, inputs)[0]  # type: ignore[no-any-return]

    found = measure(AllLogits(), tokens, spelled, before, restart=False)
    return {"parameters": sum(p.numel() for p in gpt.parameters()), **found}


def run_tfcli(file: Path, corpus: Corpus, budget: str, seed: int, others: list[str]) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        options = ["--time", budget, "--seed", str(seed), "--json", "--quiet", *others]
        command = [sys.executable, "-m", "tfcli", "train", str(file), *options]
        seconds, output = call(command, Path(folder))
        summary = json.loads(output)
        run = open_run(Path(folder) / summary["path"])
        model = open_model(run, choose_step(run, None, damaged=print), "cpu")
        tokenizer = run.tokenizer()
        bos, eos = tokenizer.special.bos, tokenizer.special.eos
        assert bos is not None
        assert eos is not None
        ids: list[int] = []
        for piece in corpus.held_out():
            ids += tokenizer.encode(piece.data) + [eos] * piece.last
        found = measure(model, np.array(ids), list(tokenizer.token_bytes), bos, restart=True)
    return Result(
        program=f"tfcli, seed {seed}",
        parameters=summary["parameters"],
        seconds=seconds,
        tokens=summary["tokens_seen"],
        **found,
    )


def call(command: list[str], folder: Path) -> tuple[float, bytes]:
    """The seconds that a command took, from start to end, and its output."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{shlex.join(command)}\n{done.stderr.decode(errors='replace')[-2000:]}")
    return seconds, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--nanogpt", type=Path, required=True, metavar="DIR")
    parser.add_argument("--time", help="budget of tfcli; nanoGPT's wall-clock time if left out")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=2000, help="of nanoGPT")
    arguments, others = parser.parse_known_args()
    lacking = [part for part in PARTS if not (arguments.nanogpt / part).is_file()]
    if lacking:
        parser.error(f"{arguments.nanogpt} is no checkout of nanoGPT: it lacks {lacking[0]}")
    if not arguments.file.is_file():
        parser.error(f"there is no file {arguments.file}")
    file = arguments.file.resolve()  # the programs run in folders of their own
    with tempfile.TemporaryDirectory() as cache:
        corpus = open_corpus([file], cache=Path(cache))
        for seed in range(arguments.rounds):
            nanogpt = run_nanogpt(arguments.nanogpt.resolve(), corpus, arguments.iterations)
            budget = arguments.time or f"{nanogpt.seconds:.0f}s"
            tfcli = run_tfcli(file, corpus, budget, seed, others)
            if seed == 0:
                print(f"Held out: {tfcli.bytes:,} bytes.\n\n{HEAD}")
            print(f"{nanogpt}\n{tfcli}", flush=True)


if __name__ == "__main__":
    main()
