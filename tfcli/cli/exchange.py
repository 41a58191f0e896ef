"""`tfcli export` and `tfcli import`: models to other programs, and from them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tfcli.cli import streams
from tfcli.cli.options import JsonOption, QuietOption, option
from tfcli.errors import UsageError

if TYPE_CHECKING:
    from tfcli.exchange.quantization_loss import QuantizationLoss
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep

Target = Literal["huggingface", "gguf", "ollama"]
NumberType = Literal["f32", "f16", "q8_0"]  # again in `exchange.gguf_out`, which is slow to load


def export_run(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's name or path, or a step's path.")
    ],
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The folder to write; the file, for gguf.")
    ],
    to: Annotated[Target, option("--to", help="For which programs.")],
    type: Annotated[
        NumberType | None,
        option("--type", help="The numbers of a GGUF file.", otherwise="f32"),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Write a run in the form of other programs.

    huggingface: a folder for transformers, vLLM, mlx-lm.

    gguf: a file for llama.cpp and LM Studio. ollama: a folder for `ollama create`.

    tfcli export book ./book-hf --to huggingface
    """
    from tfcli.exchange.gguf_out import export_to_gguf, export_to_ollama
    from tfcli.exchange.huggingface_out import export_to_hugging_face, usual_length
    from tfcli.generation.open_engine import open_best
    from tfcli.runs.run import find_run

    reporter = streams.Reporter(quiet=quiet)
    found, step_path = find_run(run)
    if to == "huggingface" and type not in {None, "f32"}:
        raise UsageError("--type is for GGUF files", hint="--to gguf")

    def export(step: ValidStep) -> None:
        if to == "huggingface":
            export_to_hugging_face(found, step, path)
        else:
            write = export_to_gguf if to == "gguf" else export_to_ollama
            write(found, step, path, type or "f32")

    step, _ = open_best(found, step_path, export, damaged=reporter.warn)
    cost = None
    if type in {"f16", "q8_0"}:
        from tfcli.exchange.quantization_loss import quantization_loss
        from tfcli.text.corpus import CACHE

        cost = quantization_loss(found, step, type, CACHE)
        reporter.note(_say(cost, type))
    if json:
        result: dict[str, object] = {"path": str(path), "step": step.state.step, "to": to}
        if cost:
            result |= {"nats_per_byte": cost.rounded, "nats_per_byte_f32": cost.exact}
        streams.write_json_result(result)
    reporter.note(f"Written: {path}, from {_say_step(found, step)}.")
    name = shlex.quote(found.name.lower())
    length = usual_length(found.model_config)
    reporter.next(NEXT[to].format(path=shlex.quote(str(path)), name=name, length=length))


NEXT = {
    "huggingface": "python -c \"from transformers import pipeline as p; "
                   "print(p('text-generation', '{path}')('Once', max_new_tokens={length})"
                   "[0]['generated_text'])\"",
    "gguf": 'llama-completion -m {path} -p "Once" -n 100 -no-cnv',
    "ollama": "cd {path} && ollama create {name} -f Modelfile && ollama run {name}",
}  # fmt: skip


def _say_step(run: Run, step: ValidStep) -> str:
    from tfcli.runs.step import list_steps

    last = list_steps(run.path)[-1]
    best = "" if step.path.name == last.name else ", its best"
    return f"step {step.state.step:,} of {run.name}{best}"


def _say(cost: QuantizationLoss | None, type: str) -> str:
    if cost is None:
        return f"What {type} costs was not measured: there is no held-out text of this run here."
    return (
        f"On {cost.bytes:,} held-out bytes: {cost.rounded:.4f} nats/byte in {type}, "
        f"{cost.exact:.4f} in f32 ({cost.rounded - cost.exact:+.4f})."
    )


def import_run(
    path: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder in the form of Hugging Face.")
    ],
    run: Annotated[str, option("--run", help="What the run will be called.", metavar="NAME")],
    context: Annotated[
        int | None,
        option("--context", help="A shorter context than its own.", min=1, otherwise="its own"),
    ] = None,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Make a run of a model from elsewhere: to write with, to score, to train further.

    Llama, Mistral, Qwen3 or GPT-2 with a SentencePiece tokenizer, in safetensors.

    tfcli import ./their-model --run theirs
    """
    from tfcli.exchange.huggingface_in import import_run, inspect_checkpoint, require_importable
    from tfcli.files import check_name
    from tfcli.model.cost import count_parameters
    from tfcli.runs.run import ROOT

    reporter = streams.Reporter(quiet=quiet)
    check_name(run, "run")
    require_importable(ROOT / run)
    found = inspect_checkpoint(path, context_length=context)
    made = import_run(found, ROOT / run)
    config = found.config
    reporter.note(
        f"{run}: {count_parameters(config):,} parameters ({config.family}), context "
        f"{config.context_length:,}, {config.vocab_size:,} pieces; kept in {made.path}."
    )
    if found.rows_left_out:
        reporter.note(f"{found.rows_left_out:,} rows of its table stand for no piece: left out.")
    reporter.next(f'tfcli generate "..." --run {run}')
