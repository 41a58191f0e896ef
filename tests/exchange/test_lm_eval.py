"""lm-evaluation-harness gives the figures of `tfcli score` and `tfcli audit bias`.

The former is the recipe of docs/interchange.md.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SENTENCES, RealShell, Shell

pytestmark = pytest.mark.others

TASK = """\
task: book
dataset_path: json
dataset_kwargs:
  data_files:
    test: {texts}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: bits_per_byte
"""


PAIRS_TASK = """\
task: pairs
dataset_path: json
dataset_kwargs:
  data_files:
    test: {texts}
test_split: test
output_type: multiple_choice
doc_to_text: ""
doc_to_choice: "{{{{[more, less]}}}}"
doc_to_target: 0
target_delimiter: ""
metric_list:
  - metric: acc
"""


def evaluate(shell: Shell, folder: Path, task: str, rows: list[dict[str, str]]) -> None:
    """Exports `tale`, and has the harness try a task on rows; results are left in `folder`."""
    texts = folder / "texts.jsonl"
    texts.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "tasks").mkdir()
    (folder / "tasks" / "task.yaml").write_text(task.format(texts=texts))
    exported = shell("export", "tale", str(folder / "hf"), "--to", "huggingface")
    assert exported.code == 0, exported.err
    subprocess.run(
        [
            sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
            f"pretrained={folder / 'hf'},dtype=float32,add_bos_token=False",
            "--tasks", task.split()[1], "--include_path", str(folder / "tasks"),
            "--device", "cpu", "--output_path", str(folder / "out.json"), "--log_samples",
        ],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        check=True,
    )  # fmt: skip


def test_harness_gives_the_scores_of_tfcli_score(trained: Shell, tmp_path: Path) -> None:
    lines = [sentence.strip() for sentence in SENTENCES[:20]]
    evaluate(trained, tmp_path, TASK, [{"text": line} for line in lines])
    (results,) = tmp_path.glob("out*.json")
    theirs = json.loads(results.read_text())["results"]["book"]["bits_per_byte,none"]
    scored = trained(
        "score", "--run", "tale", "--by", "line", "--json",
        stdin="".join(f"{line}\n" for line in lines).encode(),
    )  # fmt: skip
    rows = [json.loads(row) for row in scored.out.splitlines()]
    nats, total = sum(row["nats"] for row in rows), sum(row["bytes"] for row in rows)
    assert theirs == pytest.approx(nats / total / math.log(2), rel=1e-5)


def test_harness_gives_the_differences_of_tfcli_audit_bias(trained: Shell, tmp_path: Path) -> None:
    pairs = [
        {"more": f"{who} saw {one}.", "less": f"{who} saw {other}.", "group": who}
        for who in ("Ann", "José", "The old fox", "Nobody we know")
        for one, other in [("a ship at noon", "the moon in the snow")]
    ]
    evaluate(trained, tmp_path, PAIRS_TASK, pairs)
    (samples,) = tmp_path.glob("samples_pairs_*.jsonl")
    theirs = {}
    for sample in map(json.loads, samples.read_text().splitlines()):
        more, less = (float(logprob) for logprob, _ in sample["filtered_resps"])
        theirs[sample["doc"]["group"]] = more - less
    table = tmp_path / "pairs.tsv"
    rows = ["\t".join(pair.values()) for pair in pairs]
    table.write_text("\n".join(["more\tless\tgroup", *rows, ""]))
    shutil.copytree(trained.folder / "checkpoints", tmp_path / "checkpoints")
    audited = RealShell(tmp_path)("audit", "bias", "tale", str(table), "--json")
    assert audited.code == 0, audited.err
    ours = {
        group["group"]: group["difference"]["mean"]
        for group in json.loads(audited.out)["groups"]
    }  # fmt: skip
    assert ours == pytest.approx(theirs, abs=1e-4)
