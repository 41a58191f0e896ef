"""Errors of the operating system become our own, with the right exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.faults import fails_with, faulty
from tfcli.errors import ConflictError, InputOutputError, NotFoundError, TfcliError
from tfcli.files import (
    append_line,
    external_writer,
    hash_file,
    make_folder,
    remove_file,
    require_space,
    translate_os_error,
    write_file,
)
from tfcli.files.disk import flush, flush_folder

POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX only")
NOBODY = 65534


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Gives up root's right to write everywhere, if the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def free_bytes(message: str) -> int:
    found = re.search(r"([\d,]+) (?:bytes )?are free", message)
    assert found, message
    return int(found[1].replace(",", ""))


CODES: dict[int, type[TfcliError]] = {
    errno.ENOSPC: InputOutputError,
    errno.EFBIG: InputOutputError,
    errno.EDQUOT: InputOutputError,
    errno.ENOENT: NotFoundError,
    errno.EACCES: InputOutputError,
    errno.EPERM: InputOutputError,
    errno.EROFS: InputOutputError,
    errno.EEXIST: ConflictError,
    errno.ENOTDIR: ConflictError,
    errno.EISDIR: ConflictError,
    errno.EIO: InputOutputError,
    errno.EMFILE: InputOutputError,
    errno.ENAMETOOLONG: InputOutputError,
}


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_each_error_number_has_its_class_and_names_the_file(tmp_path: Path, code: int) -> None:
    error = translate_os_error(OSError(code, os.strerror(code)), tmp_path / "wanted")
    assert isinstance(error, CODES[code])
    assert str(tmp_path / "wanted") in error.what


@given(code=st.integers(1, 200))
def test_any_error_number_is_explained(tmp_path: Path, code: int) -> None:
    error = translate_os_error(OSError(code, os.strerror(code)), tmp_path / "wanted")
    assert isinstance(error, TfcliError)
    assert isinstance(error, NotFoundError) or os.strerror(code) in str(error.why)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_permission_errors_suggest_showing_the_permissions(tmp_path: Path, code: int) -> None:
    error = translate_os_error(OSError(code, os.strerror(code)), tmp_path / "wanted")
    assert "no permission to read or write" in error.what
    assert str(error.hint).startswith(f"ls -ld {tmp_path}")


def test_error_without_a_number_is_explained_by_its_text(tmp_path: Path) -> None:
    assert translate_os_error(OSError("it would not"), tmp_path).why == "it would not"


def test_missing_file_without_a_number_is_not_found(tmp_path: Path) -> None:
    """As raised by safetensors and other libraries written in Rust."""
    assert isinstance(translate_os_error(FileNotFoundError("not here"), tmp_path), NotFoundError)


def test_full_disk_error_says_how_much_is_free(tmp_path: Path) -> None:
    error = translate_os_error(
        OSError(errno.ENOSPC, "no space left"), tmp_path / "no" / "such" / "folder"
    )
    assert "the disk is full" in error.what
    assert 0 < free_bytes(str(error.why)) <= shutil.disk_usage(tmp_path).total


@POSIX
def test_quota_is_told_from_a_full_disk(tmp_path: Path) -> None:
    error = translate_os_error(OSError(errno.EDQUOT, "quota exceeded"), tmp_path / "file")
    assert (error.exit_code, error.why) == (74, "quota exceeded")
    assert "disk quota exceeded" in error.what
    assert str(error.hint).startswith("quota -s")


def test_full_disk_is_explained_even_if_it_cannot_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: object) -> Any:
        raise OSError(errno.EIO, "refused")

    monkeypatch.setattr(shutil, "disk_usage", refuses)
    error = translate_os_error(OSError(errno.ENOSPC, "no space left"), tmp_path / "file")
    assert "the disk is full" in error.what
    assert error.why == "no space left"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_full_device_is_reported_as_a_full_disk() -> None:
    with pytest.raises(InputOutputError, match="the disk is full"):
        append_line(Path("/dev/full"), b"x")


@POSIX
def test_file_size_limit_is_reported_and_keeps_the_old_file(tmp_path: Path) -> None:
    import resource

    write_file(tmp_path / "file", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputOutputError, match="the file is too large") as caught:
            write_file(tmp_path / "file", bytes(2000))
        assert "ulimit -f" in str(caught.value.hint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@POSIX
def test_file_cut_short_by_a_library_has_the_reason_of_the_system(tmp_path: Path) -> None:
    """numpy writes through C's streams, and tells no reason."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with (
            pytest.raises(InputOutputError, match="the file is too large"),
            external_writer(tmp_path / "file") as path,
            path.open("wb") as file,
        ):
            np.zeros(5000).tofile(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_read_only_folder_error_has_a_command_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "read only").mkdir(mode=0o555)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputOutputError, match="no permission") as caught, without_privileges():
        write_file(Path("read only/file"), b"x")
    assert list((tmp_path / "read only").iterdir()) == []
    assert caught.value.hint
    shown = subprocess.run(caught.value.hint, shell=True, capture_output=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert b"read only" in shown.stdout


def test_hint_for_missing_permission_names_a_folder_that_exists(tmp_path: Path) -> None:
    error = translate_os_error(PermissionError(errno.EACCES, "refused"), tmp_path / "a/b/c")
    assert str(error.hint).startswith(f"ls -ld {tmp_path} ")


@POSIX
def test_no_folder_is_created_in_a_read_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputOutputError), without_privileges():
        make_folder(Path("locked/new"))


@pytest.mark.parametrize("place", ["file/new", "file/deep/new"])
def test_file_in_place_of_a_folder_is_a_conflict(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(ConflictError, match="in the way"):
        write_file(tmp_path / place, b"x")
    with pytest.raises(ConflictError, match="in the way"):
        make_folder(tmp_path / place)
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_folder_in_place_of_a_file_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConflictError, match="in the way"):
        write_file(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_folder_is_created_with_its_parents_once(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_file_is_removed_if_it_exists(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    remove_file(tmp_path / "file")
    remove_file(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_failure_to_remove_a_file_raises_our_own_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputOutputError, match="file"), faulty(fails_with(errno.EIO)):
        remove_file(tmp_path / "file")
    assert (tmp_path / "file").exists()


def test_lack_of_space_is_reported_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match="not enough disk space") as caught:
        require_space(tmp_path / "not" / "yet" / "there", 1 << 62)
    assert f"{1 << 62:,} bytes are needed" in str(caught.value.why)
    assert 0 < free_bytes(str(caught.value.why)) <= shutil.disk_usage(tmp_path).total


def test_exactly_enough_space_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    require_space(tmp_path, 1000)
    with pytest.raises(InputOutputError, match="not enough disk space"):
        require_space(tmp_path, 1001)


def test_space_is_measured_for_a_bare_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    require_space(Path("file"), 1)


@POSIX
@pytest.mark.parametrize("refused", [False, True])
def test_macos_flushes_the_drive_or_falls_back_to_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    import fcntl

    no_such_command = 51  # on Linux; F_GETFD is one that always succeeds
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(
        fcntl, "F_FULLFSYNC", no_such_command if refused else fcntl.F_GETFD, raising=False
    )
    with (tmp_path / "file").open("wb") as file, faulty(lambda call: call.make()) as made:
        flush(file.fileno())
    assert made.count("fsync") == refused


def test_folders_are_not_opened_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(lambda call: call.make()) as made:
        monkeypatch.setattr(os, "name", "nt")
        flush_folder(tmp_path)
        monkeypatch.undo()
    assert made == []


@POSIX
def test_files_have_a_hash_and_pipes_and_what_is_gone_have_none(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert hash_file(tmp_path / "abc") == (3, known)
    os.mkfifo(tmp_path / "pipe")
    assert hash_file(tmp_path / "pipe") is None
    assert hash_file(tmp_path / "gone") is None
