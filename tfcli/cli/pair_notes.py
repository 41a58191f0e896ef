"""What `train` says of pairs: how many there are, which are too long, and what counts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.quantities import counted, percent
from tfcli.text.escapes import escape

if TYPE_CHECKING:
    from tfcli.text.pairs import PairForm
    from tfcli.training.pairs import PairTokens
    from tfcli.training.setup import TrainingJob

NAMED = 3  # pairs that are named
SHOWN = 400  # characters of a run of tokens that are shown of an example
COUNTED, IGNORED, RESET = "\033[32m", "\033[2m", "\033[0m"


def count_pairs(job: TrainingJob) -> dict[str, Any] | None:
    """The pairs of a job in figures, for `--json`; None: it trains on text."""
    pairs = job.pairs()
    if pairs is None:
        return None
    context = job.model_config.context_length
    held_out = job.held_out_pairs()
    return {
        "training": len(pairs),
        "held_out": len(held_out),
        "longest": int(pairs.lengths.max(initial=0)),
        "longer_than_context": len(pairs) - len(pairs.that_fit(context)),
        "held_out_longer_than_context": len(held_out) - len(held_out.that_fit(context)),
        "answer_share": float(pairs.is_target.mean()),
        "prompt_loss": job.plan.prompt_loss or 0.0,
    }


def describe_pairs(job: TrainingJob) -> list[str]:
    """The same in sentences; the pairs that are left out are named."""
    import numpy as np

    figures, pairs = count_pairs(job), job.pairs()
    if figures is None or pairs is None:
        return []
    weight = figures["prompt_loss"]
    prompts = f", prompts at {weight:g} of them" if weight else ""
    lines = [
        f"Pairs: {figures['training']:,} to learn, {figures['held_out']:,} held out; at most "
        f"{figures['longest']:,} tokens. The loss is of the answers and their ends, "
        f"{percent(figures['answer_share'])} of the tokens{prompts}."
    ]
    context = job.model_config.context_length
    for name, every in (("", pairs), ("held-out ", job.held_out_pairs())):
        long = np.flatnonzero(every.lengths > context)
        if len(long):
            named = ", ".join(_named(job, every, int(place)) for place in long[:NAMED])
            more = ", ..." if len(long) > NAMED else ""
            lines.append(
                f"Warning: left out {counted(len(long), f'{name}pair')} longer than the context of "
                f"{context:,} tokens: {named}{more} (--context-length)."
            )
    return lines


def note_shared_prompts(job: TrainingJob) -> str | None:
    """What to say where a text that was given to be held out has prompts that are trained on."""
    import numpy as np

    pairs, held_out = job.pairs(), job.held_out_pairs()
    if pairs is None:
        return None
    shared = int(np.isin(held_out.prompt_hashes(), pairs.prompt_hashes()).sum())
    if not shared:
        return None
    return (
        f"Warning: {shared:,} of {counted(len(held_out), 'held-out pair')} have a prompt that is "
        "trained on too, so the held-out loss looks better than it is."
    )


def _named(job: TrainingJob, pairs: PairTokens, place: int) -> str:
    start, length = int(pairs.starts[place]), int(pairs.lengths[place])
    ids = pairs.tokens[start : start + min(length, 40)].tolist()
    text = job.tokenizer.decode(ids).decode(errors="ignore")[:24]
    return f"{escape(text)!r} ({length:,} tokens)"


def first_prompt(job: TrainingJob, form: PairForm) -> str:
    """A prompt that is held out, or else the first one, as a person would type it."""
    pairs = job.held_out_pairs()
    if not len(pairs):
        training = job.pairs()
        assert training is not None, "asked only of pairs"
        pairs = training
    own = slice(int(pairs.starts[0]), int(pairs.starts[0]) + int(pairs.lengths[0]))
    ids = pairs.tokens[own][~pairs.is_target[own]].tolist()
    framed = job.tokenizer.decode(ids).decode(errors="ignore")
    if form.kind == "pairs":
        return framed.removesuffix(form.separator)
    return framed.partition(form.separator)[0].partition(": ")[2]


def show_example(job: TrainingJob) -> None:
    """A row of the first step on stdout, as it is trained on, with what counts in color."""
    import numpy as np

    color = streams.wants_color(sys.stdout)
    examples = job.sampler().examples(0)
    ids, counts = examples.ids[0], examples.is_target[0]
    last = int(np.flatnonzero(counts)[-1])
    runs: list[tuple[bool, list[int]]] = []
    for token, is_target in zip(ids[: last + 1].tolist(), counts.tolist(), strict=False):
        if not runs or runs[-1][0] != is_target:
            runs.append((is_target, []))
        runs[-1][1].append(token)
    marks = (COUNTED, RESET) if color else ("[", "]")
    others = (IGNORED, RESET) if color else ("", "")
    shown = [
        text.join(marks if is_target else others)
        for is_target, text in ((is_target, _spelled(job, run)) for is_target, run in runs)
    ]
    how = "in color" if color else "in brackets"
    lines = f"A row as the model reads it; the loss is of what is {how}:\n  {''.join(shown)}\n"
    streams.write_result(lines.encode())


def _spelled(job: TrainingJob, ids: list[int]) -> str:
    """Tokens as text on one line, `<s>` and `</s>` by their names."""
    special = job.tokenizer.special
    names = {special.eos: "</s>", special.bos: "<s>"}
    text, waiting = "", []
    for token in [*ids, None]:
        if token is not None and token not in names:
            waiting.append(token)
            continue
        text += escape(job.tokenizer.decode_continuation(waiting).decode(errors="replace"))
        text, waiting = text + (names[token] if token is not None else ""), []
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} ... {text[-SHOWN // 2 :]}"
