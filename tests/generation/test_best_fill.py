"""The best of several candidates makes the likeliest text, as `Scorer` finds it."""

from __future__ import annotations

import pytest

from tests.conftest import Shell
from tfcli.generation.best_fill import BestFiller
from tfcli.generation.fill_request import FillRequest
from tfcli.generation.filling import Filler, FillJob, infill_tokens_of
from tfcli.generation.gaps import parse_gaps
from tfcli.generation.generate import RequestList
from tfcli.generation.open_engine import open_engine
from tfcli.generation.scorer import Scorer
from tfcli.runs.run import open_run
from tfcli.runs.valid_steps import best_valid_step


@pytest.mark.parametrize("text", ["Ann saw [] at noon.", "Bob s[3]w two", "[] in the snow.\n"])
@pytest.mark.parametrize("shortest", [0, 2])
def test_it_is_the_likeliest_of_all_candidates_wherever_they_end(
    gaps: Shell, text: str, shortest: int
) -> None:
    run = open_run(gaps.folder / "checkpoints" / "gaps")
    step = best_valid_step(run, on_damaged=print)
    assert step is not None
    engine = open_engine(run, step, device="cpu", rows=4)
    tokenizer = run.tokenizer()
    filler = Filler(engine, tokenizer, infill_tokens_of(run, tokenizer), rows=4)
    request = FillRequest(
        text=parse_gaps(text), seed=3, best_of=4, max_new_tokens=6, min_new_tokens=shortest
    )
    before, after = request.text.parts
    fillings = {
        ending.text
        for candidate in filler.candidates(FillJob(request), 4)
        for ending in candidate.endings(max(1, shortest))
    }
    scorer = Scorer(engine, tokenizer, rows=4)
    texts = {filling: before + filling + after for filling in fillings}
    scores = zip(texts, scorer.score(list(texts.values())), strict=True)
    likeliest = min(scores, key=lambda scored: scored[1].nats)[0]
    *_, event = BestFiller(filler, engine, tokenizer).fill(RequestList([request]))
    assert len(fillings) > 4
    assert event.job.gaps[0].text == likeliest
    assert event.job.filled() == before + likeliest + after
