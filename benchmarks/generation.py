"""How fast text is written: the numpy engine beside torch, transformers and llama.cpp, in one run.

    python -m benchmarks.generation [--rounds 5] [--sizes 1M 12M 110M]

Models of three sizes with random weights, in Qwen3's layout. Each figure is the median of the
rounds, in which everything is measured one after the other:

* `decode`: greedy, one text, 256 tokens after a prompt of 16; tokens a second after the prompt;
* `batch`: 64 texts side by side, 32 tokens each, against one after the other;
* `late`: the time of a token at position 1,000 against one at position 16;
* `cold`: the whole process `tfcli generate --max-new-tokens 32 --greedy` with a prompt from a pipe,
  against `python -c "import torch"`.

transformers is measured where it is installed, llama.cpp where `llama_cpp` and `gguf` are.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.model.config import ModelConfig
from tfcli.model.cost import count_parameters
from tfcli.model.layout import weight_shapes

if TYPE_CHECKING:
    from collections.abc import Callable

# name: layers, width, heads, d_ff, vocabulary: those of shared figures for this kind of machine
SHAPES = {
    "1M": (4, 128, 2, 352, 1024),
    "12M": (6, 384, 6, 1024, 4096),
    "110M": (12, 768, 12, 2048, 32000),
}
PROMPT, TOKENS, CONTEXT = 16, 256, 1024


def config_of(size: str) -> ModelConfig:
    layers, width, heads, d_ff, vocab_size = SHAPES[size]
    return ModelConfig(
        vocab_size=vocab_size, context_length=CONTEXT, num_layers=layers, d_model=width,
        num_heads=heads, num_kv_heads=heads, head_dim=width // heads, d_ff=d_ff,
    )  # fmt: skip


def random_weights(config: ModelConfig) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        name: np.ones(shape, np.float32)
        if "norm" in name
        else random.standard_normal(shape, np.float32) / np.float32(shape[-1] ** 0.5)
        for name, shape in weight_shapes(config).items()
    }


def decode(engine: Any) -> float:
    """Tokens a second, greedy."""
    engine.forget(0)
    token = int(engine.read([0], [list(range(5, 5 + PROMPT))]).argmax())
    began = time.perf_counter()
    for _ in range(TOKENS):
        token = int(engine.read([0], [[token]]).argmax())
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
    wishes: Any = {"do_sample": False, "attention_mask": torch.ones_like(ids)}

    def measure() -> float:
        with torch.inference_mode():
            model.generate(ids, max_new_tokens=1, **wishes)
            began = time.perf_counter()
            model.generate(ids, max_new_tokens=1, **wishes)
            first = time.perf_counter() - began
            began = time.perf_counter()
            model.generate(ids, max_new_tokens=TOKENS + 1, min_new_tokens=TOKENS + 1, **wishes)
            return TOKENS / (time.perf_counter() - began - first)

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=list(SHAPES))
    wanted = parser.parse_args()
    for size in wanted.sizes:
        config = config_of(size)
        weights = random_weights(config)
        engine = NumpyEngine(config, weights)
        runners: dict[str, Callable[[], float]] = {
            "numpy": partial(decode, engine),
            "transformers": hugging_face(config),
        }
        figures: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(wanted.rounds):
            for name, run in runners.items():
                figures[name].append(run())
        ours = statistics.median(figures["numpy"])
        print(f"{size}: {count_parameters(config):,} parameters")
        for name, values in figures.items():
            median = statistics.median(values)
            print(f"  {name:<14} {median:8.0f} tokens/s   ours is {ours / median:5.2f} x")


if __name__ == "__main__":
    main()
