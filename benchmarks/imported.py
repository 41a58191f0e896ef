"""How fast an imported model runs: tfcli, transformers and llama.cpp, side by side.

    python -m benchmarks.imported [--rounds 5] [--sizes 12M 110M 135M] [--processor-time]

Untrained weights; 135M has the shape of SmolLM2 (Llama's layers, a vocabulary of 49,152), the
others are Qwen3's. All cores, or as many threads as OMP_NUM_THREADS says; with --processor-time and
one thread, other work on the machine counts for little. Each figure is the median of the rounds, in
each of which everything is measured once, one after the other:

* decode: greedy, one text, 64 tokens after a prompt of 16; tokens per second after the prompt;
* prompt: reading 512 tokens at once; tokens per second.

Each program in the formats it has: float32, the 16-bit formats of files, and 8 bits. transformers
is measured in float32 and, where the processor multiplies it, in bfloat16. llama.cpp is measured if
`llama_cpp` and `gguf` are installed (`make others` does that).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.generation import config_of
from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import number_tokenizer
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import import_run
from tfcli.generation.engines.native import load_library
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.model.config import named_config
from tfcli.model.cost import count_parameters
from tfcli.model.safetensors_file import to_bfloat16
from tfcli.runs.valid_steps import choose_step
from tfcli.runs.weights import map_weights
from tfcli.runtime.dtype import choose_dtype
from tfcli.runtime.threads import num_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run

    # reads the prompt, then writes so many tokens; the seconds of both
    Program = Callable[[int, int], tuple[float, float]]
    Clock = Callable[[], float]

CONTEXT, SHORT = 1024, 16


def shape(size: str) -> ModelConfig:
    if size != "135M":
        return config_of(size, CONTEXT)
    config = named_config(
        "nano", family="llama", vocab_size=49152, context_length=CONTEXT,
        num_layers=30, d_model=576, num_heads=9, num_kv_heads=3,
    )  # fmt: skip
    return replace(config, d_ff=1536)


def prompt_of(length: int) -> list[int]:
    return [5 + i % 200 for i in range(length)]


def tfcli_program(engine: NumpyEngine, clock: Clock) -> Program:
    def run(length: int, tokens: int) -> tuple[float, float]:
        engine.reset(0)
        began = clock()
        token = int(engine.forward([0], [prompt_of(length)]).argmax())
        read = clock()
        for _ in range(tokens):
            token = int(engine.forward([0], [[token]]).argmax())
        return read - began, clock() - read

    return run


def untrained_model(config: ModelConfig) -> Any:
    """Of transformers."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    kinds: Any = (Qwen3Config, Qwen3ForCausalLM)
    if config.family == "llama":
        kinds = (LlamaConfig, LlamaForCausalLM)
    torch.manual_seed(0)
    return kinds[1](
        kinds[0](
            vocab_size=config.vocab_size, hidden_size=config.d_model,
            intermediate_size=config.d_ff, num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads, num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_dim, max_position_embeddings=CONTEXT,
            tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        )
    ).eval()  # fmt: skip


def imported(model: Any, vocab_size: int, folder: Path) -> Run:
    """The run that `tfcli import` makes of it."""
    model.save_pretrained(folder / "model")
    tokenizer = number_tokenizer(vocab_size)
    (folder / "model" / "tokenizer.model").write_bytes(tokenizer.serialized)
    return import_run(inspect_checkpoint(folder / "model"), folder / "checkpoints" / "model")


def transformers_program(model: Any, clock: Clock) -> Program:
    def run(length: int, tokens: int) -> tuple[float, float]:
        with torch.inference_mode():
            ids = torch.tensor([prompt_of(length)])
            began = clock()
            out = model(ids, use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            read = clock()
            for _ in range(tokens):
                out = model(token, past_key_values=out.past_key_values, use_cache=True)
                token = out.logits[:, -1].argmax(-1, keepdim=True)
            return read - began, clock() - read

    return run


def llama_cpp_program(run: Run, folder: Path, number_type: Any, clock: Clock) -> Program:
    import llama_cpp as library

    path = folder / f"{number_type}.gguf"
    export_to_gguf(run, choose_step(run, None, on_damaged=print), path, number_type)
    cores, vocabulary = num_threads(), run.model_config.vocab_size
    model: Any = library.Llama(
        str(path), n_ctx=CONTEXT, n_threads=cores, n_threads_batch=cores, n_batch=512,
        n_ubatch=512, verbose=False,
    )  # fmt: skip

    def argmax() -> int:
        last = library.llama_get_logits_ith(model.ctx, -1)
        return int(np.ctypeslib.as_array(last, (vocabulary,)).argmax())

    def measure(length: int, tokens: int) -> tuple[float, float]:
        model.reset()
        began = clock()
        model.eval(prompt_of(length))
        token = argmax()
        read = clock()
        for _ in range(tokens):
            model.eval([token])
            token = argmax()
        return read - began, clock() - read

    return measure


def programs(config: ModelConfig, folder: Path, clock: Clock) -> dict[str, Program]:
    model = untrained_model(config)
    run = imported(model, config.vocab_size, folder)
    weights = map_weights(run.model_config, choose_step(run, None, on_damaged=print).path)
    halves: Any = {name: weight.astype(np.float16) for name, weight in weights.items()}
    bfloat16 = {name: to_bfloat16(weight) for name, weight in weights.items()}
    engines = {
        "float32": NumpyEngine(run.model_config, weights),
        "bfloat16": NumpyEngine(run.model_config, bfloat16),
        "float16": NumpyEngine(run.model_config, halves),
        "`--int8`": NumpyEngine(run.model_config, weights, int8=True),
    }
    found = {f"tfcli, {name}": tfcli_program(engine, clock) for name, engine in engines.items()}
    found["transformers, float32"] = transformers_program(model, clock)
    if choose_dtype(torch.device("cpu")) == "bfloat16":
        rounded = deepcopy(model).to(torch.bfloat16)
        found["transformers, bfloat16"] = transformers_program(rounded, clock)
    if find_spec("llama_cpp") and find_spec("gguf"):
        for number_type in ("f32", "f16", "q8_0"):
            program = llama_cpp_program(run, folder, number_type, clock)
            found[f"llama.cpp, {number_type}"] = program
    return found


def measure_size(
    size: str, rounds: int, length: int, tokens: int, clock: Clock
) -> dict[str, dict[str, float]]:
    """Tokens per second of each program, in writing and in reading."""
    with tempfile.TemporaryDirectory() as folder:
        measured = programs(shape(size), Path(folder), clock)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in measured}
        for turn in range(rounds + 1):
            for name, program in measured.items():
                read, wrote = program(length, 0)[0], program(SHORT, tokens)[1]
                if turn:  # the first warms up
                    times[name].append((tokens / wrote, length / read))
    return {
        f"{size}, {what}": {
            name: statistics.median(turn[side] for turn in turns) for name, turns in times.items()
        }
        for side, what in enumerate(("decode", f"prompt of {length}"))
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=["12M", "110M", "135M"])
    parser.add_argument("--processor-time", action="store_true")
    wanted = parser.parse_args(arguments)
    clock = time.process_time if wanted.processor_time else time.perf_counter
    print_heading("imported", arguments)
    length, tokens = 512, 64
    if wanted.tiny:
        wanted.sizes, wanted.rounds, length, tokens = ["tiny"], 1, 32, 4
    columns: dict[str, dict[str, float]] = {}
    for size in wanted.sizes:
        columns |= measure_size(size, wanted.rounds, length, tokens, clock)
        print(f"{size}: {count_parameters(shape(size)):,} parameters.", end=" ")
    compiled = "with" if load_library() else "WITHOUT"
    print(f"Tokens per second, median of {wanted.rounds}; {compiled} the compiled decoder.\n")
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    print_table(
        ["program", *columns],
        ([name, *(f"{column[name]:,.0f}" for column in columns.values())] for name in names),
    )


if __name__ == "__main__":
    main()
