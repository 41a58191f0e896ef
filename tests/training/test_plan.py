"""What the plan decides, and its round trip through JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DamagedError, DataError, UsageError
from tfcli.model.config import ModelConfig
from tfcli.model.cost import count_parameters, training_bytes, training_flops_per_token
from tfcli.text.token_cache import TokenizedCorpus
from tfcli.training.micro_batch import MemoryLimits, MicroBatch, choose_micro_batch
from tfcli.training.options import TrainOptions
from tfcli.training.plan import (
    ADDED_LATER,
    Budget,
    Plan,
    PlannedModel,
    Resources,
    make_plan,
)
from tfcli.training.schedule import WARM_UP_STEPS, learning_rate_scale, matrix_learning_rate
from tfcli.training.sizing import (
    expected_loss,
    is_typical,
    regularization,
)


def corpus(tokens: int = 10_000) -> TokenizedCorpus:
    training = np.zeros(tokens, np.uint16)
    return TokenizedCorpus(training, training[:100], 2 * tokens, 200, 1, "key")


def decide(options: TrainOptions, tokens: int = 10_000, **resources: Any) -> PlannedModel:
    return make_plan(
        options, corpus(tokens), Resources(dtype="float32", **resources), vocab_size=300
    )


def plan_for(options: TrainOptions, tokens: int = 10_000, memory: int | None = None) -> Plan:
    return decide(options, tokens, memory=MemoryLimits(memory, memory)).plan


@pytest.mark.parametrize(
    ("options", "budget"),
    [
        (TrainOptions(), Budget("seconds", 60.0)),
        (TrainOptions(seconds=5.0), Budget("seconds", 5.0)),
        (TrainOptions(steps=7), Budget("steps", 7)),
        (TrainOptions(tokens=4096), Budget("steps", 2)),
        (TrainOptions(tokens=4097), Budget("steps", 3)),
        (TrainOptions(epochs=2.0), Budget("steps", 10)),
        (TrainOptions(tokens=1), Budget("steps", 1)),
    ],
)
def test_budgets(options: TrainOptions, budget: Budget) -> None:
    assert plan_for(options).budget == budget


def test_little_text_ends_a_time_budget_early() -> None:
    def planned(tokens: int, **options: Any) -> PlannedModel:
        return decide(
            TrainOptions(**options, distill=False),
            tokens,
            step_seconds=lambda *_: 0.01,
            batch_tokens=1000,
        )

    plenty, some, little = (
        planned(tokens, seconds=60.0).plan for tokens in (1_000_000, 50_000, 4_000)
    )
    assert (plenty.budget.kind, plenty.patience) == ("seconds", None)
    assert (some.budget.kind, some.patience) == ("seconds", 4)
    assert (little.budget.kind, little.patience) == ("seconds", 4)
    assert plenty.budget.amount == some.budget.amount == 60.0
    short = planned(4_000, seconds=60.0)
    assert short.steps is not None
    batch = short.plan.batch_size * short.model.context_length
    assert short.steps * batch == pytest.approx(200 * 4_000, rel=0.01)
    assert short.steps * 0.01 < little.budget.amount < short.steps * 0.01 + 5
    assert planned(50_000, seconds=60.0, patience=9).plan.patience == 9
    assert planned(4_000, steps=100_000).plan.patience is None


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_learning_rate_scale_is_bounded_and_ends_at_zero(step: int, progress: float) -> None:
    assert 0 <= learning_rate_scale(step, progress) <= 1
    assert learning_rate_scale(step, 1.0) == 0


def test_learning_rate_warms_up_then_decays() -> None:
    rising = [learning_rate_scale(step, 0.0) for step in range(WARM_UP_STEPS + 5)]
    assert rising == sorted(rising)
    assert rising[-1] == rising[WARM_UP_STEPS - 1] == 1.0
    falling = [learning_rate_scale(1000, p / 100) for p in range(101)]
    assert falling == sorted(falling, reverse=True)


def test_batch_that_does_not_fit_is_split_into_equal_micro_batches() -> None:
    options = TrainOptions(steps=1, batch_tokens=4096, context_length=64)
    decision = decide(options)
    model, whole = decision.model, decision.plan
    assert whole.batch_size == whole.micro_batch_size == 64
    memory = training_bytes(model, 16 * 64)
    parts = plan_for(options, memory=memory)
    assert (parts.batch_size, parts.micro_batch_size) == (64, 16)


def test_model_too_large_for_memory_is_refused_with_both_sizes() -> None:
    with pytest.raises(UsageError, match="does not fit") as caught:
        plan_for(TrainOptions(size="large"), memory=1 << 20)
    assert "GiB needed" in str(caught.value.why)


def test_the_micro_batch_of_a_resumed_run_shrinks_only_where_the_memory_is_smaller() -> None:
    model = decide(TrainOptions(steps=1, context_length=64)).model
    alone: Any = {"world_size": 1, "sharded": None, "resumed": "tale"}
    for rows in (1, 16, 17):
        enough = training_bytes(model, rows * 64)
        for memory in (enough, 100 * enough):
            chosen = choose_micro_batch(model, rows, memory=MemoryLimits(memory, memory), **alone)
            assert chosen == MicroBatch(rows)
    less = MemoryLimits(training_bytes(model, 9 * 64))
    assert choose_micro_batch(model, 16, memory=less, **alone).size == 8


def test_a_resumed_run_that_does_not_fit_is_not_told_options_that_resume_refuses() -> None:
    model = decide(TrainOptions(steps=1)).model
    with pytest.raises(UsageError, match="does not fit") as caught:
        choose_micro_batch(model, 4, memory=MemoryLimits(1 << 10, 1 << 10), resumed="tale")
    assert "--resume tale" in str(caught.value.hint)
    assert not {"--size", "--context-length"} & set(str(caught.value.hint).split())


def test_the_batch_grows_with_the_processes_unless_it_is_given() -> None:
    def batch(**options: Any) -> int:
        made = decide(TrainOptions(steps=5, **options), tokens=10**6, world_size=8)
        return made.plan.batch_size * made.model.context_length

    assert batch() == 8 * 2048
    assert batch(batch_tokens=4096) == 4096


def test_many_processes_can_share_few_rows() -> None:
    made = decide(TrainOptions(steps=5, batch_tokens=256, context_length=64), world_size=32)
    assert (made.plan.batch_size, made.plan.micro_batch_size) == (4, 1)


@pytest.mark.parametrize("name", ["epochs", "learning_rate", "weight_decay", "dropout"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_non_finite_option_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match="must be"):
        plan_for(TrainOptions(**{name: value}))  # type: ignore[arg-type]


def test_short_text_gets_a_short_context() -> None:
    assert decide(TrainOptions(steps=1), tokens=9).model.context_length == 4


def test_too_little_text_is_refused() -> None:
    with pytest.raises(DataError, match="not enough text"):
        plan_for(TrainOptions(), tokens=1)


def test_a_learning_rate_of_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="learning_rate must be between 1e-12"):
        TrainOptions(learning_rate=0)


def test_batch_is_no_larger_than_the_text() -> None:
    decision = decide(TrainOptions(steps=1, batch_tokens=10**11), tokens=1000)
    assert decision.plan.batch_size == 1000 // decision.model.context_length


def test_learning_rate_option_scales_all_groups() -> None:
    default, doubled = (
        plan_for(TrainOptions()),
        plan_for(TrainOptions(learning_rate=0.04, weight_decay=0.0)),
    )
    assert doubled.optimizer.matrix_learning_rate == 0.04
    ratio = doubled.optimizer.table_learning_rate / default.optimizer.table_learning_rate
    assert ratio == pytest.approx(2.0)
    assert doubled.optimizer.weight_decay == 0


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_learning_rate_falls_with_the_number_of_steps(one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert 0 < matrix_learning_rate(many) <= matrix_learning_rate(few) <= 0.02


def test_plan_uses_the_learning_rate_for_its_steps() -> None:
    rate = plan_for(TrainOptions(steps=2400)).optimizer.matrix_learning_rate
    assert rate == pytest.approx(0.008, rel=0.02)  # as measured: see the lab notes


def test_slow_models_are_evaluated_on_less_text_in_a_time_budget() -> None:
    quick = plan_for(TrainOptions(seconds=60))
    slow = plan_for(TrainOptions(seconds=60, size="base"))
    assert slow.evaluation_tokens < quick.evaluation_tokens


def test_plan_survives_json() -> None:
    plan = plan_for(TrainOptions(steps=5, dropout=0.1, save_every=2))
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_plan_of_an_older_run_may_lack_what_was_added_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if `patience` were new."""
    plan = plan_for(TrainOptions(steps=5, patience=3))
    written = json.loads(json.dumps(plan.to_json()))
    older = {key: value for key, value in written.items() if key != "patience"}
    with pytest.raises(DamagedError, match="plan") as caught:
        Plan.from_json(older)
    assert caught.value.why == "missing or unknown keys: patience"
    monkeypatch.setitem(ADDED_LATER, "patience", None)
    assert Plan.from_json(older) == replace(plan, patience=None)
    assert Plan.from_json(written) == plan


@pytest.mark.parametrize("value", [None, 3, {}, {"budget": 1}, {"budget": {"kind": "x"}}, "plan"])
def test_garbage_is_refused_as_a_plan(value: object) -> None:
    with pytest.raises(DamagedError):
        Plan.from_json(value)


@pytest.mark.parametrize(
    ("changes", "budget"),
    [
        ({"batch_size": 0}, {}), ({"micro_batch_size": 0}, {}), ({"micro_batch_size": 10**9}, {}),
        ({"dropout": 5.0}, {}), ({"token_dropout": -1.0}, {}), ({"dropout": math.nan}, {}),
        ({"batch_size": 10**12}, {}), ({"evaluation_tokens": 0}, {}), ({"eval_every": -1}, {}),
        ({"patience": 0}, {}), ({"optimizer": {"momentum": 5.0}}, {}),
        ({"optimizer": {"matrix_learning_rate": 1e300}}, {}),
        ({}, {"amount": math.inf}), ({}, {"amount": -1.0}),
    ],
)  # fmt: skip
def test_out_of_range_plan_is_refused(changes: dict[str, Any], budget: dict[str, Any]) -> None:
    value = plan_for(TrainOptions(steps=5)).to_json()
    optimizer = value["optimizer"] | changes.pop("optimizer", {})
    value |= changes | {"budget": value["budget"] | budget, "optimizer": optimizer}
    with pytest.raises(DamagedError):
        Plan.from_json(value)


# --- time budgets -------------------------------------------------------------------------------


def machine_with_flops(flops: float) -> Any:
    """The `step_seconds` of a machine that does `flops` operations per second of the model's."""

    def step_seconds(config: ModelConfig, micro_batch: MicroBatch, dtype: str) -> float:
        tokens = micro_batch.size * config.context_length
        return training_flops_per_token(config) * tokens / flops

    return step_seconds


@given(st.floats(30, 10**6), st.floats(1e9, 1e15), st.floats(1.2, 100))
def test_model_size_grows_with_time_and_speed(seconds: float, speed: float, more: float) -> None:
    def size(seconds: float, speed: float) -> int:
        resources = {"step_seconds": machine_with_flops(speed), "compiles": False}
        return count_parameters(decide(TrainOptions(seconds=seconds), **resources).model)

    assert size(seconds, speed) <= size(more * seconds, speed)
    assert size(seconds, speed) <= size(seconds, more * speed)


def test_explicit_model_options_are_kept_and_determine_the_steps() -> None:
    resources = {"step_seconds": machine_with_flops(1e11)}
    large = decide(TrainOptions(seconds=60.0, size="large"), **resources)
    small = decide(TrainOptions(seconds=60.0, num_layers=1, d_model=64), **resources)
    assert (large.model.num_layers, large.model.d_model) == (24, 1024)
    assert (small.model.num_layers, small.model.d_model) == (1, 64)
    assert large.steps is not None
    assert small.steps is not None
    assert large.steps < small.steps


def test_time_already_spent_is_deducted() -> None:
    options = TrainOptions(seconds=60.0, size="nano")
    early = decide(options, step_seconds=machine_with_flops(1e11)).steps
    late = decide(options, step_seconds=machine_with_flops(1e11), spent=30.0).steps
    assert early is not None
    assert late is not None
    assert late < 0.6 * early


def test_compile_needs_a_long_budget_and_a_compiler() -> None:
    def compiles(seconds: float, compiler: bool, option: bool | None = None) -> bool:
        options = TrainOptions(seconds=seconds, compile=option)
        resources = {"step_seconds": machine_with_flops(1e11), "compiles": compiler}
        return decide(options, **resources).plan.compile

    assert compiles(600.0, True)
    assert not compiles(60.0, True)
    assert not compiles(600.0, False)
    assert compiles(60.0, False, option=True)
    assert not compiles(600.0, True, option=False)


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_regularization_grows_with_epochs(one: float, other: float) -> None:
    few, many = sorted((one, other))
    less, more = regularization(few), regularization(many)
    assert all(a <= b for a, b in zip(less, more, strict=True))
    assert regularization(few + 1e-3).dropout == pytest.approx(less.dropout, abs=2e-3)  # no jumps


def test_model_too_large_to_time_is_not_chosen() -> None:
    def step_seconds(config: ModelConfig, rows: int, dtype: str) -> float:
        return 0.01 if config.d_model < 300 else math.inf

    assert decide(TrainOptions(seconds=1e6), step_seconds=step_seconds).model.d_model == 256


def test_short_time_budgets_halve_the_batch() -> None:
    def batch(**options: Any) -> int:
        decision = decide(
            TrainOptions(**options), tokens=10**5, step_seconds=machine_with_flops(1e11)
        )
        return decision.plan.batch_size * decision.model.context_length

    assert batch(seconds=60.0) == batch(seconds=600.0) // 2 == 1024
    assert batch() == 1024
    assert batch(steps=5) == 2048
    assert batch(seconds=60.0, batch_tokens=4096) == 4096


@pytest.mark.parametrize("options", [TrainOptions(steps=100), TrainOptions(seconds=600.0)])
@pytest.mark.parametrize(("context", "short"), [(32, True), (256, False)])
def test_short_pairs_get_many_small_heads_and_small_batches(
    options: TrainOptions, context: int, short: bool
) -> None:
    text = corpus()
    pairs = replace(text, training_targets=np.ones(len(text.training), np.bool_))
    asked = replace(options, context_length=context)
    of_text, of_pairs = (
        make_plan(asked, each, Resources(dtype="float32", batch_tokens=1024), vocab_size=300)
        for each in (text, pairs)
    )
    assert (of_text.plan.batch_size, of_text.model.head_dim) == (1024 // context, 64)
    if short:
        assert of_pairs.plan.batch_size == of_text.plan.batch_size // 4
    else:
        assert of_pairs.plan.batch_size == of_text.plan.batch_size
    if options.timed:  # where it is not, `for_pairs` says the shape
        assert of_pairs.model.head_dim == (16 if short else 64)


@given(st.floats(0.1, 3.0), st.floats(4e5, 1e12), st.floats(1.0, 10.0))
def test_expected_loss_falls_with_tokens(ngram: float, tokens: float, more: float) -> None:
    before, after = (expected_loss(ngram, 1.3 * ngram, n) for n in (tokens, more * tokens))
    assert before is not None
    assert after is not None
    assert before[0] < before[1]
    assert after <= before


def test_no_loss_is_predicted_below_the_measured_token_counts() -> None:
    assert expected_loss(1.5, 2.1, 1000) is None


def test_no_loss_is_predicted_for_synthetic_text() -> None:
    assert expected_loss(0.68, 1.55, 1e6) is None


def test_expected_loss_reaches_lower_where_ngrams_say_less() -> None:
    usual = expected_loss(1.5, 2.1, 1e6)
    repeats = expected_loss(1.5, 1.0, 1e6)
    characters = expected_loss(1.5, 2.1, 1e6, ngram_order=8)
    assert usual and repeats and characters
    assert characters[0] == repeats[0] < usual[0]
    assert characters[1] == repeats[1] == usual[1]


def test_a_loss_is_predicted_only_for_models_like_those_that_were_measured() -> None:
    model = decide(TrainOptions(steps=10)).model
    assert is_typical(model, "bigrams", 2.5)
    assert not is_typical(model, "random", 2.5)
    assert not is_typical(model, "bigrams", 1.0), "characters"
    assert not is_typical(replace(model, d_model=64), "bigrams", 2.5)


def test_document_mask_and_weights_cannot_be_combined() -> None:
    training = np.zeros(1000, np.uint16)
    two = TokenizedCorpus(
        training, training[:100], 2000, 200, 2, "key", ends=(500, 1000), weights=(1.0, 2.0)
    )
    with pytest.raises(UsageError, match="--document-mask"):
        make_plan(
            TrainOptions(steps=1, document_mask=True),
            two,
            Resources(dtype="float32"),
            vocab_size=300,
        )
