"""The program on a GPU, from training to text."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Shell
from tests.devices import GPUS, describe_gpus
from tfcli.runs.run import open_run

pytestmark = pytest.mark.gpu

SMALL = ["--layers", "2", "--width", "64", "--context", "32", "--batch-tokens", "512"]
VISIBLE = {"CUDA_VISIBLE_DEVICES": "0"}


@pytest.mark.parametrize("gpu", GPUS)
def test_gpu_run_generates_the_same_text_on_gpu_and_cpu(shell: Shell, gpu: str) -> None:
    train = ["train", "book.txt", "--run", "it", "--steps", "60", "--device", gpu, *SMALL]
    done = shell(*train, env=VISIBLE)
    assert done.code == 0, done.err
    done = shell("train", "--resume", "it", "--steps", "10", "--device", gpu, env=VISIBLE)
    assert done.code == 0, done.err
    run = open_run(shell.folder / "checkpoints" / "it")
    assert run.metadata["machine"]["device"] in describe_gpus()
    generate = ["generate", "--greedy", "--max-new-tokens", "20", "Ann saw"]
    texts = [shell(*generate, "--device", name, env=VISIBLE).out for name in (gpu, "cpu")]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 20


def test_device_auto_selects_the_gpu(shell: Shell) -> None:
    done = shell("train", "book.txt", "--dry-run", "--json", "--steps", "1", *SMALL, env=VISIBLE)
    assert done.code == 0, done.err
    assert json.loads(done.out)["machine"]["device"] in describe_gpus()
