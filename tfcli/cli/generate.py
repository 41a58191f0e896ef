"""`tfcli generate`: text from a run, streamed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.options import LARGEST_SEED, DeviceOption, QuietOption, RunOption, option
from tfcli.errors import UsageError

CHOICE = "Choosing a token"


def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="What the text goes on from. Text on stdin comes before it, joined exactly.",
            show_default=False,
        ),
    ] = None,
    run: RunOption = None,
    max_new_tokens: Annotated[
        int, option("--max-new-tokens", "-n", help="Stop after so many tokens.", min=0)
    ] = 256,
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
    seed: Annotated[
        int | None,
        option("--seed", help="The same seed, the same text.", min=0, max=LARGEST_SEED,
               otherwise="a new one", panel=CHOICE),
    ] = None,
    echo: Annotated[bool, option("--echo", help="Write the prompt first.")] = False,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Write text that goes on from a prompt.

    echo "ROMEO:" | tfcli generate --greedy
    """
    import secrets

    from tfcli.generation.generate import generate as generate_tokens
    from tfcli.generation.open_engine import open_engine
    from tfcli.generation.request import GenerationRequest
    from tfcli.runs.run import choose_step, find_run

    voice = streams.Voice(quiet=quiet)
    found, step_path = find_run(run)
    step = choose_step(found, step_path, damaged=voice.warn)
    tokenizer = found.tokenizer()
    drawn_seed = secrets.randbelow(2**31) if seed is None else seed
    request = GenerationRequest(
        prompt=_whole_prompt(prompt),
        max_new_tokens=max_new_tokens,
        temperature=0.0 if greedy else temperature,
        top_k=top_k or None,
        seed=drawn_seed,
    )
    tokens = generate_tokens(
        open_engine(found, step, device),
        tokenizer,
        request,
        many_documents=found.card["corpus"]["documents"] > 1,
        notice=lambda text: voice.note(f"Note: {text}."),
    )
    out = TextOut()
    if echo:
        out.write(request.prompt.encode())
    for token in tokens:
        out.write(tokenizer.token_bytes[token])
    out.close()
    if seed is None and request.temperature > 0 and streams.is_terminal(sys.stderr):
        voice.next(f"the same text again with --seed {drawn_seed}")


class TextOut:
    """Model text on stdout: whole characters, at once; made visible on a terminal."""

    def __init__(self) -> None:
        from tfcli.generation.streaming import TextStream, make_visible

        self._stream = TextStream()
        self._shown = make_visible if streams.is_terminal(sys.stdout) else str
        self._last = ""

    def write(self, data: bytes) -> None:
        """Writes the characters that `data` completes."""
        text = self._stream.feed(data)
        if text:
            streams.write_result(self._shown(text).encode())
            self._last = text[-1]

    def close(self) -> None:
        """Ends the line on a terminal, so that the shell's prompt stands on its own."""
        if streams.is_terminal(sys.stdout) and self._last != "\n":
            streams.write_result(b"\n")


def _whole_prompt(argument: str | None) -> str:
    """Stdin and the argument, joined with nothing between them.

    Raises:
        UsageError: there is neither, and a person sits at the keyboard.

    """
    if streams.stdin_is_piped():
        return streams.read_piped_text("the prompt") + (argument or "")
    if argument is None:
        raise UsageError(
            "there is no prompt", mend='tfcli generate "Once upon a time"   # or pipe one in'
        )
    return argument
