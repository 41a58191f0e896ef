"""A corpus is all of its text, split into training and held-out, and read only when necessary."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.text.documents_of_offices import word_of
from tfcli.errors import DataError, InputOutputError, NotFoundError
from tfcli.files import read_checked_json, write_checked_json
from tfcli.text.byte_streams import STDIN
from tfcli.text.corpus import SCAN_SCHEMA, Corpus, open_corpus, open_sources
from tfcli.text.held_out import choose_held_out
from tfcli.text.reading_options import ReadingOptions
from tfcli.text.sources import find_sources

from .helpers import (
    blocks_of,
    documents,
    in_chunks,
    join,
    named_pipe,
    needs_fifo,
    standard_input,
    zero_free_text,
)

BOM = b"\xef\xbb\xbf"
fractions = st.floats(0.0, 0.9)
some_documents = st.lists(
    zero_free_text.filter(lambda text: text and not text.startswith("\ufeff")),
    min_size=1,
    max_size=6,
).filter(lambda texts: "".join(texts).encode().strip())


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files that every example of a test overwrites."""
    return tmp_path_factory.mktemp("scratch")


def write(folder: Path, texts: Sequence[bytes | str]) -> list[Path]:
    """Writes each text to a file: 0.txt, 1.txt, ..."""
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(path)
    return paths


def open_texts(folder: Path, *texts: bytes | str, held_out: float = 0.1) -> Corpus:
    """A corpus of these texts, one file each, without scans of earlier ones."""
    for scan in folder.glob("cache/scans/*"):
        scan.unlink()
    return open_corpus(write(folder, texts), cache=folder / "cache", val_fraction=held_out)


def fingerprint(folder: Path, *texts: bytes | str) -> str:
    return open_texts(folder, *texts).scan.fingerprint


# --- what one reading finds ---------------------------------------------------------------------


def test_bytes_and_documents_are_counted(tmp_path: Path) -> None:
    scan = open_texts(tmp_path, "abc", "é", "").scan
    assert (scan.bytes, scan.documents) == (5, 2)


@given(texts=some_documents)
@settings(max_examples=40, deadline=None)
def test_fingerprint_covers_documents_and_their_boundaries(scratch: Path, texts: list[str]) -> None:
    expected = hashlib.sha256(b"".join(text.encode() + b"\xff" for text in texts)).hexdigest()
    assert fingerprint(scratch, *texts) == expected


def test_same_text_in_other_formats_has_the_same_fingerprint(tmp_path: Path) -> None:
    plain, other = write(tmp_path, ["one", "two"])
    compressed = tmp_path / "one.gz"
    compressed.write_bytes(gzip.compress(b"one"))
    marked = tmp_path / "two, with a mark"
    marked.write_bytes(BOM + b"two")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "one"}\n{"text": "two"}\n')
    found = {
        open_corpus(sources, cache=tmp_path).scan
        for sources in ([plain, other], [compressed, other], [plain, marked], [rows])
    }
    assert len(found) == 1


def test_moved_document_boundary_changes_the_fingerprint(tmp_path: Path) -> None:
    texts = [("abc",), ("ab", "c"), ("a", "bc"), ("a", "b", "c")]
    assert len({fingerprint(tmp_path, *parts) for parts in texts}) == 4


def test_order_of_documents_changes_the_fingerprint(tmp_path: Path) -> None:
    assert fingerprint(tmp_path, "a", "b") != fingerprint(tmp_path, "b", "a")


def test_cuts_between_chunks_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    whole = fingerprint(tmp_path, "one two\nthree " * 9)
    with blocks_of(16):
        assert fingerprint(tmp_path, "one two\nthree " * 9) == whole


@pytest.mark.parametrize("texts", [[], [""], ["", b"", BOM]])
def test_sources_without_text_are_bad_data(tmp_path: Path, texts: list[str | bytes]) -> None:
    with pytest.raises(DataError) as caught:
        open_texts(tmp_path, *texts)
    assert "no text" in caught.value.what


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        open_corpus([tmp_path / "gone.txt"], cache=tmp_path / "cache")
    assert "gone.txt" in caught.value.what


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_file_with_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    try:
        path.write_text("text")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert open_corpus([path], cache=tmp_path / "cache").scan.bytes == 4


# --- what is held out ---------------------------------------------------------------------------


sizes = st.lists(st.integers(1, 1000), min_size=1, max_size=60)


def held_out_of(ends: Sequence[int], fraction: float) -> list[int]:
    """How much of each document is held out, byte by byte."""
    chosen = {b for start, stop in choose_held_out(ends, fraction) for b in range(start, stop)}
    return [sum(b in chosen for b in range(start, end)) for start, end in pairwise([0, *ends])]


@given(sizes=sizes, fraction=fractions)
def test_stretches_are_in_order_and_leave_text_to_train_on(
    sizes: list[int], fraction: float
) -> None:
    ends = list(accumulate(sizes))
    ranges = choose_held_out(ends, fraction)
    borders = [border for stretch in ranges for border in stretch]
    assert borders == sorted(set(borders)), "they neither touch nor are empty"
    assert all(0 <= border <= ends[-1] for border in borders)
    assert sum(stop - start for start, stop in ranges) < ends[-1]


@given(sizes=sizes, fraction=st.floats(0.05, 0.5))
def test_about_the_wanted_share_is_held_out(sizes: list[int], fraction: float) -> None:
    """Up to half of the largest document that is not cut, and what rounding leaves."""
    ends = list(accumulate(sizes))
    held = sum(held_out_of(ends, fraction))
    whole = [size for size in sizes if size <= fraction * ends[-1] / 2]
    tolerance = max(whole, default=0) + fraction * ends[-1] / 16 + len(sizes)
    assert abs(held - fraction * ends[-1]) <= tolerance


@given(sizes=sizes, fraction=st.floats(0.05, 0.5))
def test_a_document_gives_all_of_itself_nothing_or_its_own_end(
    sizes: list[int], fraction: float
) -> None:
    ends = list(accumulate(sizes))
    for size, held in zip(sizes, held_out_of(ends, fraction), strict=True):
        if size > fraction * ends[-1] / 2:
            assert held == size - max(1, int(size * (1 - fraction)))
        else:
            assert held in {0, size}


def test_files_that_are_held_out_as_a_whole_are_named(tmp_path: Path) -> None:
    chapters = [tmp_path / f"{n:02}.txt" for n in range(40)]
    for n, chapter in enumerate(chapters):
        chapter.write_text(f"Chapter {n:02}. " + "The moon saw Ann. " * 20)
    corpus = open_corpus(chapters, cache=tmp_path / ".cache")
    (note,) = corpus.notes
    size = corpus.scan.bytes // 40
    whole = [start // size for start, stop in corpus.scan.held_out if stop - start == size]
    assert len(whole) == 4, "a tenth of them"
    assert note.startswith(f"held out as a whole: {chapters[whole[0]]}, {chapters[whole[1]]}")
    assert note.endswith("and 1 more")
    assert open_corpus(chapters[:12], cache=tmp_path / ".cache").notes == ()


@given(size=st.integers(2, 10**12))
def test_last_tenth_of_a_single_document_is_held_out(size: int) -> None:
    start = max(1, int(size * 0.9))
    assert choose_held_out([size], 0.1) == (((start, size),) if start < size else ())


@given(count=st.integers(2, 9), size=st.integers(10, 1000))
def test_each_of_a_few_files_gives_its_own_end(count: int, size: int) -> None:
    """The last one is not held out whole, and the first is not left out."""
    ends = [size * (n + 1) for n in range(count)]
    assert choose_held_out(ends, 0.1) == tuple((end - size + int(size * 0.9), end) for end in ends)


@given(count=st.integers(200, 5000), size=st.integers(1, 50))
@settings(max_examples=20, deadline=None)
def test_of_many_documents_some_are_held_out_from_all_over(count: int, size: int) -> None:
    ends = [size * (n + 1) for n in range(count)]
    ranges = choose_held_out(ends, 0.1)
    assert 8 <= len(ranges) <= 20
    quarters = {int(4 * start / ends[-1]) for start, _ in ranges}
    assert quarters == {0, 1, 2, 3}
    assert all(start % size == stop % size == 0 for start, stop in ranges)


@given(sizes=sizes)
def test_nothing_is_held_out_for_a_share_of_zero(sizes: list[int]) -> None:
    assert choose_held_out(list(accumulate(sizes)), 0.0) == ()


# --- training and held-out ----------------------------------------------------------------------


@given(texts=some_documents, fraction=fractions, block=st.integers(8, 60))
@settings(max_examples=150, deadline=None)
def test_training_and_held_out_are_the_whole_text(
    scratch: Path, texts: list[str], fraction: float, block: int
) -> None:
    """Each byte is where the scan says, except that no character is cut."""
    with blocks_of(block):
        corpus = open_texts(scratch, *texts, held_out=fraction)
        chunks = list(corpus.parts[0].split())
        training, held_out = list(corpus.training()), list(corpus.held_out())
    assert training == [chunk for chunk, apart in chunks if not apart]
    assert held_out == [chunk for chunk, apart in chunks if apart]
    assert documents(chunk for chunk, _ in chunks) == [text.encode() for text in texts]
    assert sum(chunk.last for chunk, _ in chunks) == len(texts)
    position = 0
    for chunk, apart in chunks:
        assert chunk.data.decode().encode() == chunk.data
        for byte in chunk.data:
            if byte & 0xC0 != 0x80:
                first = position
            ranges = corpus.scan.held_out
            # a character belongs to where its first byte is
            assert apart == any(start <= first < stop for start, stop in ranges)
            position += 1


def test_character_across_the_split_is_not_cut(tmp_path: Path) -> None:
    corpus = open_texts(tmp_path, "12345678😀", held_out=0.25)
    assert corpus.scan.training_bytes == 9
    assert join(corpus.training()) == "12345678😀".encode()
    assert join(corpus.held_out()) == b""


def test_split_between_documents_ends_a_document(tmp_path: Path) -> None:
    corpus = open_texts(tmp_path, *["x" * 10] * 100)
    assert documents(corpus.training()) == [b"x" * 10] * 90
    assert [chunk.last for chunk in corpus.training()] == [True] * 90
    assert [chunk.last for chunk in corpus.held_out()] == [True] * 10


def test_split_inside_a_document_ends_none(tmp_path: Path) -> None:
    corpus = open_texts(tmp_path, "x" * 100)
    assert [(len(p.data), p.last) for p in corpus.training()] == [(90, False)]
    assert [(len(p.data), p.last) for p in corpus.held_out()] == [(10, True)]


def test_corpus_can_be_read_repeatedly(tmp_path: Path) -> None:
    corpus = open_texts(tmp_path, "one\n" * 50, "two\n" * 50)
    assert list(corpus.training()) == list(corpus.training())
    assert list(corpus.held_out()) == list(corpus.held_out())


def test_a_text_given_to_be_held_out_is_all_that_is(tmp_path: Path) -> None:
    book, val = write(tmp_path, ["a book " * 20, "another " * 5])
    corpus = open_sources(
        find_sources([str(book)]), cache=tmp_path / "cache", val=find_sources([str(val)])
    )
    assert join(corpus.training()) == book.read_bytes()
    assert join(corpus.held_out()) == val.read_bytes()


# --- reading once -------------------------------------------------------------------------------


def open_and_count(paths: list[Path], cache: Path, fraction: float = 0.1) -> tuple[Corpus, int]:
    """Opens a corpus; also returns how many bytes had to be read."""
    read = [0]
    corpus = open_corpus(paths, cache=cache, val_fraction=fraction, progress=read.append)
    return corpus, read[-1]


def test_unchanged_sources_are_read_only_once(tmp_path: Path) -> None:
    paths = write(tmp_path, ["x" * 70, "y" * 30])
    first, read = open_and_count(paths, tmp_path / "cache")
    assert read == 100
    second, read = open_and_count(paths, tmp_path / "cache")
    assert read == 0
    assert second == first


def test_progress_counts_bytes(tmp_path: Path) -> None:
    told: list[int] = []
    paths = write(tmp_path, ["one\n" * 10, "two\n" * 10])
    with blocks_of(16):
        open_corpus(paths, cache=tmp_path / "cache", progress=told.append)
    assert told == [16, 32, 40, 56, 72, 80]


def test_saved_scan_replaces_reading_the_text(tmp_path: Path) -> None:
    """This shows that the text is not read again."""
    paths = write(tmp_path, ["x" * 100])
    open_corpus(paths, cache=tmp_path)
    (scan,) = tmp_path.glob("scans/*.json")
    found = read_checked_json(scan, schema=SCAN_SCHEMA)
    write_checked_json(scan, found | {"scan": found["scan"] | {"documents": 7}})
    assert open_corpus(paths, cache=tmp_path).scan.documents == 7
    scan.write_bytes(scan.read_bytes().replace(b'"documents": 7', b'"documents": 8'))
    assert open_corpus(paths, cache=tmp_path).scan.documents == 1, "read again"


def test_file_of_another_size_is_read_again(tmp_path: Path) -> None:
    (path,) = write(tmp_path, ["x" * 100])
    status = path.stat()
    open_corpus([path], cache=tmp_path)
    path.write_text("x" * 101)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert open_corpus([path], cache=tmp_path).scan.bytes == 101


def test_file_with_another_modification_time_is_read_again(tmp_path: Path) -> None:
    (path,) = write(tmp_path, ["x" * 100])
    before = open_corpus([path], cache=tmp_path).scan
    path.write_text("y" * 100)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert open_corpus([path], cache=tmp_path).scan.fingerprint != before.fingerprint


def test_files_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    found = set()
    for folder, text in ((tmp_path / "a", "x" * 100), (tmp_path / "b", "y" * 100)):
        folder.mkdir()
        paths = write(folder, [text])
        os.utime(paths[0], ns=(0, 0))
        found.add(open_corpus(paths, cache=tmp_path / "cache").scan.fingerprint)
    assert len(found) == 2


def test_each_held_out_share_has_its_own_scan(tmp_path: Path) -> None:
    paths = write(tmp_path, ["x" * 100])
    boundaries = [
        open_corpus(paths, cache=tmp_path, val_fraction=fraction).scan.training_bytes
        for fraction in (0.1, 0.5, 0.0, 0.1)
    ]
    assert boundaries == [90, 50, 100, 90]


BAD_SCANS = {
    "empty": "",
    "torn": "{",
    "no object": "[]",
    "nothing in it": "{}",
    "a key missing": '{"bytes": 100}',
    "a key of another": '{"bytes": 1, "documents": 1, "training_bytes": 1, "color": "red"}',
    "no number": '{"bytes": "1", "documents": 1, "training_bytes": 1, "fingerprint": ""}',
}


@pytest.mark.parametrize("scan", BAD_SCANS.values(), ids=BAD_SCANS.keys())
def test_damaged_scan_is_made_again(tmp_path: Path, scan: str) -> None:
    paths = write(tmp_path, ["x" * 100])
    first = open_corpus(paths, cache=tmp_path)
    (path,) = tmp_path.glob("scans/*.json")
    whole = path.read_bytes()
    path.write_text(scan)
    assert open_corpus(paths, cache=tmp_path) == first
    assert path.read_bytes() == whole


# --- what can be read only once -----------------------------------------------------------------


def test_standard_input_is_kept_for_rereading(tmp_path: Path) -> None:
    text = b"piped text\n" * 20_000
    with standard_input(in_chunks(text, [1, 70_000])):
        corpus, read = open_and_count([STDIN], tmp_path / "cache")
    assert read == len(text)
    for _ in range(2):
        assert join(corpus.training()) + join(corpus.held_out()) == text


def test_same_text_from_a_pipe_is_the_same_corpus(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        with standard_input([b"piped text"]):
            found.append(open_corpus([STDIN], cache=tmp_path))
    assert found[0] == found[1]
    assert len(list(tmp_path.glob("piped/*"))) == 1


@pytest.mark.parametrize("text", [b"abc", BOM + b"abc", BOM + BOM + b"abc", b"a\r\n\xef\xbb\xbf"])
def test_pipe_and_file_with_the_same_bytes_have_the_same_fingerprint(
    tmp_path: Path, text: bytes
) -> None:
    with standard_input([text]):
        piped = open_corpus([STDIN], cache=tmp_path / "cache")
    assert piped.scan.fingerprint == fingerprint(tmp_path, text)


ROWS = b'{"text": "one"}\n{"text": "two"}\n'
CONTAINERS = {
    "text.txt": b"one\ntwo\n",
    "text.txt.gz": gzip.compress(b"one\ntwo\n"),
    "rows.jsonl": ROWS,
    "rows.jsonl.gz": gzip.compress(ROWS),
}


@needs_fifo
@pytest.mark.parametrize("name", CONTAINERS)
def test_named_pipe_is_read_like_a_file_of_its_name(tmp_path: Path, name: str) -> None:
    path, data = tmp_path / name, CONTAINERS[name]
    with named_pipe(path, [data]):
        piped = open_corpus([path], cache=tmp_path / "cache").scan
    path.write_bytes(data)
    assert piped == open_corpus([path], cache=tmp_path / "cache").scan


def test_pipe_without_end_is_given_up_before_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    nearly_full = usage._replace(total=1000 << 20, free=49 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly_full)
    with standard_input([b"y\n" * 1000]), pytest.raises(InputOutputError) as caught:
        open_corpus([STDIN], cache=tmp_path)
    assert "too large for the disk" in caught.value.what
    assert not list(tmp_path.glob("piped/*"))


def test_the_note_on_a_file_in_another_encoding_has_the_command(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        text = f"El niño salió mañana, {name}. " * 9
        (tmp_path / name).write_text(text, encoding="cp1252")
    (tmp_path / "c.txt").write_text("El niño salió.\n", encoding="utf-8")
    (note,) = open_sources(find_sources([str(tmp_path)]), cache=tmp_path / ".cache").notes
    assert note.startswith(f"left out: {tmp_path / 'a.txt'} is not UTF-8 text; ")
    path = tmp_path / "a.txt"
    command = (
        f"iconv -f CP1252 -t UTF-8 -- {path} > {tmp_path / 'a-utf8.txt'}, or --encoding cp1252; "
        "it is a guess"
    )
    assert note.endswith(f" (try: {command})")


def test_the_command_for_an_encoding_converts_line_ends_too(tmp_path: Path) -> None:
    folder = tmp_path / "novela"
    folder.mkdir()
    text = "El niño salió mañana.\r\n" * 20
    (folder / "a.txt").write_bytes(text.encode("cp1252"))
    (folder / "b.txt").write_text("El niño salió.\n", encoding="utf-8")

    def notes() -> tuple[str, ...]:
        return open_sources(find_sources([str(folder)]), cache=tmp_path / ".cache").notes

    (note,) = notes()
    command = note.partition("(try: ")[2].partition(", or --encoding")[0]
    subprocess.run(["sh", "-c", command], check=True)
    converted = text.replace("\r\n", "\n").encode()
    assert (folder / "a-utf8.txt").read_bytes() == converted
    assert [each for each in notes() if "held out" not in each] == [
        f"left out: {folder / 'a.txt'}, already converted: a-utf8.txt is read"
    ]


def test_many_files_that_are_utf8_already_are_counted_in_one_note(tmp_path: Path) -> None:
    folder = tmp_path / "novela"
    folder.mkdir()
    for number in range(9):
        (folder / f"{number}.txt").write_text(f"El niño {number}.", encoding="utf-8")
    (folder / "old.txt").write_text("El niño salió.", encoding="cp1252")
    sources = find_sources([str(folder)])
    notes = open_sources(sources, ReadingOptions(encoding="cp1252"), cache=tmp_path / "c").notes
    (found,) = [note for note in notes if "UTF-8" in note]
    assert found == "9 files are UTF-8, and are read as such"


def folder_of(texts: list[str], place: Path) -> tuple[Path, tuple[str, ...]]:
    """A folder with a file of each text, and the notes on it."""
    folder = place / "novel"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_bytes(text.encode())
    return folder, open_sources(find_sources([str(folder)]), cache=place / ".cache").notes


@pytest.mark.parametrize(
    ("texts", "part"),
    [
        (["One.\n" * 20, "Two.\n\n" * 20], "1.txt has an empty line between paragraphs, and "),
        (["One.\n" * 20, "Two.\n\n" * 20, "3.\n\n" * 20], "2 files, such as "),
        (["One.\n" * 20, "Two.\n\n" * 20, "3.\n" * 20], "1.txt has an empty line between"),
        (["One.\n" * 20, "Two.\n" * 15 + "\nThree.\n" * 2], None),
        (["One.\n\n" * 20, "Two.\n\n" * 15], None),
        (["One.\n" * 20, ("a\n" * 4 + "\n") * 20], None),  # wrapped
        (["Two.\n\n" * 20, ("a\n" * 30 + "\n") * 5], None),  # wrapped, of long paragraphs
        (["One.\n" * 20, "Two.\n\n" * 2], None),  # too little to tell
    ],
)
def test_paragraphs_of_two_kinds_are_said(
    tmp_path: Path, texts: list[str], part: str | None
) -> None:
    folder, notes = folder_of(texts, tmp_path)
    found = [note for note in notes if "between paragraphs" in note]
    assert len(found) == (part is not None)
    if part:
        assert part in found[0]
        # one by one: each is left out for what is written beside it, and no file is changed
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        left_out: list[str] = []
        while found:
            command, _, name = found[0].rpartition("try: ")[2].removesuffix(")").partition(", and ")
            subprocess.run(["sh", "-c", command], check=True)
            left_out.append(name.removeprefix("--exclude "))
            sources = find_sources([str(folder)], left_out)
            notes = open_sources(sources, cache=tmp_path / ".cache").notes
            found = [note for note in notes if "between paragraphs" in note]
        assert len(left_out) == 1
        assert before.items() <= {path.name: path.read_bytes() for path in folder.iterdir()}.items()


def test_paragraphs_of_books_and_documents_are_compared(tmp_path: Path) -> None:
    folder = tmp_path / "novel"
    folder.mkdir()
    (folder / "a.docx").write_bytes(word_of(["Uno."] * 20))
    page = "".join(f"<p>Dos {n}.</p>" for n in range(20))
    (folder / "b.html").write_text(f"<!doctype html><main>{page}</main>")
    notes = open_sources(find_sources([str(folder)]), cache=tmp_path / ".cache").notes
    (found,) = [note for note in notes if "between paragraphs" in note]
    assert f"{folder / 'b.html'} has an empty line between paragraphs" in found
    assert "--exclude b.html" in found


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        (["one\ntwo\n", "three\n"], None),
        (["one\r\ntwo\r\n"], ["the lines of ", "0.txt end in CR LF", "so will those of the model"]),
        (["one\r\n", "two\r\n", "three"], ["all 2 files", "so will"]),
        (
            ["one\r\ntwo\r\n", "three\n"],
            ["the lines of 1 of 2 files", "and others in LF", "0.txt)"],
        ),
        (["one\r\ntwo\n"], ["some lines of ", "sed -i 's/\\r$//' "]),
        ([f"{n}\r\n" for n in range(9)] + ["x\n"], ["9 of 10 files", "/*.txt)"]),
    ],
)
def test_windows_line_ends_are_said(
    tmp_path: Path, texts: list[str], parts: list[str] | None
) -> None:
    _, notes = folder_of(texts, tmp_path)
    assert len(notes) == (parts is not None)
    assert all(part in notes[0] for part in parts or ())


def test_the_command_for_line_ends_makes_them_alike(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_bytes(b"one\r\ntwo\n")
    sources = find_sources([str(tmp_path / "a b.txt")])
    (note,) = open_sources(sources, cache=tmp_path / ".cache").notes
    command = note.rpartition("try: ")[2].removesuffix(")")
    subprocess.run(["sh", "-c", command], check=True)
    assert (tmp_path / "a b.txt").read_bytes() == b"one\ntwo\n"
    assert open_sources(sources, cache=tmp_path / ".cache").notes == ()


def test_pipe_that_is_not_text_is_named(tmp_path: Path) -> None:
    with standard_input([b"caf\xe9"]), pytest.raises(DataError) as caught:
        open_corpus([STDIN], cache=tmp_path)
    assert caught.value.what.startswith("standard input is not UTF-8 text")
    assert "byte 3" in (caught.value.why or "")
    assert not list(tmp_path.glob("piped/*"))


def test_empty_pipe_is_named_as_given(tmp_path: Path) -> None:
    with standard_input([b""]), pytest.raises(DataError) as caught:
        open_corpus([STDIN], cache=tmp_path / "cache")
    assert "cache" not in caught.value.what


def test_split_among_very_many_documents_is_at_boundaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though only the ends of some are remembered."""
    monkeypatch.setattr("tfcli.text.scan.MAX_ENDS", 1024)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "0123 56789"}\n' * 10_001)
    corpus = open_corpus([path], cache=tmp_path)
    assert (corpus.scan.documents, corpus.scan.bytes) == (10_001, 100_010)
    assert all(start % 10 == stop % 10 == 0 for start, stop in corpus.scan.held_out)
    assert 0.88 < corpus.scan.training_bytes / corpus.scan.bytes < 0.92
