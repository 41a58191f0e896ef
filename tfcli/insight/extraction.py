"""What a model knows by heart: how much of its training text comes out when it is prompted with it.

Windows of the text are cut in two. Given the first half, does the model write the second? Greedily
it does where each of its tokens is the likeliest, which one forward pass shows: a passage is then
extractable (Carlini et al., 2023, arXiv 2202.07646). When tokens are drawn, from the k likeliest,
p_z is the probability that all of the second half is drawn. Among n samples it turns up with
probability 1 - (1 - p_z)^n: a passage is (n, p)-extractable where that is at least p (Hayes et al.,
2024, arXiv 2410.19482).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DataError
from tfcli.generation.sampling import keep_top_k, log_softmax, suppress_control_tokens
from tfcli.generation.scoring import LOGITS_AT_ONCE
from tfcli.insight.passages import PassageFinder, Stretch
from tfcli.insight.training_text import BORDER, Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.insight.training_text import Place
    from tfcli.text.tokenizer import SpecialTokens, Tokenizer

LENGTHS = (200, 150, 100, 75, 50, 25)  # bytes of each half: the longest that fits the context
MARGIN = 64  # bytes behind a window, so that its last token is whole
TOP_K = 40
WINDOWS = 1000
ROWS = 32  # windows in a forward pass
SAMPLES = (1, 100, 1000)  # n
CERTAINTIES = (0.5, 0.9)  # p
FREQUENCIES = ((1, 1), (2, 9), (10, None))  # how often a passage is in the text
BEHIND = b"\xfe"  # in no text, and no BORDER either


@dataclass(frozen=True)
class Window:
    """A passage cut in two, between two tokens.

    Attributes:
        prompt, target: token ids of the two halves.

    """

    prompt: list[int]
    target: list[int]
    place: Place


@dataclass(frozen=True)
class Extraction:
    """How well a model continues a window with its second half.

    Attributes:
        greedy: whether it writes all of it where the likeliest token is always taken.
        log_probability: of drawing it from the TOP_K likeliest, in nats; -inf: impossible.

    """

    greedy: bool
    log_probability: float

    def possible_in(self, samples: int, certainty: float) -> bool:
        """Whether it is (n, p)-extractable."""
        if self.log_probability == -math.inf:
            return False
        probability = min(math.exp(self.log_probability), 1.0)
        if probability == 1:
            return True
        return samples * math.log1p(-probability) <= math.log1p(-certainty)


# --- which passages -----------------------------------------------------------------------------


def choose_windows(
    blocks: Iterable[Block],
    total: int,
    tokenizer: Tokenizer,
    *,
    context: int,
    count: int = WINDOWS,
    lengths: Sequence[int] = LENGTHS,
) -> tuple[list[Window], int]:
    """Windows evenly spaced over a text, without overlap.

    Args:
        total: bytes of the text, about.
        context: how many tokens the model can read.
        lengths: that a half may have, the longest first.

    Returns:
        The windows, and how many bytes each half has, or a token more: the most that fit into the
        context and into the documents. No windows for a text that is too short.

    """
    longest = 2 * lengths[0] + MARGIN
    count = max(1, min(count, total // longest))
    starts = [total * number // count for number in range(count)]
    cut = list(_cut(blocks, starts, longest))
    for length in lengths:
        windows = [
            window for data, place in cut if (window := _halves(data, place, tokenizer, length))
        ]
        # that of one document is shorter, and of another it takes more tokens
        fitting = [w for w in windows if len(w.prompt) + len(w.target) <= context]
        if fitting and 2 * len(fitting) > len(cut):
            return fitting, length
    return [], lengths[-1]


def _cut(
    blocks: Iterable[Block], starts: Sequence[int], size: int
) -> Iterator[tuple[bytes, Place]]:
    """The bytes from some positions of the text on, as many as there are in their document."""
    waiting = list(reversed(starts))
    begin = 0  # of the block, in the text
    for block in blocks:
        while waiting and waiting[-1] - begin < len(block.data):
            position = waiting.pop() - begin
            position = max(0, min(position, len(block.data) - size))
            if (border := block.data.find(BORDER, position, position + size)) >= 0:
                # the document that begins behind it, or else the end of this one
                behind = block.data.find(BORDER, border + 1)
                if behind - border > size or border - position < size // 2:
                    position = border + 1
            while position < len(block.data) and block.data[position] & 0xC0 == 0x80:
                position += 1
            data = block.data[position : position + size].partition(BORDER)[0]
            if data:
                yield data, block.place(position)
        begin += len(block.data)


def _halves(data: bytes, place: Place, tokenizer: Tokenizer, length: int) -> Window | None:
    """Cuts a passage behind the tokens that complete each half; None if it is too short."""
    text = data[: 2 * length + MARGIN].decode(errors="ignore")
    ids = tokenizer.encode(text)
    ends = np.cumsum([len(tokenizer.token_bytes[i]) for i in ids]) - len(tokenizer.prefix.encode())
    first, last = (np.searchsorted(ends, [length, 2 * length]) + 1).tolist()
    if last > len(ids):
        return None
    return Window(ids[:first], ids[first:last], place)


# --- what the model makes of them ---------------------------------------------------------------


def extract(
    engine: Engine,
    windows: Sequence[Window],
    special: SpecialTokens,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Extraction]:
    """How well a model continues each window, as `generate` does: nothing else is suppressed.

    Args:
        engine: with ROWS rows at least.
        progress: is told how many windows are done.

    Raises:
        DataError: the tokenizer has neither `bos` nor `eos` for a text to follow.

    """
    before = special.bos if special.bos is not None else special.eos
    if before is None:
        raise DataError("the tokenizer has neither bos nor eos, so no text can begin")
    found: list[Extraction] = []
    longest = max((len(w.prompt) + len(w.target) for w in windows), default=1)
    rows = max(1, min(ROWS, LOGITS_AT_ONCE // engine.vocab_size // longest))
    for start in range(0, len(windows), rows):
        group = windows[start : start + rows]
        inputs = [[before, *window.prompt, *window.target[:-1]] for window in group]
        for row in range(len(group)):
            engine.reset(row)
        logits = engine.forward_all(range(len(group)), inputs)
        end = 0
        for window, own in zip(group, inputs, strict=True):
            end += len(own)
            found.append(_measure(logits[end - len(window.target) : end], window.target, special))
        progress(len(found))
    return found


def _measure(logits: Any, target: Sequence[int], special: SpecialTokens) -> Extraction:
    """From the logits before each token of the second half, (tokens, V)."""
    allowed = suppress_control_tokens(logits, special)
    places = np.arange(len(target))
    greedy = bool((allowed.argmax(-1) == target).all())
    with np.errstate(divide="ignore"):
        logprobs = log_softmax(keep_top_k(allowed, TOP_K))[places, target]
    return Extraction(greedy, float(logprobs.sum()))


def count_occurrences(texts: Sequence[bytes], blocks: Iterable[Block]) -> list[int]:
    """How often the training text has each of some texts, of 16 bytes at least."""
    together = BEHIND.join(texts) + BEHIND
    stretches, begin = [], 0
    for text in texts:
        stretches.append(Stretch(begin, begin + len(text)))
        begin += len(text) + 1
    finder = PassageFinder(together, stretches, lambda position: position, most=0)
    for block in blocks:
        finder.add(block)
    finder.finish()
    return [stretch.count for stretch in stretches]
