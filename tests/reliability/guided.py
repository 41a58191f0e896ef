"""Coverage-guided fuzzing: atheris changes the bytes of a valid file so as to reach new lines; any
exception but one of `tfcli.errors` is a finding.

    python -m tests.reliability.guided READER FOLDER [libFuzzer option]...

FOLDER holds valid files to start from; findings are written to the current folder.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Reader = Callable[[bytes], object]


def readers(folder: Path) -> dict[str, Reader]:
    """The functions that read untrusted bytes, by name; `folder` must be empty."""
    from tfcli.exchange.architectures import from_config_json
    from tfcli.exchange.sentencepiece_json import from_tokenizer_json
    from tfcli.files import new_folder, read_json
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.request_lines import parse_json_line
    from tfcli.model.safetensors_file import SafetensorsFile
    from tfcli.runs.run import RUN_JSON, open_run, write_metadata
    from tfcli.runs.step import STATE, read_state
    from tfcli.text.readers import read_chunks
    from tfcli.text.sentencepiece_model import read_pieces as read_sentencepiece

    def written(data: bytes, name: str) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    def value(data: bytes) -> Any:
        return read_json(written(data, "file.json"))

    def weights(data: bytes) -> None:
        file = SafetensorsFile(written(data, "model.safetensors"))
        for name in file.tensors:
            file.read(name)

    def state(data: bytes) -> None:
        step = folder / "step-00000001"
        with new_folder(step) as writer:  # with a matching manifest
            writer.write(STATE, data)
        read_state(step)

    def config(data: bytes) -> None:
        given = value(data)
        if isinstance(given, dict):
            from_config_json({"vocab_size": 300} | given)

    def metadata(data: bytes) -> None:
        given = value(data)
        if isinstance(given, dict):
            write_metadata(folder, given)  # with a matching hash
            open_run(folder)
            (folder / RUN_JSON).unlink()

    return {
        "weights": weights,
        "run.json": metadata,
        "state": state,
        "config.json": config,
        "tokenizer.json": lambda data: from_tokenizer_json(value(data)),
        "tokenizer.model": read_sentencepiece,
        "text": lambda data: list(read_chunks(written(data, "text.txt"))),
        "rows": lambda data: list(read_chunks(written(data, "rows.jsonl"))),
        "request": lambda data: parse_json_line(data, 1, GenerationRequest()),
    }


def main() -> None:
    """Fuzzes until the time limit of libFuzzer."""
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
