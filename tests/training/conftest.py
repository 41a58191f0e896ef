"""Training jobs small enough for a test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BOOK
from tfcli.runs.run import Run, open_run
from tfcli.runtime.device import Device
from tfcli.text.corpus import open_corpus
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.tokenizer_training import train_tokenizer
from tfcli.training.callbacks import Callbacks
from tfcli.training.loop import Trainer
from tfcli.training.options import TrainOptions
from tfcli.training.setup import TrainingJob, plan_job, reopen_job
from tfcli.training.start import resume_run, start_run


class Workshop:
    """A folder with a text, in which runs are started and resumed on a device."""

    def __init__(self, folder: Path, *, text_times: int = 1, device: Device = "cpu") -> None:
        self.folder = folder
        self.device = device
        self.cache = folder / "cache"
        book = folder / "book.txt"
        book.write_text(BOOK * text_times)
        self.corpus = open_corpus([book], cache=self.cache)
        self.tokenizer, _ = train_tokenizer(
            (piece.data for piece in self.corpus.training()),
            text_bytes=self.corpus.scan.training_bytes,
            vocab_size=300,
        )
        self.tokens = tokenize_corpus(self.corpus, self.tokenizer, cache=self.cache)

    def job(self, *, seed: int = 1, **options: Any) -> TrainingJob:
        small: dict[str, Any] = {
            "steps": 6, "num_layers": 1, "d_model": 32, "num_heads": 2, "context_length": 16,
            "batch_tokens": 64, "dtype": "float32",
        }  # fmt: skip
        return plan_job(
            TrainOptions(**(small | options)), self.tokens, self.tokenizer,
            seed=seed, device=self.device,
        )  # fmt: skip

    def begin(self, name: str, job: TrainingJob, **callbacks: Any) -> Trainer:
        return start_run(
            job, self.folder / name, self.corpus,
            started=time.monotonic(), callbacks=Callbacks(**callbacks),
        )  # fmt: skip

    def resume(self, name: str, **more: Any) -> Trainer:
        run: Run = open_run(self.folder / name)
        stop = more.pop("stop", lambda: False)
        return resume_run(
            reopen_job(run, cache=self.cache, device=self.device, **more),
            run,
            started=time.monotonic(),
            on_damaged=lambda error: None,
            callbacks=Callbacks(stop=stop),
        )


class StopAfter:
    """Asks a trainer to stop after N steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture
def workshop(tmp_path: Path, device: Device) -> Workshop:
    """A workshop on each device in turn."""
    return Workshop(tmp_path, device=device)
