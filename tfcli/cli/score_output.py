"""How scores are written: a summary, lines, tokens in colors or in a table, or JSON."""

from __future__ import annotations

import math
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from tfcli.cli import streams
from tfcli.cli.output_formats import end_line, stdout_filter
from tfcli.cli.surprisal import colored, legend
from tfcli.cli.word_wrap import break_at_words
from tfcli.generation.scorer import token_text
from tfcli.generation.streaming import TextStream, make_visible
from tfcli.quantities import counted, percent
from tfcli.text.escapes import escape_bytes

if TYPE_CHECKING:
    from tfcli.cli.score_input import Document
    from tfcli.generation.score_lines import ScoreLine
    from tfcli.generation.scorer import Scored, Scorer
    from tfcli.text.tokenizer import Tokenizer

EOS = "<eos>"  # in place of the text of a token that ends one
TOKEN_WIDTH = 16  # columns on a terminal


def describe(text: Scored, scorer: Scorer) -> str:
    """A text in one line."""
    bits = text.nats_per_byte / math.log(2)
    return (
        f"{text.nats_per_byte:z.4f} nats/byte, {bits:z.4f} bits/byte, per-token "
        f"perplexity {text.perplexity:.2f}; {counted(text.bytes, 'byte')}, "
        f"{counted(len(text.ids), 'token')} (context {scorer.protocol['context']}, "
        f"stride {scorer.protocol['stride']})"
    )


def format_int8_loss(rounded: Scored, exact: Scored) -> str:
    """What 8-bit weights cost."""
    more = rounded.nats_per_byte - exact.nats_per_byte
    return f"In float32: {exact.nats_per_byte:z.4f} nats/byte; int8 differs by {more:+z.4f}."


def figures(text: Scored) -> dict[str, Any]:
    """The figures of a text for JSON; six decimals, as in the answers of `generate`."""
    found = {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in text.to_json().items()
    }
    return found if text.bytes else found | {"nats_per_byte": None}  # there is no byte


def write_line(line: Document, text: Scored, number: int, *, json: bool) -> None:
    """A line with its scores; of a pair the answer."""
    if json:
        prompt = {"prompt": line.prompt} if line.prompt else {}
        streams.write_json_result({"line": number, **prompt, "text": line.text} | figures(text))
    else:
        columns = f"{text.nats_per_byte:.6f}\t{text.nats:.6f}\t"
        said = line.text.replace("\n", "\\n")  # of a row
        streams.write_result(f"{columns}{stdout_filter()(said)}\n".encode())


def write_row(row: ScoreLine, text: Scored | None, tokenizer: Tokenizer, *, tokens: bool) -> None:
    """The answer to a row of JSON; None: the row is invalid."""
    value: dict[str, Any] = {"row": row.number} | row.returned
    if text is not None:
        value |= figures(text)
        if tokens:
            value["by_token"] = tokens_to_json(text, tokenizer)
    elif row.error is not None:
        value["error"] = row.error.in_one_line
    streams.write_json_result(value)


def tokens_to_json(text: Scored, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """The tokens of a text, each with its alternatives if they were asked for."""
    spelled = partial(token_text, tokenizer)
    found: list[dict[str, Any]] = []
    for place, (token, logprob) in enumerate(zip(text.ids, text.logprobs, strict=True)):
        value: dict[str, Any] = {
            "token": token,
            "text": spelled(token),
            "nats": round(0.0 - logprob, 6),
        }
        if text.alternatives:
            value["top_logprobs"] = [
                {"token": other, "text": spelled(other), "logprob": round(each, 6)}
                for other, each in text.alternatives[place]
            ]
        found.append(value)
    return found


def write_tokens(text: Scored, tokenizer: Tokenizer, *, json: bool) -> None:
    """Tokens: in colors on a terminal that has them, else in a table."""
    if json:
        for value in tokens_to_json(text, tokenizer):
            streams.write_json_result(value)
    elif not streams.wants_color(sys.stdout):
        streams.write_result("".join(_table_rows(text, tokenizer)).encode())
    elif text.alternatives:
        streams.write_result("".join(_colored_rows(text, tokenizer)).encode())
        streams.say(legend())
    else:
        _write_colored(text, tokenizer)


def _table_rows(text: Scored, tokenizer: Tokenizer) -> list[str]:
    """Nats and token, then the alternatives with their probabilities; separated by tabs."""
    shown = stdout_filter()
    rows = []
    for place, (token, logprob) in enumerate(zip(text.ids, text.logprobs, strict=True)):
        cells = [f"{0.0 - logprob:.6f}", shown(escape_bytes(tokenizer.token_bytes[token]))]
        for other, each in text.alternatives[place] if text.alternatives else ():
            cells += [
                shown(escape_bytes(tokenizer.token_bytes[other])) or EOS,
                f"{math.exp(each):.6f}",
            ]
        rows.append("\t".join(cells) + "\n")
    return rows


def _colored_rows(text: Scored, tokenizer: Tokenizer) -> list[str]:
    """The same for a person: aligned, the token in its color, spaces visible."""
    from tfcli.cli.render import pad
    from tfcli.text.vocabulary import visible_pieces

    rows = []
    for token, logprob, others in zip(text.ids, text.logprobs, text.alternatives, strict=True):
        (piece,) = visible_pieces(tokenizer, [token])
        space = pad(piece, TOKEN_WIDTH)[len(piece) :]
        pieces = [piece or EOS for piece in visible_pieces(tokenizer, [i for i, _ in others])]
        alternatives = "  ".join(
            f"{percent(math.exp(each), 2):>8} {pad(other, TOKEN_WIDTH)}"
            for other, (_, each) in zip(pieces, others, strict=True)
        )
        shown = colored(piece, 0.0 - logprob) + space
        rows.append(f"{0.0 - logprob:8.4f}  {shown}  {alternatives.rstrip()}\n")
    return rows


def _write_colored(text: Scored, tokenizer: Tokenizer) -> None:
    stream = TextStream()
    pieces = [make_visible(stream.feed(tokenizer.token_bytes[token])) for token in text.ids]
    pieces = break_at_words(pieces, shutil.get_terminal_size().columns)
    pairs = zip(pieces, text.logprobs, strict=True)
    streams.write_result("".join(colored(piece, 0.0 - each) for piece, each in pairs).encode())
    end_line("".join(pieces)[-1:])
    streams.say(legend())
