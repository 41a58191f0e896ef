"""The card of a run in words: sections of facts and sentences, for terminal and Markdown."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfcli import __version__
from tfcli.quantities import counted, percent

if TYPE_CHECKING:
    from tfcli.exchange.card.facts import Facts

SMALL = 1_000_000_000  # weights, below which a model does nothing well but go on with a text
MOST_SOURCES = 20  # that are named
MOST_GROUPS = 20
UNKNOWN_TEXT = "cannot be audited: the training text is not known"
SETTINGS = {  # what keys of `training.settings` are called, where that is not the key
    "matrix_learning_rate": "learning rate (Muon)",
    "table_learning_rate": "learning rate (AdamW)",
    "weight_decay": "weight decay",
    "token_dropout": "token dropout",
    "infill": "infilling",
    "masked": "rows trained both ways",
}
NOT_AUDITED = "not audited: `tfcli audit {kind} {run}`"


@dataclass
class Section:
    """A part of a card.

    Attributes:
        facts: names and what they are, in Markdown without line breaks.
        text: sentences, each a paragraph; or a list, if there are no facts.

    """

    title: str
    facts: dict[str, str] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)


def describe_card(card: Facts) -> list[Section]:
    """All sections of a card, in order."""
    sections = [_about(card), _model(card)]
    if card["text"]:
        sections += [_text(card["text"], card["from"]), _training(card["training"])]
    sections += [_held_out(card), _audits(card)]
    if not card["imported"]:
        sections.append(_energy(card["energy"]))
    return [*sections, Section("Limitations", text=limits(card))]


def origin(card: Facts) -> str:
    """Where a model comes from: `trained from scratch with tfcli 0.1.0`."""
    if card["imported"]:
        return f"imported from {card['imported']} with tfcli {__version__}"
    if card["from"]:
        return f"fine-tuned from {card['from']} with tfcli {__version__}"
    return f"trained from scratch with tfcli {__version__}"


def _about(card: Facts) -> Section:
    made = card["created"]
    return Section("Overview", {
        "author": card["author"] or "not stated",
        "license": card["license"] or "not stated: ask before you use it",
        **({"text published at": card["text_url"]} if card["text_url"] else {}),
        **({"created": made[:10]} if isinstance(made, str) else {}),
    })  # fmt: skip


def _model(card: Facts) -> Section:
    model, tokenizer = card["model"], card["tokenizer"]
    name = f"{model['architecture']} " if model["architecture"] else ""
    return Section("Model", {
        "parameters": f"{model['parameters']:,}",
        "architecture": f"{name}(family `{model['family']}`)",
        "layers, hidden size": f"{model['num_layers']}, {model['d_model']}",
        "attention heads": f"{model['num_heads']} of size {model['head_dim']}, "
                           f"{model['num_kv_heads']} key-value heads",
        "feed-forward size": f"{model['d_ff']}",
        "context length": f"{model['context_length']:,} tokens",
        "vocabulary": f"{tokenizer['vocab_size']:,} tokens ({tokenizer['kind']})",
        "SHA-256 of the tokenizer": f"`{tokenizer['fingerprint']}`",
    })  # fmt: skip


def _text(text: Facts, base: str | None) -> Section:
    facts = {"text": f"{text['bytes']:,} bytes, documents: {text['documents']:,}"}
    for number, source in enumerate(text["sources"][:MOST_SOURCES], 1):
        facts[f"source {number}"] = source["name"]
        if source["sha256"]:
            hashed = f"{source['bytes']:,} bytes, SHA-256 `{source['sha256']}`"
            facts[f"source {number}"] += f": {hashed}"
    if (more := len(text["sources"]) - MOST_SOURCES) > 0:
        facts["more sources"] = f"{more:,}"
    if text["prompts"] is not None:
        facts["prompts"] = f"`PROMPT` is written as `{json.dumps(text['prompts'])}`"
    facts |= {
        "SHA-256 of the text": f"`{text['fingerprint']}`",
        "training part": f"{text['training_bytes']:,} bytes, {text['training_tokens']:,} tokens",
        "held-out part": f"{text['held_out_bytes']:,} bytes, {text['held_out']}",
        "initialized from": base or "scratch",
    }
    return Section("Training text", facts)


def _training(training: Facts) -> Section:
    machine = training["machine"] or {}
    return Section("Training", {
        "tokens seen": f"{training['tokens_seen']:,} ({training['epochs']:.1f} epochs)",
        "steps": f"{training['step']:,}",
        "time": f"{training['seconds']:,.0f} s",
        "compute": f"{training['flops']:.2e} FLOPs",
        "seed": f"{training['seed']}",
        **{SETTINGS.get(key, key): _figure(v) for key, v in training["settings"].items()},
        **({"machine": _machine(machine)} if machine else {}),
    })  # fmt: skip


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _machine(machine: Facts) -> str:
    threads = counted(machine.get("threads", 0), "thread")
    return f"{machine.get('device')}, {threads}, {machine.get('platform')}, " \
           f"torch {machine.get('torch')}"  # fmt: skip


def _held_out(card: Facts) -> Section:
    measured, baselines = card["held_out"], card["baselines"]
    if measured is None:
        answers = _answers(card["eval"])
        return Section("Evaluation", answers, text=["Not evaluated on held-out text."])
    part = "all of it" if measured["whole"] else "an evenly spaced subset"
    facts = {
        "held-out loss": f"**{measured['nats_per_byte']:z.4f} nats per byte** "
                         f"({measured['bits_per_byte']:z.4f} bits per byte)",
        "evaluated on": f"{measured['bytes']:,} bytes, {measured['tokens']:,} tokens: {part}",
        "protocol": f"windows of {measured['context']} tokens with stride {measured['stride']}, "
                    "each starting with `<s>`",
    }  # fmt: skip
    if card["eval"] is None:
        facts["other data"] = "not evaluated"
    if baselines:
        facts["gzip"] = f"{baselines['gzip']:z.4f} nats per byte on the same text"
        if baselines.get("ngram"):
            order = baselines["ngram_order"]
            facts[f"{order}-gram model"] = f"{baselines['ngram']:z.4f} nats per byte"
    if memory := card["memory"]:
        facts["n-gram memory"] = _ngram_memory(memory)
    return Section("Evaluation", facts | _answers(card["eval"]))


def _ngram_memory(memory: Facts) -> str:
    """What lies beside the weights, if it does."""
    found = memory["held_out"]
    measured = (
        f": {found['nats_per_byte']:z.4f} nats per byte with it, {found['weights_alone']:z.4f} "
        "without"
        if found
        else ""
    )
    return (
        f"beside the weights, tfcli has the n-grams of {counted(memory['tokens'], 'token')} of the "
        f"training text, which `--memory` adds{measured}; exports go without it"
    )


def _answers(evaluated: Any) -> dict[str, str]:
    """What `tfcli eval` found."""
    if evaluated is None:
        return {}
    figures = evaluated["figures"]
    exact, loss = figures["exact_match"], figures["nats_per_byte"]
    of = f"{counted(figures['pairs'], 'pair')} of {figures['source']}"
    stale = "" if evaluated["is_current"] else f" (step {evaluated['step']:,}, not these weights)"
    facts = {
        "answers": f"{of}, decoded greedily, {evaluated['date'][:10]}{stale}",
        "exact match": _with_interval(exact),
        "loss of the answers": f"{loss['value']:z.4f} nats per byte "
                               f"({loss['low']:z.4f} to {loss['high']:z.4f})",
    }  # fmt: skip
    if by := figures["by"]:
        for group in by["groups"][:MOST_GROUPS]:
            own = group["exact_match"]
            facts[f"exact match, {by['field']} {group['value']}"] = (
                f"{_with_interval(own)}; pairs: {group['pairs']:,}"
            )
        if (more := len(by["groups"]) - MOST_GROUPS) > 0:
            facts["more groups"] = f"{more:,}"
    return facts


def _with_interval(share: Facts) -> str:
    """`66.7 % (20.8 % to 93.9 %)`."""
    value, low, high = (percent(share[key], 1) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


# --- audits -------------------------------------------------------------------------------------


def _audits(card: Facts) -> Section:
    facts, stale = {}, []
    said = {"memory": _memory, "bias": _bias, "groups": _groups}
    for kind, audit in card["audits"].items():
        if audit is None:
            unknown = kind == "memory" and card["text"] is None
            facts[kind] = (
                UNKNOWN_TEXT
                if unknown
                else NOT_AUDITED.format(kind=kind, run=shlex.quote(card["name"]))
            )
            continue
        facts |= said[kind](audit["figures"])
        if not audit["is_current"]:
            stale.append(f"{kind} (step {audit['step']:,}, {audit['date'][:10]})")
    note = f"Of other weights than these, so only a hint: {', '.join(stale)}." if stale else None
    return Section("Audits", facts, [note] if note else [])


def _memory(figures: Facts) -> dict[str, str]:
    beside = figures["held_out"]
    guessed = f"; of held-out text {percent(beside['share'], 1)}" if beside else ""
    size = figures["prompt_bytes"]
    facts = {
        "memory": f"of {counted(figures['windows'], 'passage')} of the training text, "
                  f"{figures['extractable']:,} were continued word for word "
                  f"({percent(figures['share'], 1)}; {percent(figures['low'], 1)} to "
                  f"{percent(figures['high'], 1)})"
                  f"{guessed}; {size} bytes to read, {size} to write, greedily"
    }  # fmt: skip
    for group in figures["canaries"]:
        facts[f"canaries, {counted(group['times'], 'time')}"] = (
            f"exposure {group['bits']:.1f} bits on average of {group['canaries']:,}"
        )
    return facts


def _bias(figures: Facts) -> dict[str, str]:
    facts = {}
    for group in figures["groups"]:
        more = group["amplification"]
        beyond = f"; beyond its text {_interval(more)}" if more else ""
        facts[f"preference, {group['group']}"] = (
            f"the first of two sentences in {percent(group['preferred']['mean'])} of "
            f"{counted(group['pairs'], 'pair')} ({figures['pairs']}); difference "
            f"{_interval(group['difference'])} nats{beyond}"
        )
    return facts


def _interval(estimate: Facts) -> str:
    if estimate["low"] is None:
        return f"{estimate['mean']:+z.2f}"
    return f"{estimate['mean']:+z.2f} ({estimate['low']:+z.2f} to {estimate['high']:+z.2f})"


def _groups(figures: Facts) -> dict[str, str]:
    named = ", ".join(source["name"] for source in figures["sources"][:3])
    more_files = ", ..." if len(figures["sources"]) > 3 else ""
    by = f"by the field `{figures['by']}`" if figures["by"] else "by file"
    facts = {"groups": f"{by}, of {named}{more_files}"}
    if trained_on := figures.get("trained_on"):  # which records of an earlier release lack
        facts["groups"] += f"; trained on {', '.join(trained_on[:3])}, so partly of memory"
    # the largest say most: those with few documents only if there is room
    by_size = sorted(figures["groups"], key=lambda group: (group["few"], -group["bytes"]))
    largest = {group["name"] for group in by_size[:MOST_GROUPS]}
    for group in [group for group in figures["groups"] if group["name"] in largest]:
        loss, tokens = group["nats_per_byte"], group["tokens_per_byte"]
        known = "" if loss["low"] is None else f" ({loss['low']:.3f} to {loss['high']:.3f})"
        facts[f"loss, {group['name']}"] = (
            f"{loss['value']:.3f}{known} nats per byte, {group['ratio']:.2f} times the lowest; "
            f"{tokens['value']:.3f} tokens per byte; {group['bytes']:,} bytes"
        )
    if (more := len(figures["groups"]) - MOST_GROUPS) > 0:
        facts["smaller groups"] = f"{more:,}"
    return facts


# --- energy and limits --------------------------------------------------------------------------


def _energy(energy: Facts | None) -> Section:
    if energy is None:
        return Section("Energy", text=["Not recorded."])
    how = (
        f"estimated: {energy['cpu_seconds']:,.0f} CPU seconds at "
        f"{energy['core_watts']:g} W a core, an assumption"
        if energy["is_estimate"]
        else "measured by the processor's own counters (RAPL), whatever else ran included"
    )
    facts = {"processor": f"{_scaled(energy['cpu_joules'], 'J')}, {how}"}
    if energy["gpu_joules"] is not None:
        facts["GPU"] = f"{_scaled(energy['gpu_joules'], 'J')}, measured by its driver (NVML)"
    elif energy["gpu_unknown"]:
        facts["GPU"] = "not known, and not included"
    facts["together"] = _scaled(1000 * energy["kwh"], "Wh")
    if energy["co2_g"] is not None:
        facts["CO2"] = (
            f"{_scaled(energy['co2_g'], 'g')}, at {energy['carbon_intensity']:g} g/kWh as stated "
            "by the author"
        )
    if not energy["is_whole"]:
        facts["left out"] = "sessions of an earlier release, which recorded none"
    facts["covers"] = "training; not the tokenizer, cooling, losses of the power supply"
    return Section("Energy", facts)


def _scaled(amount: float, unit: str) -> str:
    """`44.1 J`, `12 kWh`, `3.5 mg`: three digits."""
    if amount == 0:
        return f"0 {unit}"
    for prefix, size in (("M", 1e6), ("k", 1e3), ("", 1.0)):
        if amount >= size:
            return f"{amount / size:.{_decimals(amount / size)}f} {prefix}{unit}"
    return f"{1000 * amount:.{_decimals(1000 * amount)}f} m{unit}"


def _decimals(number: float) -> int:
    return 0 if number >= 100 else 1 if number >= 10 else 2


def limits(card: Facts) -> list[str]:
    """What a model is not good for, as far as its facts tell."""
    model, text, audits = card["model"], card["text"], card["audits"]
    context = model["context_length"]
    size = (
        f"the {text['training_bytes']:,} bytes that it was trained on"
        if text
        else "its training text"
    )
    said = [
        f"Questions of fact. It knows only {size}, with that text's errors, views and style, and "
        "makes up the rest."
    ]
    if card["from"] or card["imported"]:
        base = card["imported"] or card["from"]
        said[0] = f"Questions of fact. It makes them up, from its text and from that of {base}."
    if text and text["prompts"]:
        said.append("Prompts of another form than those it was trained on.")
    elif not card["imported"]:
        said.append("Instructions. It was not trained to follow any, nor to refuse anything.")
    if model["parameters"] < SMALL:
        said.append(_on_size(card["eval"]))
    said.append(f"Texts of more than {context:,} tokens: only the last {context:,} are seen.")
    if card["training"] and "masked" in card["training"]["settings"]:
        said.append(
            "Filling gaps from both sides in other programs. Exported it reads from left to right, "
            "as every causal language model does; the rest of what it learned needs tfcli."
        )
    said.append(_on_memory(audits["memory"]))
    if card["memory"]:
        said[-1] += " The run's n-gram memory holds that text itself: it stays out of exports."
    if audits["bias"] is None and audits["groups"] is None:
        said.append("Decisions about people. Whom it treats differently was not audited.")
    else:
        said.append("Decisions about people, whatever its audits say: they tried a few sentences.")
    return said


def _on_size(evaluated: Any) -> str:
    """What so small a model does badly, but for what was measured."""
    what = "Reasoning, arithmetic, translation, summaries: it is too small for them"
    if evaluated is None:
        return f"{what}."
    figures = evaluated["figures"]
    return (
        f"{what}, beyond prompts like those of {figures['source']}, of which it answers "
        f"{percent(figures['exact_match']['value'], 1)} exactly."
    )


def _on_memory(audit: Any) -> str:
    what = "Keeping its text to itself. "
    if audit is None:
        return what + ("It may reproduce passages of its text verbatim, which was not audited: "
                       "share it only where you may share the text.")  # fmt: skip
    found = audit["figures"]["extractable"]
    came = f"{found:,} of {counted(audit['figures']['windows'], 'passage')} came out word for word"
    return f"{what}{came}: share it only where you may share the text."
