"""How fast text is written: the numpy engine beside transformers and llama.cpp, in one run.

    python -m benchmarks.generation [--rounds 5] [--sizes 1M 12M 110M]

Models of three sizes with random weights, in Qwen3's layout, float32, on two cores. Each figure is
the median of the rounds, in which everything is measured once, one after the other:

* decode: greedy, one text, 256 tokens after a prompt of 16; tokens a second after the prompt;
* batch: 64 texts side by side, 32 tokens each, against the same one after the other;
* late: what a token takes at position 1,000 of a text that is written from its beginning, against
  one at position 16, beside the bytes that are read for it there and here (weights and cache);
* cold: the whole process `tfcli generate --max-new-tokens 32 --greedy` with a prompt from a pipe,
  against `python -c "import torch"`.

transformers is in the group `test`; llama.cpp is measured where `llama_cpp` and `gguf` are there
(`pip install llama-cpp-python gguf`, which compiles it): in float32 and, against int8, in q8_0.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as tfcli does, before numpy is loaded
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")

import numpy as np

from tfcli.exchange.gguf_out import export_to_gguf
from tfcli.generation.engines.native import load_library
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.request import GenerationRequest
from tfcli.model.config import ModelConfig
from tfcli.model.cost import count_parameters
from tfcli.model.parameters import parameters
from tfcli.runs.run import Run, create_run
from tfcli.runs.step import StepState, save_step
from tfcli.runs.valid_steps import choose_step
from tfcli.text.pieces import Algorithm, Piece, Pieces, PieceType, write_pieces
from tfcli.text.sentencepiece_tokenizer import SPACE_MARK, SentencePieceTokenizer
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.exchange.gguf_out import NumberType

    Weights = dict[str, np.ndarray[Any, Any]]

# layers, width, heads, width inside, vocabulary
SHAPES = {
    "1M": (4, 128, 2, 352, 1024),
    "12M": (6, 384, 6, 1024, 4096),
    "110M": (12, 768, 12, 2048, 32000),
}
PROMPT, TOKENS, CONTEXT = 16, 256, 1024
TEXTS, TEXT_TOKENS = 64, 32
LATE, AROUND = 1000, 16
BOOK = "".join(f"{n} times {m} is {n * m}.\n" for n in range(300) for m in range(40))


def config_of(size: str, vocab_size: int | None = None) -> ModelConfig:
    layers, width, heads, d_ff, usual = SHAPES[size]
    return ModelConfig(
        vocab_size=vocab_size or usual, context_length=CONTEXT, num_layers=layers, d_model=width,
        num_heads=heads, num_kv_heads=heads, head_dim=width // heads, d_ff=d_ff,
    )  # fmt: skip


def random_weights(config: ModelConfig) -> Weights:
    random = np.random.default_rng(0)
    return {
        row.name: np.ones(row.shape, np.float32)
        if row.init == "ones"
        else random.standard_normal(row.shape, np.float32) / np.float32(row.shape[-1] ** 0.5)
        for row in parameters(config)
    }


# --- decode -------------------------------------------------------------------------------------


def ours(engine: NumpyEngine) -> float:
    """Tokens a second, greedy."""
    engine.reset(0)
    token = int(engine.forward([0], [list(range(5, 5 + PROMPT))]).argmax())
    began = time.perf_counter()
    for _ in range(TOKENS):
        token = int(engine.forward([0], [[token]]).argmax())
    return TOKENS / (time.perf_counter() - began)


def hugging_face(config: ModelConfig) -> Callable[[], float]:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model: Any = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=config.vocab_size, hidden_size=config.d_model,
            intermediate_size=config.d_ff, num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads, num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_dim, max_position_embeddings=config.context_length,
            tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, pad_token_id=0,
        )
    ).eval()  # fmt: skip
    ids = torch.arange(5, 5 + PROMPT)[None]
    options: Any = {"do_sample": False, "attention_mask": torch.ones_like(ids)}

    def measure() -> float:
        with torch.inference_mode():
            model.generate(ids, max_new_tokens=1, **options)
            began = time.perf_counter()
            model.generate(ids, max_new_tokens=1, **options)
            first = time.perf_counter() - began
            began = time.perf_counter()
            model.generate(ids, max_new_tokens=TOKENS + 1, min_new_tokens=TOKENS + 1, **options)
            return TOKENS / (time.perf_counter() - began - first)

    return measure


def llama_cpp(run: Run, folder: Path, kind: NumberType) -> Callable[[], float]:
    import llama_cpp as library

    path = folder / f"{kind}.gguf"
    export_to_gguf(run, choose_step(run, None, damaged=print), path, kind)
    vocab_size = run.model_config.vocab_size
    model: Any = library.Llama(
        str(path), n_ctx=CONTEXT, n_threads=2, n_threads_batch=2, verbose=False
    )

    def likeliest() -> int:
        last = library.llama_get_logits_ith(model.ctx, -1)
        return int(np.ctypeslib.as_array(last, (vocab_size,)).argmax())

    def measure() -> float:
        model.reset()
        model.eval(list(range(5, 5 + PROMPT)))
        token = likeliest()
        began = time.perf_counter()
        for _ in range(TOKENS):
            model.eval([token])
            token = likeliest()
        return TOKENS / (time.perf_counter() - began)

    return measure


# --- many, late, cold ---------------------------------------------------------------------------


def batch(config: ModelConfig, weights: Weights, tokenizer: Tokenizer, rows: int) -> float:
    """Tokens a second of many texts, so many side by side."""
    engine = NumpyEngine(config, weights, rows)
    requests = [
        GenerationRequest(prompt=f"{n} times", max_new_tokens=TEXT_TOKENS, row=n)
        for n in range(TEXTS)
    ]
    generator = Generator(engine, tokenizer, rows=rows)
    began = time.perf_counter()
    written = sum(isinstance(event, TokenEvent) for event in generator.write(RequestList(requests)))
    return written / (time.perf_counter() - began)


def late(config: ModelConfig, weights: Weights) -> tuple[float, float]:
    """How much longer a token takes at a late position, and how much more is read for it.

    A text is written from its beginning to there, and the tokens around both places are timed.
    """
    engine = NumpyEngine(config, weights)
    ratios = []
    for _ in range(7):
        engine.reset(0)
        times = []
        for position in range(LATE + AROUND):
            began = time.perf_counter()
            engine.forward([0], [[5 + position % 100]])
            times.append(time.perf_counter() - began)
        early, then = times[PROMPT : PROMPT + AROUND], times[LATE : LATE + AROUND]
        ratios.append(statistics.median(then) / statistics.median(early))
    a_position = 2 * config.num_layers * config.num_kv_heads * config.head_dim * 4
    few, many = (engine.weight_bytes + n * a_position for n in (PROMPT, LATE))
    return statistics.median(ratios), many / few


def numbers(vocab_size: int) -> Tokenizer:
    """A tokenizer of any size, whose pieces are numbers."""
    texts = [SPACE_MARK, *(f"{SPACE_MARK}{number}" for number in range(vocab_size))]
    pieces = [
        Piece("<unk>", 0, PieceType.UNKNOWN), Piece("<s>", 0, PieceType.CONTROL),
        Piece("</s>", 0, PieceType.CONTROL),
        *(Piece(f"<0x{byte:02X}>", 0, PieceType.BYTE) for byte in range(256)),
        *(Piece(text, -i, PieceType.NORMAL) for i, text in enumerate(texts)),
    ]  # fmt: skip
    whole = Pieces(Algorithm.BPE, tuple(pieces[:vocab_size]), dummy_prefix=False)
    return SentencePieceTokenizer(write_pieces(whole))


def make_run(config: ModelConfig, tokenizer: Tokenizer, path: Path) -> Run:
    """A run with random weights."""
    corpus = {
        "sources": ["-"], "bytes": 1, "documents": 1, "fingerprint": "", "training_bytes": 1,
        "training_tokens": 1, "held_out_bytes": 0, "token_cache": "",
    }  # fmt: skip
    metadata = {
        "model": config.to_json(), "plan": {}, "seed": 0, "corpus": corpus,
        "tokenizer": {"vocab_size": tokenizer.vocab_size, "fingerprint": tokenizer.fingerprint},
    }  # fmt: skip
    run = create_run(path, metadata, tokenizer)
    save_step(run.path, StepState(step=1, tokens_seen=1, seconds=1), random_weights(config), {})
    return run


def cold(size: str, tokenizer: Tokenizer, folder: Path) -> Callable[[], tuple[float, float]]:
    """Whole processes: a prompt to 32 tokens, and importing torch; seconds each."""
    make_run(config_of(size, tokenizer.vocab_size), tokenizer, folder / "checkpoints" / "it")
    command = [sys.executable, "-m", "tfcli", "generate", "--max-new-tokens", "32", "--greedy"]

    def measure() -> tuple[float, float]:
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, input=b"7 times", capture_output=True, check=True)
        between = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        return between - began, time.perf_counter() - between

    measure()  # files are in the cache from here on
    return measure


# --- the table ----------------------------------------------------------------------------------


def report(size: str, rounds: int, tokenizer: Tokenizer, folder: Path) -> None:
    config = config_of(size)
    weights = random_weights(config)
    runners: dict[str, Callable[[], float]] = {
        "ours, float32": partial(ours, NumpyEngine(config, weights)),
        "ours, int8": partial(ours, NumpyEngine(config, weights, int8=True)),
        "ours, numpy alone": partial(ours, NumpyEngine(config, weights, native=False)),
        "transformers": hugging_face(config),
    }
    if find_spec("llama_cpp") and find_spec("gguf"):
        run = make_run(config, numbers(config.vocab_size), folder / "checkpoints" / "numbers")
        runners["llama.cpp, f32"] = llama_cpp(run, folder, "f32")
        runners["llama.cpp, q8_0"] = llama_cpp(run, folder, "q8_0")
    figures: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, measure in runners.items():
            figures[name].append(measure())
    medians = {name: statistics.median(values) for name, values in figures.items()}
    compiled = "with" if load_library() else "WITHOUT"
    print(f"\n{size}: {count_parameters(config):,} parameters, {compiled} the compiled decoder\n")
    for name, median in medians.items():
        mine = medians["ours, int8" if "q8" in name else "ours, float32"]
        print(f"  decode, {name:<18} {median:9,.0f} tokens/s   ours is {mine / median:5.2f} x")
    small = config_of(size, tokenizer.vocab_size)
    small_weights = random_weights(small)
    pairs = [
        (batch(small, small_weights, tokenizer, TEXTS), batch(small, small_weights, tokenizer, 1))
        for _ in range(rounds)
    ]
    many, alone = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"  {TEXTS} texts together   {many:9,.0f} tokens/s   {many / alone:5.2f} x one by one")
    longer, more = late(config, weights)
    print(f"  position {LATE}, against {PROMPT}: {longer:.2f} x the time, {more:.2f} x the bytes")
    if count_parameters(config) < 20e6:
        cold_start = cold(size, tokenizer, folder / "run")
        seconds = [cold_start() for _ in range(rounds)]
        whole, torch = (statistics.median(side) for side in zip(*seconds, strict=True))
        print(
            f"  cold, 32 tokens   {whole * 1000:6.0f} ms   {whole / torch:5.2f} x importing torch"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=list(SHAPES))
    wanted = parser.parse_args()
    tokenizer = train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), vocab_size=1024)[0]
    for size in wanted.sizes:
        with tempfile.TemporaryDirectory() as folder:
            report(size, wanted.rounds, tokenizer, Path(folder))


if __name__ == "__main__":
    main()
