"""Our GGUF files in llama.cpp: the same ids, the same text. Run by `make others`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import BOOK, SENTENCES, Shell
from tests.exchange.conftest import ACCEPTANCE, SHAPES, SPACE_MARK, MakeRun
from tests.exchange.test_byte_level_models import MODELS, saved
from tests.exchange.test_huggingface import TEXT, fail, greedy, greedy_of_engine
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.exchange.formats import NumberType
from tfcli.exchange.import_gguf import inspect_gguf
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import import_run
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.open_engine import open_model
from tfcli.runs.run import find_run
from tfcli.runs.step import MODEL as WEIGHTS
from tfcli.runs.step import map_arrays
from tfcli.runs.valid_steps import choose_step
from tfcli.text.sentencepiece_tokenizer import BEGIN
from tfcli.text.tokenizer_training import train_tokenizer

pytestmark = pytest.mark.others


def open_theirs(path: Path, **options: Any) -> Any:
    from llama_cpp import Llama

    return Llama(str(path), n_ctx=96, n_threads=2, verbose=False, **options)


@pytest.mark.parametrize("shape", SHAPES)
def test_greedy_text_equals_llama_cpp(shape: str, make_run: MakeRun, tmp_path: Path) -> None:
    run, step, model = make_run(**SHAPES[shape])
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    theirs = open_theirs(tmp_path / "it.gguf")
    ids = [BEGIN, *run.tokenizer().encode(TEXT)[:7]]
    generated = theirs.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0)
    actual = [*ids, *(int(next(generated)) for _ in range(64))]
    assert actual == greedy(model, ids, 64)


@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_ids_equal_llama_cpp(kind: Any, make_run: MakeRun, tmp_path: Path) -> None:
    tokenizer = train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), type=kind)[0]
    run, step, _ = make_run(tokenizer=tokenizer)
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    theirs = open_theirs(tmp_path / "it.gguf", vocab_only=True)
    for text in [*ACCEPTANCE, *SENTENCES]:
        ids = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert ids == tokenizer.encode(text), text
        assert tokenizer.decode(ids) == text.encode()
    with_space_mark = theirs.tokenize(SPACE_MARK.encode(), add_bos=False, special=False)
    assert tokenizer.decode(with_space_mark) == SPACE_MARK.replace("\u2581", " ").encode()


def test_user_defined_symbols_equal_llama_cpp(make_run: MakeRun, tmp_path: Path) -> None:
    symbols = ("<|user|>", "saw the", "\n", "user", "é")
    tokenizer = train_tokenizer(
        [BOOK.encode()], text_bytes=len(BOOK), user_defined_symbols=symbols
    )[0]
    run, step, _ = make_run(tokenizer=tokenizer)
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    theirs = open_theirs(tmp_path / "it.gguf", vocab_only=True)
    for text in [*symbols, *ACCEPTANCE, *SENTENCES, "<|user|>José saw the user\n\n<|user|>"]:
        ids = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert ids == tokenizer.encode(text), text


def test_q8_0_logits_are_close(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, model = make_run()
    export_to_gguf(run, step, tmp_path / "it.gguf", "q8_0")
    theirs = open_theirs(tmp_path / "it.gguf", logits_all=True)
    ids = [BEGIN, *run.tokenizer().encode(TEXT)]
    theirs.eval(ids)
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0]
    actual = torch.from_numpy(theirs.scores[: len(ids)])
    assert (actual - expected).abs().max() < 0.05 * expected.abs().max()


# --- import -------------------------------------------------------------------------------------


def greedy_of_theirs(path: Path, ids: list[int], count: int) -> list[int]:
    generated = open_theirs(path).generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0)
    return [*ids, *(int(next(generated)) for _ in range(count))]


@pytest.mark.parametrize("type", ["f16", "q8_0"])
def test_imported_gguf_writes_what_llama_cpp_writes(
    type: NumberType, trained: Shell, tmp_path: Path
) -> None:
    """A trained model, of which the likeliest token is rarely a matter of the last digits."""
    run, _ = find_run("tale", trained.folder / "checkpoints")
    path = tmp_path / "it.gguf"
    export_to_gguf(run, choose_step(run, None, on_damaged=fail), path, type)
    again = import_run(inspect_gguf(path), tmp_path / "checkpoints" / "again")
    ids = [BEGIN, *run.tokenizer().encode("Ann saw the")]
    engine = NumpyEngine(again.model_config, map_arrays(again.path / "step-00000000" / WEIGHTS))
    assert greedy_of_engine(engine, ids, 24) == greedy_of_theirs(path, ids, 24)


@pytest.mark.parametrize("name", MODELS)
def test_byte_level_models_write_and_split_as_in_llama_cpp(name: str, tmp_path: Path) -> None:
    model = replace(MODELS[name], dtype=torch.float32)
    folder = saved(model, tmp_path / "in")
    run = import_run(inspect_checkpoint(folder), tmp_path / "checkpoints" / "it")
    step = choose_step(run, None, on_damaged=fail)
    export_to_gguf(run, step, tmp_path / "it.gguf")
    tokenizer = run.tokenizer()
    theirs = open_theirs(tmp_path / "it.gguf", vocab_only=True)
    for text in [*ACCEPTANCE, *SENTENCES, TEXT]:
        ids = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert tokenizer.decode(ids) == text.encode()
        assert ids == tokenizer.encode(text), text
    ids = tokenizer.encode(TEXT)[:8]
    expected = greedy(open_model(run, step), ids, 64)
    assert greedy_of_theirs(tmp_path / "it.gguf", ids, 64) == expected
