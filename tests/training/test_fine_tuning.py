"""Fine-tuning of imported models: against a plain loop over transformers' own, and resumed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import StopAfter, Workshop
from tfcli.errors import UsageError
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.import_run import import_run
from tfcli.model.config import ModelConfig
from tfcli.model.cost import count_parameters, training_bytes
from tfcli.model.safetensors_file import SafetensorsFile, to_bfloat16, to_float32
from tfcli.runs.run import open_run
from tfcli.runs.step import (
    MODEL,
    OPTIMIZER,
    list_steps,
    read_state,
    save_step,
    stored_arrays,
)
from tfcli.runs.valid_steps import choose_step
from tfcli.text.token_cache import TokenizedCorpus
from tfcli.text.tokenizer import SpecialTokens
from tfcli.training.callbacks import Callbacks
from tfcli.training.evaluation import final_evaluation_tokens
from tfcli.training.events import StepFinished
from tfcli.training.fine_tuning import BaseModel, preferred_bytes
from tfcli.training.loop import Trainer
from tfcli.training.micro_batch import MemoryLimits, MicroBatch, choose_micro_batch
from tfcli.training.options import TrainOptions
from tfcli.training.plan import Plan, Resources, make_plan
from tfcli.training.setup import Base, TrainingJob, plan_job
from tfcli.training.sizing import EVALUATION_TOKENS
from tfcli.training.start import start_run

STEPS, CONTEXT = 10, 16


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("shop"), device="cpu")


def random_model(kind: str, vocab_size: int) -> Any:
    """A small model of transformers with random weights, as large as those of a trained one."""
    transformers = pytest.importorskip("transformers")
    llama = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
        "initializer_range": 0.2,
    }  # fmt: skip
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=vocab_size, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.2,
        )  # fmt: skip
    elif kind == "llama":
        config = transformers.LlamaConfig(vocab_size=vocab_size, **llama)
    else:
        config = transformers.Qwen2Config(vocab_size=vocab_size, tie_word_embeddings=True, **llama)
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config)


def imported(shop: Workshop, kind: str, dtype: torch.dtype = torch.float32) -> Base:
    """A run that was imported from such a model; the folder it came from is beside it."""
    name = f"{kind}-{str(dtype).removeprefix('torch.')}"
    path, source = shop.folder / name, shop.folder / f"{name}-hf"
    if not path.exists():
        random_model(kind, shop.tokenizer.vocab_size).to(dtype).save_pretrained(source)
        (source / "tokenizer.model").write_bytes(shop.tokenizer.serialized)
        import_run(inspect_checkpoint(source), path)
        if dtype != torch.float32:
            save_in(path, dtype)
    run = open_run(path)
    return Base(run, choose_step(run, None, on_damaged=lambda error: None))


def save_in(run: Path, dtype: torch.dtype) -> None:
    """Saves the first step of a run again, in fewer bits."""
    (step,) = list_steps(run)
    file = SafetensorsFile(step / MODEL)
    arrays = {name: np.array(file.read(name)) for name in file.tensors}
    half = {
        name: to_bfloat16(array) if dtype == torch.bfloat16 else array.astype(np.float16)
        for name, array in arrays.items()
    }
    save_step(run, read_state(step), half, {})


def job(shop: Workshop, base: Base, **options: Any) -> TrainingJob:
    small: dict[str, Any] = {
        "steps": STEPS, "context_length": CONTEXT, "batch_tokens": 4 * CONTEXT, "dtype": "float32",
    }  # fmt: skip
    return plan_job(
        TrainOptions(**(small | options)), shop.tokens, shop.tokenizer,
        seed=1, device="cpu", base=base,
    )  # fmt: skip


def begin(shop: Workshop, name: str, planned: TrainingJob, **callbacks: Any) -> Trainer:
    return start_run(
        planned, shop.folder / name, shop.corpus,
        started=time.monotonic(), callbacks=Callbacks(**callbacks),
    )  # fmt: skip


# --- against transformers -----------------------------------------------------------------------


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2"])
def test_ten_losses_equal_those_of_a_plain_loop(
    shop: Workshop, kind: str, checkpointing: bool
) -> None:
    base = imported(shop, kind)
    planned = job(shop, base, checkpointing=checkpointing, learning_rate=0.01, weight_decay=0.1)
    assert planned.plan.checkpointing == checkpointing
    trainer = begin(shop, f"{kind}-{checkpointing}", planned)
    batches = [trainer.sampler.examples(step).ids for step in range(STEPS)]
    ours = [event.loss for event in trainer.events() if isinstance(event, StepFinished)]
    theirs = plain_loop(shop.folder / f"{base.run.name}-hf", batches, rate=0.01, weight_decay=0.1)
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert theirs[-1] < theirs[0] - 0.3, "something was learned"


def plain_loop(
    folder: Path, batches: list[np.ndarray[Any, Any]], *, rate: float, weight_decay: float
) -> list[float]:
    """Fine-tuning as a tutorial writes it: the loss of each batch before its step."""
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.train()
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), eps=1e-8)
    steps = len(batches)
    losses = []
    for step, ids in enumerate(batches):
        for group in optimizer.param_groups:  # five steps up, then seven tenths of them down
            group["lr"] = rate * min(1, (step + 1) / 5) * min(1, (1 - step / steps) / 0.7)
        logits = model(torch.from_numpy(ids[:, :-1].copy())).logits
        targets = torch.from_numpy(ids[:, 1:].copy())
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


# --- on disk ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_resumed_fine_tuning_has_the_same_bits(shop: Workshop, dtype: torch.dtype) -> None:
    base, name = imported(shop, "llama", dtype), str(dtype).removeprefix("torch.")
    planned = job(shop, base, checkpointing=True, save_every=4)
    for _ in begin(shop, f"whole-{name}", planned).events():
        pass
    for _ in begin(shop, f"cut-{name}", planned, stop=StopAfter(3)).events():
        pass
    for _ in shop.resume(f"cut-{name}").events():
        pass
    whole, cut = (list_steps(shop.folder / f"{kind}-{name}")[-1] for kind in ("whole", "cut"))
    assert whole.name == cut.name == "step-00000010"
    for file in (MODEL, OPTIMIZER):
        assert (whole / file).read_bytes() == (cut / file).read_bytes(), file


def test_steps_stay_in_the_format_of_the_model_and_keep_float32_weights_apart(
    shop: Workshop,
) -> None:
    base = imported(shop, "llama", torch.bfloat16)
    trainer = begin(shop, "tuned", job(shop, base, learning_rate=1e-5))
    for _ in trainer.events():
        pass
    first, last = (list_steps(shop.folder / "tuned")[i] for i in (0, -1))
    assert (first / MODEL).read_bytes() != (last / MODEL).read_bytes()
    formats = {
        name: tensor.format for name, tensor in SafetensorsFile(last / MODEL).tensors.items()
    }
    assert {formats[name] for name in formats if "norm" not in name} == {"BF16"}
    masters = stored_arrays(last / OPTIMIZER)
    for name, weight in trainer.model.named_parameters():
        if formats[name] == "BF16":
            master = np.asarray(masters[f"weights/{name}"])
            assert np.array_equal(master, weight.detach().numpy())
            saved = to_float32(SafetensorsFile(last / MODEL).map(name))
            assert np.array_equal(saved, weight.detach().bfloat16().float().numpy())


def test_held_out_loss_is_that_of_the_saved_weights(shop: Workshop) -> None:
    trainer = begin(shop, "rounded", job(shop, imported(shop, "llama", torch.bfloat16)))
    for _ in trainer.events():
        pass
    held_out = trainer._held_out  # of the last step
    assert held_out is not None
    own = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "norm" not in name:
                weight.copy_(weight.bfloat16())
    again = trainer._evaluate_tokens(trainer.plan.evaluation_tokens)
    assert again == held_out
    assert any(not torch.equal(own[n], w) for n, w in trainer.model.named_parameters())


# --- the plan -----------------------------------------------------------------------------------


def test_imported_weights_go_on_with_adamw_and_those_after_them(shop: Workshop) -> None:
    planned = job(shop, imported(shop, "qwen2"), steps=2)
    assert planned.plan.optimizer.kind == "adamw"
    assert planned.plan.optimizer.matrix_learning_rate == pytest.approx(0.07 / 32)
    for _ in begin(shop, "child", planned).events():
        pass
    run = open_run(shop.folder / "child")
    child = Base(run, choose_step(run, None, on_damaged=lambda error: None))
    assert job(shop, child).plan.optimizer.kind == "adamw"
    assert job(shop, child, optimizer="muon").plan.optimizer.kind == "muon"


def test_without_an_unknown_token_no_token_is_dropped(shop: Workshop) -> None:
    class WithoutBosAndUnk:
        """Like GPT-2's: its only special token ends a document, and begins a row."""

        def __init__(self) -> None:
            self.special = SpecialTokens(bos=None, eos=2, unk=None, control=frozenset({2}))

        def __getattr__(self, name: str) -> Any:
            return getattr(shop.tokenizer, name)

    planned = plan_job(
        TrainOptions(steps=400, context_length=CONTEXT, batch_tokens=512),
        shop.tokens, WithoutBosAndUnk(), seed=1, device="cpu", base=imported(shop, "gpt2"),
    )  # fmt: skip
    assert planned.plan.dropout > 0, "so many epochs need some"
    assert planned.plan.token_dropout == 0
    trainer = begin(shop, "without", replace(planned, steps=1))
    assert (trainer.sampler.examples(0).ids[:, 0] == 2).all()


SMOL = ModelConfig(
    family="llama", vocab_size=49152, context_length=1024, num_layers=30, d_model=576,
    num_heads=9, num_kv_heads=3, head_dim=64, d_ff=1536,
)  # fmt: skip
QWEN = ModelConfig(
    vocab_size=151_936, context_length=1024, num_layers=28, d_model=1024, num_heads=16,
    num_kv_heads=8, head_dim=128, d_ff=3072,
)  # fmt: skip
PROGRAM = 315e6  # Python and torch


@pytest.mark.parametrize(("model", "stated"), [(SMOL, 3e9), (QWEN, 12e9)], ids=["135M", "600M"])
def test_memory_of_fine_tuning_is_stated_and_not_exceeded(model: ModelConfig, stated: int) -> None:
    plenty = MemoryLimits(1 << 40, 1 << 40)
    chosen = choose_micro_batch(model, 2, memory=plenty, preferred=preferred_bytes(model))
    assert chosen.checkpointing
    taken = training_bytes(model, chosen.size * model.context_length, checkpointing=True)
    assert 16 * count_parameters(model) < taken < stated - PROGRAM
    needed = training_bytes(model, model.context_length, checkpointing=True)
    enough = MemoryLimits(int(0.6 * needed), int(1.001 * needed))
    assert choose_micro_batch(model, 2, memory=enough) == MicroBatch(1, checkpointing=True)
    assert choose_micro_batch(model, 2, memory=plenty) == MicroBatch(2)
    assert not choose_micro_batch(model, 2, memory=plenty, checkpointing=False).checkpointing
    with pytest.raises(UsageError, match="does not fit"):
        choose_micro_batch(model, 2, memory=MemoryLimits(needed // 2, needed // 2))


@pytest.mark.parametrize("model", [SMOL, QWEN], ids=["135M", "600M"])
def test_evaluations_of_a_large_model_are_a_small_part_of_its_training(model: ModelConfig) -> None:
    tokens = np.zeros(1_000_000, np.uint32)
    corpus = TokenizedCorpus(tokens, tokens[:500_000], 4_000_000, 2_000_000, 1, "key")
    base = BaseModel(config=model, optimizer="adamw", saved_dtype="bfloat16")

    def planned(steps: int) -> Plan:
        options, machine = TrainOptions(steps=steps), Resources(dtype="float32", shared=True)
        return make_plan(options, corpus, machine, vocab_size=model.vocab_size, base=base).plan

    few, many = planned(50), planned(100_000)
    assert few.saved_dtype == "bfloat16"
    assert few.warm_up_steps == 5
    assert few.checkpointing, "though the memory is unknown"
    assert few.evaluation_tokens < 50 * few.batch_size * model.context_length / 30
    assert many.evaluation_tokens == EVALUATION_TOKENS
    rows = 50 * few.batch_size
    assert final_evaluation_tokens(model, rows) < rows * model.context_length / 2
    small = replace(SMOL, num_layers=3, d_model=192, num_heads=3, d_ff=512, vocab_size=1024)
    assert final_evaluation_tokens(small, 1) > 1_000_000, "all of it, as a rule"
