"""Making the memory of a run: the index of its training text, and the weights of the mixture.

The weights are fitted on training text, never on held-out text. What the model was trained on it
predicts better than anything new, so weights fitted there trust it too much. `train --memory`
therefore keeps a small slice of the training text out of the training: the weights are fitted on
that, with an index that lacks it, and then it enters the index as well. A run without such a slice
gets weights from parts of the text that it was trained on, each place counted as if it were not in
the index; there the usual weights count for much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfcli.generation import scoring
from tfcli.generation.memory_engine import MemoryEngine, open_mixture
from tfcli.generation.mixing import fit_weights, gather
from tfcli.generation.sampling import log_softmax
from tfcli.generation.scoring import LOGITS_AT_ONCE, Window
from tfcli.runs.memory import SCHEMA, Memory, MemoryLoss, read_memory
from tfcli.text.kneser_ney import KneserNey
from tfcli.text.ngram_index import build_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.generation.engines.engine import Engine, Logits
    from tfcli.generation.mixing import Experts, Weights
    from tfcli.runs.run import Run
    from tfcli.text.ngram_index import NgramIndex
    from tfcli.text.token_cache import TokenizedCorpus, Tokens
    from tfcli.text.tokenizer import Tokenizer

ROWS = 16  # windows that are read at a time
# The weights are fitted on at most so many tokens, and this share of the training text.
KEPT_TOKENS, KEPT_SHARE = 4096, 0.05
FIT_NUMBERS = 1 << 24  # tokens times V in a fit, at most: three arrays of 64 MB
EVALUATED_TOKENS = 1 << 14  # of the held-out text
STAGES = 3  # of making a memory
# How many tokens the usual weights speak for, where the text is new to the model and where not
PRIOR = {"kept_out": 50.0, "trained_on": 16_000.0}


def kept_out(tokens: int, vocab_size: int) -> int:
    """How many of the last tokens of a training text are kept out to fit the weights on."""
    wanted = min(KEPT_TOKENS, FIT_NUMBERS // vocab_size)
    return min(wanted, int(KEPT_SHARE * tokens))


def open_memory_engine(engine: Engine, run: Run, *, rows: int) -> MemoryEngine:
    """An engine of a run's model, with the run's memory.

    Raises:
        NotFoundError, DamagedError: there is none, or it is damaged.

    """
    index, memory = read_memory(run)
    ngrams = KneserNey(index, memory.discounts)
    return MemoryEngine(engine, ngrams, memory.matrix, bos=run.tokenizer().special.bos, rows=rows)


def make_memory(
    run: Run,
    corpus: TokenizedCorpus,
    engine: Engine,
    *,
    step: int,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[NgramIndex, Memory]:
    """Indexes the training text of a run, fits the weights, and measures what they gain.

    Args:
        corpus: all of its text, also what the run kept out of its training.
        engine: with the model of a step, for `ROWS` rows.
        progress: told of each of the `STAGES` that is done.

    """
    tokenizer, vocab_size = run.tokenizer(), run.model_config.vocab_size
    eos = tokenizer.special.eos
    assert eos is not None, "a text was tokenized with it"
    training = np.asarray(corpus.training[:])
    trained = run.corpus.training_tokens

    def index_of(tokens: Tokens) -> NgramIndex:
        return build_index(tokens, vocab_size=vocab_size, eos=eos, text=corpus.key)

    reader = _Reader(engine, tokenizer)
    how: Literal["kept_out", "trained_on"] = "kept_out"
    if trained < len(training):
        windows = reader.windows(trained, len(training))
        parts = [*reader.experts(training, windows, KneserNey(index_of(training[:trained])))]
        index = index_of(training)
    else:
        how, index = "trained_on", index_of(training)
        count = min(KEPT_TOKENS, FIT_NUMBERS // vocab_size)
        windows = reader.spread(len(training), count, index.order - 1)
        parts = [*reader.experts(training, windows, KneserNey(index), leave_out=True)]
    progress(1)
    ngrams = KneserNey(index)
    weights = fit_weights(parts, prior=PRIOR[how])
    progress(2)
    memory = Memory(
        schema=SCHEMA, text=corpus.key, tokens=len(training), step=step,
        discounts=tuple(map(tuple, ngrams.discounts)),
        weights=tuple(map(tuple, weights.round(6).tolist())), fitted_on=how,
        fitted_tokens=sum(len(tokens) for _, tokens in parts),
        held_out=measure_memory(engine, tokenizer, ngrams, weights, corpus.held_out),
    )  # fmt: skip
    progress(STAGES)
    return index, memory


def measure_memory(
    engine: Engine,
    tokenizer: Tokenizer,
    ngrams: KneserNey,
    weights: Weights,
    text: Tokens,
    *,
    limit: int | None = EVALUATED_TOKENS,
) -> MemoryLoss | None:
    """The loss without and with a memory, both on the same tokens of a text.

    Args:
        limit: about how many tokens to take, evenly spaced; None: all.

    Returns:
        None for a text without bytes.

    """
    reader = _Reader(engine, tokenizer)
    stream = np.asarray(text)
    windows = reader.windows(0, len(stream))
    some = windows if limit is None else windows[:: -(-len(stream) // limit) or 1]
    mixture = open_mixture(ngrams, weights)
    alone = mixed = 0.0
    own: list[int] = []
    for logits, histories, tokens in reader.scored(stream, some, ngrams.index.order - 1):
        rows = np.arange(len(tokens))
        alone -= float(log_softmax(logits)[rows, tokens].sum())
        mixed -= float(log_softmax(mixture.mix(logits, histories))[rows, tokens].sum())
        own += tokens.tolist()
    size = sum(len(tokenizer.token_bytes[token]) for token in own)
    if not size:
        return None
    return MemoryLoss(
        nats_per_byte=mixed / size, weights_alone=alone / size, bytes=size, tokens=len(own),
        context=engine.context_length, stride=reader.stride, whole=len(some) == len(windows),
    )  # fmt: skip


class _Reader:
    """What a model and the n-grams say of the tokens of a text, window by window.

    Args:
        engine: for `ROWS` rows.

    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer) -> None:
        self._engine, self._special = engine, tokenizer.special
        self.context = engine.context_length
        self.stride = max(1, self.context // 2)

    def windows(self, begin: int, end: int) -> list[Window]:
        """Windows in which each token of [begin, end) is scored once, after what is before it."""
        starts = range(begin, end, self.stride)
        return [
            Window(0, max(0, at + self.stride - self.context), at, min(at + self.stride, end))
            for at in starts
        ]

    def spread(self, length: int, count: int, longest: int) -> list[Window]:
        """Evenly spaced windows of a text, in which about so many tokens are scored.

        Args:
            longest: how many tokens there are at least before each of them.

        """
        every = [window for window in self.windows(0, length) if window.scored >= longest]
        return every[:: -(-len(every) * self.stride // count) or 1]

    def experts(
        self,
        text: Tokens,
        windows: Sequence[Window],
        ngrams: KneserNey,
        *,
        leave_out: bool = False,
    ) -> Iterator[tuple[Experts, Any]]:
        """The experts after the contexts of each scored token, and those tokens.

        Args:
            leave_out: whether the text is in the index: each token counts as if it were not.

        """
        for logits, histories, tokens in self.scored(text, windows, ngrams.index.order - 1):
            following = [
                ngrams.after(history, without=token if leave_out else None)
                for history, token in zip(histories, tokens.tolist(), strict=True)
            ]
            yield gather(logits, following), tokens

    def scored(
        self, text: Tokens, windows: Sequence[Window], longest: int
    ) -> Iterator[tuple[Logits, list[list[int]], Any]]:
        """The model's logits, (T, V), after the contexts of scored tokens; these; those, (T,).

        Args:
            longest: how many tokens of each context are wanted, at most.

        """
        for group in scoring.groups(windows, ROWS, LOGITS_AT_ONCE // self._engine.vocab_size):
            local = [_cut_out(text, window, longest) for window in group]
            inputs = [scoring.window_inputs(*each, self._special) for each in local]
            for row in range(len(group)):
                self._engine.reset(row)
            logits = self._engine.forward_all(range(len(group)), inputs)
            first = 0
            for (stream, window), own in zip(local, inputs, strict=True):
                places = range(window.scored, window.end)
                histories = [stream[max(0, at - longest) : at] for at in places]
                scored = logits[first + window.scored - window.begin : first + len(own)]
                tokens = np.array(stream[window.scored : window.end])
                yield np.asarray(scored, np.float32), histories, tokens
                first += len(own)


def _cut_out(text: Tokens, window: Window, longest: int) -> tuple[list[int], Window]:
    """The part of a text that a window and the contexts in it need, and the window in that part."""
    first = max(0, min(window.begin - 1, window.scored - longest))
    moved = Window(window.text, window.begin - first, window.scored - first, window.end - first)
    return text[first : window.end].tolist(), moved
