"""The only package that writes: whole files, whole folders, single lines, under a lock.

What it guarantees, and how:

* A file or folder exists completely or not at all. It is written under a temporary name beside its
  final one, flushed to the disk (fsync), then renamed; the parent folder is flushed last, so that
  the rename itself survives a power loss.
* A folder has a MANIFEST.json, written last, with the size and SHA-256 of every file in it.
  `verify_folder` reads everything back; a single flipped bit is noticed.
* A folder is replaced in two renames; `read_folder` reads all of the old one or all of the new one.
* What a killed process leaves behind has a name that starts with `.tmp-` or `.old-`;
  `remove_leftovers` and `remove_abandoned` remove it, and never what a running process writes.

Every system call that changes the disk is a function of `os` or `shutil`, called in this package,
so a test that makes call number k fail reaches every writer of the program.
"""

from tfcli.files.atomic import (
    FileWriter,
    append_line,
    external_writer,
    new_file,
    read_checked_json,
    read_json,
    store_by_content,
    to_json,
    write_checked_json,
    write_file,
    write_json,
)
from tfcli.files.disk import (
    FileHash,
    disk_space,
    hash_file,
    make_folder,
    remove_file,
    require_absent,
    require_parent,
    require_regular_file,
    require_space,
    translate_os_error,
)
from tfcli.files.folders import (
    MANIFEST,
    FolderWriter,
    new_folder,
    read_folder,
    recorded_sha256,
    remove_folder,
    verify_file,
    verify_folder,
)
from tfcli.files.leftovers import (
    find_leftovers,
    remove_abandoned,
    remove_leftovers,
    remove_unused,
)
from tfcli.files.locks import holder_was_killed, lock
from tfcli.files.names import NAME, check_name, did_you_mean, file_not_found, slugify
from tfcli.files.records import read_record, require_known_schema

__all__ = [
    "MANIFEST",
    "NAME",
    "FileHash",
    "FileWriter",
    "FolderWriter",
    "append_line",
    "check_name",
    "did_you_mean",
    "disk_space",
    "external_writer",
    "file_not_found",
    "find_leftovers",
    "hash_file",
    "holder_was_killed",
    "lock",
    "make_folder",
    "new_file",
    "new_folder",
    "read_checked_json",
    "read_folder",
    "read_json",
    "read_record",
    "recorded_sha256",
    "remove_abandoned",
    "remove_file",
    "remove_folder",
    "remove_leftovers",
    "remove_unused",
    "require_absent",
    "require_known_schema",
    "require_parent",
    "require_regular_file",
    "require_space",
    "slugify",
    "store_by_content",
    "to_json",
    "translate_os_error",
    "verify_file",
    "verify_folder",
    "write_checked_json",
    "write_file",
    "write_json",
]
