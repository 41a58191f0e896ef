"""Arguments stand for files; in folders, what is no text of the user's is left out and named."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.errors import DataError, NotFoundError, UsageError
from tfcli.text.byte_streams import STDIN
from tfcli.text.corpus import open_sources
from tfcli.text.readers import read_chunks
from tfcli.text.sources import find_sources, without_held_out

from .helpers import join, standard_input


def make(folder: Path, *names: str, data: bytes = b"text\n") -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return paths


def find(*arguments: Path | str) -> list[Path]:
    return list(find_sources([str(argument) for argument in arguments]).files)


def make_each(folder: Path, *names: str) -> list[Path]:
    """Files that differ."""
    return [make(folder, name, data=f"text of {name}\n".encode())[0] for name in names]


def test_files_keep_the_order_of_the_arguments(tmp_path: Path) -> None:
    b, a = make_each(tmp_path, "b.txt", "a.txt")
    assert find(b, a) == [b, a]


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    """Else it could be trained on in one place and held out in the other."""
    b, a = make_each(tmp_path, "b.txt", "a.txt")
    (tmp_path / "link.txt").symlink_to(b)
    sources = find_sources([str(b), str(a), str(b), str(tmp_path)])
    assert list(sources.files) == [b, a]
    assert [path for path, _ in sources.left_out] == [b, a, b, tmp_path / "link.txt"]


def test_lock_files_of_word_processors_are_no_texts(tmp_path: Path) -> None:
    (chapter, *_) = make_each(tmp_path, "chapter.txt", "~$apter.docx", ".~lock.chapter.odt#")
    assert find(tmp_path) == [chapter]


def test_a_copy_is_left_out(tmp_path: Path) -> None:
    first, copy, other = make(tmp_path, "a.txt", "b.txt", "c.txt")
    other.write_text("TEXT\n")  # as long
    sources = find_sources([str(tmp_path)])
    assert list(sources.files) == [first, other]
    assert sources.left_out == ((copy, f"the same as {first}"),)


def test_what_is_held_out_is_not_trained_on(tmp_path: Path) -> None:
    """Whether it is named there too, or a copy of it is."""
    val, book = make_each(tmp_path, "val.txt", "book.txt")
    copy = tmp_path / "copy.txt"
    copy.write_bytes(val.read_bytes())
    apart = find_sources([str(val)])
    assert without_held_out(find_sources([str(tmp_path)]), apart).files == (book,)
    assert without_held_out(find_sources([str(copy), str(book)]), apart).files == (book,)
    with pytest.raises(DataError):
        without_held_out(find_sources([str(val)]), apart)


def test_dash_is_standard_input() -> None:
    assert find("-") == [STDIN]


def test_file_named_dash_can_be_given_by_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "-")
    monkeypatch.chdir(tmp_path)
    with standard_input([b"not this"]):
        assert join(read_chunks(find("./-")[0])) == b"text\n"


def test_folder_stands_for_its_files_sorted_by_path(tmp_path: Path) -> None:
    paths = make_each(tmp_path, "b.txt", "a/z.txt", "a/b/c.md", "a.py", "Z")
    assert find(tmp_path) == sorted(paths)


def test_numbers_in_names_are_in_their_order(tmp_path: Path) -> None:
    names = ["Capítulo.txt", "Capítulo 1.txt", "Capítulo 2.txt", "Capítulo 10.txt", "x2/9", "x10/1"]
    paths = make_each(tmp_path, *names)
    assert find(tmp_path) == find(f"{tmp_path}/**/*") == paths


def test_hidden_files_are_skipped_and_hidden_folders_named(tmp_path: Path) -> None:
    (seen,) = make(tmp_path, "seen.txt")
    make(tmp_path, ".hidden", ".git/config", "a/.cache/b.txt")
    sources = find_sources([str(tmp_path)])
    assert sources.files == (seen,)
    hidden = {tmp_path / ".git": "hidden", tmp_path / "a/.cache": "hidden"}
    assert dict(sources.left_out) == hidden


def test_what_programs_wrote_is_left_out(tmp_path: Path) -> None:
    """Runs, tokenizers, exports and packages: a second `train .` reads what the first did."""
    (text,) = make(tmp_path, "text.txt")
    make_each(
        tmp_path,
        *("checkpoints/one/run.json", "checkpoints/one/step-00000001/MANIFEST.json"),
        *("tokenizers/words/MANIFEST.json", "elsewhere/run.json", "elsewhere/a.txt"),
        *("export/config.json", "export/model.safetensors", "export/README.md"),
        *("node_modules/x/index.js", "env/pyvenv.cfg", "env/lib/a.py"),
    )
    sources = find_sources([str(tmp_path)])
    assert sources.files == (text,)
    assert {path.name for path, _ in sources.left_out} == {
        "checkpoints", "tokenizers", "elsewhere", "export", "node_modules", "env"
    }  # fmt: skip


def test_folders_of_texts_may_have_such_names(tmp_path: Path) -> None:
    paths = make_each(tmp_path, "checkpoints/day-1.txt", "tokenizers/notes.txt")
    assert find(tmp_path) == paths


def test_what_git_ignores_is_left_out_and_so_is_what_the_user_excludes(tmp_path: Path) -> None:
    text, log, built, draft = make_each(tmp_path, "a.txt", "a.log", "build/b.txt", "drafts/c.txt")
    (tmp_path / ".gitignore").write_text("*.log\n/build/\n")
    sources = find_sources([str(tmp_path)], exclude=["drafts"])
    assert sources.files == (text,)
    assert dict(sources.left_out) == {
        log: "in .gitignore",
        built.parent: "in .gitignore",
        draft.parent: "excluded",
    }
    assert find_sources([f"{tmp_path}/*/*.txt"], exclude=["c.*"]).files == (built,)


def test_each_folder_has_a_gitignore_of_its_own(tmp_path: Path) -> None:
    """The rules are git's: patterns are relative to their file, and the nearest decides."""
    make(tmp_path, "out.md", "a/out.md", "a/in/out.md", "a/in/data/x.csv", "a/data/in/x.csv")
    kept, again = make_each(tmp_path, "a/in/kept.md", "b/data/x.csv")
    (tmp_path / ".gitignore").write_text("*.md\n")
    (tmp_path / "a/.gitignore").write_text("/data/\n")
    (tmp_path / "a/in/.gitignore").write_text("!kept.md\ndata/*\n")
    assert find(tmp_path) == [kept, again]


def test_list_of_a_repository_that_nobody_else_has_counts(tmp_path: Path) -> None:
    kept, _ = make_each(tmp_path, "repo/a.md", "repo/in/draft.md")
    (tmp_path / "repo/.git/info").mkdir(parents=True)
    (tmp_path / "repo/.git/info/exclude").write_text("draft.*\n")
    assert find(tmp_path / "repo") == [kept]
    assert find(tmp_path / "repo/in/draft.md") == [tmp_path / "repo/in/draft.md"]


def test_in_a_repository_the_gitignores_above_a_folder_count(tmp_path: Path) -> None:
    kept, built = make_each(tmp_path, "repo/docs/in/a.md", "repo/docs/in/build/b.md")
    (tmp_path / ".gitignore").write_text("*.md\n")  # outside of the repository
    (tmp_path / "repo/.gitignore").write_text("build/\n")
    inside = str(tmp_path / "repo/docs/in")
    assert find_sources([inside]).files == (kept, built)
    (tmp_path / "repo/.git").mkdir()
    sources = find_sources([inside])
    assert sources.files == (kept,)
    assert sources.left_out == ((built.parent, "in .gitignore"),)
    (tmp_path / "repo/docs/.gitignore").write_text("!build/\n")
    assert find_sources([inside]).files == (kept, built)


@pytest.mark.parametrize("pattern", ["data/", "/data/in", "data/**", "data/in/*", "*"])
def test_a_folder_that_git_ignores_is_read_where_it_is_named(tmp_path: Path, pattern: str) -> None:
    (text,) = make_each(tmp_path, "data/in/a.txt")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text(f"{pattern}\n")
    assert find_sources([str(tmp_path / "data/in")]).files == (text,)


NAMES = ["a.md", "a/b.md", "a/c/d.md", "a/c/e/f.md", "a/c/e/g.txt", "a/h.txt", "c/e/i.txt", "e/b"]
PATTERNS = [
    "*", "!*/", "*.md", "!*.md", "!b.md", "b", "e/", "!e/", "/e", "!/e", "c/", "c/e", "c/e/", "a/*",
    "!a/c", "a/**", "!a/c/**", "**/e", "**/e/*", "!**/f.md", "a/**/e", "/*", "!/a", "[a-b].*",
    "# x", "!c", "\\!x", "e/b", "!e/b", "*.txt ",
]  # fmt: skip


@pytest.mark.skipif(not shutil.which("git"), reason="git says what is right")
@settings(max_examples=40)
@given(*[st.lists(st.sampled_from(PATTERNS), max_size=4)] * 3)
def test_gitignores_mean_what_they_mean_to_git(
    tmp_path_factory: pytest.TempPathFactory, root: list[str], a: list[str], c: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("git")
    make_each(folder, *NAMES)
    for place, lines in ((".gitignore", root), ("a/.gitignore", a), ("a/c/.gitignore", c)):
        (folder / place).write_text("".join(f"{line}\n" for line in lines))
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-per-directory=.gitignore"],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    wanted = [line for line in listed.stdout.split() if ".gitignore" not in line]
    try:
        found = [str(path.relative_to(folder)) for path in find(folder)]
    except DataError:  # nothing is left
        found = []
    assert found == sorted(wanted, key=Path)


def test_patterns_that_left_something_out_are_known(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.log", ".git/config", "node_modules/x.js", "in/c.log")
    exclude = ["*.log", "b.*", ".git", "node_modules/", "*.md", "in/d.txt"]
    sources = find_sources([str(tmp_path)], exclude)
    assert sources.matched == {"*.log", "b.*", ".git", "node_modules/"}


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    (text,) = make(tmp_path, "in/a.txt")
    (tmp_path / "in/self").symlink_to(".")
    (tmp_path / "in/loop").symlink_to("loop")
    (tmp_path / "in/x").mkdir()
    (tmp_path / "in/x/up").symlink_to("..")
    sources = find_sources([str(tmp_path / "in")])
    assert sources.files == (text,)
    assert [path.name for path, _ in sources.left_out] == ["loop"]


@pytest.mark.parametrize("pattern", ["!", "[z-a]", "\\"])
def test_pattern_that_is_none_is_refused_and_ignored_in_gitignore(
    tmp_path: Path, pattern: str
) -> None:
    (text,) = make(tmp_path, "a.txt")
    (tmp_path / ".gitignore").write_text(f"{pattern}\n*.log\n")
    make(tmp_path, "a.log")
    assert find(tmp_path) == [text]
    with pytest.raises(UsageError):
        find_sources([str(tmp_path)], exclude=[pattern])


def test_file_named_itself_keeps_its_weight(tmp_path: Path) -> None:
    a, b = make_each(tmp_path, "a.txt", "b.txt")
    sources = find_sources([str(tmp_path), f"{a}:3"])
    assert [(group.files, group.weight) for group in sources.groups] == [((b,), 1), ((a,), 3)]


def test_glob_ignores_nothing_by_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = make(tmp_path, "in/a.txt")
    (tmp_path / ".gitignore").write_text("*.txt\n")
    monkeypatch.chdir(tmp_path)
    assert find(f"{tmp_path}/in/*.txt") == [text]


def test_hidden_folder_can_be_given_by_name(tmp_path: Path) -> None:
    paths = make(tmp_path, ".notes/a.txt")
    assert find(tmp_path / ".notes") == paths
    assert find(tmp_path / ".notes" / "a.txt") == paths


STRAY = {
    "an image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "NUL in ASCII": b"abc\0def",
    "Latin-1": b"caf\xe9 au lait",
    "Latin-1, the last character": b"caf\xe9",
    "one byte": b"\xff",
    "a long file in Latin-1": b"caf\xe9 " * 5000,
}


@pytest.mark.parametrize("data", STRAY.values(), ids=STRAY.keys())
def test_files_in_a_folder_that_are_not_text_are_left_out_and_named(
    tmp_path: Path, data: bytes
) -> None:
    (text,) = make(tmp_path / "in", "text.txt")
    (stray,) = make(tmp_path / "in", "stray", data=data)
    corpus = open_sources(find_sources([str(tmp_path / "in")]), cache=tmp_path / "cache")
    assert corpus.sources == (text,)
    assert str(stray) in corpus.notes[-1]
    again = open_sources(find_sources([str(tmp_path / "in")]), cache=tmp_path / "cache")
    assert again == corpus, "known from the scan"


def test_file_that_was_left_out_of_a_folder_is_refused_when_it_is_named(tmp_path: Path) -> None:
    """Though the same files were read before."""
    (text,) = make(tmp_path / "in", "a.txt")
    (stray,) = make(tmp_path / "in", "b.bin", data=b"\xff\0\1")
    open_sources(find_sources([str(tmp_path / "in")]), cache=tmp_path / "cache")
    with pytest.raises(DataError):
        open_sources(find_sources([str(text), str(stray)]), cache=tmp_path / "cache")


@pytest.mark.parametrize("data", STRAY.values(), ids=STRAY.keys())
def test_file_given_by_name_is_never_skipped(tmp_path: Path, data: bytes) -> None:
    (stray,) = make(tmp_path, "stray", data=data)
    assert find(stray) == [stray]


def test_compressed_files_in_a_folder_are_judged_by_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (text,) = make(folder, "a.txt.gz", data=gzip.compress(b"text"))
    strays = [
        *make(folder, "b.gz", data=gzip.compress(b"\0\1\2")),
        *make(folder, "c.gz", data=gzip.compress(b"text" * 99)[:-12]),
        *make(folder, "d.gz", data=b"no gzip"),
    ]
    corpus = open_sources(find_sources([str(folder)]), cache=tmp_path / "cache")
    assert corpus.sources == (text,)
    assert all(str(stray) in corpus.notes[-1] for stray in strays)


def test_folder_without_files_is_not_found(tmp_path: Path) -> None:
    make(tmp_path, ".hidden")
    with pytest.raises(NotFoundError) as caught:
        find(tmp_path)
    assert str(tmp_path) in caught.value.what


def test_folder_without_text_is_bad_data(tmp_path: Path) -> None:
    make(tmp_path, "in/a.png", data=b"\0")
    with pytest.raises(DataError) as caught:
        open_sources(find_sources([str(tmp_path / "in")]), cache=tmp_path / "cache")
    assert "a.png" in (caught.value.why or "")


def test_pattern_finds_files_in_order(tmp_path: Path) -> None:
    b, a, deep = make_each(tmp_path, "b.txt", "a.txt", "folder.txt/c.txt")
    make(tmp_path, "other.md")
    assert find(f"{tmp_path}/*.txt") == [a, b]
    assert find(f"{tmp_path}/**/*.txt") == [a, b, deep]


def test_file_with_a_pattern_as_its_name_is_found(tmp_path: Path) -> None:
    (literal,) = make(tmp_path, "draft [1].txt")
    make(tmp_path, "draft 1.txt")
    assert find(literal) == [literal]


def test_closest_file_name_is_suggested(tmp_path: Path) -> None:
    make(tmp_path, "shakespeare.txt", "image.png")
    with pytest.raises(NotFoundError) as caught:
        find(tmp_path / "shakespear.txt")
    assert "shakespear.txt" in caught.value.what
    assert "shakespeare.txt" in (caught.value.hint or "")


def test_unique_name_gets_no_suggestion(tmp_path: Path) -> None:
    make(tmp_path, "shakespeare.txt")
    for missing in (tmp_path / "zzz", tmp_path / "no folder" / "shakespeare.txt"):
        with pytest.raises(NotFoundError) as caught:
            find(missing)
        assert caught.value.hint is None


def test_pattern_without_a_match_is_not_found(tmp_path: Path) -> None:
    make(tmp_path, "a.md")
    with pytest.raises(NotFoundError) as caught:
        find(f"{tmp_path}/*.txt")
    assert "*.txt" in caught.value.what


def test_empty_file_name_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from `"$BOOK"` with BOOK unset; it must not mean the current folder."""
    make(tmp_path, "private.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError):
        find("")


def test_sentence_in_place_of_a_file_name_is_not_found() -> None:
    """It is longer than any file name may be."""
    with pytest.raises(NotFoundError):
        find("Once upon a time " * 20)


def test_what_was_read_of_a_file_that_is_left_out_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though so many documents came before that only the ends of some are remembered."""
    monkeypatch.setattr("tfcli.text.scan.MAX_ENDS", 8)
    for folder in ("with", "without"):
        for name in ("a.jsonl", "c.jsonl"):
            rows = "".join(f'{{"text": "row {n} of {name}"}}\n' for n in range(50))
            make(tmp_path / folder, name, data=rows.encode())
    bad = "".join(f'{{"text": "bad row {n}"}}\n' for n in range(50)) + "{}\n" * 9
    make(tmp_path / "with", "b.jsonl", data=bad.encode())
    scans = [
        open_sources(find_sources([str(tmp_path / folder)]), cache=tmp_path / "cache").scan
        for folder in ("with", "without")
    ]
    assert scans[0] == scans[1]
