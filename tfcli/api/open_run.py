"""A trained run in Python: generate with it, score texts, and look at what it computes."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from tfcli.api.analysis import Analysis
from tfcli.api.arguments import (
    require_choice,
    require_count,
    require_ids,
    require_prompts,
    require_texts,
    require_top,
)
from tfcli.api.audits import Audits
from tfcli.api.conversation import make_turn
from tfcli.api.fill_and_bound import FillAndBound
from tfcli.api.requests import make_request, takes_generation_options
from tfcli.api.results import (
    Completion,
    Score,
    incomplete,
    make_completions,
    make_score,
    require_complete,
)
from tfcli.api.run_tokenizer import RunTokenizer
from tfcli.errors import UsageError
from tfcli.generation.generate import Finished, Generator, RequestList, TokenEvent
from tfcli.generation.open_engine import EngineName, open_engine, open_model
from tfcli.generation.scorer import Scorer
from tfcli.generation.streaming import TextStream
from tfcli.runs.run import ROOT, find_run
from tfcli.runs.series import effective_rows
from tfcli.runs.summary import summarize
from tfcli.runtime.device import Device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from tfcli.generation.request import GenerationRequest
    from tfcli.model.config import ModelConfig
    from tfcli.model.transformer import Transformer

ROWS = 16  # windows that are scored at a time


def open_run(
    name: str | os.PathLike[str] | None = None,
    *,
    folder: str | os.PathLike[str] = ROOT,
    device: Device = "auto",
    engine: EngineName = "auto",
    int8: bool = False,
    memory: bool = False,
) -> OpenRun:
    """Opens a run to use its model.

    The weights are read when they are first needed, and stay in memory after that. Of the run's
    checkpoints, the one with the lowest held-out loss is used.

    Args:
        name: the run's name or path, or the path of one of its checkpoints; None: the newest.
        folder: where the runs are.
        device: where to compute: `auto`, `cpu`, `cuda` or `mps`.
        engine: `numpy`, for CPUs, which needs no torch; `torch`; or `auto`.
        int8: whether to quantize the weights to 8 bits; only on a CPU.
        memory: whether to mix in the n-grams of the training text, in all that is computed but
            `torch_model`; `tfcli runs memory` makes them.

    Raises:
        NotFoundError: there is no such run; the message suggests the closest name. Or, when its
            model is first used: it has no memory.
        DamagedError, DataError: its folder cannot be read.
        UsageError: there is no such device or engine, or the name is of another type.

    """
    if not isinstance(name, str | os.PathLike | None):
        raise UsageError(f"a run is named by a string or a path, not by {type(name).__name__}")
    require_choice("device", device, get_args(Device))
    require_choice("engine", engine, get_args(EngineName))
    run, step = find_run(None if name is None else os.fspath(name), Path(folder))
    open_with = partial(open_engine, run, device=device, engine=engine, int8=int8, memory=memory)
    return OpenRun(run, step, open_with)


class OpenRun(Analysis, Audits, FillAndBound):
    """A run whose model can be used; `open_run` makes it.

    Shapes: T tokens, V = `config.vocab_size`.
    """

    def __repr__(self) -> str:
        config = self.config
        return (
            f"<run {self.name!r}: {config.family}, {self._run.metadata['parameters']:,} "
            f"parameters, {config.num_layers} x {config.d_model}, context {config.context_length}>"
        )

    @property
    def name(self) -> str:
        """The run's name."""
        return self._run.name

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._run.path

    @property
    def config(self) -> ModelConfig:
        """The model's configuration: family, `vocab_size`, `context_length`, `num_layers`, ..."""
        return self._run.model_config

    @cached_property
    def tokenizer(self) -> RunTokenizer:
        """The run's tokenizer: `encode` and `decode`."""
        return RunTokenizer(self._tokenizer)

    @property
    def checkpoint(self) -> Path:
        """The folder of the checkpoint in use."""
        return self._opened[0].path

    def summary(self) -> dict[str, Any]:
        """The run in figures, with the keys of `tfcli runs list --json`."""
        return summarize(self._run)

    def metrics(self) -> list[dict[str, Any]]:
        """What was measured during training, in the order of the steps.

        Returns:
            A dictionary for each step (`event` is "StepFinished", with `nats_per_byte` of its
            batch) and each evaluation ("Evaluated", with `held_out`), as in `metrics.jsonl`. Steps
            that were repeated after a kill are there once.

        """
        return effective_rows(self.path)

    # --- generating -----------------------------------------------------------------------------

    @takes_generation_options
    def generate(self, prompt: str = "", **options: Any) -> str:
        """The text with which the model continues a prompt.

        Raises:
            UsageError: an option does not exist, is out of range, or excludes another.
            DataError: a limit was reached before the text matched `regex`, `json_schema` or
                `choices`.

        """
        (completion,) = self._complete([make_request(prompt, options)], rows=1)
        require_complete(completion)
        return completion.text

    @takes_generation_options
    def stream(self, prompt: str = "", **options: Any) -> Iterator[str]:
        """As `generate`, but yields the text piece by piece, as soon as each is there.

        Yields:
            One or more whole characters.

        """
        return self._stream(make_request(prompt, options))

    @takes_generation_options
    def sample(self, prompt: str = "", n: int = 1, **options: Any) -> list[str]:
        """Several texts for one prompt, generated side by side, as with `generate -n`."""
        completions = self.generate_batch([prompt], samples=n, **options)
        for completion in completions:
            require_complete(completion)
        return [completion.text for completion in completions]

    @takes_generation_options
    def generate_batch(
        self, prompts: Iterable[str], *, samples: int = 1, batch_size: int = 32, **options: Any
    ) -> list[Completion]:
        """Texts for many prompts, generated side by side, as with `generate --jsonl`.

        Args:
            samples: texts for each prompt.
            batch_size: how many texts at a time.

        Returns:
            For each prompt `samples` texts, with their tokens, log-probabilities and the reason
            for which they end; in the order of the prompts.

        """
        texts = require_texts(prompts, hint="run.generate(prompt)")
        require_count("samples", samples)
        require_count("batch_size", batch_size)
        request = make_request("", options)
        every = [replace(request, prompt=text) for text in texts for _ in range(samples)]
        rows = min(batch_size, len(every))
        return list(self._complete(every, rows=rows, samples=samples)) if every else []

    @takes_generation_options
    def chat(
        self,
        messages: str | Iterable[Mapping[str, Any]],
        *,
        system: str | None = None,
        **options: Any,
    ) -> dict[str, str]:
        """The answer to a conversation, by the model's chat template, as with `generate --chat`.

        Args:
            messages: its turns so far, each `{"role": "user", "content": "Hello"}` or alike; or a
                string, which begins one.
            system: a system prompt, unless the conversation begins with its own.

        Returns:
            A message to append to them: `role`, `content`, and `reasoning_content` if it thinks.

        """
        request = make_turn(self._chat, messages, system, options)
        (completion,) = self._complete([request], rows=1)
        require_complete(completion)
        return self._chat.split(completion.text, request).to_message()

    def _complete(
        self, requests: list[GenerationRequest], *, rows: int, samples: int = 1
    ) -> list[Completion]:
        """The texts of requests; each has the next seed, as on the command line."""
        requests = [request.with_next_seed(place) for place, request in enumerate(requests)]
        events = self._events(requests, rows, logprobs=True)
        return make_completions(requests, events, samples=samples)

    def _stream(self, request: GenerationRequest) -> Iterator[str]:
        stream = TextStream()
        for event in self._events([request], 1):
            if text := stream.feed(event.data):
                yield text
            if isinstance(event, Finished) and event.reason == "incomplete":
                raise incomplete()

    def _events(
        self, requests: list[GenerationRequest], rows: int, *, logprobs: bool = False
    ) -> Iterator[TokenEvent | Finished]:
        with self._engine(rows) as engine:
            talking = any(request.ids is not None for request in requests)
            generator = Generator(
                engine,
                self._chat.tokenizer if talking else self._tokenizer,
                rows=rows,
                many_documents=self._run.many_documents,
                form=self._run.form,
                logprobs=logprobs,
                notice=self._notice,
            )
            for request in requests:
                generator.check(request)
            yield from generator.stream(RequestList(requests))

    # --- scoring --------------------------------------------------------------------------------

    def score(
        self, text: str, *, prompt: str = "", stride: int | None = None, top_logprobs: int = 0
    ) -> Score:
        """How likely a text is, as with `tfcli score`.

        A text longer than the context is read through a sliding window.

        Args:
            prompt: what comes before the text and is not scored.
            stride: by how many tokens that window moves; None: half the context length. A smaller
                one gives each token more context, and takes longer.
            top_logprobs: how many of the likeliest other tokens each token gets, up to 100.

        Returns:
            nats, nats per byte, perplexity, and the nats of each token.

        """
        batch = self.score_batch([text], prompts=[prompt], stride=stride, top_logprobs=top_logprobs)
        return batch[0]

    def score_batch(
        self,
        texts: Iterable[str],
        *,
        prompts: Iterable[str] = (),
        prompt: str | None = None,
        stride: int | None = None,
        top_logprobs: int = 0,
    ) -> list[Score]:
        """How likely each of many texts is on its own; see `score`.

        Args:
            prompts: what comes before each text and is not scored: one for each text, or none.
            prompt: is refused, since `score` has it: which texts it is for would be a guess.

        """
        if prompt is not None:
            raise UsageError(
                "score_batch() takes prompts, one for each text, not prompt",
                hint="run.score_batch(texts, prompts=[prompt] * len(texts))",
            )
        every = require_texts(texts, hint="run.score(text)")
        before = require_prompts(prompts, len(every))
        require_top(top_logprobs)
        with self._engine(ROWS) as engine:
            scorer = Scorer(
                engine, self._tokenizer, rows=ROWS, stride=stride, top=top_logprobs,
                form=self._run.form, many_documents=self._run.many_documents,
            )  # fmt: skip
            return [make_score(each, self._tokenizer) for each in scorer.score(every, before)]

    def logits(self, text: str | Sequence[int]) -> NDArray[np.float32]:
        """The logits of the next token after each token of a text.

        Args:
            text: a text, which the model reads behind `bos`; or the ids to read, as they are.

        Returns:
            (T, V), float32, T being the length of `tokenizer.encode(text, bos=True)`. Row t is for
            the token that follows the ids up to t: with `bos`, row 0 is for the first token of the
            text, and the last row is for the one that would come next. The softmax of a row is a
            probability distribution.

        Raises:
            UsageError: there are no ids, more than the context holds, or ids that do not exist.

        """
        config = self.config
        ids = self.tokenizer.encode(text, bos=True) if isinstance(text, str) else text
        ids = require_ids(ids, config.vocab_size, most=config.context_length)
        with self._engine(1) as engine:
            return np.asarray(engine.forward_all([0], [ids]), np.float32)

    def torch_model(self, device: Device = "auto") -> Transformer:
        """The model as a `torch.nn.Module`, in evaluation mode: ids (B, T) to logits (B, T, V)."""
        return open_model(self._run, self._opened[0], device)
