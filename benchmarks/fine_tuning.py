"""Which optimizer, rate, warm-up and number of epochs are best for fine-tuning.

    python -m benchmarks.fine_tuning BASE TEXT ... [--rates 1e-4,3e-4] [--epochs 1,3] [--width 256]

A model is trained on BASE, once with Muon and once with AdamW, with a tokenizer of all the texts;
each is then tuned to each TEXT in every way. The figures are nats per byte on the last tenth of
TEXT: before, at the end, and the lowest of eight evaluations on the way.
"""

from __future__ import annotations

import copy
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.texts import choose_text
from tfcli.model.config import named_config
from tfcli.model.transformer import Transformer
from tfcli.text.corpus import open_corpus
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.tokenizer_training import train_tokenizer
from tfcli.training.evaluation import evaluate_tokens
from tfcli.training.examples import WindowSampler
from tfcli.training.objectives import NextToken
from tfcli.training.optimizers import Optimizer, OptimizerConfig
from tfcli.training.schedule import DECAY_SHARE, WARM_UP_STEPS, matrix_learning_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.model.config import ModelConfig
    from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.training.options import OptimizerKind

EVALUATION_TOKENS, EVALUATIONS = 1 << 14, 8
KINDS: tuple[OptimizerKind, ...] = ("muon", "adamw")


class Way(NamedTuple):
    """A way of tuning.

    Attributes:
        kind: of optimizer.
        rate: peak learning rate; of Muon's matrices, with AdamW's at half of it, as from scratch.
        epochs: passes over the text.
        warm_up: steps.
        decay: the last share of the steps, in which the rate falls to zero.
        dropout: and half as much again of token dropout.
        weight_decay: of matrices and tables.

    """

    kind: OptimizerKind
    rate: float
    epochs: float
    warm_up: int
    decay: float
    dropout: float
    weight_decay: float


def train(
    model: Transformer,
    text: TokenizedCorpus,
    tokenizer: SentencePieceTokenizer,
    way: Way,
    *,
    steps: int,
    batch_tokens: int,
) -> tuple[float, float]:
    """Trains a model; returns the last and the lowest held-out loss."""
    context, special = model.config.context_length, tokenizer.special
    model.dropout = way.dropout
    tables = way.rate if way.kind == "adamw" else way.rate / 2
    config = OptimizerConfig(
        kind=way.kind, matrix_learning_rate=way.rate, table_learning_rate=tables,
        vector_learning_rate=tables, weight_decay=way.weight_decay,
    )  # fmt: skip
    optimizer = Optimizer(model, config, model.dtype or torch.float32)
    sampler = WindowSampler(
        text.training, context=context, rows=batch_tokens // context, special=special, seed=0
    )
    objective = NextToken(special, token_dropout=1.5 * way.dropout)
    device = model.embedding.weight.device
    losses = []
    model.train()
    for step in range(steps):
        batch = objective.training_batch(sampler.examples(step), seed=0, step=step)
        mask = model.draw_dropout(range(len(batch.inputs)), (0, step))
        loss = model.loss(**batch.loss_arguments(device), dropout_mask=mask) / batch.num_targets
        torch.autograd.backward(loss)
        decay = min(1.0, (1 - step / steps) / way.decay) if way.decay else 1.0
        optimizer.step(min(1.0, (step + 1) / max(way.warm_up, 1)) * decay)
        if (step + 1) * EVALUATIONS // steps > step * EVALUATIONS // steps:
            losses.append(held_out(model, text, tokenizer))
    return losses[-1], min(losses)


def held_out(model: Transformer, text: TokenizedCorpus, tokenizer: SentencePieceTokenizer) -> float:
    """Nats per byte of at most 16,384 tokens of the held-out text."""
    found = evaluate_tokens(model, text.held_out, tokenizer, limit=EVALUATION_TOKENS)
    assert found is not None
    return found.nats_per_byte


def first_model(
    config: ModelConfig, kind: OptimizerKind, text: TokenizedCorpus,
    tokenizer: SentencePieceTokenizer, *, steps: int, batch_tokens: int, dtype: torch.dtype,
) -> tuple[Transformer, float]:  # fmt: skip
    """The model that is tuned, and its loss on its own text."""
    model = Transformer(config, dtype=dtype)
    model.init_weights(0)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    rate = matrix_learning_rate(steps) if kind == "muon" else 0.3 / config.d_model
    way = Way(kind, rate, 0, WARM_UP_STEPS, DECAY_SHARE, 0.0, 0.1)
    last, _ = train(model, text, tokenizer, way, steps=steps, batch_tokens=batch_tokens)
    return model, last


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("texts", type=Path, nargs="*")
    parser.add_argument("--base-steps", type=int, default=1500)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--vocab-size", type=int, default=2048)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--bases", default="muon,adamw")
    parser.add_argument("--kinds", default="muon,adamw")
    parser.add_argument("--dtype", default="bfloat16")
    for name, default in (
        ("rates", "3e-5,1e-4,3e-4,1e-3,3e-3"), ("epochs", "2"), ("warm-ups", "20"),
        ("decays", "0.7"), ("dropouts", "0"), ("weight-decays", "0.1"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", default=default, help="several, with commas between them")
    wanted = parser.parse_args(arguments)
    print_heading("fine_tuning", arguments)
    with tempfile.TemporaryDirectory() as folder:
        if wanted.tiny:
            wanted.texts = [choose_text(None, Path(folder), tiny=True)] * 2
            wanted.base_steps, wanted.layers, wanted.width, wanted.context = 8, 1, 32, 16
            wanted.vocab_size, wanted.rates, wanted.epochs = 300, "1e-3", "0.1"
        base_text, *texts = wanted.texts
        whole = open_corpus([*{base_text, *texts}], cache=Path(folder))
        tokenizer, _ = train_tokenizer(
            (chunk.data for chunk in whole.training()),
            text_bytes=whole.scan.training_bytes, vocab_size=wanted.vocab_size,
        )  # fmt: skip
        tokens = {
            path: tokenize_corpus(
                open_corpus([path], cache=Path(folder)), tokenizer, cache=Path(folder)
            )
            for path in (base_text, *texts)
        }
        config = replace(
            named_config("nano", vocab_size=tokenizer.vocab_size, context_length=wanted.context,
                         num_layers=wanted.layers, d_model=wanted.width),
            family="llama",
        )  # fmt: skip
        settings = {"batch_tokens": wanted.batch_tokens}

        def rows() -> Iterator[tuple[object, ...]]:
            for base in wanted.bases.split(","):
                model, loss = first_model(
                    config, base, tokens[base_text], tokenizer, steps=wanted.base_steps,
                    dtype=getattr(torch, wanted.dtype), **settings,
                )  # fmt: skip
                yield base, base_text.stem, *["-"] * 8, f"{loss:.4f}", f"{loss:.4f}"
                for path in texts:
                    text = tokens[path]
                    before = held_out(model, text, tokenizer)
                    yield base, path.stem, *["before"] * 8, f"{before:.4f}", f"{before:.4f}"
                    for way in ways(wanted):
                        size = len(text.training)
                        steps = max(1, round(way.epochs * size / wanted.batch_tokens))
                        tuned = copy.deepcopy(model)
                        last, best = train(tuned, text, tokenizer, way, steps=steps, **settings)
                        yield (
                            base,
                            path.stem,
                            *way[:3],
                            steps,
                            *way[3:],
                            f"{last:.4f}",
                            f"{best:.4f}",
                        )

        print_table(
            ["base", "text", "optimizer", "rate", "epochs", "steps", "warm-up", "decay", "dropout",
             "weight decay", "last", "best"],
            rows(),
        )  # fmt: skip


def ways(wanted: object) -> Iterator[Way]:
    """All combinations of what was asked for."""
    columns = [getattr(wanted, name).split(",") for name in (
        "kinds", "rates", "epochs", "warm_ups", "decays", "dropouts", "weight_decays"
    )]  # fmt: skip
    for kind, rate, epochs, warm_up, *rest in itertools.product(*columns):
        yield Way(kind, float(rate), float(epochs), int(warm_up), *map(float, rest))


if __name__ == "__main__":
    main()
