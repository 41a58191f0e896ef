"""The only room that writes: whole files, whole folders, one line at a time, under a lock.

What it promises, and how:

* A file or folder is there entirely or not at all. It is written under a temporary name beside
  its place, flushed to the disk (fsync), then renamed; the parent folder is flushed last, so the
  rename itself survives a power cut.
* A folder carries a MANIFEST.json, written last, with the size and SHA-256 of every file in it.
  `verify_folder` reads it all back; a single changed bit is noticed.
* A folder that makes way for another goes in two renames; `read_folder` gets all of the one or all
  of the other.
* What a killed process leaves behind has a name that starts with `.tmp-`; `sweep` takes it away.

Every system call that changes the disk is one of `os` or `shutil`, made in this room, so a test
that makes call number k fail reaches every writer of the program.
"""

from tfcli.files.atomic import (
    FileWriter,
    append_line,
    external_writer,
    new_file,
    read_checked_json,
    read_json,
    remove_file,
    require_regular_file,
    store_by_content,
    to_json,
    write_checked_json,
    write_file,
    write_json,
)
from tfcli.files.disk import make_folder, require_absent, require_space, translate_os_error
from tfcli.files.folders import (
    MANIFEST,
    FolderWriter,
    new_folder,
    read_folder,
    remove_folder,
    sweep,
    verify_file,
    verify_folder,
)
from tfcli.files.locks import find_leftovers, lock, lock_was_left, remove_unused
from tfcli.files.names import NAME, check_name, slugify
from tfcli.files.records import read_record

__all__ = [
    "MANIFEST",
    "NAME",
    "FileWriter",
    "FolderWriter",
    "append_line",
    "check_name",
    "external_writer",
    "find_leftovers",
    "lock",
    "lock_was_left",
    "make_folder",
    "new_file",
    "new_folder",
    "read_checked_json",
    "read_folder",
    "read_json",
    "read_record",
    "remove_file",
    "remove_folder",
    "remove_unused",
    "require_absent",
    "require_regular_file",
    "require_space",
    "slugify",
    "store_by_content",
    "sweep",
    "to_json",
    "translate_os_error",
    "verify_file",
    "verify_folder",
    "write_checked_json",
    "write_file",
    "write_json",
]
