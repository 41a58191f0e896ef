"""The numbers of the tour are those of the forward pass, and its code is the code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exchange.conftest import SHAPES, make_run, tokenizer
from tfcli.cli.tour.step import END, TERM, Picture, Step, Table
from tfcli.cli.tour.tour import all_steps
from tfcli.errors import DataError
from tfcli.generation.request import Sampling
from tfcli.generation.sampling import choose_tokens, row_random
from tfcli.insight import forward
from tfcli.insight.code_lines import code_lines
from tfcli.insight.forward import Model
from tfcli.insight.tour import MOST_TOKENS, OWN_TOKENS, Tour, follow, tour_tokens
from tfcli.runs.weights import map_weights

__all__ = ["make_run", "tokenizer"]

ROOT = Path(__file__).parent.parent.parent
FORWARD = "tfcli/insight/forward.py"
TEXT = "The old fox saw a ship"
ALL: dict[str, dict[str, Any]] = {
    **SHAPES,
    "llama, sliding window": {"family": "llama", "sliding_window": 4},
    "modern, wide heads": {"family": "modern", "head_dim": 48},
    "classic": {"family": "classic"},
}


@pytest.fixture(params=ALL)
def tour(request: Any, make_run: Any, tokenizer: Any) -> Tour:
    run, step, _ = make_run(**ALL[request.param])
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    return follow(model, tokenizer, tour_tokens(model, tokenizer, TEXT)[0])


def words(steps: list[Step]) -> str:
    return "\n".join(paragraph for step in steps for paragraph in step.said)


def test_every_step_shows_code_that_is_there(tour: Tour) -> None:
    for step in all_steps(tour):
        assert step.code, step.title
        for code in step.code:
            source = (ROOT / code.file).read_text().splitlines()
            for number, text in code.lines:
                line = source[number - 1].strip()
                assert text.strip(), step.title
                assert line.startswith(text.strip()), (step.title, text)
                assert line == text.strip() or line[len(text.strip()) :].startswith("  # type:")
    middle = all_steps(tour)[1:-2]
    assert {code.file for step in middle for code in step.code} == {FORWARD}


def test_a_statement_that_is_no_longer_there_is_an_error() -> None:
    with pytest.raises(LookupError, match="queries and keys"):
        code_lines(Model.attention, "queries and keys")
    code = code_lines(forward.softmax)
    assert [text for _, text in code.lines] == [
        "powers = np.exp(scores - scores.max(-1, keepdims=True))",
        "return powers / powers.sum(-1, keepdims=True)",
    ]


def test_the_words_are_those_of_the_family(tour: Tour) -> None:
    config, steps = tour.model.config, all_steps(tour)
    said = words(steps)
    titles = [step.title for step in steps]
    rotary = config.positions == "rotary"
    assert ("rotary" in said) == rotary
    assert (titles.index("Positions") > titles.index("Queries, keys, values")) == rotary
    assert ("learned like the first one" in said) == (config.positions == "learned")
    assert ("sines and cosines of t" in said) == (config.positions == "sinusoidal")
    assert ("LayerNorm" in said) == (config.norm == "layer_norm")
    assert ("gate" in said) == (config.feed_forward == "swiglu")
    assert ("grouped queries" in said) == (config.num_kv_heads < config.num_heads)
    assert ("QK-norm" in said) == config.qk_norm
    assert ("(tied)" in said) == config.tied_head
    for defined in ("query", "key", "value", "residual stream", "token", "embedding", "vector",
                    "attention", "score", "Softmax", "head", "feed-forward", "logits",
                    "temperature", "loss"):  # fmt: skip
        assert f"{TERM}{defined}" in said, defined
    assert said.count(TERM) == said.count(END)


def test_figures_have_as_many_cells_as_headings(tour: Tour) -> None:
    for step in all_steps(tour):
        for figure in step.figures:
            if isinstance(figure, Table):
                assert {len(row) for row in figure.rows} == {len(figure.headings)}, figure.caption
                assert all(0 <= place < len(figure.rows) for place in figure.marked)
            else:
                assert isinstance(figure, Picture)
                assert np.isfinite(figure.values).all()
                assert not figure.rows or len(figure.rows) == len(figure.values)


def test_the_draw_is_that_of_generate(tour: Tour) -> None:
    logits = tour.values.logits[-1]
    special = tour.tokenizer.special
    expected = choose_tokens(logits[None], Sampling(), [row_random(0)], special)
    drawn = tour.draw
    assert drawn.token == expected[0]
    low, high = drawn.interval(drawn.token)
    assert low <= drawn.number < high
    assert drawn.kept.sum() == pytest.approx(1)
    assert not drawn.kept[list(special.suppressed)].any()
    kept = drawn.kept > 0
    assert drawn.tempered[kept].min() >= 0.05 * drawn.tempered.max() * (1 - 1e-9)
    assert (drawn.tempered[~kept] < 0.05 * drawn.tempered.max()).all()


def test_rotation_leaves_the_score_that_attention_had(tour: Tour) -> None:
    if tour.positions is not None:
        rest = tour.values.embedded - tour.positions
        scale = 1 if tour.model.config.positions == "learned" else 8
        table = tour.model.weights["embedding.weight"]
        assert rest == pytest.approx(table[tour.ids] * scale, abs=1e-5)
        return
    score = tour.block.attention.scores[tour.head, tour.here, tour.looked_at]
    for shift in (0, 1, 7):
        assert tour.rotated_score(shift) == pytest.approx(score, rel=1e-4, abs=1e-4)


def test_texts_of_the_tour(make_run: Any, tokenizer: Any) -> None:
    run, step, _ = make_run("modern")
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    ids, left_out = tour_tokens(model, tokenizer, "Nobody saw a ship. " * 9)
    assert len(ids) == MOST_TOKENS
    assert left_out == 1 + len(tokenizer.encode("Nobody saw a ship. " * 9)) - MOST_TOKENS
    own, left_out = tour_tokens(model, tokenizer, None)
    assert 2 <= len(own) <= OWN_TOKENS + 1
    assert left_out == 0
    assert own == tour_tokens(model, tokenizer, None)[0]
    with pytest.raises(DataError, match="too short"):
        tour_tokens(model, tokenizer, "")


def test_a_tour_may_be_two_tokens_long(make_run: Any, tokenizer: Any) -> None:
    run, step, _ = make_run("gpt2")
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    steps = all_steps(follow(model, tokenizer, [1, 40]))
    assert len(steps) == 14


def test_queries_and_keys_are_what_the_formula_gives(tour: Tour) -> None:
    step = next(each for each in all_steps(tour) if each.title == "Queries, keys, values")
    model, config = tour.model, tour.model.config
    x = tour.block.attention.normed
    rows = step.figures[0].rows
    for row, kind, place, head in (
        (rows[0], "query", tour.here, tour.head),
        (rows[1], "key", tour.looked_at, tour.kv_head),
    ):
        name = f"blocks.0.attention.{kind}"
        expected = x[place] @ model.weights[f"{name}.weight"].T
        assert (f"{name}.bias" in model.weights) == ("+ b" in step.formula)
        expected = expected + model.weights.get(f"{name}.bias", 0)
        expected = expected.reshape(-1, config.head_dim)[head]
        assert config.qk_norm == (f"{kind[0]} = norm(" in step.formula)
        if config.qk_norm:
            root = np.sqrt(np.mean(expected**2) + config.norm_epsilon)
            expected = expected / root * model.weights[f"{name}_norm.weight"]
        shown = [float(cell.replace("−", "-")) for cell in row[1:]]
        assert shown == pytest.approx(expected[: len(shown)].tolist(), abs=6e-4)


def test_the_tour_says_what_else_the_run_was_trained_to_do(tour: Tour) -> None:
    both = replace(tour, masked=0.5)
    assert "both ways" not in words(all_steps(tour))
    assert "50 % of the rows that this run was trained on were read both ways" in words(
        all_steps(both)
    )


def test_single_bytes_are_explained(make_run: Any, tokenizer: Any) -> None:
    run, step, _ = make_run(**SHAPES["modern, tied"])
    model = Model(run.model_config, map_weights(run.model_config, step.path))
    for text, there in (("fox", False), ("fox ж", True)):
        said = words(all_steps(follow(model, tokenizer, tour_tokens(model, tokenizer, text)[0])))
        assert ("“<0xD0>” is one byte of a character that is not in the vocab" in said) == there
