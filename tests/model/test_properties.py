"""Properties of a Transformer with any weights: causality, positions, initialization, loss."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tfcli.model.attention import AttentionContext
from tfcli.model.config import ModelConfig
from tfcli.model.kernels import Dropout
from tfcli.model.positions import rotary_table, rotate, sinusoidal_table
from tfcli.model.transformer import Transformer
from tfcli.text.sentencepiece_tokenizer import END

from .helpers import CONFIGS, random_ids, random_model, small_config

MODELS = {name: random_model(config) for name, config in CONFIGS.items()}
every_model = pytest.mark.parametrize("name", CONFIGS)


def initialized(config: ModelConfig, seed: int = 0, dropout: float = 0.0) -> Transformer:
    model = Transformer(config, dropout)
    model.init_weights(seed)
    return model


# --- causality ----------------------------------------------------------------------------------


@every_model
@given(position=st.integers(0, 11), by=st.integers(1, 10))
@settings(max_examples=20, deadline=None)
@torch.no_grad()
def test_changing_a_token_changes_no_earlier_logits(name: str, position: int, by: int) -> None:
    model = MODELS[name]
    ids = random_ids(model.config, rows=1, length=12)
    changed = ids.clone()
    changed[0, position] = (ids[0, position] + by) % model.config.vocab_size
    before, after = model(ids), model(changed)
    torch.testing.assert_close(after[:, :position], before[:, :position], rtol=0, atol=1e-12)
    differences = (after - before)[0, position:].abs().amax(dim=-1)
    window = model.config.sliding_window or 12
    reach = 1 + model.config.num_layers * (window - 1)  # each layer extends it by the window
    assert (differences[:reach] > 1e-9).all(), "every later position within reach should change"
    assert (differences[reach:] == 0).all()


@every_model
@torch.no_grad()
def test_rows_are_independent(name: str) -> None:
    model = MODELS[name]
    ids = random_ids(model.config, rows=4, length=9)
    one_by_one = torch.cat([model(row[None]) for row in ids])
    torch.testing.assert_close(model(ids), one_by_one, rtol=0, atol=1e-12)


# --- positions ----------------------------------------------------------------------------------


def rope(length: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    config = small_config(head_dim=head_dim)
    return rotary_table(replace(config, context_length=length, rope_theta=theta))


def score(query: Tensor, key: Tensor, at: tuple[int, int]) -> float:
    """The dot product of a query at one position and a key at another, both rotated."""
    cosines, sines = (table.double() for table in rope(64, query.shape[0], 10_000.0))
    rotated_query = rotate(query[None], cosines[at[0]], sines[at[0]])
    rotated_key = rotate(key[None], cosines[at[1]], sines[at[1]])
    return float((rotated_query * rotated_key).sum())


@given(positions=st.tuples(st.integers(0, 31), st.integers(0, 31)), shift=st.integers(0, 32))
@settings(max_examples=50, deadline=None)
def test_rope_scores_depend_on_distance_alone(positions: tuple[int, int], shift: int) -> None:
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).double()
    shifted = (positions[0] + shift, positions[1] + shift)
    assert score(query, key, shifted) == pytest.approx(score(query, key, positions), abs=1e-4)


def test_rotary_scores_change_with_distance() -> None:
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).double()
    scores = [score(query, key, (distance, 0)) for distance in range(20)]
    assert len({round(s, 3) for s in scores}) == 20


def test_rotation_is_complex_multiplication() -> None:
    """RoFormer, equation 13: each pair, as a complex number, times e^(i p theta_j)."""
    width, theta, length = 6, 100.0, 7
    x = torch.randn(1, 1, length, width, generator=torch.Generator().manual_seed(0))
    rotated = rotate(x, *rope(length, width, theta))
    for p in range(length):
        for j in range(width // 2):
            pair = complex(x[0, 0, p, j], x[0, 0, p, j + width // 2])
            angle = p * theta ** (-2 * j / width)
            expected = pair * complex(math.cos(angle), math.sin(angle))
            assert float(rotated[0, 0, p, j]) == pytest.approx(expected.real, abs=1e-5)
            assert float(rotated[0, 0, p, j + width // 2]) == pytest.approx(expected.imag, abs=1e-5)


@pytest.mark.parametrize("width", [1, 2, 7, 8])
def test_sinusoidal_table_equals_the_paper(width: int) -> None:
    table = sinusoidal_table(50, width)
    assert table.shape == (50, width)
    for p in (0, 1, 17, 49):
        for channel in range(width):
            angle = p / 10_000 ** (2 * (channel // 2) / width)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            assert float(table[p, channel]) == pytest.approx(expected, abs=1e-5)


@every_model
@torch.no_grad()
def test_order_of_tokens_matters(name: str) -> None:
    model = MODELS[name]
    logits = model(torch.tensor([[1, 2, 3], [2, 1, 3]]))[:, -1]
    assert not torch.allclose(logits[0], logits[1])


# --- initialization -----------------------------------------------------------------------------


@every_model
def test_same_seed_gives_the_same_weights(name: str) -> None:
    first, second = (initialized(CONFIGS[name], seed=3).state_dict() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@every_model
def test_different_seeds_give_different_weights(name: str) -> None:
    first, second = (initialized(CONFIGS[name], seed).state_dict() for seed in (3, 4))
    drawn = [key for key in first if first[key].unique().numel() > 1]
    assert drawn
    assert not any(torch.equal(first[key], second[key]) for key in drawn)


def test_initial_weights_do_not_depend_on_the_global_seed() -> None:
    torch.manual_seed(1)
    first = initialized(CONFIGS["modern"])
    torch.manual_seed(2)
    second = initialized(CONFIGS["modern"])
    assert torch.equal(first.embedding.weight, second.embedding.weight)


@every_model
def test_every_weight_is_initialized(name: str) -> None:
    model = Transformer(CONFIGS[name])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    model.init_weights(0)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@every_model
@torch.no_grad()
def test_initial_blocks_are_the_identity(name: str) -> None:
    model = initialized(CONFIGS[name])
    x = torch.randn(2, 5, model.config.d_model)
    rotary = rope(5, model.config.head_dim, 10_000.0)
    for layer, block in enumerate(model.blocks):
        rope_tables = rotary if name.startswith("modern") else None
        context = AttentionContext(rope_tables, None, True, None)
        stream, added = block(x, None, context, layer, Dropout(0.0, None))
        assert torch.equal(stream, x)
        assert not added.any()


@every_model
def test_zero_initialized_output_layers_get_gradients(name: str) -> None:
    """They start at zero but do not stay there."""
    model = initialized(CONFIGS[name])
    ids = random_ids(model.config, rows=2, length=8)
    torch.autograd.backward(model.loss(ids, ids.roll(-1, dims=1)))
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith(("attention.output.weight", "feed_forward.down.weight")):
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("width", [64, 256])
@torch.no_grad()
def test_initial_variance_of_matrices_is_one_over_fan_in(width: int) -> None:
    config = replace(CONFIGS["modern"], d_model=width, d_ff=512, vocab_size=500, tied_head=False)
    weights = initialized(config).state_dict()
    for name in ("blocks.0.feed_forward.gate.weight", "blocks.1.feed_forward.up.weight"):
        assert float(weights[name].std()) == pytest.approx(1 / math.sqrt(width), rel=0.05)
    for name in ("embedding.weight", "head.weight"):
        assert float(weights[name].std()) == pytest.approx(0.02, rel=0.05)


# --- loss ---------------------------------------------------------------------------------------


def plain_cross_entropy(logits: Tensor, targets: Tensor, ignore: int) -> float:
    losses: list[float] = []
    for row, row_targets in zip(logits.tolist(), targets.tolist(), strict=True):
        for scores, target in zip(row, row_targets, strict=True):
            if target != ignore:
                losses.append(math.log(sum(math.exp(s) for s in scores)) - scores[target])
    return sum(losses) / len(losses)


@every_model
@given(ignored=st.sets(st.integers(0, 13), max_size=13), ignore=st.sampled_from([-1, 5, -100]))
@settings(max_examples=10, deadline=None)
@torch.no_grad()
def test_loss_is_the_cross_entropy_of_targets_not_ignored(
    name: str, ignored: set[int], ignore: int
) -> None:
    model = MODELS[name]
    ids, targets = (random_ids(model.config, rows=2, length=7, seed=seed) for seed in (0, 1))
    targets[targets == ignore] = 4
    targets.view(-1)[list(ignored)] = ignore
    count = int((targets != ignore).sum())
    expected = count * plain_cross_entropy(model(ids), targets, ignore)
    assert float(model.loss(ids, targets, ignore_index=ignore)) == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_default_ignore_index_is_minus_one() -> None:
    model = MODELS["gpt2"]
    ids = random_ids(model.config, rows=1, length=6)
    targets = ids.roll(-1, dims=1)
    targets[0, -1] = -1
    without_the_last = model.loss(ids[:, :-1], ids[:, 1:])
    torch.testing.assert_close(model.loss(ids, targets), without_the_last)


@every_model
@torch.no_grad()
def test_untrained_model_predicts_about_uniformly(name: str) -> None:
    config = replace(CONFIGS[name], vocab_size=300)
    ids, targets = (random_ids(config, rows=4, length=16, seed=seed) for seed in (0, 1))
    nats = float(initialized(config).loss(ids, targets)) / targets.numel()
    assert nats == pytest.approx(math.log(300), rel=0.01)


# --- dropout ------------------------------------------------------------------------------------


@every_model
@torch.no_grad()
def test_dropout_applies_only_in_training(name: str) -> None:
    plain = random_model(CONFIGS[name])
    dropping = Transformer(CONFIGS[name], dropout=0.5).double()
    dropping.load_state_dict(plain.state_dict())
    ids = random_ids(CONFIGS[name], rows=2, length=8)
    assert torch.equal(dropping.eval()(ids), plain(ids))
    dropping.train()
    first, second = dropping(ids), dropping(ids)
    assert not torch.allclose(first, second)


@every_model
@torch.no_grad()
def test_training_mode_without_dropout_changes_nothing(name: str) -> None:
    model = random_model(CONFIGS[name])
    ids = random_ids(CONFIGS[name], rows=2, length=8)
    evaluated = model(ids)
    assert torch.equal(model.train()(ids), evaluated)


@torch.no_grad()
def test_dropout_zeroes_its_share_and_scales_up_the_rest() -> None:
    """What attention adds is either zeroed or, at p = 1/4, scaled by 4/3."""
    block = random_model(CONFIGS["gpt2"]).train().blocks[0]
    x = torch.randn(50, 12, 12, dtype=torch.float64)
    context = AttentionContext(None, None, True, None)
    added = block(x, None, context, 0, Dropout(0.25, None))[0] - x
    full = block(x, None, context, 0, Dropout(0.0, None))[0] - x
    zeroed = added == 0
    assert float(zeroed.double().mean()) == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(added[~zeroed], full[~zeroed] * 4 / 3)


# --- number formats -----------------------------------------------------------------------------


@every_model
@torch.no_grad()
def test_half_precision_gives_nearly_the_same_logits(name: str) -> None:
    model = MODELS[name]
    half = random_model(CONFIGS[name], dtype=torch.bfloat16)
    half.load_state_dict(model.state_dict())
    ids = random_ids(model.config, rows=2, length=8)
    logits = half(ids)
    assert logits.dtype == torch.bfloat16
    scale = float(model(ids).abs().max())
    torch.testing.assert_close(logits.double(), model(ids), rtol=0, atol=0.1 * scale)


@every_model
def test_mixed_precision_gives_float32_gradients(name: str) -> None:
    model = initialized(CONFIGS[name])
    model.dtype = torch.bfloat16
    ids = random_ids(model.config, rows=2, length=8)
    assert model(ids).dtype == torch.bfloat16
    loss = model.loss(ids, ids)
    torch.autograd.backward(loss)
    assert loss.dtype == torch.float32
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@every_model
@torch.no_grad()
def test_segments_do_not_attend_to_each_other(name: str) -> None:
    """The logits of a document do not change when the text before it does."""
    model = MODELS[name]
    ids = random_ids(model.config, rows=2, length=12)
    ids[ids == END] = END + 1
    ids[:, 5] = END  # starts the second document
    other = ids.clone()
    other[:, 1:5] = ids.flip(0)[:, 1:5]  # position 0 is for bos, which all may attend to
    segments = (ids == END).cumsum(1)
    unmasked = model(ids)
    masked, masked_other = (model(some, segments=segments) for some in (ids, other))
    torch.testing.assert_close(masked[:, 5:], masked_other[:, 5:])
    torch.testing.assert_close(masked[:, :5], unmasked[:, :5])
    assert not torch.allclose(masked[:, 5:], unmasked[:, 5:])
