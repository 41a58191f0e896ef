"""Fuzzing that is guided by coverage: atheris changes the bytes of a sound file so that lines are
reached that were not before, and whatever comes of it but an error of our tree is a finding.

    python -m tests.reliability.guided READER FOLDER [an option of libFuzzer's]...

FOLDER holds sound files to begin with; what is found stays in the current folder.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Reader = Callable[[bytes], object]


def readers(folder: Path) -> dict[str, Reader]:
    """What reads bytes that may come from anywhere, by name; `folder` is to be empty."""
    from tfcli.exchange.architectures import from_config_json
    from tfcli.exchange.tokenizer_json import from_tokenizer_json
    from tfcli.files import new_folder, read_json
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.request_lines import parse_json_line
    from tfcli.model.tensor_file import TensorFile
    from tfcli.runs.run import RUN_JSON, open_run, write_metadata
    from tfcli.runs.step import STATE, read_state
    from tfcli.text.pieces import read_pieces as read_sentencepiece
    from tfcli.text.readers import read_chunks

    def written(data: bytes, name: str) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    def value(data: bytes) -> Any:
        return read_json(written(data, "file.json"))

    def weights(data: bytes) -> None:
        file = TensorFile(written(data, "model.safetensors"))
        for name in file.tensors:
            file.read(name)

    def state(data: bytes) -> None:
        step = folder / "step-00000001"
        with new_folder(step) as writer:  # with a manifest that agrees
            writer.write(STATE, data)
        read_state(step)

    def config(data: bytes) -> None:
        given = value(data)
        if isinstance(given, dict):
            from_config_json(given, vocab_size=300)

    def metadata(data: bytes) -> None:
        given = value(data)
        if isinstance(given, dict):
            write_metadata(folder, given)  # with the hash that lets it through
            open_run(folder)
            (folder / RUN_JSON).unlink()

    return {
        "weights": weights,
        "card": metadata,
        "state": state,
        "config.json": config,
        "tokenizer.json": lambda data: from_tokenizer_json(value(data)),
        "tokenizer.model": read_sentencepiece,
        "text": lambda data: list(read_chunks(written(data, "text.txt"))),
        "rows": lambda data: list(read_chunks(written(data, "rows.jsonl"))),
        "request": lambda data: parse_json_line(data, 1, GenerationRequest()),
    }


def main() -> None:
    """Reads, for as long as it was told to."""
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        with atheris.instrument_imports(include=["tfcli", "json"]):
            read = readers(Path(folder))[sys.argv.pop(1)]

            from tfcli.errors import TfcliError

        def once(data: bytes) -> None:
            try:
                read(data)
            except TfcliError as error:
                assert error.exit_code in {2, 65, 66}, error.what

        atheris.Setup(sys.argv, once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
