"""The infill tokens in other programs: the same ids, special tokens, and the same middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BOOK, RealShell
from tests.exchange.conftest import ACCEPTANCE, MakeRun
from tests.exchange.test_gguf import read
from tests.exchange.test_huggingface import fail, greedy
from tfcli.exchange.export_gguf import export_to_gguf
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.exchange.import_gguf import inspect_gguf
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import import_run
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.fill_request import FillRequest
from tfcli.generation.filling import Filler, FillJob, FillJobList
from tfcli.generation.gaps import parse_gaps
from tfcli.generation.request import Sampling
from tfcli.runs.infill_tokens import find_run_infill_tokens
from tfcli.runs.run import Run, find_run
from tfcli.runs.valid_steps import ValidStep, choose_step
from tfcli.runs.weights import map_weights
from tfcli.text.infill_tokens import InfillTokens
from tfcli.text.sentencepiece_model import PieceType
from tfcli.text.sentencepiece_tokenizer import END

GAPPED = "Ann saw [] at noon.\nBob"
TEXTS = [GAPPED, "Ann s[]oon by the sea.\n", "Nobody [] moon", "The old []"]
INFILL_TOKENS = ["<0xC0>", "<0xC1>", "<0xF5>"]


def with_infill(run: Run) -> tuple[Run, InfillTokens]:
    """The run as one that was trained with `--infill`."""
    run.metadata["plan"]["infill"] = 0.5
    infill = find_run_infill_tokens(run, run.tokenizer())
    assert infill is not None
    return run, infill


def middle_of(run: Run, step: ValidStep, infill: InfillTokens, text: str) -> list[int]:
    """The greedy middle of a text, with the token that ends it."""
    engine = NumpyEngine(run.model_config, map_weights(run.model_config, step.path), 1)
    filler = Filler(engine, run.tokenizer(), infill)
    request = FillRequest(max_new_tokens=24, order="psm", sampling=Sampling(greedy=True))
    job = FillJob(parse_gaps(text), request)
    for _ in filler.fill(FillJobList([job])):
        pass
    (gap,) = job.gaps
    return [*gap.tokens, *([END] if gap.finish_reason == "eos" else [])]


def prompt_of(run: Run, infill: InfillTokens, text: str = GAPPED) -> list[int]:
    tokenizer = run.tokenizer()
    before, after = (tokenizer.encode(part) for part in parse_gaps(text).parts)
    assert tokenizer.special.bos is not None
    pre, suf, mid = infill
    return [tokenizer.special.bos, pre, *before, suf, *after, mid]


def test_gguf_names_the_infill_tokens_and_has_them_as_control_tokens(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run, step, _ = make_run()
    export_to_gguf(run, step, tmp_path / "plain.gguf")
    plain, _ = read(tmp_path / "plain.gguf")
    run, infill = with_infill(run)
    export_to_gguf(run, step, tmp_path / "it.gguf")
    metadata, _ = read(tmp_path / "it.gguf")
    names = [f"tokenizer.ggml.fim_{part}_token_id" for part in ("pre", "suf", "mid")]
    assert [metadata[name] for name in names] == [*infill]
    assert not {*names} & {*plain}
    types = metadata["tokenizer.ggml.token_type"]
    assert [types[token] for token in infill] == [PieceType.CONTROL] * 3
    assert [metadata["tokenizer.ggml.tokens"][token] for token in infill] == INFILL_TOKENS
    again = import_run(inspect_gguf(tmp_path / "it.gguf"), tmp_path / "checkpoints" / "again")
    for text in ACCEPTANCE:
        assert again.tokenizer().encode(text) == run.tokenizer().encode(text)


def test_transformers_has_the_infill_tokens_as_special_tokens(
    make_run: MakeRun, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    run, step, _ = make_run()
    run, infill = with_infill(run)
    export_to_huggingface(run, step, tmp_path / "hf")
    theirs: Any = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert theirs.convert_tokens_to_ids(INFILL_TOKENS) == [*infill]
    assert {*INFILL_TOKENS} <= {*theirs.all_special_tokens}
    for text in (*ACCEPTANCE, "<0xC0> is text"):
        assert theirs.encode(text, add_special_tokens=False) == run.tokenizer().encode(text)
    before, after = parse_gaps(GAPPED).parts
    prompt = f"{INFILL_TOKENS[0]}{before}{INFILL_TOKENS[1]}{after}{INFILL_TOKENS[2]}"
    assert theirs.encode(prompt, split_special_tokens=False) == prompt_of(run, infill)
    assert theirs.decode(prompt_of(run, infill), skip_special_tokens=True) == before + after
    again = import_run(inspect_checkpoint(tmp_path / "hf"), tmp_path / "checkpoints" / "again")
    assert again.tokenizer().encode(GAPPED) == run.tokenizer().encode(GAPPED)
    (tmp_path / "hf" / "tokenizer.model").unlink()
    again = import_run(inspect_checkpoint(tmp_path / "hf"), tmp_path / "checkpoints" / "third")
    assert again.tokenizer().encode(GAPPED) == run.tokenizer().encode(GAPPED)


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, ValidStep]:
    """A run that was trained to fill gaps."""
    folder = tmp_path_factory.mktemp("gaps")
    (folder / "book.txt").write_text(BOOK)
    made = RealShell(folder)(
        *("train", "book.txt", "--run", "gaps", "--steps", "60", "--vocab-size", "320"),
        *("--layers", "1", "--width", "64", "--context", "48", "--batch-tokens", "512"),
        *("--infill", "0.5"),
    )
    assert made.code == 0, made.err
    run, _ = find_run(str(folder / "checkpoints" / "gaps"))
    return run, choose_step(run, None, on_damaged=fail)


def test_transformers_writes_the_same_middle(
    trained_run: tuple[Run, ValidStep], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    run, step = trained_run
    infill = find_run_infill_tokens(run, run.tokenizer())
    assert infill is not None
    export_to_huggingface(run, step, tmp_path / "hf")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    for text in TEXTS:
        tokens, ids = middle_of(run, step, infill, text), prompt_of(run, infill, text)
        assert greedy(lambda it: theirs(it).logits, ids, len(tokens)) == [*ids, *tokens]


@pytest.mark.others
def test_llama_cpp_knows_the_infill_tokens_and_writes_the_same_middle(
    trained_run: tuple[Run, ValidStep], tmp_path: Path
) -> None:
    import llama_cpp

    run, step = trained_run
    export_to_gguf(run, step, tmp_path / "it.gguf", "f32")
    theirs = llama_cpp.Llama(str(tmp_path / "it.gguf"), n_ctx=48, n_threads=1, verbose=False)
    vocab = llama_cpp.llama_model_get_vocab(theirs._model.model)
    named = InfillTokens(
        *(getattr(llama_cpp, f"llama_vocab_fim_{part}")(vocab) for part in ("pre", "suf", "mid"))
    )
    assert named == find_run_infill_tokens(run, run.tokenizer())
    for text in ACCEPTANCE:
        ids = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert ids == run.tokenizer().encode(text), text
    for text in TEXTS:
        tokens = middle_of(run, step, named, text)
        prompt = prompt_of(run, named, text)
        generated = theirs.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0)
        assert [int(next(generated)) for _ in tokens] == tokens
