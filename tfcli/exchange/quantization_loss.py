"""What quantization costs: the held-out loss of the exported weights, compared to float32."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import TfcliError
from tfcli.exchange.export_gguf import rounded
from tfcli.exchange.formats import NumberType
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.scoring import document_start, score
from tfcli.runs.weights import open_weights
from tfcli.text.token_cache import open_token_cache

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep

MAX_TOKENS = 20_000  # measured at most, from the start of the held-out text
ROWS = 16


@dataclass(frozen=True)
class QuantizationLoss:
    """Nats per byte of the same held-out text, before and after quantization."""

    exact: float
    rounded: float
    bytes: int


def quantization_loss(
    run: Run, step: ValidStep, type: NumberType, cache: Path
) -> QuantizationLoss | None:
    """Measures it; None if the run's held-out text is no longer there."""
    tokenizer = run.tokenizer()
    texts = _held_out(run, cache, tokenizer.special.eos)
    if not texts:
        return None
    start = document_start(tokenizer.special, many_documents=run.many_documents)
    config, weights = run.model_config, open_weights(run, step)
    lengths = [len(spelled) for spelled in tokenizer.token_bytes]
    total = sum(lengths[i] for text in texts for i in text)
    if not total:
        return None

    def nats_per_byte(arrays: dict[str, np.ndarray[Any, Any]]) -> float:
        engine = NumpyEngine(config, arrays, ROWS)
        stride = max(1, config.context_length // 2)
        scores = score(
            engine, texts, tokenizer.special, rows=ROWS, stride=stride, starts=[start] * len(texts)
        )
        return -math.fsum(float(logprobs.sum()) for logprobs in scores) / total

    exact = nats_per_byte({name: weights.read(name) for name in weights.tensors})
    return QuantizationLoss(exact, nats_per_byte(rounded(config, weights, type)), total)


def _held_out(run: Run, cache: Path, eos: int | None) -> list[list[int]]:
    """The first held-out tokens, document by document."""
    corpus = run.metadata["corpus"]
    try:
        weights = tuple(part["weight"] for part in corpus.get("parts", [])) or (1.0,)
        tokens = open_token_cache(corpus["token_cache"], cache=cache, weights=weights)
    except TfcliError:
        return []
    texts: list[list[int]] = [[]]
    for token in tokens.held_out[:MAX_TOKENS].tolist():
        if token == eos:
            texts.append([])
        else:
            texts[-1].append(token)
    return [text for text in texts if text]
