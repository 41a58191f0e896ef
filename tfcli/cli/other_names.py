"""What others call the same: names that people type who know other programs.

From nanoGPT, transformers, llama.cpp, vLLM and Ollama. Names are compared in lower case, without
hyphens and underscores, so that `--n_layer` and `--nlayer` are found as `n-layer`. Aliases, which
work, are not here: see `aliases` of `tfcli.options.option`. `tests/cli/test_usage_errors.py` checks
that everything named here exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.errors import closest_match

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Options; of several, the first is meant that the command has.
OPTIONS: dict[str, tuple[str, ...]] = {
    # the size of a model
    "n-layer": ("--num-layers",),
    "n-layers": ("--num-layers",),
    "num-hidden-layers": ("--num-layers",),
    "depth": ("--num-layers",),
    "n-embd": ("--d-model",),
    "n-embed": ("--d-model",),
    "hidden-size": ("--d-model",),
    "dim": ("--d-model",),
    "embedding-size": ("--d-model",),
    "n-head": ("--num-heads",),
    "n-heads": ("--num-heads",),
    "num-attention-heads": ("--num-heads",),
    "num-key-value-heads": ("--num-kv-heads",),
    "ctx-size": ("--context-length",),
    "n-ctx": ("--context-length",),
    "seq-len": ("--context-length",),
    "sequence-length": ("--context-length",),
    "max-seq-len": ("--context-length",),
    "max-seq-length": ("--context-length",),
    "max-model-len": ("--context-length",),
    "n-positions": ("--context-length",),
    "max-position-embeddings": ("--context-length",),
    "architecture": ("--family",),
    "arch": ("--family",),
    "model-type": ("--family",),
    "tie-word-embeddings": ("--tied-head",),
    # a training
    "lrate": ("--learning-rate",),
    "eta": ("--learning-rate",),
    "wd": ("--weight-decay",),
    "fim": ("--infill",),
    "mlm": ("--masked",),
    "mlm-probability": ("--masked",),
    "bidirectional": ("--masked",),
    "diffusion": ("--masked",),
    "batch": ("--batch-tokens", "--batch-size"),
    "batch-size": ("--batch-tokens",),
    "bs": ("--batch-tokens", "--batch-size"),
    "per-device-train-batch-size": ("--batch-tokens",),
    "gradient-accumulation-steps": ("--batch-tokens",),
    "epoch": ("--epochs",),
    "num-epochs": ("--epochs",),
    "n-epochs": ("--epochs",),
    "num-train-epochs": ("--epochs",),
    "iters": ("--steps",),
    "max-iters": ("--steps",),
    "iterations": ("--steps",),
    "max-steps": ("--steps",),
    "num-steps": ("--steps",),
    "max-time": ("--time",),
    "minutes": ("--time",),
    "early-stopping": ("--patience",),
    "early-stopping-patience": ("--patience",),
    "eval-interval": ("--eval-every",),
    "eval-steps": ("--eval-every",),
    "save-steps": ("--save-every",),
    "save-interval": ("--save-every",),
    "checkpoint-every": ("--save-every",),
    "validation": ("--val", "--val-fraction"),
    "validation-file": ("--val",),
    "val-file": ("--val",),
    "valid": ("--val",),
    "val-split": ("--val-fraction",),
    "test-size": ("--val-fraction",),
    "validation-split-percentage": ("--val-fraction",),
    "init-from": ("--from",),
    "from-pretrained": ("--from",),
    "base-model": ("--from",),
    "finetune": ("--from",),
    "resume-from-checkpoint": ("--resume",),
    "continue": ("--resume",),
    "fp16": ("--dtype float16", "--device cuda"),
    "float16": ("--dtype float16",),
    "half": ("--dtype float16",),
    "bf16": ("--dtype bfloat16", "--device cuda"),
    "bfloat16": ("--dtype bfloat16",),
    "fp32": ("--dtype float32",),
    "mixed-precision": ("--dtype bfloat16",),
    "precision": ("--dtype",),
    "fsdp": ("--shard",),
    "text-column": ("--field",),
    "column": ("--field",),
    "vocab": ("--vocab-size",),
    "n-vocab": ("--vocab-size",),
    "special-tokens": ("--user-defined-symbols",),
    # generating
    "conversation": ("--chat",),
    "cnv": ("--chat",),
    "apply-chat-template": ("--chat",),
    "system-prompt": ("--system",),
    "sys": ("--system",),
    "n-predict": ("--max-new-tokens",),
    "num-predict": ("--max-new-tokens",),
    "num-tokens": ("--max-new-tokens",),
    "n-tokens": ("--max-new-tokens",),
    "tokens": ("--max-new-tokens",),
    "max-length": ("--max-new-tokens", "--context-length"),
    "max-len": ("--max-new-tokens", "--context-length"),
    "length": ("--max-new-tokens", "--context-length"),
    "min-length": ("--min-new-tokens",),
    "num-samples": ("--samples",),
    "num-return-sequences": ("--samples",),
    "best-of": ("--samples",),
    "n": ("--samples",),
    "t": ("--temperature",),
    "typical": ("--typical-p",),
    "nucleus": ("--top-p",),
    "repeat-penalty": ("--repetition-penalty",),
    "beams": ("--num-beams",),
    "beam-size": ("--num-beams",),
    "stop-sequence": ("--stop",),
    "stop-sequences": ("--stop",),
    "reverse-prompt": ("--stop",),
    "eos": ("--ignore-eos",),
    "grammar": ("--regex",),
    "guided-regex": ("--regex",),
    "guided-json": ("--json-schema",),
    "guided-choice": ("--choices",),
    "do-sample": ("--temperature 1",),
    "load-in-8bit": ("--int8",),
    "quantize": ("--int8", "--type"),
    "verbose": ("--stats", "--debug"),
    "elbo": ("--bound",),
    "jaccard": ("--near",),
    "similarity": ("--near",),
    "threshold": ("--near",),
    "timeout": ("--max-time", "--time"),
    "seeds": ("--seed",),
    "random-seed": ("--seed",),
    # what is used, and where results go
    "model": ("--run", "--from"),
    "model-name": ("--run",),
    "model-path": ("--run",),
    "model-name-or-path": ("--run",),
    "checkpoint": ("--run",),
    "ckpt": ("--run",),
    "m": ("--run",),
    "output": ("--run", "--out", "--name"),
    "output-dir": ("--run", "--out", "--name"),
    "out-dir": ("--run", "--out", "--name"),
    "out": ("--run", "--name"),
    "o": ("--run", "--out", "--name"),
    "gpu": ("--device cuda",),
    "cuda": ("--device cuda",),
    "ngl": ("--device cuda",),
    "n-gpu-layers": ("--device cuda",),
    "cpu": ("--device cpu",),
    "mps": ("--device mps",),
    "backend": ("--engine", "--device"),
    "outtype": ("--type",),
    "format": ("--to",),
    "silent": ("--quiet",),
    "force": ("--yes",),
}

# Options that are arguments here, or need none, by command.
TEXTS = ("data", "dataset", "corpus", "input", "file", "text")
DELIMITERS = ("sep", "delimiter", "delim")
RECOGNIZED = "FILE   # the delimiter of a CSV file is recognized"
ARGUMENTS: dict[str, dict[str, str]] = {
    "train": {
        **dict.fromkeys((*TEXTS, "train-file", "data-dir"), "tfcli train FILE"),
        **dict.fromkeys(DELIMITERS, f"tfcli train {RECOGNIZED}"),
    },
    "generate": {
        "prompt": 'tfcli generate "Once upon a time"',
        "p": 'tfcli generate "Once upon a time"',
        "start": 'tfcli generate "Once upon a time"',
        "input": "tfcli generate < FILE",
        "output": "tfcli generate PROMPT > FILE",
        "out": "tfcli generate PROMPT > FILE",
        "o": "tfcli generate PROMPT > FILE",
    },
    "score": {
        **dict.fromkeys((*TEXTS, "prompt"), "tfcli score FILE"),
        **dict.fromkeys(DELIMITERS, f"tfcli score {RECOGNIZED}"),
    },
    "export": {"output": "tfcli export RUN PATH --to gguf"},
}

# Commands: those that are called otherwise. One of a group, such as `plot`, is found by itself.
COMMANDS: dict[str, str] = {
    "ls": "tfcli runs list",
    "models": "tfcli runs list",
    "ps": "tfcli runs list",
    "delete": "tfcli runs rm RUN",
    "remove": "tfcli runs rm RUN",
    "del": "tfcli runs rm RUN",
    "compare": "tfcli runs diff RUN RUN",
    "describe": "tfcli runs show RUN",
    "check": "tfcli runs verify",
    "fix": "tfcli runs repair",
    "sample": "tfcli generate PROMPT",
    "run": "tfcli generate PROMPT",
    "complete": "tfcli generate PROMPT",
    "completion": "tfcli generate PROMPT",
    "infer": "tfcli generate PROMPT",
    "inference": "tfcli generate PROMPT",
    "predict": "tfcli generate PROMPT",
    "write": "tfcli generate PROMPT",
    "infill": "tfcli fill TEXT",
    "fim": "tfcli fill TEXT",
    "insert": "tfcli fill TEXT",
    "chat": "tfcli generate --interactive",
    "repl": "tfcli generate --interactive",
    "serve": "tfcli generate --jsonl < REQUESTS",
    "finetune": "tfcli train FILE --from RUN",
    "ft": "tfcli train FILE --from RUN",
    "sft": "tfcli train FILE --from RUN",
    "pretrain": "tfcli train FILE",
    "fit": "tfcli train FILE",
    "create": "tfcli train FILE",
    "new": "tfcli train FILE",
    "init": "tfcli train FILE",
    "resume": "tfcli train --resume",
    "continue": "tfcli train --resume",
    "plan": "tfcli train FILE --dry-run",
    "evaluate": "tfcli score FILE",
    "test": "tfcli score FILE",
    "perplexity": "tfcli score FILE",
    "ppl": "tfcli score FILE",
    "tokenize": "tfcli tokenizer encode",
    "detokenize": "tfcli tokenizer decode",
    "convert": "tfcli export RUN PATH --to gguf",
    "quantize": "tfcli export RUN PATH --to gguf --type q8_0",
    "save": "tfcli export RUN PATH --to huggingface",
    "load": "tfcli import DIR",
    "pull": "tfcli import DIR",
    "download": "tfcli import DIR",
    "quickstart": "tfcli demo",
    "version": "tfcli --version",
    "runs ls": "tfcli runs list",
    "runs delete": "tfcli runs rm RUN",
    "runs remove": "tfcli runs rm RUN",
    "runs info": "tfcli runs show RUN",
    "runs compare": "tfcli runs diff RUN RUN",
    "runs check": "tfcli runs verify",
    "runs fix": "tfcli runs repair",
    "runs prune": "tfcli runs repair",
    "runs resume": "tfcli train --resume RUN",
    "runs export": "tfcli export RUN PATH --to huggingface",
    "tokenizer list": "ls tokenizers",
    "tokenizer ls": "ls tokenizers",
    "tokenizer show": "tfcli tokenizer info NAME",
    "tokenizer tokenize": "tfcli tokenizer encode",
    "tokenizer detokenize": "tfcli tokenizer decode",
}

# Values of options, by the option's name.
VALUES: dict[str, dict[str, str]] = {
    "device": {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps"},
    "dtype": {
        "fp16": "float16", "half": "float16", "f16": "float16", "bf16": "bfloat16",
        "fp32": "float32", "f32": "float32", "float": "float32",
    },
}  # fmt: skip


SHORTEST = 3  # letters of a name of which another one can be the beginning


def plain(name: str) -> str:
    """A name as it is compared: `n-layer`, `--n_layer` and `--nLayer` are one."""
    return name.lower().replace("-", "").replace("_", "")


def similar_name(name: str, known: Iterable[str]) -> str | None:
    """The known name with almost the same letters, or that is cut short or made longer."""
    by_letters = {plain(each): each for each in sorted(known)}
    typed = plain(name)
    if close := closest_match(typed, by_letters):
        return by_letters[close]
    begun = [each for each in by_letters if _begins(each, typed) or _begins(typed, each)]
    return by_letters[begun[0]] if len(begun) == 1 else None


def _begins(short: str, long: str) -> bool:
    return len(short) >= SHORTEST and long.startswith(short)


def similar_choice(value: str, choices: Iterable[str]) -> str | None:
    """The one of an option's values that is spelled almost so, as a question."""
    similar = similar_name(value, choices)
    return f"did you mean {similar!r}?" if similar else None


def suggested_value(option: str, value: str, choices: Collection[str] = ()) -> str | None:
    """What to write for a value that an option does not know: others call one so, or it is near."""
    several = [each.strip() for each in value.split(",")]
    if len(several) > 1 and {*several} <= {*choices}:
        return " ".join(f"--{option} {each}" for each in several)
    if option == "device" and plain(value).startswith("cuda:"):
        number = value.split(":", 1)[1]
        return f"CUDA_VISIBLE_DEVICES={number if number.isdecimal() else 0} tfcli ... --device cuda"
    meant = VALUES.get(option, {}).get(plain(value))
    return f"--{option} {meant}" if meant else similar_choice(value, choices)
