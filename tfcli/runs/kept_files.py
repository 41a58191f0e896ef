"""What a run keeps of the model it came from, as its author wrote it.

    chat_template.jinja    how a conversation is written down
    tokenizer_config.json  the settings of a byte-level tokenizer elsewhere

A run that is trained from another keeps the same files, and exports give them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.files import require_regular_file, translate_os_error, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHAT_TEMPLATE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"
NAMES = (CHAT_TEMPLATE, TOKENIZER_CONFIG)
MAX_BYTES = 16 << 20


def read_kept_files(run: Path) -> dict[str, bytes]:
    """The files that a run keeps, by name.

    Raises:
        DamagedError: one is a pipe or a device.
        InputOutputError: one cannot be read.

    """
    found = {}
    for name in NAMES:
        path = run / name
        if not path.exists():
            continue
        try:
            require_regular_file(path)
            with path.open("rb") as file:
                found[name] = file.read(MAX_BYTES)
        except OSError as error:
            raise translate_os_error(error, path) from error
    return found


def write_kept_files(run: Path, files: Mapping[str, bytes]) -> None:
    """Writes them into a run's folder."""
    for name, content in files.items():
        assert name in NAMES
        write_file(run / name, content)
