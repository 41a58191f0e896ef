"""A run in words and rounded figures: for `runs show`, `runs diff` and the page of `runs plot`.

What a plan holds and no line here names is shown under its own name, so that a new option needs
no line of its own.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfcli.cli.humanize import format_bytes, format_count, format_duration
from tfcli.model.cost import parameters_by_part
from tfcli.options import options_of
from tfcli.quantities import counted
from tfcli.runs.comparison import configuration, obstacle, results, side_by_side
from tfcli.runs.source_names import source_name
from tfcli.text.reading_options import DEFAULT, ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfcli.runs.corpus_metadata import CorpusMetadata
    from tfcli.runs.series import Point, Series

# title -> name -> what it is, in words
Description = dict[str, dict[str, str]]

RUN, RESULTS, TEXT = "Run", "Results", "Text"
NORMS = {"rms_norm": "RMSNorm", "layer_norm": "LayerNorm"}
FEED_FORWARD = {"swiglu": "SwiGLU", "gelu": "GELU", "relu": "ReLU"}
RATE = "_learning_rate"
FINGERPRINT = 8  # digits that are shown of one
RARE = {"infill", "masked"}  # settings that are off in most runs, and then not worth a line
NOT_IN_WORDS = {"budget", "micro_batch_size", "batch_size", "optimizer"}  # told in other words


def describe(series: Series) -> Description:
    """A run, section by section."""
    return {
        RUN: _run(series),
        RESULTS: _results(series),
        "Training": _training(series),
        TEXT: _text(series.run.corpus),
        "Tokenizer": _tokenizer(series),
        "Model": _model(series),
        "Machine": {
            name: str(value) for name, value in (series.run.metadata.get("machine") or {}).items()
        },
    }


def compare(
    descriptions: Sequence[Description], *, everything: bool = False
) -> dict[str, dict[str, list[str]]]:
    """Descriptions of runs, line by line: what each says, and "-" where one says nothing.

    Args:
        everything: also lines that are the same in all of them, and where and when each was made.

    """
    table: dict[str, dict[str, list[str]]] = {}
    for title in descriptions[0]:
        if title == RUN and not everything:
            continue
        parts = [each[title] for each in descriptions]
        names = _merged([list(part) for part in parts])
        usual = _usual_reading() if title == TEXT else {}
        lines = {
            name: [part.get(name, usual.get(name, "-") if part else "-") for part in parts]
            for name in names
        }
        kept = {name: said for name, said in lines.items() if everything or len(set(said)) > 1}
        if kept:
            table[title] = kept
    return table


def _run(series: Series) -> dict[str, str]:
    summary, created = series.summary, series.run.metadata.get("created")
    lines = {"path": summary["path"]}
    if isinstance(created, str):
        lines["created"] = _moment(created)
    return lines | {
        "last saved": _moment(summary["changed"]),
        "on disk": format_bytes(summary["disk_bytes"]),
    }


def _moment(iso: str) -> str:
    """`2026-11-27 13:32 UTC` of a time in UTC."""
    return f"{iso[:16].replace('T', ' ')} UTC"


def _merged(lists: Sequence[Sequence[str]]) -> list[str]:
    """The names of all lists, each right after the one that it follows in its own."""
    merged: list[str] = []
    for names in lists:
        place = 0
        for name in names:
            if name not in merged:
                merged.insert(place, name)
            place = merged.index(name) + 1
    return merged


def differences(series: Sequence[Series], *, everything: bool = False) -> dict[str, Any]:
    """What `compare` shows, in plain values, for `--json`: a list for each, in the runs' order."""
    return {
        "runs": [one.summary["path"] for one in series],
        "comparable": obstacle(series) is None,
        "results": side_by_side([results(one) for one in series], everything=everything),
        "configuration": side_by_side(
            [configuration(one.run) for one in series], everything=everything
        ),
    }


def warn_obstacle(series: Sequence[Series]) -> str | None:
    """What a reader must know before comparing the losses of these runs."""
    return {
        None: None,
        "text": "these runs were evaluated on different texts; their losses cannot be compared.",
        "part": "these runs were evaluated on different parts of the held-out text; compare their "
        "losses with care.",
    }[obstacle(series)]


# --- what came of it ----------------------------------------------------------------------------


def _results(series: Series) -> dict[str, str]:
    """The loss of the best checkpoint, and of the evaluations, each with what it was measured on.

    The evaluations of a training may be of a part of the held-out text, and the best checkpoint is
    measured on all of it in the end: these are never set against each other.
    """
    summary, held_out = series.summary, series.summary["held_out"]
    best, last = series.best, series.last
    part = last.held_out.bytes if last and last.held_out else None
    lines = {}
    if held_out:
        lines["best nats/byte"] = _loss(held_out["nats_per_byte"], summary["best_step"])
        if last and part == held_out["bytes"]:
            lines["last nats/byte"] = _evaluation(last)
        lines["measured on"] = measured_on(held_out)
        lines["window"] = f"context {held_out['context']:,}, stride {held_out['stride']:,}"
    if best and last and last.held_out and not (held_out and part == held_out["bytes"]):
        of = "all of it" if last.held_out.whole else "a subset"
        lines |= {f"best on {of}": _evaluation(best), f"last on {of}": _evaluation(last)}
        size = format_bytes(last.held_out.bytes)
        lines["the subset" if of == "a subset" else "measured on"] = size
    if not lines:
        lines["best nats/byte"] = "not evaluated"
    if baselines := summary["baselines"]:
        order = baselines["ngram_order"]
        lines["baselines"] = f"gzip {baselines['gzip']:.2f}, {order}-gram {baselines['ngram']:.2f}"
    if (memory := summary["memory"]) and (found := memory["held_out"]):
        lines["with memory"] = (
            f"{found['nats_per_byte']:z.4f}, without {found['weights_alone']:z.4f}, "
            f"on {format_bytes(found['bytes'])}"
        )
    return lines


def _loss(nats_per_byte: float, step: int) -> str:
    return f"{nats_per_byte:z.4f}, step {step:,}"


def _evaluation(point: Point) -> str:
    return _loss(point.nats_per_byte, point.step)


def measured_on(held_out: Mapping[str, Any]) -> str:
    """Which part of the held-out text an evaluation was on: `all held-out text, 2.2 kB`."""
    part = "all" if held_out["whole"] else "a subset of the"
    return f"{part} held-out text, {format_bytes(held_out['bytes'])}"


# --- how it was made ----------------------------------------------------------------------------


def _training(series: Series) -> dict[str, str]:
    run, summary, plan = series.run, series.summary, series.run.metadata["plan"]
    lines = {}
    if imported := run.metadata.get("imported"):
        lines["imported from"] = str(imported)
    if base := run.metadata.get("from"):
        lines["initialized from"] = str(base)
    if plan or not imported:
        lines["state"] = "finished" if summary["finished"] else "unfinished"
    if summary["steps"]:
        seconds = summary["seconds"]
        lines["steps"] = f"{summary['steps']:,}"
        lines["tokens"] = format_count(summary["tokens_seen"])
        lines["epochs"] = f"{summary['epochs']:.3g}"
        lines["time"] = format_duration(seconds)
        if seconds:
            lines["speed"] = f"{format_count(summary['tokens_seen'] / seconds)} tokens/s"
    lines |= _plan(plan, run.metadata["model"]["context_length"])
    if plan:
        lines["seed"] = str(run.metadata["seed"])
    return lines


def _plan(plan: Mapping[str, Any], context_length: int) -> dict[str, str]:
    lines = {}
    budget, optimizer = plan.get("budget"), plan.get("optimizer")
    if isinstance(budget, dict):
        amount = budget["amount"]
        steps = budget["kind"] == "steps"
        lines["budget"] = f"{amount:,.0f} steps" if steps else format_duration(amount)
    if rows := plan.get("batch_size"):
        lines["batch"] = f"{rows:,} x {context_length:,} tokens"
        if (micro := plan.get("micro_batch_size")) and micro != rows:
            lines["micro-batch"] = f"{micro:,} x {context_length:,} tokens"
    if isinstance(optimizer, dict):
        rates = {name: value for name, value in optimizer.items() if name.endswith(RATE)}
        rest = {name: value for name, value in optimizer.items() if name not in rates}
        lines["learning rate"] = ", ".join(
            f"{_plain(value)} {name.removesuffix(RATE)}" for name, value in rates.items()
        )
        lines["optimizer"] = str(rest.pop("kind", "muon"))
        lines |= _settings(rest)
    return lines | _settings({k: v for k, v in plan.items() if k not in NOT_IN_WORDS})


def _settings(values: Mapping[str, Any]) -> dict[str, str]:
    """Settings by their own names; those that are off, or left to the program, are left out."""
    return {
        name.replace("_", " "): _plain(value)
        for name, value in values.items()
        if value is not None and value is not False and not (name in RARE and not value)
    }


def _text(corpus: CorpusMetadata) -> dict[str, str]:
    if not corpus.sources:
        return {}
    files = [source_name(source) for source in corpus.sources]
    lines = {
        "files": ", ".join(files[:4]) + (f" and {len(files) - 4:,} more" if files[4:] else ""),
        "size": f"{format_bytes(corpus.bytes)}, {counted(corpus.documents, 'document')}",
        "trained on": f"{format_bytes(corpus.training_bytes)}, "
        f"{counted(corpus.training_tokens, 'token')}",
    }
    if corpus.held_out_text:
        lines["held out"] = f"{format_bytes(corpus.held_out_bytes)}: {corpus.held_out_text}"
    if corpus.val:
        lines["held-out fingerprint"] = corpus.val.fingerprint[:FINGERPRINT]
    if corpus.parts:
        lines["weights"] = ", ".join(f"{part.weight:g}" for part in corpus.parts)
    if corpus.pairs:
        form = corpus.pairs.form
        lines["rows of"] = "conversations" if form.kind == "messages" else "prompts and answers"
    return lines | _reading(corpus) | {"fingerprint": corpus.fingerprint[:FINGERPRINT]}


def _reading(corpus: CorpusMetadata) -> dict[str, str]:
    """How the files were read, where that is not as usual."""
    reading, usual = asdict(corpus.reading or DEFAULT), asdict(DEFAULT)
    others = {name: value for name, value in reading.items() if value != usual[name]}
    for name in others.keys() & {"separator", "pair_separator"}:
        others[name] = repr(others[name])
    return _settings(others)


def _usual_reading() -> dict[str, str]:
    """What holds where nothing was said of how files are read, by the names of `_reading`."""
    return {
        name.replace("_", " "): option.shown_default or _plain(option.default)
        for name, option in options_of(ReadingOptions).items()
    }


def _tokenizer(series: Series) -> dict[str, str]:
    tokenizer, corpus = series.run.metadata["tokenizer"], series.run.corpus
    lines = {"vocabulary": f"{tokenizer['vocab_size']:,} tokens"}
    if corpus.training_tokens:
        lines["bytes per token"] = f"{corpus.training_bytes / corpus.training_tokens:.2f}"
    return lines | {"fingerprint": tokenizer["fingerprint"][:FINGERPRINT]}


def _model(series: Series) -> dict[str, str]:
    config = series.run.model_config
    parts = parameters_by_part(config)
    total = sum(parts.values())
    lines = {
        "family": f"{config.family}: {NORMS[config.norm]}, {FEED_FORWARD[config.feed_forward]}, "
        f"{config.positions} positions",
        "context": f"{config.context_length:,} tokens",
        "layers": f"{config.num_layers:,}",
        "hidden size": f"{config.d_model:,}",
        "heads": f"{config.num_heads:,} of size {config.head_dim:,}",
        "feed-forward size": f"{config.d_ff:,}",
        "output embedding": "tied to the input's" if config.tied_head else "untied",
    }
    if config.num_kv_heads != config.num_heads:
        lines["key-value heads"] = f"{config.num_kv_heads:,}"
    lines["norm epsilon"] = f"{config.norm_epsilon:g}"
    if config.positions == "rotary":
        lines["base of RoPE"] = f"{config.rope_theta:,.0f}"
    if config.rope_scaling:
        lines["RoPE scaling"] = f"{config.rope_scaling.kind}, {config.rope_scaling.factor:g} x"
    if config.sliding_window:
        lines["sliding window"] = f"{config.sliding_window:,} tokens"
    if config.qkv_bias:
        others = ", value and output" if config.output_bias else " and value"
        lines["bias"] = f"of query, key{others}"
    lines["parameters"] = format_count(total)
    widths = max(len(format_count(size)) for size in parts.values())
    for part, size in parts.items():
        name = {"feed_forward": "feed-forward"}.get(part, part)
        lines[f"  {name}"] = f"{format_count(size):>{widths}}  {_percent(size / total):>4}"
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"


# --- values -------------------------------------------------------------------------------------


def _plain(value: object) -> str:
    """A value of a record."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return str(value)
