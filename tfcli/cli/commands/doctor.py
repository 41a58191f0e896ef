"""`tfcli doctor`: checks the machine, the folder, and every run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tfcli.cli import streams
from tfcli.cli.shared_options import JsonOption
from tfcli.errors import DataError
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_FREE_DISK = 1 << 30

Check = tuple[bool, str, str]


def doctor(json: JsonOption = False) -> None:
    """Check this machine, this folder, and every byte of every run."""
    from tfcli.cli.render import show_checks

    checks = [*_machine(), *_folder(), *_tokenizers(), *_runs()]
    if json:
        for good, what, found in checks:
            streams.write_json_result({"ok": good, "check": what, "found": found})
    else:
        show_checks(checks)
    if not all(good for good, _, _ in checks):
        raise typer.Exit(DataError.exit_code)


def _machine() -> Iterator[Check]:
    import torch

    from tfcli.generation.engines import native
    from tfcli.model.native import library
    from tfcli.runtime.device import choose_device
    from tfcli.runtime.dtype import choose_dtype
    from tfcli.runtime.memory import available_memory

    yield True, "python", sys.version.split()[0]
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    yield (
        version >= (2, 11),
        "torch",
        f"{torch.__version__}"
        + ("" if version >= (2, 11) else ": too old; pip install --upgrade torch"),
    )
    device = choose_device()
    memory = available_memory(device)
    free = f", {memory / 2**30:.1f} GiB free" if memory else ""
    yield True, "device", f"{device}, {torch.get_num_threads()} threads{free}"
    yield True, "engine", native.status()
    yield True, "kernels", library.status()
    yield True, "dtype", f"{choose_dtype(device)} (fastest on this machine)"


def _folder() -> Iterator[Check]:
    import shutil

    here = Path.cwd()
    free = shutil.disk_usage(here).free
    enough = free > MIN_FREE_DISK
    yield enough, "disk", f"{free / 2**30:.1f} GiB free" + ("" if enough else ": free some space")
    for root in (Path("tokenizers"), Path("checkpoints")):
        existing = root if root.exists() else here
        good = os.access(existing, os.W_OK)
        yield good, str(root), "writable" if good else f"not writable: ls -ld {existing}"


def _tokenizers() -> Iterator[Check]:
    from tfcli.errors import TfcliError
    from tfcli.text.saved_tokenizers import find_tokenizer, list_tokenizers

    for name in list_tokenizers():
        try:
            tokenizer = find_tokenizer(name).tokenizer
            yield True, f"tokenizer {name}", f"vocabulary of {tokenizer.vocab_size:,}"
        except TfcliError as error:
            yield False, f"tokenizer {name}", " ".join(streams.describe(error, "error"))


def _runs() -> Iterator[Check]:
    from tfcli.files import find_leftovers
    from tfcli.runs.inspection import inspect
    from tfcli.runs.run import list_runs
    from tfcli.text.corpus import CACHE, find_cache_leftovers
    from tfcli.text.saved_tokenizers import ROOT as TOKENIZERS

    for path in list_runs():
        found = inspect(path)
        what = f"run {path.name}"
        if found.faults:
            faults = "; ".join(error.what for error in found.faults.values())
            hint = f": {found.hint}" if found.hint else ""
            yield False, what, f"{faults}{hint}"
            continue
        notes = [f"{counted(len(found.steps), 'step')} verified"]
        if found.leftovers:
            leftovers = counted(len(found.leftovers), "leftover")
            notes.append(f"{leftovers} of killed processes, removed by the next training")
        if found.trainer_killed:
            notes.append(f"its trainer was killed: tfcli train --resume {path.name}")
        yield True, what, "; ".join(notes)
    for folder, temporary, removed_by in (
        (CACHE, find_cache_leftovers(CACHE), "the next training, or tfcli runs repair"),
        (TOKENIZERS, find_leftovers(TOKENIZERS), "the next tokenizer training"),
    ):
        if temporary:
            count = counted(len(temporary), "leftover")
            yield True, str(folder), f"{count} of killed processes, removed by {removed_by}"
