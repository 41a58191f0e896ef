"""Tokenizers whose training takes long: in a process of their own, and within a time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

from tests.conftest import Shell, bare_environment
from tfcli.errors import DataError
from tfcli.text import sentencepiece_trainer
from tfcli.text.sentencepiece_trainer import LONG, TrainingError, train_model
from tfcli.text.tokenizer_training import train_tokenizer


def words(count: int, seed: int = 1) -> str:
    """Random words of every length, which take the trainer long."""
    drawn = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(drawn.choices(letters, k=drawn.randrange(2, 12))) for _ in range(count))


def sentences(text: str) -> list[str]:
    return [text[start : start + 1000] for start in range(0, len(text), 1000)]


def test_a_process_trains_the_same_model() -> None:
    part = sentences(words(400))
    several = part * (1 + LONG // sum(map(len, part)))
    short, long = part, several
    assert sum(map(len, short)) < LONG < sum(map(len, long))
    # the same counts in the same proportion: the merges are the same
    models = [train_model(sample, "bpe", 400) for sample in (short, long)]
    assert len(models[0]) > 5000
    assert models[0][:4000] == models[1][:4000]


def test_a_process_that_reads_late_is_given_the_whole_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentencepiece_trainer, "TICK", 1e-4)
    part = sentences(words(400))
    several = part * (1 + LONG // sum(map(len, part)))
    waited: list[float] = []
    assert len(train_model(several, "bpe", 400, seconds=60, waiting=waited.append)) > 5000
    assert len(waited) > 1


def test_what_the_trainer_refuses_is_told_from_its_process_too() -> None:
    for count in (100, 60_000):
        with pytest.raises(TrainingError, match="Vocabulary size"):
            train_model(sentences("ab " * count), "bpe", 30_000)


def test_a_smaller_sample_is_taken_where_there_is_no_time() -> None:
    text = words(400_000).encode()
    tokenizer, report = train_tokenizer(
        [text], text_bytes=len(text), type="unigram", vocab_size=8000, seconds=0.1
    )
    assert report.sample_bytes < len(text) / 2
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_process_that_ends_badly_is_an_error() -> None:
    with pytest.raises(DataError, match="could not be trained"):
        train_model(["x" * (LONG + 1)], "none", 300)  # type: ignore[arg-type]


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_ends_the_training_of_a_tokenizer(shell: Shell) -> None:
    (shell.folder / "words.txt").write_text(words(800_000))
    process = subprocess.Popen(
        [sys.executable, "-m", "tfcli", "tokenizer", "train", "words.txt", "--name", "it",
         "--type", "unigram", "--vocab-size", "16000"],
        cwd=shell.folder, env=bare_environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if "Training the tokenizer:" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not (shell.folder / "tokenizers/it").exists()
