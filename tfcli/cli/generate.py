"""`tfcli generate`: text from a run, streamed."""

from __future__ import annotations

import json
import re
import sys
import time
from secrets import randbelow
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfcli.cli import streams
from tfcli.cli.formats import EscapedLines, JsonLines, OutputFormat, Plain, Surprisal
from tfcli.cli.options import (
    LARGEST_SEED,
    DeviceOption,
    EngineOption,
    Int8Option,
    QuietOption,
    RunOption,
    option,
    parse_duration,
)
from tfcli.cli.writing import GenerationSession
from tfcli.errors import UsageError

if TYPE_CHECKING:
    from tfcli.generation.constraints import ConstraintKind

CHOICE = "Choosing a token"
AGAINST_REPETITION = "Against repetition"
FORM = "Text of a form"
MANY = "Many texts"
ROWS = 32  # texts written side by side


def generate(
    context: typer.Context,
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="What the text goes on from. Text on stdin comes before it, joined exactly.",
            show_default=False,
        ),
    ] = None,
    run: RunOption = None,
    max_new_tokens: Annotated[
        int, option("--max-new-tokens", help="Stop after so many tokens.", min=0)
    ] = 256,
    max_time: Annotated[
        float | None,
        option("--max-time", help="Stop after so long, such as 10s.", parser=parse_duration,
               metavar="TIME", otherwise="no limit"),
    ] = None,
    stop: Annotated[
        list[str] | None,
        option("--stop", help="Stop before this text (a newline is $'\\n'); again for more.",
               metavar="TEXT", otherwise="nothing"),
    ] = None,
    echo: Annotated[bool, option("--echo", help="Write the prompt first.")] = False,
    greedy: Annotated[
        bool, option("--greedy", help="Always the likeliest token.", panel=CHOICE)
    ] = False,
    temperature: Annotated[
        float, option("--temperature", help="Below 1 tamer, above wilder.", min=0.0, panel=CHOICE)
    ] = 0.8,
    top_k: Annotated[
        int,
        option("--top-k", help="Draw from the k likeliest tokens; 0: all.", min=0, panel=CHOICE),
    ] = 40,
    top_p: Annotated[
        float,
        option("--top-p", help="From the likeliest that have this probability together.",
               min=0.0, max=1.0, panel=CHOICE),
    ] = 1.0,
    min_p: Annotated[
        float,
        option("--min-p", help="From those with this share of the likeliest's probability.",
               min=0.0, max=1.0, panel=CHOICE),
    ] = 0.0,
    typical_p: Annotated[
        float,
        option("--typical-p", help="From the least surprising that have this probability together.",
               min=0.0, max=1.0, panel=CHOICE),
    ] = 1.0,
    logit_bias: Annotated[
        list[str] | None,
        option("--logit-bias", help="Added to the score of a token; -inf forbids it.",
               metavar="ID=NUMBER", otherwise="nothing", panel=CHOICE),
    ] = None,
    seed: Annotated[
        int | None,
        option("--seed", help="The same seed, the same text.", min=0, max=LARGEST_SEED,
               otherwise="a new one", panel=CHOICE),
    ] = None,
    repetition_penalty: Annotated[
        float,
        option("--repetition-penalty", help="Divides the scores of tokens that were there.",
               min=0.0, panel=AGAINST_REPETITION),
    ] = 1.0,
    presence_penalty: Annotated[
        float,
        option("--presence-penalty", help="Taken off the score of a token that was written.",
               panel=AGAINST_REPETITION),
    ] = 0.0,
    frequency_penalty: Annotated[
        float,
        option("--frequency-penalty", help="Taken off for each time that it was written.",
               panel=AGAINST_REPETITION),
    ] = 0.0,
    no_repeat_ngram: Annotated[
        int,
        option("--no-repeat-ngram", help="No sequence of so many tokens twice; 0: any.",
               min=0, panel=AGAINST_REPETITION),
    ] = 0,
    dry: Annotated[
        float,
        option("--dry", help="Against going on with a sequence that was there; try 0.8.",
               min=0.0, panel=AGAINST_REPETITION),
    ] = 0.0,
    regex: Annotated[
        str | None,
        option("--regex", help="The text matches this regular expression.", metavar="REGEX",
               otherwise="any", panel=FORM),
    ] = None,
    json_schema: Annotated[
        str | None,
        option("--json-schema", help="It is JSON of this schema; a file, or the schema itself.",
               metavar="FILE", otherwise="any", panel=FORM),
    ] = None,
    choices: Annotated[
        str | None,
        option("--choices", help="It is one of these, with commas between (or a JSON list).",
               metavar="A,B", otherwise="any", panel=FORM),
    ] = None,
    samples: Annotated[
        int, option("--samples", "-n", help="So many texts for each prompt.", min=1, panel=MANY)
    ] = 1,
    lines: Annotated[
        bool, option("--lines", help="Stdin has a prompt on each line.", panel=MANY)
    ] = False,
    jsonl: Annotated[
        bool,
        option("--jsonl", help="JSON out; stdin has a request on each line, if there is no PROMPT.",
               panel=MANY),
    ] = False,
    rows: Annotated[
        int, option("--rows", help="So many texts side by side.", min=1, max=4096, panel=MANY)
    ] = ROWS,
    beams: Annotated[
        int,
        option("--beams", help="Search so many texts side by side for the likeliest; 1: draw.",
               min=1, max=64, panel=CHOICE),
    ] = 1,
    interactive: Annotated[
        bool, option("--interactive", "-i", help="Write together with the model, line by line.")
    ] = False,
    logprobs: Annotated[
        bool,
        option("--logprobs", help="Colour each token by its surprise, or list it in a pipe."),
    ] = False,
    stats: Annotated[bool, option("--stats", help="Say how fast it was.")] = False,
    int8: Int8Option = False,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Write text that goes on from a prompt.

    echo "ROMEO:" | tfcli generate --greedy
    """
    from tfcli.generation.penalties import Penalties
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.sampling import Sampling

    _refuse_clashes(context.params)
    request = GenerationRequest(
        prompt="",
        max_new_tokens=max_new_tokens,
        stop=tuple(stop or ()),
        sampling=Sampling(
            temperature=0.0 if greedy else temperature,
            top_k=top_k or None,
            top_p=top_p,
            min_p=min_p,
            typical_p=typical_p,
        ),
        penalties=Penalties(
            bias=tuple(map(parse_bias, logit_bias or ())),
            repetition=repetition_penalty,
            presence=presence_penalty,
            frequency=frequency_penalty,
            no_repeat_ngram=no_repeat_ngram,
            dry=dry,
        ),
        seed=randbelow(2**31) if seed is None else seed,
    )
    call = GenerationSession(
        run=run,
        request=request,
        samples=samples,
        rows=rows,
        deadline=None if max_time is None else time.monotonic() + max_time,
        form=_form(regex, json_schema, choices),
        int8=int8,
        engine=engine,
        device=device,
        reporter=streams.Reporter(quiet=quiet),
        started=context.obj,
        stats=stats,
    )
    if interactive:
        if not (streams.is_terminal(sys.stdin) and streams.is_terminal(sys.stdout)):
            raise UsageError("-i is for a terminal", hint="--lines reads prompts from a pipe")
        call.converse(prompt)
    elif lines or (jsonl and prompt is None and streams.stdin_is_piped()):
        if beams > 1:
            raise UsageError("--beams is for one prompt, not for requests on lines")
        call.answer_rows(EscapedLines(echo=echo) if lines else JsonLines(echo=echo), json=jsonl)
    else:
        texts: OutputFormat = JsonLines(echo=echo) if jsonl else Plain(echo=echo)
        _write_texts(call, prompt, Surprisal() if logprobs else texts, beams)
        drawn = seed is None and request.sampling.temperature > 0 and beams == 1
        if drawn and streams.is_terminal(sys.stderr):
            call.reporter.next(f"the same text again with --seed {request.seed}")


def _write_texts(
    call: GenerationSession, prompt: str | None, texts: OutputFormat, beams: int
) -> None:
    """Writes the texts of one prompt: drawn, or searched for."""
    if beams == 1:
        call.answer(_whole_prompt(prompt), texts)
        return
    if call.samples > beams:
        raise UsageError(f"{beams} beams give no {call.samples} samples", hint=f"-n {beams}")
    call.search(_whole_prompt(prompt), texts, beams)


NOT_THERE: tuple[object, ...] = (None, False, [], (), 1)  # one sample or beam is none
FORMS = ("regex", "json_schema", "choices")
# Each of these options, and what makes no sense beside it.
CLASHES = {
    "lines": ("prompt", "jsonl", "interactive", "beams", "logprobs"),
    "interactive": ("jsonl", "samples", "beams", "logprobs", "echo", "stats", "max_time"),
    "beams": ("stop", "max_time", "logprobs", "stats", *FORMS),
    "logprobs": ("jsonl", "echo"),
}


def _refuse_clashes(given: dict[str, Any]) -> None:
    """Raises UsageError where two of the options that are given do not go together."""
    there = {name for name, value in given.items() if value is True or value not in NOT_THERE}
    for one, others in CLASHES.items():
        for other in there.intersection(others):
            if one in there:
                names = ("PROMPT" if name == "prompt" else f"--{name}" for name in (one, other))
                raise UsageError(f"{' and '.join(names).replace('_', '-')} do not go together")


def parse_bias(text: str) -> tuple[int, float]:
    """The token and the number of `ID=NUMBER`."""
    match = re.fullmatch(r"(\d{1,9})=([-+]?(?:\d+\.?\d*|\.\d+|inf))", text)
    if not match:
        raise UsageError(
            f"--logit-bias {text!r} is not a token's id and a number", hint="--logit-bias 42=-1.5"
        )
    return int(match[1]), float(match[2])


def _form(
    regex: str | None, json_schema: str | None, choices: str | None
) -> tuple[ConstraintKind, str] | None:
    """The form that texts are to have, and how it is written down.

    Raises:
        UsageError: there is more than one.

    """
    wanted: dict[ConstraintKind, str | None] = {
        "regex": regex,
        "json_schema": json_schema,
        "choices": choices,
    }
    given = [(kind, text) for kind, text in wanted.items() if text is not None]
    if len(given) > 1:
        raise UsageError("a text can have one form: --regex, --json-schema or --choices")
    if not given:
        return None
    kind, text = given[0]
    if kind == "json_schema" and not text.lstrip().startswith("{"):
        return kind, streams.read_text_file(text)
    if kind == "choices" and not text.lstrip().startswith("["):
        return kind, json.dumps([choice.strip() for choice in text.split(",")])
    return kind, text


def _whole_prompt(argument: str | None) -> str:
    """Stdin and the argument, joined with nothing between them.

    Raises:
        UsageError: there is neither, and a person sits at the keyboard.

    """
    if streams.stdin_is_piped():
        return streams.read_piped_text("the prompt") + (argument or "")
    if argument is None:
        raise UsageError(
            "there is no prompt", hint='tfcli generate "Once upon a time"   # or pipe one in'
        )
    return argument
