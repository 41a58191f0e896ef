"""A stand-in for a checkout of nanoGPT: the same files, options, data and checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

MODEL = '''
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class GPTConfig:
    block_size: int = 8
    vocab_size: int = 8
    n_layer: int = 1
    n_head: int = 1
    n_embd: int = 8
    dropout: float = 0.0
    bias: bool = False


class GPT(nn.Module):
    """Attends to nothing."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width = config.n_embd
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(config.vocab_size, width),
            wpe=nn.Embedding(config.block_size, width),
            h=nn.ModuleList(nn.Linear(width, width) for _ in range(config.n_layer)),
            ln_f=nn.LayerNorm(width),
        ))
        self.lm_head = nn.Linear(width, config.vocab_size, bias=False)
'''

TRAIN = """
import os
import pickle
import sys
from ast import literal_eval

import numpy as np
import torch

from model import GPT, GPTConfig

options = {"dataset": "openwebtext", "out_dir": "out", "block_size": 1024, "n_embd": 768}
for argument in sys.argv[1:]:
    if argument.startswith("--"):
        name, value = argument[2:].split("=")
        options[name] = int(value) if value.isdigit() else value
    else:
        assert os.path.exists(argument)
        options |= {"dataset": "shakespeare_char", "out_dir": "out-shakespeare-char"}
folder = os.path.join("data", options["dataset"])
with open(os.path.join(folder, "meta.pkl"), "rb") as file:
    vocab_size = pickle.load(file)["vocab_size"]
for name in ("train.bin", "val.bin"):
    assert np.fromfile(os.path.join(folder, name), np.uint16).max() < vocab_size
made = {"block_size": options["block_size"], "vocab_size": vocab_size, "n_embd": options["n_embd"]}
model = GPT(GPTConfig(**made))
for i in range(options["max_iters"] + 1):
    print(f"iter {i}: loss 1.2345, time {10 + i}.00ms, mfu 1.00%")
if options.get("always_save_checkpoint") != "False":
    os.makedirs(options["out_dir"])
    checkpoint = {"model": model.state_dict(), "model_args": made, "iter_num": i}
    torch.save(checkpoint, os.path.join(options["out_dir"], "ckpt.pt"))
"""


@pytest.fixture(scope="session")
def nanogpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nanoGPT")
    (folder / "config").mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "train.py").write_text(TRAIN)
    (folder / "configurator.py").touch()
    (folder / "config/train_shakespeare_char.py").touch()
    return folder
