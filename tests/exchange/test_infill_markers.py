"""The markers of gaps in other programs: the same ids, special tokens, and the same middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.exchange.conftest import ACCEPTANCE, MakeRun
from tests.exchange.test_gguf import read
from tests.exchange.test_huggingface import greedy
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.exchange.import_gguf import inspect_gguf
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import import_run
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.filling import Filler, Filling, FillingList
from tfcli.generation.gaps import parse_gaps
from tfcli.generation.request import GenerationRequest, Sampling
from tfcli.runs.infill_markers import infill_markers
from tfcli.runs.run import Run
from tfcli.runs.valid_steps import ValidStep
from tfcli.runs.weights import map_weights
from tfcli.text.infill_tokens import InfillTokens
from tfcli.text.sentencepiece_model import PieceType

GAPPED = "Ann saw [] at noon.\nBob"
MARKERS = ["<0xC0>", "<0xC1>", "<0xF5>"]


def with_infill(run: Run) -> tuple[Run, InfillTokens]:
    """The run as one that was trained with `--infill`."""
    run.metadata["plan"]["infill"] = 0.5
    markers = infill_markers(run, run.tokenizer())
    assert markers is not None
    return run, markers


def middle_of(run: Run, step: ValidStep, markers: InfillTokens) -> list[int]:
    """The greedy middle of `GAPPED`."""
    engine = NumpyEngine(run.model_config, map_weights(run.model_config, step.path), 1)
    filler = Filler(engine, run.tokenizer(), markers)
    request = GenerationRequest(max_new_tokens=24, sampling=Sampling(greedy=True))
    filling = Filling(parse_gaps(GAPPED), request)
    for _ in filler.fill(FillingList([filling])):
        pass
    return filling.gaps[0].tokens


def prompt_of(run: Run, markers: InfillTokens) -> list[int]:
    tokenizer = run.tokenizer()
    before, after = (tokenizer.encode(part) for part in parse_gaps(GAPPED).parts)
    assert tokenizer.special.bos is not None
    pre, suf, mid = markers
    return [tokenizer.special.bos, pre, *before, suf, *after, mid]


def test_gguf_names_the_markers_and_has_them_as_control_tokens(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run, step, _ = make_run()
    export_to_gguf(run, step, tmp_path / "plain.gguf")
    plain, _ = read(tmp_path / "plain.gguf")
    run, markers = with_infill(run)
    export_to_gguf(run, step, tmp_path / "it.gguf")
    metadata, _ = read(tmp_path / "it.gguf")
    names = [f"tokenizer.ggml.fim_{part}_token_id" for part in ("pre", "suf", "mid")]
    assert [metadata[name] for name in names] == [*markers]
    assert not {*names} & {*plain}
    types = metadata["tokenizer.ggml.token_type"]
    assert [types[marker] for marker in markers] == [PieceType.CONTROL] * 3
    assert [metadata["tokenizer.ggml.tokens"][marker] for marker in markers] == MARKERS
    again = import_run(inspect_gguf(tmp_path / "it.gguf"), tmp_path / "checkpoints" / "again")
    for text in ACCEPTANCE:
        assert again.tokenizer().encode(text) == run.tokenizer().encode(text)


def test_transformers_has_the_markers_as_special_tokens(make_run: MakeRun, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    run, step, _ = make_run()
    run, markers = with_infill(run)
    export_to_huggingface(run, step, tmp_path / "hf")
    theirs: Any = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert theirs.convert_tokens_to_ids(MARKERS) == [*markers]
    assert {*MARKERS} <= {*theirs.all_special_tokens}
    for text in (*ACCEPTANCE, "<0xC0> is text"):
        assert theirs.encode(text, add_special_tokens=False) == run.tokenizer().encode(text)
    before, after = parse_gaps(GAPPED).parts
    prompt = f"{MARKERS[0]}{before}{MARKERS[1]}{after}{MARKERS[2]}"
    assert theirs.encode(prompt, split_special_tokens=False) == prompt_of(run, markers)
    assert theirs.decode(prompt_of(run, markers), skip_special_tokens=True) == before + after
    again = import_run(inspect_checkpoint(tmp_path / "hf"), tmp_path / "checkpoints" / "again")
    assert again.tokenizer().encode(GAPPED) == run.tokenizer().encode(GAPPED)
    (tmp_path / "hf" / "tokenizer.model").unlink()
    again = import_run(inspect_checkpoint(tmp_path / "hf"), tmp_path / "checkpoints" / "third")
    assert again.tokenizer().encode(GAPPED) == run.tokenizer().encode(GAPPED)


def test_the_middle_is_what_the_model_computes(make_run: MakeRun) -> None:
    run, step, model = make_run()
    run, markers = with_infill(run)
    tokens = middle_of(run, step, markers)
    ids = prompt_of(run, markers)
    hidden = {*markers, 0, 1}
    assert not hidden & {*tokens}
    theirs = greedy(model, ids, len(tokens))[len(ids) :]
    same = next((i for i, (a, b) in enumerate(zip(tokens, theirs, strict=True)) if a != b), None)
    assert (
        same is None
        or theirs[same] in hidden
        or run.tokenizer().token_bytes[theirs[same]] > b"\x7f"
    )


@pytest.mark.others
def test_llama_cpp_knows_the_markers_and_writes_the_same_middle(
    make_run: MakeRun, tmp_path: Path
) -> None:
    import llama_cpp

    run, step, _ = make_run()
    run, markers = with_infill(run)
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    theirs = llama_cpp.Llama(str(tmp_path / "it.gguf"), n_ctx=96, n_threads=1, verbose=False)
    vocab = llama_cpp.llama_model_get_vocab(theirs._model.model)
    named = [getattr(llama_cpp, f"llama_vocab_fim_{part}")(vocab) for part in ("pre", "suf", "mid")]
    assert named == [*markers]
    for text in ACCEPTANCE:
        ids = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert ids == run.tokenizer().encode(text), text
    before, after = (
        theirs.tokenize(part.encode(), add_bos=False, special=False)
        for part in parse_gaps(GAPPED).parts
    )
    pre, suf, mid = named
    prompt = [theirs.token_bos(), pre, *before, suf, *after, mid]
    assert prompt == prompt_of(run, markers)
    tokens = middle_of(run, step, markers)
    generated = theirs.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0)
    written = [int(next(generated)) for _ in tokens]
    assert written == tokens
