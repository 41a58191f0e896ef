"""The recipe of docs/interchange.md: lm-evaluation-harness gives the scores of `tfcli score`."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SENTENCES, Shell

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


def test_harness_gives_the_scores_of_tfcli_score(trained: Shell, tmp_path: Path) -> None:
    lines = [sentence.strip() for sentence in SENTENCES[:20]]
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(f"{json.dumps({'text': line})}\n" for line in lines))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "book.yaml").write_text(TASK.format(texts=texts))
    exported = trained("export", "tale", str(tmp_path / "hf"), "--to", "huggingface")
    assert exported.code == 0, exported.err
    subprocess.run(
        [
            sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
            f"pretrained={tmp_path / 'hf'},dtype=float32,add_bos_token=False", "--tasks", "book",
            "--include_path", str(tmp_path / "tasks"), "--device", "cpu",
            "--output_path", str(tmp_path / "out.json"),
        ],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        check=True,
    )  # fmt: skip
    (results,) = tmp_path.glob("out*.json")
    theirs = json.loads(results.read_text())["results"]["book"]["bits_per_byte,none"]
    scored = trained(
        "score", "--run", "tale", "--by", "line", "--json",
        stdin="".join(f"{line}\n" for line in lines).encode(),
    )  # fmt: skip
    rows = [json.loads(row) for row in scored.out.splitlines()]
    nats, total = sum(row["nats"] for row in rows), sum(row["bytes"] for row in rows)
    assert theirs == pytest.approx(nats / total / math.log(2), rel=1e-5)
