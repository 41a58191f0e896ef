"""Our GGUF files in llama.cpp: the same ids, the same text. Run by `make others`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import BOOK, SENTENCES
from tests.exchange.conftest import ACCEPTANCE, SHAPES, SPACE_MARK, MakeRun
from tests.exchange.test_huggingface import TEXT, greedy
from tfcli.exchange.export_gguf import export_to_gguf
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
