"""How fast text is generated: the numpy engine, transformers and llama.cpp, side by side.

    python -m benchmarks.generation [--rounds 5] [--sizes 1M 12M 110M]

Models of three sizes with untrained weights, in Qwen3's layout, float32. Each figure is the median
of the rounds, in each of which everything is measured once, one after the other:

* decode: greedy, one text, 256 tokens after a prompt of 16; tokens per second after the prompt;
* batch: 64 texts of 32 tokens side by side, relative to the same one after the other;
* late: the time of a token at position 1,000 of a text that is generated from its beginning,
  relative to one at position 16, and the same ratio of the bytes read for it (weights and cache);
* cold: the whole process `tfcli generate --max-new-tokens 32 --greedy` with a prompt from a pipe,
  relative to `python -c "import torch"`; for models below 20 M parameters.

llama.cpp is measured if `llama_cpp` and `gguf` are installed (`make others` does that): in float32
and, compared with int8, in q8_0.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import make_run, number_tokenizer
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.generation.engines.native import load_library
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.request import GenerationRequest
from tfcli.model.config import named_config
from tfcli.model.cost import count_parameters
from tfcli.model.transformer import Transformer
from tfcli.runs.valid_steps import choose_step
from tfcli.runtime.threads import usable_cores
from tfcli.text.tokenizer_training import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.exchange.formats import NumberType
    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.text.tokenizer import Tokenizer

    Weights = dict[str, np.ndarray[Any, Any]]
    Measure = Callable[[], float]

# layers, width, vocabulary
SHAPES = {
    "tiny": (1, 32, 300),
    "1M": (4, 128, 1024),
    "12M": (6, 384, 4096),
    "110M": (12, 768, 32000),
}
COLD_PARAMETERS = 20e6
PROMPT = 16
BOOK = "".join(f"{n} times {m} is {n * m}.\n" for n in range(300) for m in range(40))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is generated.

    Attributes:
        context: of the models.
        vocab_size: of the tokenizer that `batch` and `cold` have.
        tokens: of one text.
        texts, text_tokens: of many side by side.
        late: a late position; as many tokens as the prompt has are timed there.
        late_rounds: texts that are generated up to there.

    """

    context: int
    vocab_size: int
    tokens: int
    texts: int
    text_tokens: int
    late: int
    late_rounds: int


FULL = Scale(
    context=1024, vocab_size=1024, tokens=256, texts=64, text_tokens=32, late=1000, late_rounds=7
)
TINY = Scale(context=64, vocab_size=300, tokens=8, texts=4, text_tokens=4, late=40, late_rounds=1)


def config_of(size: str, context: int, vocab_size: int | None = None) -> ModelConfig:
    layers, width, usual = SHAPES[size]
    return named_config(
        "nano", vocab_size=vocab_size or usual, context_length=context,
        num_layers=layers, d_model=width,
    )  # fmt: skip


def untrained_weights(config: ModelConfig) -> Weights:
    model = Transformer(config)
    model.init_weights(0)
    return {name: weight.detach().numpy() for name, weight in model.named_parameters()}


# --- decode -------------------------------------------------------------------------------------


def tfcli_decode(engine: NumpyEngine, tokens: int) -> float:
    """Tokens per second."""
    engine.reset(0)
    token = int(engine.forward([0], [list(range(5, 5 + PROMPT))]).argmax())
    began = time.perf_counter()
    for _ in range(tokens):
        token = int(engine.forward([0], [[token]]).argmax())
    return tokens / (time.perf_counter() - began)


def transformers_decode(config: ModelConfig, tokens: int) -> Measure:
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
            model.generate(ids, max_new_tokens=tokens + 1, min_new_tokens=tokens + 1, **options)
            return tokens / (time.perf_counter() - began - first)

    return measure


def llama_cpp_decode(run: Run, folder: Path, number_type: NumberType, tokens: int) -> Measure:
    import llama_cpp as library

    path = folder / f"{number_type}.gguf"
    export_to_gguf(run, choose_step(run, None, on_damaged=print), path, number_type)
    config, cores = run.model_config, usable_cores()
    model: Any = library.Llama(
        str(path), n_ctx=config.context_length, n_threads=cores, n_threads_batch=cores,
        verbose=False,
    )  # fmt: skip

    def argmax() -> int:
        last = library.llama_get_logits_ith(model.ctx, -1)
        return int(np.ctypeslib.as_array(last, (config.vocab_size,)).argmax())

    def measure() -> float:
        model.reset()
        model.eval(list(range(5, 5 + PROMPT)))
        token = argmax()
        began = time.perf_counter()
        for _ in range(tokens):
            model.eval([token])
            token = argmax()
        return tokens / (time.perf_counter() - began)

    return measure


# --- batch, late, cold --------------------------------------------------------------------------


def batch(
    config: ModelConfig, weights: Weights, tokenizer: Tokenizer, rows: int, scale: Scale
) -> float:
    """Tokens per second of many texts, so many side by side."""
    engine = NumpyEngine(config, weights, rows)
    requests = [
        GenerationRequest(prompt=f"{n} times", max_new_tokens=scale.text_tokens, row=n)
        for n in range(scale.texts)
    ]
    generator = Generator(engine, tokenizer, rows=rows)
    began = time.perf_counter()
    events = generator.stream(RequestList(requests))
    count = sum(isinstance(event, TokenEvent) for event in events)
    return count / (time.perf_counter() - began)


def late(config: ModelConfig, weights: Weights, scale: Scale) -> tuple[float, float]:
    """The time of a token at a late position relative to an early one, and the bytes read for it.

    A text is generated from its beginning to there, and the tokens around both places are timed.
    """
    engine = NumpyEngine(config, weights)
    ratios = []
    for _ in range(scale.late_rounds):
        engine.reset(0)
        times = []
        for position in range(scale.late + PROMPT):
            began = time.perf_counter()
            engine.forward([0], [[5 + position % 100]])
            times.append(time.perf_counter() - began)
        early, then = times[PROMPT : 2 * PROMPT], times[scale.late : scale.late + PROMPT]
        ratios.append(statistics.median(then) / statistics.median(early))
    position_bytes = 2 * config.num_layers * config.num_kv_heads * config.head_dim * 4
    few, many = (engine.weight_bytes + n * position_bytes for n in (PROMPT, scale.late))
    return statistics.median(ratios), many / few


def cold(run: Run, folder: Path) -> Callable[[], tuple[float, float]]:
    """Whole processes: from a prompt to 32 tokens, and importing torch; seconds each."""
    command = [
        sys.executable, "-m", "tfcli", "generate", "--run", str(run.path), "--greedy",
        "--max-new-tokens", "32", "--logit-bias", f"{run.tokenizer().special.eos}=-inf",
    ]  # fmt: skip

    def measure() -> tuple[float, float]:
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, input=b"7 times", capture_output=True, check=True)
        between = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        return between - began, time.perf_counter() - between

    measure()  # files are in the cache from here on
    return measure


# --- the table ----------------------------------------------------------------------------------

INT8, Q8_0 = "tfcli `--int8`", "llama.cpp, q8_0"


def measure_decode(config: ModelConfig, rounds: int, folder: Path, scale: Scale) -> dict[str, str]:
    """Tokens per second of each program, and how many times those of tfcli are as many."""
    weights = untrained_weights(config)
    programs: dict[str, Measure] = {
        "tfcli": partial(tfcli_decode, NumpyEngine(config, weights), scale.tokens),
        INT8: partial(tfcli_decode, NumpyEngine(config, weights, int8=True), scale.tokens),
        "tfcli, numpy alone": partial(
            tfcli_decode, NumpyEngine(config, weights, native=False), scale.tokens
        ),
        "transformers": transformers_decode(config, scale.tokens),
    }
    if find_spec("llama_cpp") and find_spec("gguf"):
        run = make_run(config, number_tokenizer(config.vocab_size), folder / "numbers")
        programs["llama.cpp, f32"] = llama_cpp_decode(run, folder, "f32", scale.tokens)
        programs[Q8_0] = llama_cpp_decode(run, folder, "q8_0", scale.tokens)
    found: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, measure in programs.items():
            found[name].append(measure())
    medians = {name: statistics.median(values) for name, values in found.items()}
    ratios = {
        f"{ours} relative to {name}": f"{medians[ours] / median:.2f} x"
        for name, median in medians.items()
        if not name.startswith("tfcli")
        for ours in (INT8 if name == Q8_0 else "tfcli",)
    }
    return {name: f"{median:,.0f}" for name, median in medians.items()} | ratios


def measure_size(
    size: str, rounds: int, tokenizer: Tokenizer, folder: Path, scale: Scale
) -> dict[str, str]:
    """A column of the table."""
    config = config_of(size, scale.context)
    column = measure_decode(config, rounds, folder, scale)
    small = config_of(size, scale.context, tokenizer.vocab_size)
    weights = untrained_weights(small)
    pairs = [
        [batch(small, weights, tokenizer, rows, scale) for rows in (scale.texts, 1)]
        for _ in range(rounds)
    ]
    many, single = (statistics.median(side) for side in zip(*pairs, strict=True))
    column[f"{scale.texts} texts together, relative to one by one"] = f"{many / single:.1f} x"
    times, read = late(config, untrained_weights(config), scale)
    column[f"token {scale.late:,} relative to token {PROMPT}: time"] = f"{times:.2f} x"
    column["... bytes read"] = f"{read:.2f} x"
    if count_parameters(config) < COLD_PARAMETERS:
        process = cold(make_run(small, tokenizer, folder / "cold"), folder)
        seconds = [process() for _ in range(rounds)]
        whole, importing = (statistics.median(side) for side in zip(*seconds, strict=True))
        column["whole process, 32 tokens"] = f"{1000 * whole:.0f} ms"
        column["... relative to importing torch"] = f"{whole / importing:.2f} x"
    return column


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=["1M", "12M", "110M"], choices=list(SHAPES))
    wanted = parser.parse_args(arguments)
    print_heading("generation", arguments)
    scale = FULL
    if wanted.tiny:
        scale, wanted.rounds, wanted.sizes = TINY, 1, ["tiny"]
    tokenizer = train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), vocab_size=scale.vocab_size)[
        0
    ]
    columns = {}
    for size in wanted.sizes:
        with tempfile.TemporaryDirectory() as folder:
            columns[size] = measure_size(size, wanted.rounds, tokenizer, Path(folder), scale)
    compiled = "with" if load_library() else "WITHOUT"
    print(f"Tokens per second, median of {wanted.rounds}; {compiled} the compiled decoder.\n")
    parameters = (f"{count_parameters(config_of(size, scale.context)):,}" for size in columns)
    rows = list(dict.fromkeys(name for column in columns.values() for name in column))
    print_table(
        ["parameters", *parameters],
        ([name, *(column.get(name, "") for column in columns.values())] for name in rows),
    )


if __name__ == "__main__":
    main()
