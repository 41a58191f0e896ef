"""The pages of documentation: their commands run, their links lead somewhere, options exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import BOOK
from tests.pages import ROOT, command_blocks, read_page, run_commands
from tfcli.errors import UsageError
from tfcli.model.config import FAMILIES, Family, ModelConfig, named_config
from tfcli.model.parameters import parameters
from tfcli.training.options import TrainOptions
from tfcli.training.sizing import _tied

DOCS = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in DOCS)]
QUICK_STARTS = ["docs/quick-start.md", "docs/inicio-rapido.md"]

# Sections whose commands are run together, one after the other, in a folder of their own.
SECTIONS = [
    *((page, read_page(page)) for page in QUICK_STARTS),
    *(
        (page, part)
        for page in (
            "docs/training.md",
            "docs/generating.md",
            "docs/pairs.md",
            "docs/infill.md",
            "docs/masked.md",
            "docs/recipes.md",
            "docs/json.md",
            "docs/chat.md",
            "docs/insight.md",
            "docs/inspect.md",
        )
        for part in re.split(r"^#+ (?=\w)", read_page(page), flags=re.MULTILINE)[1:]
    ),
]
WITH_COMMANDS = [(page, part) for page, part in SECTIONS if command_blocks(part)]


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="the shell of the pages is POSIX")
@pytest.mark.parametrize(
    ("page", "part"),
    [
        pytest.param(
            page, part, id=part.split("\n")[0],
            marks=[] if page == "docs/quick-start.md" else [pytest.mark.slow],
        )
        for page, part in WITH_COMMANDS
    ],
)  # fmt: skip
def test_the_commands_of_the_pages_work(page: str, part: str, tmp_path: Path) -> None:
    if "the extra `html`" in part:
        pytest.importorskip("selectolax")
    if "jq " in part and shutil.which("jq") is None:
        pytest.skip("needs jq")
    for name in ("book.txt", "libro.txt", "tinyshakespeare.txt"):
        (tmp_path / name).write_text(BOOK)
    for block in command_blocks(part):
        run_commands(block, tmp_path, small=page != "docs/pairs.md")


def test_most_recipes_have_commands_to_run() -> None:
    without = [
        part.split("\n")[0]
        for page, part in SECTIONS
        if page == "docs/recipes.md" and not command_blocks(part)
    ]
    assert without == ["Recipes"]


def test_both_quick_starts_have_the_same_commands() -> None:
    """But for names of files and runs, and the words of prompts."""
    translated = {
        "libro": "book", "cuento": "tale", "ancho": "wide", "curvas": "curves", "tres": "three",
        "Érase una vez": "Once upon a", "huecos": "gaps",
        "La puerta se abrió y [] salió corriendo.": "The door opened and [] ran out.",
    }  # fmt: skip
    english, spanish = ("".join(command_blocks(read_page(page))) for page in QUICK_STARTS)
    for word, other in translated.items():
        spanish = spanish.replace(word, other)
    assert spanish == english


@pytest.mark.skipif(shutil.which("perl") is None, reason="needs perl")
@pytest.mark.parametrize("page", QUICK_STARTS)
def test_the_recipe_joins_the_lines_of_paragraphs(page: str) -> None:
    """And leaves verse that is indented, wherever the text was written."""
    pattern = r"^    perl (-0777 -pe '.*') \S+ > "
    (script,) = re.findall(pattern, read_page(page), re.MULTILINE)
    text = b"One \r\ntwo\r\n\r\nthree\nfour.\n\n  Verse\n  verse.\n\nFive.\n"
    command = ["perl", *shlex.split(script)]
    joined = subprocess.run(command, input=text, capture_output=True, check=True)
    assert joined.stdout == b"One two\n\nthree four.\n\n  Verse\n  verse.\n\nFive.\n"


def test_installation_is_what_the_project_has() -> None:
    """Commands that install are not run here; tests/test_wheel.py builds what they install."""
    for page in QUICK_STARTS:
        assert 'pip install ".[all]"' in read_page(page)
    assert "all = [" in read_page("pyproject.toml")
    for page in PAGES:
        for target in re.findall(r"^    make ([\w-]+)|`make ([\w-]+)`", read_page(page)):
            assert re.search(rf"^{''.join(target)}:", read_page("Makefile"), re.MULTILINE), page


def test_messages_that_the_quick_starts_explain_are_those_of_the_program() -> None:
    for page in QUICK_STARTS:
        for message in ("is not UTF-8 text", "already exists", "out of memory"):
            assert message in read_page(page)
            assert message in program()


# --- links and options --------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The links that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return set(plain)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", read_page(page)):
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page}: {target}#{anchor}"


def test_the_index_has_every_page() -> None:
    index = read_page("docs/README.md")
    assert [name for name in DOCS if f"({name})" not in index] == ["README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_names_that_link_to_code_are_defined_there(page: str) -> None:
    for name, target in re.findall(r"\[`(\w+)`\]\(([\w./-]+\.py)\)", read_page(page)):
        code = ((ROOT / page).parent / target).read_text(encoding="utf-8")
        assert re.search(rf"^(class|def) {name}\b", code, re.MULTILINE), f"{target}: {name}"


OTHERS = {
    "--nproc-per-node",  # torchrun
    "--nanogpt", "--rounds", "--megabytes", "--seconds", "--tiny",  # benchmarks
    "--sizes", "--processor-time",
    "--text", "--stories", "--count",  # of gaps
    "--model", "--model_args", "--tasks", "--include_path",  # lm_eval
}  # fmt: skip


@pytest.mark.parametrize("page", [p for p in PAGES if p not in ("docs/lab-notes.md",)])
def test_options_that_a_page_names_exist(page: str) -> None:
    known = set(re.findall(r"`(--[a-z][\w-]+)`", read_page("docs/commands.md"))) | OTHERS
    used = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", read_page(page)))
    assert used - known <= {"--help"}


# --- the glossary -------------------------------------------------------------------------------

GLOSSARY = read_page("docs/glossary.md")
ENTRIES = dict(re.findall(r"^### (.+)\n\n((?:.+\n?)+)", GLOSSARY, re.MULTILINE))

# What the program prints, and the entry that explains it.
PRINTED = {
    "infilling": "Infilling",
    "nats/byte": "Nats per byte", "nats per byte": "Nats per byte", "bits/byte": "Bits per byte",
    "perplexity": "Perplexity", "surprisal": "Surprisal", "train loss": "Train loss",
    "a subset": "Subset", "evenly spaced subset": "Subset",
    "final,": "Final evaluation", "expected held out": "Expected held out",
    "train, mean of": "Train loss",
    "held out": "Held out", "held-out loss": "Held out", "baselines": "Baselines",
    "bidirectional": "Both ways (bidirectional)", "bound": "Bound",
    "gzip": "Baselines", "6-gram model": "Baselines", "MFU": "MFU", "tokens/s": "Tokens/s",
    "stride": "Stride", "step": "Step", "epochs": "Epoch", "batch": "Batch",
    "learning rate": "Learning rate", "weight decay": "Weight decay", "dropout": "Dropout",
    "token dropout": "Dropout", "patience": "Overfitting", "seed": "Seed", "tokens": "Token",
    "vocabulary": "Vocabulary", "document": "Document", "parameters": "Parameters",
    "layers": "Layer", "heads": "Head", "context": "Context length", "float32": "dtype",
    "best checkpoint": "Checkpoint", "initialized from": "Fine-tuning",
    "gradient checkpointing": "Gradient checkpointing", "run": "Run",
    "parameters sharded": "FSDP", "int8": "Quantization", "finish_reason": "Finish reason",
    "format_probability": "Structured output",
    "New n-grams": "New n-grams", "span": "Span", "Extractable": "Extractable",
    "entropy": "Entropy",
    "eos": "Finish reason", "logprobs": "Logits, logprobs", "FLOPs": "FLOPs",
}  # fmt: skip
# What the pages and the help speak of.
TERMS = {
    "BPE", "Warm-up", "Overfitting", "Temperature", "Top-k", "Top-p", "Min-p", "Typical-p",
    "Greedy", "Attention", "Feed-forward", "Residual", "Norm", "RoPE", "KV cache", "Embedding",
    "Hidden size", "Optimizer", "Muon", "Prompt", "Stop string", "Beam search", "Extra",
    "Repetition penalty", "User-defined symbol", "Token healing", "Bigram initialization", "Memory",
    "Kneser-Ney", "Chat template", "System prompt", "Turn", "Residual stream", "Query, key, value",
    "Logit lens", "Momentum, betas", "Gradient clipping", "Canary, exposure",
    "Tokens per byte", "Near-duplicate, Jaccard similarity", "Model card",
    "Denoising", "Self-distillation", "Family", "Pairs", "Micro-batch", "Patience",
    "gzip", "N-gram", "Energy",
}  # fmt: skip


@cache
def program() -> str:
    """Everything that the program may print, and the pages that the reader comes from."""
    files = [*(ROOT / "tfcli").rglob("*.py"), ROOT / "README.md"]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("word", PRINTED)
def test_words_that_are_printed_are_explained(word: str) -> None:
    stem = word.removesuffix("s") if word in {"layers", "heads"} else word
    assert re.sub(r"\d+-gram", "-gram", stem) in program(), "no longer printed"
    assert PRINTED[word] in ENTRIES
    assert word.removesuffix("s").lower() in f"{PRINTED[word]} {ENTRIES[PRINTED[word]]}".lower()


def test_every_entry_is_short_and_there_once() -> None:
    assert TERMS | set(PRINTED.values()) == set(ENTRIES)
    assert max(Counter(re.findall(r"^### (.+)", GLOSSARY, re.MULTILINE)).values()) == 1
    for term, text in ENTRIES.items():
        assert 1 <= len(re.findall(r"[.:)](?:\s|$)", text)) <= 6, term
        assert len(text) < 420, term


# --- the families -------------------------------------------------------------------------------

WORDS = {
    "rms_norm": "RMSNorm", "layer_norm": "LayerNorm", "swiglu": "SwiGLU", "gelu": "GELU",
    "relu": "ReLU",
}  # fmt: skip


def table_row(family: Family) -> list[str]:
    """What the table in docs/families.md should say of a family, but for its last column."""
    tied = _tied(TrainOptions(family=family))
    config = named_config("nano", family=family, vocab_size=300, context_length=16, tied_head=tied)
    parts = [WORDS.get(part, part) for part in FAMILIES[family]]
    try:
        named_config("nano", family=family, vocab_size=300, context_length=16, num_kv_heads=1,
                     tied_head=tied)  # fmt: skip
        grouped = "possible"
    except UsageError:
        grouped = "no"
    biases = any(row.name.endswith(".query.bias") for row in parameters(config))
    return [f"`{family}`", *parts, "yes" if config.qk_norm else "no", "yes" if biases else "no",
            grouped, "tied" if tied else "untied"]  # fmt: skip


def test_the_table_of_families_is_that_of_the_config() -> None:
    lines = re.findall(r"^\| (`(?:\w+)` \| \w+Norm .*) \|$", read_page("docs/families.md"), re.M)
    assert [line.split(" | ")[:-1] for line in lines] == [table_row(f) for f in FAMILIES]


def test_options_change_the_fields_that_the_page_names() -> None:
    page = read_page("docs/families.md")
    fields = set(ModelConfig.__dataclass_fields__)
    named = set(re.findall(r"`(\w+)`", page.split("## Which option changes what")[1]))
    assert fields <= named
