"""Rows that are trained both ways: what is masked, what it weighs, and who reads whom."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.model.helpers import CONFIGS, random_ids, random_model
from tests.model.test_transformer_equals_huggingface import as_llama
from tests.training.conftest import StopAfter, Workshop
from tests.training.helpers import BEGIN, END, SPECIAL, UNKNOWN
from tests.training.test_loop import final_bits, losses
from tfcli.errors import UsageError
from tfcli.training.batches import IGNORE_INDEX, Batch
from tfcli.training.examples import Examples, make_examples
from tfcli.training.masking import count_at, mask_tokens
from tfcli.training.objectives import BothWays, NextToken, make_objective

VOCABULARY = 11  # of the small models


def some_examples(rows: int, length: int, seed: int = 0) -> Examples:
    """Rows of `length` + 1 ids: BOS, and text with an EOS here and there."""
    ids = np.random.default_rng(seed).integers(END, VOCABULARY, (rows, length + 1))
    ids[:, 0] = BEGIN
    return make_examples(ids, np.tile(np.arange(length + 1) > 0, (rows, 1)), SPECIAL)


def both_ways(share: float, *, document_mask: bool = False) -> BothWays:
    return BothWays(NextToken(SPECIAL, document_mask=document_mask), SPECIAL, share)


def row_flags(batch: Batch) -> list[bool]:
    """Of each row, whether it is causal."""
    flags: list[bool] = np.broadcast_to(batch.causal, len(batch.inputs)).tolist()
    return flags


# --- what is masked -------------------------------------------------------------------------------


@given(st.integers(1, 7), st.integers(2, 12), st.integers(0, 10**6), st.integers(0, 50))
def test_masked_tokens_are_predicted_at_the_position_before(
    rows: int, length: int, seed: int, step: int
) -> None:
    """Against the definition, row by row and token by token."""
    examples = some_examples(rows, length, seed)
    batch = both_ways(0.5).training_batch(examples, seed=seed, step=step)
    plain = NextToken(SPECIAL).training_batch(examples, seed=seed, step=step)
    for row, causal in enumerate(row_flags(batch)):
        inputs, targets = batch.inputs[row].tolist(), batch.targets[row].tolist()
        weights = [1.0] * length if batch.weights is None else batch.weights[row].tolist()
        if causal:
            assert inputs == plain.inputs[row].tolist()
            assert targets == plain.targets[row].tolist()
            assert weights == [1.0] * length
            continue
        ids = examples.ids[row].tolist()
        masked = [place for place in range(length) if inputs[place] != ids[place]]
        assert masked
        assert inputs[0] == BEGIN
        for place in range(1, length):
            assert inputs[place] == (UNKNOWN if place in masked else ids[place])
            assert targets[place - 1] == (ids[place] if place in masked else IGNORE_INDEX)
        assert targets[-1] == IGNORE_INDEX  # that token is not read
        each = [weights[place - 1] for place in masked]
        assert each == pytest.approx([(length - 1) / len(masked)] * len(masked), rel=1e-6)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.3, 0.95])
def test_share_of_the_rows_is_exact_in_the_long_run(share: float) -> None:
    examples, objective = some_examples(3, 5), both_ways(share)
    counts = [
        row_flags(objective.training_batch(examples, seed=1, step=step)).count(False)
        for step in range(100)
    ]
    assert sum(counts) in {int(300 * share), round(300 * share)}
    assert max(counts) - min(counts) <= 1


def test_a_step_is_a_function_of_seed_and_step() -> None:
    examples, objective = some_examples(8, 30), both_ways(0.5)
    one = objective.training_batch(examples, seed=1, step=2)
    again = objective.training_batch(examples, seed=1, step=2)
    assert (one.inputs == again.inputs).all()
    for seed, step in ((1, 3), (2, 2)):
        other = objective.training_batch(examples, seed=seed, step=step)
        assert (one.inputs != other.inputs).any()


def test_rows_weigh_as_much_as_causal_ones_whatever_is_drawn() -> None:
    examples, objective = some_examples(6, 9), both_ways(0.5)
    for step in range(20):
        batch = objective.training_batch(examples, seed=3, step=step)
        assert batch.target_weight == pytest.approx(3 * 9 + 3 * 8, rel=1e-6)


def test_counts_of_a_step_are_spread_evenly() -> None:
    assert count_at(np.arange(6) / 6, np.full(6, 6)).tolist() == [1, 2, 3, 4, 5, 6]
    assert count_at(np.array([0.0, 0.999999, 0.5]), np.array([1, 1, 4])).tolist() == [1, 1, 3]


def test_every_choice_of_masks_is_as_likely() -> None:
    random = np.random.default_rng(0)
    maskable = np.tile([False, True, True, True, False, True], (6000, 1))
    masked, weights = mask_tokens(maskable, np.full(6000, 2), random)
    assert not masked[:, [0, 4]].any()
    assert (masked.sum(1) == 2).all()
    assert (weights == 2).all()
    _, counts = np.unique(masked, axis=0, return_counts=True)
    assert len(counts) == 6
    assert abs(counts - 1000).max() < 150  # five standard deviations


def test_only_targets_are_masked() -> None:
    """Of pairs the answers, of padded rows no padding; a row without any is read and no more."""
    examples = some_examples(2, 9)
    examples.is_target[0, :5] = False
    examples.is_target[1] = False
    batch = both_ways(0.95).training_batch(examples, seed=1, step=1)
    masked = batch.inputs != examples.ids[:, :-1]
    assert not masked[0, :5].any()
    assert masked[0].any()
    assert not masked[1].any()
    assert batch.rows(range(1, 2)).num_targets == 0


def test_weights_of_examples_count_as_well() -> None:
    examples = some_examples(1, 9)
    weights = np.full(examples.ids.shape, 0.25, np.float32)
    objective, plain = both_ways(0.95), dataclasses.replace(examples, weights=weights)
    found = objective.training_batch(plain, seed=1, step=1)
    whole = objective.training_batch(examples, seed=1, step=1)
    assert found.target_weight == pytest.approx(0.25 * whole.target_weight)
    assert (weights == 0.25).all()


def test_share_of_zero_is_the_causal_objective_alone(workshop: Workshop) -> None:
    plan = workshop.job(masked=0).plan
    assert plan == workshop.job().plan
    assert type(make_objective(plan, workshop.tokenizer)) is NextToken


def test_a_tokenizer_without_unk_cannot_mask(workshop: Workshop) -> None:
    with pytest.raises(UsageError, match="<unk> token"):
        BothWays(NextToken(SPECIAL), dataclasses.replace(SPECIAL, unk=None), 0.5)


# --- who reads whom -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["modern", "modern, sliding window", "gpt2", "classic"])
@pytest.mark.parametrize("document_mask", [False, True])
def test_rows_of_both_kinds_together_are_as_each_kind_alone(name: str, document_mask: bool) -> None:
    model = random_model(CONFIGS[name])
    objective = both_ways(0.5, document_mask=document_mask)
    batch = objective.training_batch(some_examples(5, 12), seed=4, step=1)
    kinds = row_flags(batch)
    assert sorted(set(kinds)) == [False, True]
    arguments = batch.loss_arguments(torch.device("cpu"))
    single = [batch.rows(range(row, row + 1)) for row in range(5)]
    assert [part.causal for part in single] == kinds
    alone = sum(model.loss(**part.loss_arguments(torch.device("cpu"))) for part in single)
    torch.testing.assert_close(model.loss(**arguments), alone)


@pytest.mark.parametrize("document_mask", [False, True])
def test_a_token_changes_predictions_before_it_where_it_may_be_read(document_mask: bool) -> None:
    model = random_model(CONFIGS["modern"])
    ids = np.array([[BEGIN, 5, 6, 7, END, 8, 9, 3]])
    examples = make_examples(ids, np.arange(8)[None] > 0, SPECIAL)
    batch = both_ways(0.95, document_mask=document_mask).training_batch(examples, seed=0, step=1)
    assert batch.causal is False
    read = torch.from_numpy(ids[:, :-1])
    segments = None if batch.segments is None else torch.from_numpy(batch.segments)
    other = read.clone()
    other[0, 6] = 4
    before = model(read, segments=segments, causal=False)
    after = model(other, segments=segments, causal=False)
    changed = (before != after).any(-1)[0].tolist()
    # of the documents 1..3 and 4..6, the second alone
    assert changed == [not document_mask] * 4 + [True] * 3


@pytest.mark.parametrize("name", ["modern", "modern, grouped queries", "llama"])
def test_forward_both_ways_equals_transformers_with_a_full_mask(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = CONFIGS[name]
    ours = random_model(config)
    kind, more = transformers.Qwen3ForCausalLM, {"head_dim": config.head_dim}
    settings = transformers.Qwen3Config
    if name == "llama":
        kind, settings = transformers.LlamaForCausalLM, transformers.LlamaConfig
    theirs = kind(
        settings(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            rms_norm_eps=config.norm_epsilon,
            max_position_embeddings=config.context_length,
            rope_theta=config.rope_theta,
            tie_word_embeddings=config.tied_head,
            attention_bias=config.qkv_bias,
            **more,
        )
    )
    theirs = theirs.to(torch.float64).eval()
    theirs.load_state_dict(as_llama(ours), strict=False)
    ids = random_ids(config, rows=2, length=9)
    everything = torch.zeros(2, 1, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(ids, attention_mask=everything).logits
        torch.testing.assert_close(ours(ids, causal=False), expected)
        assert not torch.allclose(ours(ids), expected)


# --- the loop -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"document_mask": True}, {"token_dropout": 0.1}, {"infill": 0.5}]
)
def test_training_resumes_to_the_same_bits(workshop: Workshop, options: dict[str, Any]) -> None:
    job = workshop.job(steps=6, masked=0.5, **options)
    list(workshop.begin("whole", job).events())
    list(workshop.begin("cut", job, stop=StopAfter(3)).events())
    list(workshop.resume("cut").events())
    assert final_bits(workshop.folder / "whole") == final_bits(workshop.folder / "cut")


@pytest.mark.parametrize("checkpointing", [False, True])
def test_micro_batches_do_not_change_the_losses(workshop: Workshop, checkpointing: bool) -> None:
    whole = workshop.job(steps=4, batch_tokens=96, masked=0.5)
    plan = dataclasses.replace(whole.plan, micro_batch_size=2, checkpointing=checkpointing)
    list(workshop.begin("whole", whole).events())
    list(workshop.begin("parts", dataclasses.replace(whole, plan=plan)).events())
    one, other = losses(workshop.folder / "whole"), losses(workshop.folder / "parts")
    assert list(other.values()) == pytest.approx(list(one.values()), rel=1e-4)
