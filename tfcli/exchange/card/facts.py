"""What the card of a run says, in plain values: the one source of `tfcli runs card` and exports.

After Mitchell et al., "Model Cards for Model Reporting", 2019. Of files it has names without
folders, which are nobody else's business. What `run.json` has too is called as it is there.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfcli import __version__
from tfcli.errors import UsageError
from tfcli.exchange.architectures import architecture_of
from tfcli.model.cost import count_parameters, training_flops_per_token
from tfcli.quantities import counted
from tfcli.runs.about import About, known_about
from tfcli.runs.audits import read_audits
from tfcli.runs.metrics import read_metrics
from tfcli.runs.source_names import source_name
from tfcli.runs.summary import memory_figures
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.errors import TfcliError
    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep

    Facts = dict[str, Any]

CORE_WATTS = 10.0  # of a busy core, a round figure: from 3 in a laptop to 20 in a desktop
JOULES_PER_KWH = 3.6e6
NO_GPU = (None, "cpu")


def make_card(
    run: Run, step: ValidStep, *, on_damaged: Callable[[TfcliError], None] = lambda _: None
) -> Facts:
    """The card of a step of a run.

    Args:
        on_damaged: is told what was said of the run, or which of its audits, cannot be read; the
            card goes without it.

    Raises:
        DamagedError: its tokenizer cannot be read.

    """
    about = known_about(run.path, on_damaged)
    audits = {
        record.kind: {
            "date": record.date, "step": record.step, "is_current": record.is_of(step),
            "figures": record.figures,
        }
        for record in read_audits(run, on_damaged)
    }  # fmt: skip
    imported = run.metadata.get("imported")
    return {
        "name": run.name,
        "description": about.description,
        "author": about.author,
        "license": about.license,
        "text_url": about.text_url,
        "created": run.metadata.get("created"),
        "tfcli": __version__,
        "imported": imported,
        "from": run.metadata.get("from"),
        "model": _model(run),
        "tokenizer": _tokenizer(run),
        "text": None if imported else _text(run),
        "training": None if imported else _training(run, step),
        "held_out": _held_out(step),
        "memory": None if imported else memory_figures(run),
        "eval": audits.get("eval"),
        "baselines": run.metadata.get("baselines"),
        "energy": None if imported else _energy(run, about),
        "audits": {kind: audits.get(kind) for kind in ("memory", "bias", "groups")},
    }


def _model(run: Run) -> Facts:
    config = run.model_config
    return {
        "architecture": _architecture(config),
        "family": config.family,
        "parameters": count_parameters(config),
        "num_layers": config.num_layers,
        "d_model": config.d_model,
        "num_heads": config.num_heads,
        "head_dim": config.head_dim,
        "num_kv_heads": config.num_kv_heads,
        "d_ff": config.d_ff,
        "context_length": config.context_length,
    }


def _architecture(config: ModelConfig) -> str | None:
    """Its name elsewhere; None where no other program has it."""
    try:
        return architecture_of(config).name
    except UsageError:
        return None


def _tokenizer(run: Run) -> Facts:
    tokenizer = run.tokenizer()
    byte_level = isinstance(tokenizer, ByteLevelTokenizer)
    return {
        "kind": "byte-level BPE" if byte_level else "SentencePiece with byte fallback",
        "vocab_size": tokenizer.vocab_size,
        "fingerprint": run.metadata["tokenizer"]["fingerprint"],
    }


def _text(run: Run) -> Facts:
    corpus = run.corpus
    files = corpus.files or [None] * len(corpus.sources)
    return {
        "sources": [
            {
                "name": source_name(source),
                "bytes": file.bytes if file else None,
                "sha256": file.sha256 if file else None,
            }
            for source, file in zip(corpus.sources, files, strict=True)
        ],
        "bytes": corpus.bytes,
        "documents": corpus.documents,
        "fingerprint": corpus.fingerprint,
        "training_bytes": corpus.training_bytes,
        "training_tokens": corpus.training_tokens,
        "held_out_bytes": corpus.held_out_bytes,
        "held_out": _what_is_held_out(run),
        "prompts": run.form.frame("PROMPT") if run.form else None,
    }


def _what_is_held_out(run: Run) -> str:
    corpus = run.corpus
    if corpus.val:
        return "a text of its own"
    if corpus.pairs:
        return f"pairs chosen at random: {corpus.pairs.held_out_pairs:,}"
    if len(corpus.held_out) == 1 and corpus.held_out[0][1] == corpus.bytes:
        return "the end of the text"
    return counted(len(corpus.held_out), "passage")


def _training(run: Run, step: ValidStep) -> Facts:
    state, plan = step.state, run.metadata["plan"]
    if state.student_since is not None:
        plan = plan | plan["student"]
    optimizer = plan.get("optimizer", {})
    settings = {
        "matrix_learning_rate": optimizer.get("matrix_learning_rate"),
        "table_learning_rate": optimizer.get("table_learning_rate"),
        "weight_decay": optimizer.get("weight_decay"),
        "dropout": plan.get("dropout"),
        "token_dropout": plan.get("token_dropout"),
        "infill": plan.get("infill") or None,
        "masked": plan.get("masked") or None,
        "dtype": plan.get("dtype", plan.get("precision")),
    }
    return {
        "step": state.step,
        "tokens_seen": state.tokens_seen,
        "epochs": round(state.tokens_seen / max(run.corpus.training_tokens, 1), 3),
        "seconds": state.seconds,
        "flops": state.tokens_seen * training_flops_per_token(run.model_config),
        "seed": run.metadata["seed"],
        "settings": {name: value for name, value in settings.items() if value is not None},
        "machine": run.metadata.get("machine"),
    }


def _held_out(step: ValidStep) -> Facts | None:
    measured = step.state.final_or_latest
    if measured is None:
        return None
    return asdict(measured) | {"bits_per_byte": measured.nats_per_byte / math.log(2)}


# --- energy -------------------------------------------------------------------------------------


def _energy(run: Run, about: About) -> Facts | None:
    """What all sessions of a run took; None where it was not recorded, as in earlier releases."""
    sessions: dict[str, Facts] = {}
    saved_before = 0  # checkpoints; each is followed by what was used until then
    for row in read_metrics(run.path):
        if row.get("event") == "EnergyUsed" and isinstance(row.get("session"), str):
            sessions[row["session"]] = row
        elif row.get("event") == "Saved" and not sessions:
            saved_before += 1
    if not sessions:
        return None
    seconds = _sum(sessions, "cpu_seconds") or 0.0
    processor, gpu = _sum(sessions, "cpu_joules"), _sum(sessions, "gpu_joules")
    watts = None if processor is not None else _core_watts(about)
    joules = seconds * watts if watts is not None else processor
    assert joules is not None
    kwh = (joules + (gpu or 0.0)) / JOULES_PER_KWH
    machine, intensity = run.metadata.get("machine") or {}, about.carbon_intensity
    return {
        "sessions": len(sessions),
        "is_whole": saved_before <= 1,
        "cpu_seconds": seconds,
        "cpu_joules": joules,
        "is_estimate": watts is not None,
        "core_watts": watts,
        "gpu_joules": gpu,
        "gpu_unknown": gpu is None and machine.get("device") not in NO_GPU,
        "kwh": kwh,
        "carbon_intensity": intensity,
        "co2_g": None if intensity is None else kwh * intensity,
    }


def _core_watts(about: About) -> float:
    return CORE_WATTS if about.core_watts is None else about.core_watts


def _sum(sessions: dict[str, Facts], key: str) -> float | None:
    """Of all sessions; None where one does not know."""
    values = [row.get(key) for row in sessions.values()]
    known = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return math.fsum(known) if len(known) == len(values) else None
