"""The infill tokens in other programs: the same ids, special tokens, and the same middle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from tests.conftest import Shell
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
from tfcli.generation.filling import Filler
from tfcli.generation.gaps import parse_gaps
from tfcli.generation.generate import RequestList
from tfcli.generation.request import Sampling
from tfcli.runs.infill_tokens import KEY, find_run_infill_tokens, infill_metadata
from tfcli.runs.run import Run, find_run
from tfcli.runs.valid_steps import ValidStep, choose_step
from tfcli.runs.weights import map_weights
from tfcli.text.infill_tokens import InfillTokens, require_infill_tokens
from tfcli.text.sentencepiece_model import PieceType
from tfcli.text.sentencepiece_tokenizer import END
from tfcli.text.tokenizer import Tokenizer

END_KEY = "tokenizer.ggml.eot_token_id"
# a space before a gap would be taken into it
GAPPED = "Ann saw[] at noon.\nBob"
TEXTS = [GAPPED, "Ann s[]oon by the sea.\n", "Nobody[] moon", "The old[]"]
INFILL_TOKENS = ["<0xC0>", "<0xC1>", "<0xF5>", "<0xF6>"]


def with_infill(run: Run) -> tuple[Run, InfillTokens]:
    """The run as one that was trained with `--infill`."""
    infill = require_infill_tokens(run.tokenizer())
    run.metadata.update(infill_metadata(infill))
    return run, infill


def as_earlier(run: Run) -> tuple[Run, InfillTokens]:
    """The run as one that an earlier build trained with `--infill`: its middles end as texts do."""
    run.metadata.pop(KEY, None)
    run.metadata["plan"]["infill"] = 0.5
    infill = find_run_infill_tokens(run.metadata, run.tokenizer())
    assert infill == require_infill_tokens(run.tokenizer())._replace(end=END)
    return run, infill


MakeFiller = Callable[[Run], tuple[Run, InfillTokens]]
WAYS = pytest.mark.parametrize("make_filler", [with_infill, as_earlier])


def read_back(path: Path, folder: Path) -> tuple[Tokenizer, InfillTokens | None]:
    """The tokenizer and the infill tokens of an export that is imported."""
    inspect = inspect_gguf if path.is_file() else inspect_checkpoint
    run = import_run(inspect(path), folder / "checkpoints" / "again")
    tokenizer = run.tokenizer()
    rmtree(run.path)
    return tokenizer, find_run_infill_tokens(run.metadata, tokenizer)


def middle_of(run: Run, step: ValidStep, infill: InfillTokens, text: str) -> list[int]:
    """The greedy middle of a text, with the token that ends it."""
    engine = NumpyEngine(run.model_config, map_weights(run.model_config, step.path), 1)
    filler = Filler(engine, run.tokenizer(), infill)
    request = FillRequest(
        text=parse_gaps(text), max_new_tokens=24, order="psm", sampling=Sampling(greedy=True)
    )
    *_, event = filler.fill(RequestList([request]))
    (gap,) = event.job.gaps
    return [*gap.tokens, *([infill.end] if gap.finish_reason == "eos" else [])]


def prompt_of(run: Run, infill: InfillTokens, text: str = GAPPED) -> list[int]:
    tokenizer = run.tokenizer()
    before, after = (tokenizer.encode(part) for part in parse_gaps(text).parts)
    assert tokenizer.special.bos is not None
    pre, suf, mid = infill.markers
    return [tokenizer.special.bos, pre, *before, suf, *after, mid]


@WAYS
def test_gguf_names_the_infill_tokens_and_has_them_as_control_tokens(
    make_run: MakeRun, tmp_path: Path, make_filler: MakeFiller
) -> None:
    run, step, _ = make_run()
    export_to_gguf(run, step, tmp_path / "plain.gguf")
    plain, _ = read(tmp_path / "plain.gguf")
    assert read_back(tmp_path / "plain.gguf", tmp_path)[1] is None
    run, infill = make_filler(run)
    export_to_gguf(run, step, tmp_path / "it.gguf")
    metadata, _ = read(tmp_path / "it.gguf")
    names = [f"tokenizer.ggml.fim_{part}_token_id" for part in ("pre", "suf", "mid")]
    assert [metadata[name] for name in names] == [*infill.markers]
    assert not {*names, END_KEY} & {*plain}
    assert metadata.get(END_KEY, END) == infill.end
    types = metadata["tokenizer.ggml.token_type"]
    assert [types[token] for token in infill] == [PieceType.CONTROL] * 4
    spelled = [metadata["tokenizer.ggml.tokens"][token] for token in infill]
    assert spelled == [*INFILL_TOKENS[:3], "</s>" if infill.end == END else INFILL_TOKENS[3]]
    tokenizer, again = read_back(tmp_path / "it.gguf", tmp_path)
    assert again == infill
    assert tokenizer.special == run.tokenizer().special
    for text in ACCEPTANCE:
        assert tokenizer.encode(text) == run.tokenizer().encode(text)


@WAYS
def test_transformers_has_the_infill_tokens_as_special_tokens(
    make_run: MakeRun, tmp_path: Path, make_filler: MakeFiller
) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    run, step, _ = make_run()
    run, infill = make_filler(run)
    export_to_huggingface(run, step, tmp_path / "hf")
    theirs: Any = AutoTokenizer.from_pretrained(tmp_path / "hf")
    names = INFILL_TOKENS[: 3 if infill.end == END else 4]
    assert theirs.convert_tokens_to_ids(names) == [*infill][: len(names)]
    assert {*names} <= {*theirs.all_special_tokens}
    assert (INFILL_TOKENS[3] in theirs.all_special_tokens) == (len(names) == 4)
    ends = GenerationConfig.from_pretrained(tmp_path / "hf").eos_token_id
    assert ends == (END if infill.end == END else [END, infill.end])
    for text in (*ACCEPTANCE, "<0xC0> is text"):
        assert theirs.encode(text, add_special_tokens=False) == run.tokenizer().encode(text)
    before, after = parse_gaps(GAPPED).parts
    prompt = f"{INFILL_TOKENS[0]}{before}{INFILL_TOKENS[1]}{after}{INFILL_TOKENS[2]}"
    assert theirs.encode(prompt, split_special_tokens=False) == prompt_of(run, infill)
    assert theirs.decode(prompt_of(run, infill), skip_special_tokens=True) == before + after


@WAYS
def test_a_folder_that_is_imported_again_still_fills_gaps(
    make_run: MakeRun, tmp_path: Path, make_filler: MakeFiller
) -> None:
    from transformers import AutoTokenizer

    run, step, _ = make_run()
    export_to_huggingface(run, step, tmp_path / "plain")
    assert read_back(tmp_path / "plain", tmp_path)[1] is None
    run, infill = make_filler(run)
    export_to_huggingface(run, step, tmp_path / "hf")
    made = read_back(tmp_path / "hf", tmp_path)
    (tmp_path / "hf" / "tokenizer.model").unlink()
    alone = read_back(tmp_path / "hf", tmp_path)
    AutoTokenizer.from_pretrained(tmp_path / "hf").save_pretrained(tmp_path / "hf")
    for tokenizer, again in (made, alone, read_back(tmp_path / "hf", tmp_path)):
        assert again == infill
        assert tokenizer.special == run.tokenizer().special
        assert tokenizer.encode(GAPPED) == run.tokenizer().encode(GAPPED)


@pytest.fixture(scope="module")
def trained_run(gaps: Shell) -> tuple[Run, ValidStep]:
    """A run that was trained to fill gaps."""
    run, _ = find_run(str(gaps.folder / "checkpoints" / "gaps"))
    return run, choose_step(run, None, on_damaged=fail)


def test_transformers_writes_the_same_middle(
    trained_run: tuple[Run, ValidStep], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    run, step = trained_run
    infill = find_run_infill_tokens(run.metadata, run.tokenizer())
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
    names = ("fim_pre", "fim_suf", "fim_mid", "eot")
    named = InfillTokens(*(getattr(llama_cpp, f"llama_vocab_{name}")(vocab) for name in names))
    assert named == find_run_infill_tokens(run.metadata, run.tokenizer())
    assert all(llama_cpp.llama_vocab_is_eog(vocab, end) for end in (named.end, END))
    for text in ACCEPTANCE:
        ids = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert ids == run.tokenizer().encode(text), text
    for text in TEXTS:
        tokens = middle_of(run, step, named, text)
        prompt = prompt_of(run, named, text)
        generated = theirs.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0)
        assert [int(next(generated)) for _ in tokens] == tokens
