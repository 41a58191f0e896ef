"""`tfcli export` and `tfcli import`: exchanging models with other programs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.shared_options import JsonOption, QuietOption, typer_option
from tfcli.errors import UsageError
from tfcli.exchange.formats import NumberType, own_type
from tfcli.options import Options, option

if TYPE_CHECKING:
    from tfcli.exchange.quantization_loss import QuantizationLoss
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep

Target = Literal["huggingface", "gguf", "ollama"]


def export_run(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's name or path, or a checkpoint's path.")
    ],
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The folder to write; a file, for gguf.")
    ],
    to: Annotated[Target, typer_option("--to", help="Target format.")],
    type: Annotated[
        NumberType | None,
        typer_option(
            "--type", help="Number format; q8_0 not for huggingface.", shown_default="the run's own"
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Export a run for other programs.

    huggingface: a folder for transformers, vLLM, mlx-lm.
    gguf: a file for llama.cpp and LM Studio.
    ollama: a folder for `ollama create`.

    tfcli export book ./book-hf --to huggingface
    tfcli export book book.gguf --to gguf --type q8_0
    """
    from tfcli.cli.best_step import open_best_step
    from tfcli.exchange.export_gguf import export_to_gguf, export_to_ollama
    from tfcli.exchange.export_huggingface import export_to_huggingface
    from tfcli.files import require_parent
    from tfcli.runs.run import find_run

    reporter = streams.Reporter(quiet=quiet)
    require_parent(path)
    found, step_path = find_run(run)

    def export(step: ValidStep) -> None:
        if to != "huggingface":
            write = export_to_gguf if to == "gguf" else export_to_ollama
            write(found, step, path, type, on_damaged=reporter.warn)
        elif type == "q8_0":
            raise UsageError("--type q8_0 requires --to gguf or ollama", hint="--to gguf")
        else:
            export_to_huggingface(found, step, path, type, on_damaged=reporter.warn)

    step, _ = open_best_step(found, step_path, export, reporter)
    loss = None
    if type not in {None, "f32", own_type(step)}:
        from tfcli.exchange.quantization_loss import quantization_loss
        from tfcli.text.corpus import CACHE

        loss = quantization_loss(found, step, type, CACHE)
        reporter.note(_format_loss(loss, type))
    if json:
        result: dict[str, object] = {"path": str(path), "step": step.state.step, "to": to}
        if loss:
            result |= {"nats_per_byte": loss.rounded, "nats_per_byte_f32": loss.exact}
        streams.write_json_result(result)
    reporter.note(f"Wrote {path} from {_format_step(found, step)}.")
    reporter.next(_next_command(found, path, to, reporter))


def _next_command(run: Run, path: Path, to: Target, reporter: streams.Reporter) -> str:
    """What opens an export, with a prompt as those of the training."""
    from tfcli.cli.training_notes import first_words_of
    from tfcli.exchange.card.readme import tokenizer_class
    from tfcli.exchange.export_huggingface import default_max_new_tokens
    from tfcli.text.escapes import escape

    name = shlex.quote(run.name.lower())
    length = default_max_new_tokens(run.model_config)
    code = PIPELINE
    kind = tokenizer_class(run.model_config, run.tokenizer())
    if to == "huggingface" and kind != "AutoTokenizer":
        reporter.note(
            "Note: AutoTokenizer takes Qwen2's own class beside a model of type qwen2, and gives "
            "other ids. Open the tokenizer with PreTrainedTokenizerFast."
        )
        code = PIPELINE_OF_QWEN2
    prompt = run.form.frame("Once") if run.form else first_words_of(run) or "Once"
    code = code.format(path=_in_python(str(path)), prompt=_in_python(prompt), length=length)
    quoted = shlex.quote(str(path))
    return {
        "huggingface": f"python -c {shlex.quote(code)}",
        # llama.cpp reads the escapes
        "gguf": f"llama-completion -m {quoted} -p {shlex.quote(escape(prompt))} -n 100 -no-cnv",
        "ollama": f"cd {quoted} && ollama create {name} -f Modelfile && ollama run {name}",
    }[to]  # fmt: skip


def _in_python(text: str) -> str:
    """A text as a literal in double quotes, which the shell's single quotes may hold."""
    import json

    return json.dumps(text, ensure_ascii=False)


PIPELINE = (
    "from transformers import pipeline as p; "
    'print(p("text-generation", {path})({prompt}, max_new_tokens={length})[0]["generated_text"])'
)
PIPELINE_OF_QWEN2 = (
    "from transformers import pipeline as p, PreTrainedTokenizerFast as T; "
    'print(p("text-generation", {path}, tokenizer=T.from_pretrained({path}))'
    '({prompt}, max_new_tokens={length})[0]["generated_text"])'
)


def _format_step(run: Run, step: ValidStep) -> str:
    from tfcli.runs.step import list_steps

    last = list_steps(run.path)[-1]
    best = "" if step.path.name == last.name else ", its best"
    return f"step {step.state.step:,} of {run.name}{best}"


def _format_loss(loss: QuantizationLoss | None, type: str) -> str:
    if loss is None:
        return f"The loss in {type} was not measured: the run's held-out text is not available."
    return (
        f"On {loss.bytes:,} held-out bytes: {loss.rounded:z.4f} nats/byte in {type}, "
        f"{loss.exact:z.4f} in f32 ({loss.rounded - loss.exact:+z.4f})."
    )


@dataclass(frozen=True, kw_only=True)
class ImportOptions(Options):
    """How a model is imported."""

    context_length: int | None = option(
        None, min=1, aliases=("context",), shown_default="the model's own",
        help="A shorter context length, in tokens.",
    )  # fmt: skip


@takes_options
def import_run(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A folder in Hugging Face format, or a GGUF file."),
    ],
    run: Annotated[str, typer_option("--run", help="Name of the new run.", metavar="NAME")],
    options: ImportOptions,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Import a model from another program as a run.

    Llama, Mistral, Qwen2, Qwen3 or GPT-2, with its tokenizer and chat template.

    tfcli import ./their-model --run theirs
    tfcli import their-model.gguf --run theirs
    """
    from tfcli.cli.render import progress
    from tfcli.exchange.gguf_file import is_gguf
    from tfcli.exchange.import_gguf import inspect_gguf
    from tfcli.exchange.import_huggingface import inspect_checkpoint
    from tfcli.exchange.import_run import READINGS, import_run, require_importable
    from tfcli.files import check_name
    from tfcli.model.cost import count_parameters
    from tfcli.runs.kept_files import CHAT_TEMPLATE
    from tfcli.runs.run import ROOT

    reporter = streams.Reporter(quiet=quiet)
    check_name(run, "run")
    require_importable(ROOT / run)
    inspect = inspect_gguf if is_gguf(path) else inspect_checkpoint
    found = inspect(path, context_length=options.context_length)
    with progress("Importing", total=READINGS * found.bytes, quiet=quiet) as done:
        made = import_run(found, ROOT / run, done)
    config = found.config
    reporter.note(
        f"{run}: {count_parameters(config):,} parameters ({config.family}), context "
        f"{config.context_length:,}, vocabulary of {config.vocab_size:,}; saved to {made.path}."
    )
    own = found.own_context or 0  # of a file that has none, a default holds
    if options.context_length is None and own > config.context_length:
        reporter.note(
            f"Note: the model's context of {own:,} tokens was cut to {config.context_length:,}, "
            "the longest there is here."
        )
    if found.unknown_ends:
        reporter.note(
            "Note: ignored as ends of a text, since the vocabulary does not have them: "
            f"{', '.join(map(str, found.unknown_ends))}."
        )
    if found.form:
        reporter.note("Its prompts are framed as in training on pairs of prompt and answer.")
    if found.unused_rows:
        reporter.note(
            f"{found.unused_rows:,} embedding rows have no token; they are never generated."
        )
    talk = '--chat "Hello"' if CHAT_TEMPLATE in found.files else '"..."'
    reporter.next(f"tfcli generate {talk} --run {run}")
