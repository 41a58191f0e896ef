"""Pairs: the loss of answers is transformers', packed or not; what is too long is left out."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.model.helpers import random_model
from tests.model.test_transformer_equals_huggingface import as_llama
from tests.training.helpers import BEGIN, END, SPECIAL
from tfcli.errors import DataError
from tfcli.model.config import Family, named_config
from tfcli.model.transformer import Transformer
from tfcli.runs.run import open_run
from tfcli.text.corpus import open_corpus
from tfcli.text.pairs import PairForm
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.tokenizer_training import train_tokenizer
from tfcli.training.batches import IGNORE_INDEX, Batch
from tfcli.training.evaluation import evaluate_held_out
from tfcli.training.events import Evaluated, StepFinished
from tfcli.training.examples import WindowSampler
from tfcli.training.objectives import NextToken
from tfcli.training.options import TrainOptions
from tfcli.training.pairs import PairSampler, PairTokens, context_for, held_out_rows, pack_rows
from tfcli.training.setup import TrainingJob, plan_job, reopen_job
from tfcli.training.start import start_run

LENGTHS = [(3, 2), (1, 1), (4, 4), (2, 6), (5, 1), (1, 3)]  # of prompts and answers
lengths = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30)


def pairs_of(sizes: list[tuple[int, int]], vocab_size: int = 60) -> PairTokens:
    """Random prompts and answers of these lengths."""
    random = np.random.default_rng(0)
    ids: list[int] = []
    flags: list[bool] = []
    for prompt, answer in sizes:
        ids += [*random.integers(3, vocab_size, prompt + answer).tolist(), END]
        flags += [False] * prompt + [True] * (answer + 1)
    return PairTokens.of(np.array(ids, np.uint16), np.array(flags), SPECIAL)


def batch(pairs: PairTokens, rows: list[list[int]], context: int, prompt_loss: float = 0) -> Batch:
    examples = pairs.rows(rows, context=context, special=SPECIAL, prompt_loss=prompt_loss)
    return NextToken(SPECIAL).training_batch(examples, seed=0, step=0)


def tiny(positions: str = "rotary") -> Transformer:
    families: dict[str, Family] = {"rotary": "modern", "learned": "gpt2", "sinusoidal": "classic"}
    family = families[positions]
    config = named_config(
        "nano", vocab_size=60, context_length=32, family=family, num_layers=2, d_model=32,
        num_heads=2, tied_head=family != "modern",
    )  # fmt: skip
    return random_model(config)


def loss_and_gradients(
    model: Transformer, *batches: Batch
) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = sum(model.loss(**each.loss_arguments(torch.device("cpu"))) for each in batches)
    assert isinstance(loss, torch.Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {
        name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None
    }


# --- the loss -----------------------------------------------------------------------------------


def test_loss_is_that_of_transformers_with_labels_of_minus_100() -> None:
    transformers = pytest.importorskip("transformers")
    model, pairs = tiny(), pairs_of(LENGTHS)
    config = model.config
    other = transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            max_position_embeddings=config.context_length,
            rms_norm_eps=config.norm_epsilon,
            rope_theta=config.rope_theta,
            tie_word_embeddings=False,
        )
    ).eval()
    other.load_state_dict(as_llama(model))
    summed = 0.0
    for place, (prompt, _) in enumerate(LENGTHS):
        start = int(pairs.starts[place])
        ids = [BEGIN, *pairs.tokens[start : start + int(pairs.lengths[place])].tolist()]
        labels = [-100] * (prompt + 1) + ids[prompt + 1 :]
        mean = other(torch.tensor([ids]), labels=torch.tensor([labels])).loss.item()
        summed += mean * (len(ids) - prompt - 1)
    ours, _ = loss_and_gradients(model, batch(pairs, pack_rows(pairs, 16), 16))
    assert ours == pytest.approx(summed, rel=1e-5)


def test_prompts_are_no_targets_and_their_logits_get_no_gradient() -> None:
    model, pairs = tiny(), pairs_of(LENGTHS)
    rows = batch(pairs, [[0, 1], [2]], 16)
    answers = [pairs.tokens[int(s) : int(s + n)][pairs.is_target[int(s) : int(s + n)]].tolist()
               for s, n in zip(pairs.starts, pairs.lengths, strict=True)]  # fmt: skip
    found = [row[row != IGNORE_INDEX].tolist() for row in rows.targets]
    assert found == [answers[0] + answers[1], answers[2]]
    arguments = rows.loss_arguments(torch.device("cpu"))
    logits = model(
        arguments["ids"], segments=arguments["segments"], positions=arguments["positions"]
    )
    logits.retain_grad()
    torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), arguments["targets"].flatten(), ignore_index=-1, reduction="sum"
    ).backward()  # type: ignore[no-untyped-call]
    assert not logits.grad[arguments["targets"] == IGNORE_INDEX].any()


@pytest.mark.parametrize("positions", ["rotary", "learned", "sinusoidal"])
@pytest.mark.parametrize("prompt_loss", [0.0, 0.3])
def test_packed_pairs_have_the_loss_and_gradients_of_single_ones(
    positions: str, prompt_loss: float
) -> None:
    model, pairs = tiny(positions), pairs_of(LENGTHS)
    packed = pack_rows(pairs, 24)
    assert len(packed) < len(LENGTHS), "some rows have several"
    single = [[place] for place in range(len(LENGTHS))]
    loss, gradients = loss_and_gradients(model, batch(pairs, packed, 24, prompt_loss))
    alone, others = loss_and_gradients(model, batch(pairs, single, 12, prompt_loss))
    assert loss == pytest.approx(alone, rel=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[name], rtol=1e-3, atol=1e-5)


def test_rows_of_single_pairs_need_no_mask() -> None:
    model, pairs = tiny(), pairs_of(LENGTHS)
    rows = [[place] for place in range(len(LENGTHS))]
    plain = pairs.rows(rows, context=12, special=SPECIAL, apart=False)
    causal = NextToken(SPECIAL).evaluation_batch(plain)
    assert causal.segments is causal.positions is None
    loss, _ = loss_and_gradients(model, causal)
    masked, _ = loss_and_gradients(model, batch(pairs, rows, 12))
    assert loss == pytest.approx(masked, rel=1e-6)


def test_prompt_loss_weighs_prompts_but_for_their_first_token() -> None:
    model, pairs = tiny(), pairs_of([(4, 3)])
    rows = batch(pairs, [[0]], 8, prompt_loss=0.25)
    assert rows.weights is not None
    assert rows.target_weight == 3 * 0.25 + 4
    ids = torch.from_numpy(rows.inputs)
    nats = -model(ids).log_softmax(-1)[0, range(8), torch.from_numpy(rows.targets[0]).clamp(0)]
    wanted = (nats[1:4] * 0.25).sum() + nats[4:].sum()
    loss, _ = loss_and_gradients(model, rows)
    assert loss == pytest.approx(wanted.item(), rel=1e-5)
    assert rows.rows(range(1)).target_weight == rows.target_weight


def test_batches_of_text_are_as_they_were() -> None:
    """Without weights, all targets count the same, and the loss takes the same path as ever."""
    tokens = np.arange(3, 60, dtype=np.uint16)
    sampler = WindowSampler(tokens, context=8, rows=2, special=SPECIAL, seed=1)
    text = NextToken(SPECIAL).training_batch(sampler.examples(0), seed=1, step=0)
    assert text.weights is None
    assert text.positions is None
    assert text.segments is None
    assert text.target_weight == text.num_targets == 16
    arguments = text.loss_arguments(torch.device("cpu"))
    assert arguments["weights"] is None
    model = tiny()
    loss = model.loss(**arguments)
    del arguments["weights"]
    assert torch.equal(loss, model.loss(**arguments))


# --- rows ---------------------------------------------------------------------------------------


@given(lengths, st.integers(3, 30), st.integers(0, 2**40))
def test_an_epoch_has_every_pair_that_fits_once_and_whole(
    sizes: list[tuple[int, int]], context: int, seed: int
) -> None:
    pairs = pairs_of(sizes)
    fitting = sorted(sum(size) + 1 for size in sizes if sum(size) + 1 <= context)
    if not fitting:
        with pytest.raises(DataError, match="every pair is longer"):
            PairSampler(pairs, context=context, rows=1, special=SPECIAL, seed=seed)
        return
    sampler = PairSampler(pairs, context=context, rows=1, special=SPECIAL, seed=seed)
    seen: list[int] = []
    for step in range(sampler.epoch_rows):
        examples = sampler.examples(step)
        ends = np.flatnonzero((examples.ids[0] == END) & examples.is_target[0])
        starts = [1, *(ends + 1)][: len(ends)]
        seen += [int(end - start + 1) for start, end in zip(starts, ends, strict=True)]
    assert sorted(seen) == fitting


@given(lengths, st.integers(20, 30), st.integers(1, 100))
def test_evaluation_takes_pairs_evenly_spaced(
    sizes: list[tuple[int, int]], context: int, limit: int
) -> None:
    pairs = pairs_of(sizes)
    rows = [*held_out_rows(pairs, context=context, rows=2, special=SPECIAL)]
    assert sum(int(each.is_target.sum()) for each in rows) == int(pairs.is_target.sum())
    part = [*held_out_rows(pairs, context=context, rows=2, special=SPECIAL, limit=limit)]
    assert sum(int((each.ids == END).sum()) for each in part) >= 1
    assert sum(int(each.is_target.sum()) for each in part) <= int(pairs.is_target.sum())


def test_context_holds_all_pairs_but_for_a_few_long_ones() -> None:
    assert context_for(np.array([10, 37])) == 40
    assert context_for(np.array([5])) == 16
    assert context_for(np.array([20] * 5000 + [900])) == 24
    assert context_for(np.array([5000] * 10)) == 1024


# --- a training ---------------------------------------------------------------------------------


def job_of(folder: Path, **options: object) -> tuple[TrainingJob, object]:
    file = folder / "pairs.jsonl"
    rows = [{"prompt": f"{a}{b}", "completion": f"{b}{a}"} for a in "abcdefgh" for b in "uvwxyz"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = open_corpus([file], cache=folder / "cache")
    tokenizer, _ = train_tokenizer(
        (chunk.data for chunk in corpus.training()), text_bytes=200, type="char"
    )
    tokens = tokenize_corpus(corpus, tokenizer, cache=folder / "cache")
    wanted = {"steps": 12, "num_layers": 1, "d_model": 32, "batch_tokens": 128} | options
    job = plan_job(TrainOptions(**wanted), tokens, tokenizer, seed=1, device="cpu")  # type: ignore[arg-type]
    return job, corpus


def test_pairs_are_trained_evaluated_and_resumed(tmp_path: Path) -> None:
    job, corpus = job_of(tmp_path)
    assert job.model_config.context_length == 16
    assert job.plan.dropout == job.plan.token_dropout == 0
    assert job.plan.patience is None
    trainer = start_run(job, tmp_path / "run", corpus, started=time.monotonic())  # type: ignore[arg-type]
    events = [*trainer.events()]
    losses = [event.loss for event in events if isinstance(event, StepFinished)]
    assert losses[-1] < losses[0]
    measured = [event.held_out for event in events if isinstance(event, Evaluated)][-1]
    assert measured.tokens == 5 * 3, "answers and ends of a tenth of 48 pairs"
    assert measured.bytes == 5 * 2
    run = open_run(tmp_path / "run")
    assert run.form == PairForm()
    assert run.corpus.held_out_text == "5 pairs of pairs.jsonl, chosen at random"
    again = reopen_job(run, cache=tmp_path / "cache", device="cpu")
    assert again.corpus.key == job.corpus.key
    other = reopen_job(run, cache=tmp_path / "other cache", device="cpu")
    assert (other.corpus.training[:] == job.corpus.training[:]).all()
    targets, others = job.corpus.held_out_targets, other.corpus.held_out_targets
    assert targets is not None
    assert others is not None
    assert (targets == others).all()


def test_short_pairs_get_a_small_model_of_many_heads_and_small_batches(tmp_path: Path) -> None:
    job, _ = job_of(tmp_path, num_layers=None, d_model=None, batch_tokens=None)
    model = job.model_config
    assert (model.num_layers, model.d_model, model.num_heads) == (2, 128, 8)
    assert job.plan.batch_size * model.context_length <= 512


def test_too_long_pairs_are_left_out_of_training_and_evaluation(tmp_path: Path) -> None:
    job, _ = job_of(tmp_path, context_length=5)
    pairs = job.pairs()
    assert pairs is not None
    assert len(pairs.that_fit(4)) == 0
    model = job.build_model()
    objective = NextToken(job.tokenizer.special)
    fits = evaluate_held_out(model, job.corpus, job.tokenizer, objective=objective, limit=10**6)
    assert fits is None or not fits.tokens, "a pair has 6 tokens"
    with pytest.raises(DataError, match="every pair is longer than the context of 5 tokens"):
        replace(job).sampler()
