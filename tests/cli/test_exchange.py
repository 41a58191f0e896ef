"""`tfcli export`, `import`, `tokenizer export` and `tokenizer import` in the shell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import BOOK, RealShell, Shell


@pytest.fixture
def workshop(trained: Shell, tmp_path: Path) -> Shell:
    """A copy of the folder with the run `tale`, which tests may change."""
    shutil.copytree(trained.folder, tmp_path / "work")
    return RealShell(tmp_path / "work")


def test_exported_run_imports_with_the_same_text_and_scores(workshop: Shell) -> None:
    done = workshop("export", "tale", "out", "--to", "huggingface")
    assert done.code == 0, done.err
    assert done.out == b""
    assert "Wrote out from step 60 of tale." in done.err
    assert "Next: python -c" in done.err
    assert f'("{" ".join(BOOK.split()[:3])}", max_new_tokens=' in done.err  # as the book begins
    done = workshop("import", "out", "--run", "back")
    assert done.code == 0, done.err
    assert "back: " in done.err
    arguments = ("generate", "Ann saw", "--greedy", "--max-new-tokens", "20")
    assert workshop(*arguments, "--run", "back").out == workshop(*arguments, "--run", "tale").out
    scores = [
        json.loads(workshop("score", "book.txt", "--run", run, "--json").out)
        for run in ("tale", "back")
    ]
    assert scores[0] == scores[1]


def test_imported_run_is_listed_shown_and_trained_further(workshop: Shell) -> None:
    workshop("export", "tale", "out", "--to", "huggingface")
    workshop("import", "out", "--run", "back")
    shown = json.loads(workshop("runs", "show", "back", "--json").out)
    assert shown["run"]["imported"] == "out"
    assert shown["held_out"] is None
    assert "back" in workshop("runs").err + workshop("runs").out.decode()
    assert workshop("runs", "show", "back").code == 0
    done = workshop("train", "book.txt", "--from", "back", "--run", "more", "--steps", "5")
    assert done.code == 0, done.err
    before = json.loads(workshop("runs", "show", "tale", "--json").out)["held_out"]
    after = json.loads(workshop("runs", "show", "more", "--json").out)["held_out"]
    assert after["nats_per_byte"] < before["nats_per_byte"] + 0.1, "trained from imported weights"
    done = workshop("train", "--resume", "back", "--steps", "5")
    assert done.code == 2
    assert "was imported" in done.err
    assert "tfcli train FILE --from back" in done.err


def test_gguf_file_is_imported_with_the_same_text(workshop: Shell) -> None:
    workshop("export", "tale", "it.gguf", "--to", "gguf")
    done = workshop("import", "it.gguf", "--run", "back")
    assert done.code == 0, done.err
    assert (
        json.loads(workshop("runs", "show", "back", "--json").out)["run"]["imported"] == "it.gguf"
    )
    arguments = ("generate", "Ann saw", "--greedy", "--max-new-tokens", "20")
    assert workshop(*arguments, "--run", "back").out == workshop(*arguments, "--run", "tale").out


def test_an_end_of_text_that_is_no_token_is_ignored_and_told(workshop: Shell) -> None:
    workshop("export", "tale", "ends", "--to", "huggingface")
    config = workshop.folder / "ends/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"eos_token_id": [2, 50256]}))
    done = workshop("import", "ends", "--run", "ended")
    assert done.code == 0, done.err
    assert "ignored as ends of a text" in " ".join(done.err.split())
    assert "50256" in done.err


def test_a_context_that_is_cut_is_told(workshop: Shell) -> None:
    workshop("export", "tale", "long", "--to", "huggingface")
    config = workshop.folder / "long/config.json"
    described = json.loads(config.read_text()) | {"max_position_embeddings": 1 << 20}
    config.write_text(json.dumps(described))
    done = workshop("import", "long", "--run", "cut")
    assert done.code == 0, done.err
    assert "context of 1,048,576 tokens was cut to 131,072" in " ".join(done.err.split())
    asked = workshop("import", "long", "--run", "asked", "--context-length", "16")
    assert "was cut" not in asked.err


def test_gguf_file_that_cannot_be_read_leaves_nothing(workshop: Shell) -> None:
    workshop("export", "tale", "it.gguf", "--to", "gguf")
    whole = (workshop.folder / "it.gguf").read_bytes()
    (workshop.folder / "short.gguf").write_bytes(whole[:-1000])
    (workshop.folder / "hostile.gguf").write_bytes(whole[:8] + b"\xff" * 16 + whole[24:])
    for name in ("short.gguf", "hostile.gguf"):
        done = workshop("import", name, "--run", "back")
        assert done.code == 65, done.err
        assert f"{name} is not a valid GGUF file" in done.err
    assert workshop("import", "none.gguf", "--run", "back").code == 66
    assert not (workshop.folder / "checkpoints" / "back").exists()


def test_chat_template_goes_along_when_a_run_is_trained_further(workshop: Shell) -> None:
    workshop("export", "tale", "out", "--to", "huggingface")
    (workshop.folder / "out" / "chat_template.jinja").write_text("{{ messages }}")
    workshop("import", "out", "--run", "back")
    done = workshop("train", "book.txt", "--from", "back", "--run", "more", "--steps", "2")
    assert done.code == 0, done.err
    done = workshop("export", "more", "again", "--to", "huggingface")
    assert done.code == 0, done.err
    assert (workshop.folder / "again" / "chat_template.jinja").read_text() == "{{ messages }}"
    described = json.loads((workshop.folder / "again" / "tokenizer_config.json").read_text())
    assert "split_special_tokens" not in described, "the template writes control tokens"


def test_cost_of_quantization_is_measured(workshop: Shell) -> None:
    done = workshop("export", "tale", "it.gguf", "--to", "gguf", "--type", "q8_0", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result.keys() == {"path", "step", "to", "nats_per_byte", "nats_per_byte_f32"}
    assert abs(result["nats_per_byte"] - result["nats_per_byte_f32"]) < 0.01
    assert result["nats_per_byte"] != result["nats_per_byte_f32"]
    assert (workshop.folder / "it.gguf").read_bytes()[:4] == b"GGUF"
    shutil.rmtree(workshop.folder / ".tfcli", ignore_errors=True)
    for path in workshop.folder.rglob("held_out.bin"):
        path.unlink()
    done = workshop("export", "tale", "that.gguf", "--to", "gguf", "--type", "f16")
    assert done.code == 0, done.err
    assert "not measured" in done.err


def test_ollama_export_is_a_folder(workshop: Shell) -> None:
    done = workshop("export", "tale", "out", "--to", "ollama")
    assert done.code == 0, done.err
    assert (workshop.folder / "out" / "Modelfile").is_file()
    assert "ollama create tale" in done.err


def test_tokenizer_is_exported_and_imported_alone(workshop: Shell) -> None:
    assert workshop("tokenizer", "export", "words", "out").code == 0
    done = workshop("tokenizer", "import", "out/tokenizer.json", "--name", "again")
    assert done.code == 0, done.err
    text = BOOK.encode()[:300]
    ids = [
        workshop("tokenizer", "encode", "-t", name, stdin=text).out for name in ("words", "again")
    ]
    assert ids[0] == ids[1]
    assert workshop("tokenizer", "info", "again").code == 0
    done = workshop("tokenizer", "import", "out", "--name", "again")
    assert done.code == 73
    assert "already" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "tale", "book.txt", "--to", "huggingface"], 73, "already exists"),
        (
            ["export", "tale", "o", "--to", "huggingface", "--type", "q8_0"],
            2,
            "--type q8_0 requires",
        ),
        (["export", "tale", "no/o.gguf", "--to", "gguf"], 66, "try: mkdir -p no"),
        (["tokenizer", "export", "tale", "no/o"], 66, "try: mkdir -p no"),
        (["export", "tail", "o", "--to", "gguf"], 66, "did you mean 'tale'"),
        (["export", "tale", "o"], 2, "--to"),
        (["export", "tale", "book.txt", "--to", "gguf"], 73, "already exists"),
        (["export", "tale", "checkpoints", "--to", "ollama"], 73, "already exists"),
        (["export", "tale", "/dev/null", "--to", "gguf"], 73, "already exists"),
        (["export", "tale", ".", "--to", "huggingface"], 73, "already exists"),
        (["import", "book.txt", "--run", "new"], 65, "neither a folder"),
        (["import", "nothing", "--run", "new"], 66, "folder not found: 'nothing'"),
        (["import", ".", "--run", "tale"], 73, "already"),
        (["import", ".", "--run", "../x"], 2, "../x"),
        (["import", "checkpoints/tale", "--run", "new"], 65, "is a run of tfcli already"),
        (["import", "checkpoints", "--run", "new"], 66, "model.safetensors"),
        (["tokenizer", "export", "none", "o"], 66, "not found in tokenizers"),
        (["tokenizer", "import", "book.txt", "--name", "new"], 65, "not a SentencePiece model"),
    ],
)
def test_errors_are_reported(trained: Shell, arguments: list[str], code: int, message: str) -> None:
    done = trained(*arguments)
    assert done.code == code, done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (trained.folder / "o").exists()
    assert not (trained.folder / "checkpoints" / "new").exists()
