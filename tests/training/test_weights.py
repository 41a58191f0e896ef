"""A run on weighted sources resumes with the same weights, from cached tokens or from the text."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import BOOK, SENTENCES
from tfcli.errors import DamagedError, DataError
from tfcli.runs.run import Run, open_run, write_metadata
from tfcli.runs.step import MODEL, list_steps, load_arrays
from tfcli.text.corpus import open_sources
from tfcli.text.sources import find_sources
from tfcli.text.token_cache import tokenize_corpus
from tfcli.training.callbacks import Callbacks
from tfcli.training.options import TrainOptions
from tfcli.training.setup import plan_job
from tfcli.training.start import start_run

from .conftest import StopAfter, Workshop


def weights(run: Run) -> dict[str, bytes]:
    arrays = load_arrays(list_steps(run.path)[-1] / MODEL)
    return {name: array.tobytes() for name, array in arrays.items()}


def start(workshop: Workshop, name: str, steps: int | None = None) -> Run:
    """A run on the book and on some sentences, the latter with weight 3."""
    other = workshop.folder / "other.txt"
    if not other.exists():
        other.write_text("".join(sorted(SENTENCES)) * 2)
    sources = find_sources([str(workshop.folder / "book.txt"), f"{other}:3"])
    corpus = open_sources(sources, cache=workshop.cache, val_fraction=0.2)
    tokens = tokenize_corpus(corpus, workshop.tokenizer, cache=workshop.cache)
    options = TrainOptions(
        steps=8, num_layers=1, d_model=32, num_heads=2, context_length=16, batch_tokens=256,
        dtype="float32",
    )  # fmt: skip
    job = plan_job(options, tokens, workshop.tokenizer, seed=1, device=workshop.device)
    stop = StopAfter(steps) if steps is not None else lambda: False
    path = workshop.folder / name
    trainer = start_run(job, path, corpus, started=time.monotonic(), callbacks=Callbacks(stop=stop))
    list(trainer.events())
    return open_run(path)


def test_metadata_lists_sources_and_weights(workshop: Workshop) -> None:
    metadata = start(workshop, "whole").metadata["corpus"]
    assert [Path(source).name for source in metadata["sources"]] == ["book.txt", "other.txt"]
    assert [(part["sources"], part["weight"]) for part in metadata["parts"]] == [(1, 1.0), (1, 3.0)]
    assert metadata["bytes"] == sum(part["bytes"] for part in metadata["parts"])


@pytest.mark.parametrize("without_cache", [False, True])
def test_weighted_run_resumes_to_the_same_bits(workshop: Workshop, without_cache: bool) -> None:
    whole = start(workshop, "whole")
    cut = start(workshop, "cut", steps=3)
    assert weights(cut) != weights(whole)
    if without_cache:
        shutil.rmtree(workshop.cache)
    list(workshop.resume("cut").events())
    if workshop.device == "cpu":
        assert weights(cut) == weights(whole)
        return
    for name, theirs in weights(whole).items():  # sums on a GPU have an order of their own
        ours = np.frombuffer(weights(cut)[name], np.float32)
        np.testing.assert_allclose(ours, np.frombuffer(theirs, np.float32), atol=1e-3)


def test_resuming_on_a_changed_source_is_refused(workshop: Workshop) -> None:
    start(workshop, "cut", steps=3)
    shutil.rmtree(workshop.cache)
    (workshop.folder / "other.txt").write_text(BOOK[:1000])
    with pytest.raises(DataError) as caught:
        workshop.resume("cut")
    assert "has changed since" in caught.value.what
    assert "other.txt" in (caught.value.hint or "")


@pytest.mark.parametrize("parts", [7, [{"weight": 1}], "one too few"])
def test_metadata_with_invalid_parts_is_damaged(workshop: Workshop, parts: object) -> None:
    run = start(workshop, "it", steps=1)
    corpus = run.metadata["corpus"]
    corpus["parts"] = corpus["parts"][:1] if parts == "one too few" else parts
    write_metadata(run.path, run.metadata)
    with pytest.raises(DamagedError):
        open_run(run.path)
