"""A run of any shape, to measure with."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tfcli.runtime.distributed import SINGLE_PROCESS, DistributedContext
from tfcli.text.corpus import open_corpus
from tfcli.text.sentencepiece_model import (
    Algorithm,
    Piece,
    PieceType,
    SentencePieceModel,
    write_pieces,
)
from tfcli.text.sentencepiece_tokenizer import SPACE_MARK, SentencePieceTokenizer
from tfcli.text.token_cache import tokenize_corpus
from tfcli.training.options import TrainOptions
from tfcli.training.setup import plan_job
from tfcli.training.start import start_run

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.runtime.device import Device
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.loop import Trainer


def number_tokenizer(vocab_size: int) -> Tokenizer:
    """A tokenizer of any size, whose pieces are numbers."""
    texts = [SPACE_MARK, *(f"{SPACE_MARK}{number}" for number in range(vocab_size))]
    pieces = [
        Piece("<unk>", 0, PieceType.UNKNOWN), Piece("<s>", 0, PieceType.CONTROL),
        Piece("</s>", 0, PieceType.CONTROL),
        *(Piece(f"<0x{byte:02X}>", 0, PieceType.BYTE) for byte in range(256)),
        *(Piece(text, -i, PieceType.NORMAL) for i, text in enumerate(texts)),
    ]  # fmt: skip
    whole = SentencePieceModel(Algorithm.BPE, tuple(pieces[:vocab_size]), dummy_prefix=False)
    return SentencePieceTokenizer(write_pieces(whole))


def make_run(config: ModelConfig, tokenizer: Tokenizer, path: Path) -> Run:
    """A run of that shape after one step of training on a CPU.

    It is made as `tfcli train` makes one, so it is valid for whatever reads runs.
    """
    trainer = start_training(
        config, tokenizer, path, device="cpu", steps=1, batch_tokens=config.context_length,
        dtype="float32",
    )  # fmt: skip
    for _ in trainer.events():
        pass
    return trainer.run


def start_training(
    config: ModelConfig,
    tokenizer: Tokenizer,
    path: Path,
    *,
    device: Device,
    processes: DistributedContext = SINGLE_PROCESS,
    **options: Any,
) -> Trainer:
    """What trains a model of that shape on words drawn at random from the vocabulary.

    Args:
        path: of the run.
        processes: who train together, and whether they share the weights.
        options: further ones of `TrainOptions`.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text, cache = path.parent / f"{path.name}.txt", path.parent / ".cache"
    words = [spelled for spelled in tokenizer.token_bytes if spelled.startswith(b" ")]
    count = 2 * max(options["batch_tokens"], 2 * config.context_length)
    text.write_bytes(b"".join(random.Random(0).choices(words, k=count)))
    corpus = open_corpus([text], cache=cache)
    wanted = TrainOptions(
        family=config.family, context_length=config.context_length, num_layers=config.num_layers,
        d_model=config.d_model, num_heads=config.num_heads, tied_head=config.tied_head, **options,
    )  # fmt: skip
    tokens = tokenize_corpus(corpus, tokenizer, cache=cache)
    job = plan_job(wanted, tokens, tokenizer, seed=0, device=device)
    assert job.model_config == config
    return start_run(replace(job, processes=processes), path, corpus, started=time.monotonic())
