"""What a model writes with each way to choose a token, compared with the real text.

    python -m benchmarks.sampling TEXT RUN [--count 60] [--setting temperature=0.7,min_p=0.1]
    python -m benchmarks.sampling DEMO.jsonl RUN --grammar en
    python -m benchmarks.sampling TEXT RUN --python
    python -m benchmarks.sampling TEXT RUN --characters

RUN is a run that was trained on TEXT. It continues `count` places of the held-out text, always the
same ones, each with a seed of its own; the row "the text itself" is what follows them there. With
`--grammar`, RUN tells stories from the beginning instead, which are compared with the demo's own.

- new words: share of words that the training text does not have, case apart; the first and the
  last of a text, which may be cut, do not count. With `--characters`, for scripts without spaces,
  every three characters in a row count as a word
- new pairs: the same of two words in a row
- repeated: share of the 4-grams of words that were in the same text before (seq-rep-4 of Welleck et
  al., "Neural Text Generation with Unlikelihood Training", 2019)
- variety: different words among 1,000 in a row, of all texts together
- valid: with `--grammar`, the share of sentences that could go on the story that they are in; it is
  followed to the first that could not. With `--python`, the share of lines that Python tokenizes

After each is its standard error, texts being independent of each other.
"""

from __future__ import annotations

import io
import math
import random
import re
import tempfile
import tokenize
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import make_run, number_tokenizer
from benchmarks.told_stories import told_length
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.generation.request import GenerationRequest, Sampling
from tfcli.model.config import named_config
from tfcli.options import make_options, options_of
from tfcli.runs.run import find_run
from tfcli.stories import LANGUAGES, load_grammar
from tfcli.text.corpus import open_corpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.runs.run import Run
    from tfcli.text.chunks import Chunk
    from tfcli.text.corpus import Corpus

WORDS = 100  # compared of each text that continues a prompt
FOLLOWING = 20 * WORDS  # characters of the real text, which hold as many
PROMPT = 200  # characters
STORY_TOKENS = 600  # no story has as many
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
SENTENCE_END = re.compile(r"[.!?]['\"”»]?(?=\s|$)")
EVERYTHING = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0}
SETTINGS = (
    "greedy=true", "temperature=1", "temperature=0.8", "temperature=0.7", "temperature=0.6",
    "temperature=0.8,top_k=40", "temperature=0.8,top_p=0.95", "temperature=0.8,top_p=0.9",
    "temperature=1,min_p=0.1", "temperature=1,min_p=0.2", "temperature=0.8,min_p=0.05",
    "temperature=0.8,min_p=0.1", "temperature=0.8,min_p=0.2", "temperature=0.7,min_p=0.05",
    "temperature=0.7,min_p=0.1", "temperature=0.6,min_p=0.1", "temperature=1,typical_p=0.9",
    "temperature=0.8,typical_p=0.9", "temperature=1,top_p=0.95,min_p=0.05",
    "temperature=0.8,top_p=0.8", "temperature=0.7,top_p=0.9", "temperature=0.9,min_p=0.1",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A text to be judged.

    Attributes:
        words: in lower case; if the text is cut, without the first and the last.

    """

    text: str
    words: list[str]


def spaced_words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return WORD.findall(text.lower())


def three_characters(text: str) -> list[str]:
    """All overlapping sequences of three characters that are no white space."""
    text = "".join(text.split())
    return [text[place : place + 3] for place in range(len(text) - 2)]


class Material:
    """What samples are compared with, and where they begin.

    Args:
        count: how many places.
        stories: whether a sample is a whole document.
        find_words: in a text.

    """

    def __init__(
        self, corpus: Corpus, count: int, *, stories: bool, find_words: Callable[[str], list[str]]
    ) -> None:
        self.stories, self._find_words = stories, find_words
        self.words: set[str] = set()
        self.pairs: set[tuple[str, str]] = set()
        for document in _documents(corpus.training()):
            words = find_words(document)
            self.words.update(words)
            self.pairs.update(pairwise(words))
        held_out = list(_documents(corpus.held_out()))
        if stories:
            self.prompts = [""] * count
            self.real = [self.sample(text, complete=True) for text in held_out[:count]]
            return
        self.prompts, self.real = [], []
        text = "".join(held_out)
        random_number = random.Random(1)
        for _ in range(count):
            start = random_number.randrange(PROMPT, len(text) - FOLLOWING)
            end = next(WORD.finditer(text, start)).end()
            self.prompts.append(text[end - PROMPT : end])
            self.real.append(self.sample(text[end : end + FOLLOWING], complete=False))

    def sample(self, text: str, *, complete: bool) -> Sample:
        """A text to be judged, and whether it goes on to its end."""
        words = self._find_words(text)
        return Sample(text, words if complete else words[1:-1][:WORDS])


def _documents(chunks: Iterable[Chunk]) -> Iterator[str]:
    parts = []
    for chunk in chunks:
        parts.append(chunk.data.decode())
        if chunk.last:
            yield "".join(parts)
            parts = []
    if parts:
        yield "".join(parts)


class Writer:
    """A run's best model."""

    def __init__(self, run: Run, rows: int, *, stories: bool) -> None:
        tokenizer = run.tokenizer()
        _, engine = open_best(
            run, None, lambda step: open_engine(run, step, rows=rows), on_damaged=lambda _: None
        )
        self._generator = Generator(engine, tokenizer, rows=rows, many_documents=stories)
        self._encode = tokenizer.encode

    def write(self, sampling: Sampling, material: Material) -> list[Sample]:
        """A text after each prompt."""
        length = STORY_TOKENS
        if not material.stories:  # room for twice as many tokens as the real text has
            real = "".join(sample.text for sample in material.real)
            words = len(material.sample(real, complete=True).words)
            length = 2 * WORDS * len(self._encode(real)) // words
        requests = [
            GenerationRequest(prompt=prompt, sampling=sampling, seed=seed, max_new_tokens=length)
            for seed, prompt in enumerate(material.prompts)
        ]
        written = [bytearray() for _ in requests]
        ended = [False] * len(requests)
        for event in self._generator.stream(RequestList(requests)):
            written[event.index] += event.data
            if not isinstance(event, TokenEvent):
                ended[event.index] = material.stories and event.reason == "eos"
        texts = [text.decode(errors="ignore") for text in written]
        return [
            material.sample(text, complete=complete)
            for text, complete in zip(texts, ended, strict=True)
        ]


# --- what is measured ---------------------------------------------------------------------------

Share = tuple[int, int]  # how many of how many


def new_words(sample: Sample, material: Material) -> Share:
    """Words that the training text does not have."""
    return sum(word not in material.words for word in sample.words), len(sample.words)


def new_pairs(sample: Sample, material: Material) -> Share:
    """Two words in a row that it does not have so."""
    pairs = list(pairwise(sample.words))
    return sum(pair not in material.pairs for pair in pairs), len(pairs)


def repeated(sample: Sample) -> Share:
    """4-grams of words that were there before."""
    words = sample.words
    grams = [tuple(words[place : place + 4]) for place in range(len(words) - 3)]
    return len(grams) - len(set(grams)), len(grams)


def told(sample: Sample, language: str) -> Share:
    """Sentences of a story up to the first that the grammar would not have told there."""
    length = told_length(load_grammar(language), sample.text)
    right = len(SENTENCE_END.findall(sample.text[:length]))
    went_wrong = length < len(sample.text.rstrip())
    return right, right + went_wrong


def tokenized(sample: Sample) -> Share:
    """Whole lines that are valid tokens of Python."""
    lines = [line.strip() for line in sample.text.split("\n")[1:-1] if line.strip()]
    return sum(map(_is_python, lines)), len(lines)


def _is_python(line: str) -> bool:
    try:
        found = list(tokenize.generate_tokens(io.StringIO(f"{line}\n").readline))
    except (tokenize.TokenError, SyntaxError):
        return False
    return all(token.type != tokenize.ERRORTOKEN for token in found)


def variety(samples: Sequence[Sample]) -> str:
    """Different words among 1,000."""
    words = [word for sample in samples for word in sample.words]
    if not words:
        return "-"
    size = min(1000, len(words))
    counts = [
        1000 * len(set(words[start : start + size])) / size
        for start in range(0, len(words) - size + 1, size)
    ]
    error = np.std(counts, ddof=1) / math.sqrt(len(counts)) if len(counts) > 1 else 0
    return f"{np.mean(counts):.0f} ± {error:.0f}"


def percent(shares: Iterable[Share]) -> str:
    """The share of all samples together, with its standard error, in percent."""
    counts, totals = np.array(list(shares), float).T
    total = max(totals.sum(), 1)
    share = counts.sum() / total
    error = math.sqrt(((counts - share * totals) ** 2).sum()) / total
    return f"{100 * share:.2f} ± {100 * error:.2f}"


def measure(
    samples: Sequence[Sample], material: Material, valid: Callable[[Sample], Share] | None
) -> list[str]:
    """The cells of a row."""
    return [
        f"{sum(len(sample.words) for sample in samples):,}",
        percent(new_words(sample, material) for sample in samples),
        percent(new_pairs(sample, material) for sample in samples),
        percent(map(repeated, samples)),
        variety(samples),
        percent(map(valid, samples)) if valid else "-",
    ]


# --- the command --------------------------------------------------------------------------------


def parse_setting(text: str) -> Sampling:
    """`temperature=0.7,min_p=0.1`; what is not named is off."""
    given = dict(item.split("=") for item in text.split(","))
    known = options_of(Sampling)
    values = {name: known[name].parse_text(value) for name, value in given.items()}
    return make_options(Sampling, {**EVERYTHING, **values})


def rows(
    writer: Writer,
    material: Material,
    settings: Sequence[str],
    valid: Callable[[Sample], Share] | None,
) -> Iterator[list[str]]:
    """The rows of the table."""
    yield ["the text itself", *measure(material.real, material, valid)]
    for setting in settings:
        samples = writer.write(parse_setting(setting), material)
        yield [setting.replace(",", ", "), *measure(samples, material, valid)]


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = new_parser(__doc__)
    parser.add_argument("text", nargs="?", type=Path, help="a text in UTF-8, or the demo's stories")
    parser.add_argument("run", nargs="?", help="a run that was trained on it")
    parser.add_argument("--count", type=int, default=60, help="texts for each setting")
    parser.add_argument("--setting", action="append", help="instead of those usually compared")
    parser.add_argument("--grammar", choices=LANGUAGES, help="the text is stories of the demo")
    parser.add_argument("--python", action="store_true", help="the text is Python")
    parser.add_argument("--characters", action="store_true", help="the script has no spaces")
    options = parser.parse_args(arguments)
    settings = options.setting or SETTINGS
    stories = options.grammar is not None
    with tempfile.TemporaryDirectory() as folder:
        if options.tiny:
            config = named_config(
                "nano", vocab_size=400, context_length=64, num_layers=1, d_model=32
            )
            run = make_run(config, number_tokenizer(400), Path(folder) / "run")
            options.text = Path(folder) / "words.txt"
            options.text.write_text("".join(f"{n} sheep and a dog.\n" for n in range(2000)))
            options.count, settings = 2, SETTINGS[1:3]
        else:
            run, _ = find_run(options.run)
        print_heading("sampling", arguments)
        corpus = open_corpus([options.text], cache=Path(folder) / "cache")
        find_words = three_characters if options.characters else spaced_words
        material = Material(corpus, options.count, stories=stories, find_words=find_words)
        valid: Callable[[Sample], Share] | None = tokenized if options.python else None
        if stories:
            valid = lambda sample: told(sample, options.grammar)  # noqa: E731
        writer = Writer(run, options.count, stories=stories)
        columns = ["sampling", "words", "new words, %", "new pairs, %", "repeated, %",
                   "variety", "valid, %"]  # fmt: skip
        print_table(columns, rows(writer, material, settings, valid))


if __name__ == "__main__":
    main()
