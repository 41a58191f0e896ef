"""The card of a run: what is said, measured and audited, in Markdown and in GGUF."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exchange.conftest import MakeRun
from tfcli.errors import DamagedError, TfcliError
from tfcli.exchange.card.facts import CORE_WATTS, make_card
from tfcli.exchange.card.markdown import to_markdown
from tfcli.exchange.card.words import limits
from tfcli.exchange.export_huggingface import export_to_huggingface
from tfcli.files import write_json
from tfcli.runs.about import About, change_about, read_about
from tfcli.runs.audits import read_audits, record_audit
from tfcli.runs.metrics import append_metrics
from tfcli.runs.run import Run, open_run, write_metadata
from tfcli.runs.step import MODEL, save_step
from tfcli.runs.valid_steps import open_step

MEMORY = {"prompt_bytes": 100, "windows": 40, "extractable": 4, "share": 0.1, "low": 0.04,
          "high": 0.23, "held_out": None, "canaries": [{"times": 16, "canaries": 2, "bits": 3.5}],
          "text_sha256": "f"}  # fmt: skip


def use(run: Run, session: str, seconds: float, processor: float | None, **more: Any) -> None:
    row = {"event": "EnergyUsed", "step": 1, "session": session, "cpu_seconds": seconds,
           "cpu_joules": processor, "gpu_joules": None} | more  # fmt: skip
    append_metrics(run.path, row)


def test_what_is_said_is_kept_and_taken_back(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    assert read_about(run.path) == About()
    change_about(run.path, {"license": "cc-by-4.0", "author": "Ann"})
    change_about(run.path, {"author": "", "carbon_intensity": 180.0})
    assert read_about(run.path) == About(license="cc-by-4.0", carbon_intensity=180.0)
    assert "license: cc-by-4.0\n" in to_markdown(make_card(run, step))
    write_json(run.path / "about.json", {"schema": 1, "license": 5})
    with pytest.raises(DamagedError, match="license"):
        read_about(run.path)


def test_sessions_add_up_and_the_last_line_of_each_counts(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    assert make_card(run, step)["energy"] is None
    for seconds, joules in ((10.0, 100.0), (30.0, 400.0)):
        use(run, "first", seconds, joules)
    use(run, "second", 5.0, 50.0)
    energy = make_card(run, step)["energy"]
    assert energy["cpu_seconds"] == 35
    assert energy["cpu_joules"] == 450
    assert energy["kwh"] == pytest.approx(450 / 3.6e6)
    assert (energy["is_estimate"], energy["co2_g"]) == (False, None)


def test_what_was_not_measured_in_each_session_is_estimated(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    use(run, "first", 1000.0, 9.0)
    use(run, "second", 200.0, None)
    energy = make_card(run, step)["energy"]
    assert energy["cpu_joules"] == 1200 * CORE_WATTS
    text = to_markdown(make_card(run, step))
    assert "| processor | 12.0 kJ, estimated: 1,200 CPU seconds at 10 W a core" in text
    assert "| together | 3.33 Wh |" in text
    change_about(run.path, {"core_watts": 3.0, "carbon_intensity": 500.0})
    energy = make_card(run, step)["energy"]
    assert energy["cpu_joules"] == 3600
    assert energy["co2_g"] == pytest.approx(0.5)


def test_no_carbon_is_said_and_not_taken_for_nothing_said(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    use(run, "first", 1000.0, None)
    change_about(run.path, {"core_watts": 0.0, "carbon_intensity": 0.0})
    assert read_about(run.path) == About(core_watts=0.0, carbon_intensity=0.0)
    energy = make_card(run, step)["energy"]
    assert (energy["cpu_joules"], energy["co2_g"]) == (0, 0)
    assert "| CO2 | 0 g, at 0 g/kWh as stated by the author |" in to_markdown(make_card(run, step))


def test_settings_have_the_names_of_the_plan(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    run.metadata["plan"] |= {
        "optimizer": {"matrix_learning_rate": 0.02}, "infill": 0.5, "masked": 0.0,
    }  # fmt: skip
    card = make_card(run, step)
    settings = card["training"]["settings"]
    assert settings.items() >= {"matrix_learning_rate": 0.02, "infill": 0.5}.items()
    assert "masked" not in settings
    text = to_markdown(card)
    assert "| learning rate (Muon) | 0.02 |\n" in text
    assert "| infilling | 0.5 |\n" in text


def test_sessions_of_earlier_releases_are_not_passed_over(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    for event in ("Saved", "Saved", "Stopped"):  # of one that recorded nothing
        append_metrics(run.path, {"event": event, "step": 1})
    use(run, "second", 10.0, 100.0)
    assert "| left out | sessions of an earlier release" in to_markdown(make_card(run, step))


def test_a_gpu_that_does_not_count_is_not_left_unsaid(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    run.metadata["machine"] = {"device": "NVIDIA A100"}
    use(run, "first", 10.0, 100.0)
    assert "| GPU | not known, and not included |" in to_markdown(make_card(run, step))
    use(run, "first", 10.0, 100.0, gpu_joules=1e6)
    energy = make_card(run, step)["energy"]
    assert energy["kwh"] == pytest.approx((100 + 1e6) / 3.6e6)


def test_groups_say_what_they_are_of_and_small_ones_come_last(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    ratio = {"value": 1.0, "low": None, "high": None}
    made = [
        {"name": f"g{n}", "nats_per_byte": ratio, "tokens_per_byte": ratio, "ratio": 1.0,
         "bytes": n, "few": n == 30} for n in range(1, 31)
    ]  # fmt: skip
    sources = [{"name": "rows.jsonl", "sha256": "ab"}]
    record_audit(run, step, "groups", {
        "by": "label", "groups": made, "sources": sources, "trained_on": ["rows.jsonl"]
    })  # fmt: skip
    text = to_markdown(make_card(run, step))
    assert "by the field `label`, of rows.jsonl; trained on rows.jsonl, so partly" in text
    assert "loss, g29" in text
    assert "loss, g10 " in text
    assert "loss, g9" not in text
    assert "loss, g30" not in text
    assert "| smaller groups | 10 |" in text


def test_audits_are_named_with_the_weights_that_they_are_of(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    assert f"not audited: `tfcli audit memory {run.name}`" in to_markdown(make_card(run, step))
    record_audit(run, step, "memory", MEMORY)
    card = make_card(run, step)
    assert card["audits"]["memory"]["is_current"]
    assert card["audits"]["memory"]["figures"] == MEMORY
    text = to_markdown(card)
    assert "4 were continued word for word (10.0 %; 4.0 % to 23.0 %)" in text
    assert "exposure 3.5 bits on average of 2" in text
    assert "hint" not in text
    assert "4 of 40 passages came out word for word" in " ".join(limits(card))
    arrays = {"embedding": np.ones((2, 2), np.float32)}
    later = save_step(run.path, replace(step.state, step=9), arrays, {})
    card = make_card(run, open_step(later))
    assert not card["audits"]["memory"]["is_current"]
    assert "Of other weights than these, so only a hint: memory (step 7" in to_markdown(card)
    path = run.path / "audit-memory.json"
    path.write_bytes(path.read_bytes().replace(b'"windows": 40', b'"windows": 99'))
    found: list[TfcliError] = []
    assert read_audits(run, found.append) == []
    assert "is damaged" in str(found[0])
    assert (step.path / MODEL).exists()


def test_texts_of_others_stay_text(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    change_about(run.path, {"author": "A | <script>x</script>\n# B", "license": 'my "own": 1'})
    text = to_markdown(make_card(run, step))
    assert "| author | A \\| &lt;script>x&lt;/script> # B |" in text
    assert 'license: other\nlicense_name: "my \\"own\\": 1"\n' in text


def test_sources_have_names_sizes_and_hashes(make_run: MakeRun) -> None:
    run, step, _ = make_run()
    run.metadata["corpus"] |= {
        "sources": ["/home/ann/secret/book.txt"], "files": [{"bytes": 12, "sha256": "ab"}],
    }  # fmt: skip
    write_metadata(run.path, run.metadata)
    card = make_card(open_run(run.path), step)
    assert card["text"]["sources"] == [{"name": "book.txt", "bytes": 12, "sha256": "ab"}]
    text = to_markdown(card)
    assert "| source 1 | book.txt: 12 bytes, SHA-256 `ab` |" in text
    assert "secret" not in text
    run.metadata["corpus"]["files"] = []  # as in earlier releases
    write_metadata(run.path, run.metadata)
    assert "| source 1 | book.txt |" in to_markdown(make_card(open_run(run.path), step))


def test_an_export_has_the_same_card(make_run: MakeRun, tmp_path: Path) -> None:
    run, step, _ = make_run()
    change_about(run.path, {"author": "Ann"})
    record_audit(run, step, "memory", MEMORY)
    export_to_huggingface(run, step, tmp_path / "out")
    readme = (tmp_path / "out/README.md").read_text()
    for line in to_markdown(make_card(run, step)).splitlines():
        assert line in readme
    assert "| dtype | float32 |" in readme
    json.dumps(make_card(run, step))


def test_gguf_has_the_keys_that_there_are(make_run: MakeRun, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    from tfcli.exchange.export_gguf import export_to_gguf

    run, step, _ = make_run()
    said = {"author": "José", "license": "cc-by-4.0", "text_url": "https://example.org/b"}
    change_about(run.path, said)
    export_to_gguf(run, step, tmp_path / "it.gguf")
    fields = gguf.GGUFReader(tmp_path / "it.gguf").fields
    found = {name: fields[name].contents() for name in fields if name.startswith("general.")}
    assert found["general.author"] == "José"
    assert found["general.license"] == "cc-by-4.0"
    assert found["general.source.url"] == "https://example.org/b"
    assert (found["general.dataset.count"], found["general.dataset.0.name"]) == (1, "book.txt")
