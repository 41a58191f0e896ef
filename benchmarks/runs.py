"""A run of any shape, to measure with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tfcli.text.corpus import open_corpus
from tfcli.text.pieces import Algorithm, Piece, Pieces, PieceType, write_pieces
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.tokenizer import SPACE_MARK, Tokenizer
from tfcli.training.options import TrainOptions
from tfcli.training.resume import begin
from tfcli.training.setup import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run


def number_tokenizer(vocab_size: int) -> Tokenizer:
    """A tokenizer of any size, whose pieces are numbers."""
    texts = [SPACE_MARK, *(f"{SPACE_MARK}{number}" for number in range(vocab_size))]
    pieces = [
        Piece("<unk>", 0, PieceType.UNKNOWN), Piece("<s>", 0, PieceType.CONTROL),
        Piece("</s>", 0, PieceType.CONTROL),
        *(Piece(f"<0x{byte:02X}>", 0, PieceType.BYTE) for byte in range(256)),
        *(Piece(text, -i, PieceType.NORMAL) for i, text in enumerate(texts)),
    ]  # fmt: skip
    whole = Pieces(Algorithm.BPE, tuple(pieces[:vocab_size]), dummy_prefix=False)
    return Tokenizer(write_pieces(whole))


def make_run(config: ModelConfig, tokenizer: Tokenizer, path: Path) -> Run:
    """A run of that shape after one step of training, made as `tfcli train` makes one.

    So it is valid for whatever reads runs, today and later.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text, cache = path.parent / f"{path.name}.txt", path.parent / ".cache"
    text.write_text("".join(f" {n % 97}" for n in range(4 * config.context_length)))
    corpus = open_corpus([text], cache=cache)
    options = TrainOptions(
        steps=1, batch_tokens=config.context_length, precision="float32", compile=False,
        family=config.family, context_length=config.context_length, num_layers=config.num_layers,
        d_model=config.d_model, num_heads=config.num_heads, tied_head=config.tied_head,
    )  # fmt: skip
    tokens = tokenize_corpus(corpus, tokenizer, cache=cache)
    job = prepare(options, tokens, tokenizer, seed=0, device="cpu")
    assert job.model_config == config
    trainer = begin(job, path, corpus, started=time.monotonic())
    for _ in trainer.events():
        pass
    return trainer.run
