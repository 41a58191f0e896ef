"""Every encoding is read, or refused with the command that converts it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DataError
from tfcli.text.encoding import encoding_of, guess_encoding
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import ReadingOptions, parse_encoding

from .helpers import join

# Sentences as they are in books, in the encodings that such books are found in.
TEXTS = {
    "cp1252": "El niño salió — “¿Quién es?”, preguntó Marta. Mañana será otro día, pensó él. ",
    "gb18030": "红楼梦第一回，甄士隐梦幻识通灵，贾雨村风尘怀闺秀。此开卷第一回也。",
    "cp932": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "euc_jp": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "koi8_r": "Все счастливые семьи похожи друг на друга, каждая несчастливая несчастлива. ",
    "cp1251": "Все счастливые семьи похожи друг на друга, каждая несчастливая несчастлива. ",
    "big5": "紅樓夢第一回，甄士隱夢幻識通靈，賈雨村風塵懷閨秀。此開卷第一回也。",
    "cp949": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. ",
    "cp1253": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια. ",
}
WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


def write(folder: Path, data: bytes) -> Path:
    path = folder / "text.txt"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("text", ["Hello, world.\n", *TEXTS.values()])
def test_utf16_and_utf32_are_read(tmp_path: Path, encoding: str, mark: str, text: str) -> None:
    text = f"{text * 9}\n" * 9
    path = write(tmp_path, (mark + text).encode(encoding))
    found = Reading()
    assert join(read_chunks(path, reading=found)).decode() == text
    assert found.encoding == encoding
    assert encoding.upper() in found.notes(path, ReadingOptions())[0]


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_no_utf8_is_taken_for_another(text: str) -> None:
    assert encoding_of(text.removeprefix("\ufeff").encode())[0] == "utf-8"


@pytest.mark.skipif(shutil.which("iconv") is None, reason="iconv is not installed")
@pytest.mark.parametrize("encoding", TEXTS)
def test_other_encodings_are_refused_with_a_command_that_converts_them(
    tmp_path: Path, encoding: str
) -> None:
    text = TEXTS[encoding] * 30
    path = write(tmp_path, text.encode(encoding))
    with pytest.raises(DataError) as caught:
        list(read_chunks(path))
    subprocess.run(caught.value.hint or "false", shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / "text-utf8.txt").read_text() == text


@pytest.mark.parametrize("encoding", TEXTS)
def test_encoding_can_be_named(tmp_path: Path, encoding: str) -> None:
    text = TEXTS[encoding] * 9000  # more than a block
    path = write(tmp_path, text.encode(encoding))
    assert join(read_chunks(path, ReadingOptions(encoding=encoding))).decode() == text


def test_byte_that_is_not_in_the_encoding_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, b"abc\x81\xff" + b"x" * 100)
    with pytest.raises(DataError) as caught:
        list(read_chunks(path, ReadingOptions(encoding="cp932")))
    assert "not in cp932" in caught.value.what
    assert "byte 3" in (caught.value.why or "")


@pytest.mark.skipif(shutil.which("iconv") is None, reason="iconv is not installed")
def test_one_bad_byte_in_utf8_is_dropped_by_the_command(tmp_path: Path) -> None:
    text = TEXTS["cp1252"] * 100
    data = text.encode()
    place = data.index(b" ", 1000)
    path = write(tmp_path, data[:place] + b"\xff" + data[place:])
    with pytest.raises(DataError) as caught:
        list(read_chunks(path))
    # iconv -c reports that it dropped something
    subprocess.run(caught.value.hint or "false", shell=True, cwd=tmp_path, check=False)
    assert (tmp_path / "text-utf8.txt").read_text() == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("café naïve\n", "cp1252"),  # not cafι naοve
        ("déjà vu\n", "cp1252"),
        ("el niño comió\n", "cp1252"),
        ("20 µm, 1ª vez, café\n", "cp1252"),
        ("Η γρήγορη αλεπού πηδά. IBM και Linux\n", "iso8859-7"),
        ("Съешь ещё этих мягких французских булок, MP3-файлы\n", "cp1251"),
        ("Pythonで書いたコードです。\n", "euc_jp"),
    ],
)
def test_words_in_two_alphabets_are_of_another_encoding(text: str, encoding: str) -> None:
    assert guess_encoding((text * 200).encode(encoding)) == encoding


def test_noise_gets_no_guess() -> None:
    assert guess_encoding(bytes(range(256)) * 4) is None


@pytest.mark.parametrize("name", ["base64", "hex", "nonsense", "", "a\0b"])
def test_what_is_no_encoding_of_text_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cp1252"):
        parse_encoding(name)


def test_utf8_among_files_of_another_encoding_is_read_as_such(tmp_path: Path) -> None:
    """In a folder of chapters, one of which was saved by an old program."""
    text = "El niño comió una manzana.\n" * 9
    (tmp_path / "new.txt").write_text(text, encoding="utf-8")
    (tmp_path / "old.txt").write_text(text, encoding="latin-1")
    (tmp_path / "mark.txt").write_text(text, encoding="utf-8-sig")
    options = ReadingOptions(encoding="iso8859-1")
    for name in ("new.txt", "old.txt", "mark.txt"):
        reading = Reading()
        assert join(read_chunks(tmp_path / name, options, reading=reading)).decode() == text
        notes = reading.notes(tmp_path / name, options)
        assert ("read as such" in " ".join(notes)) == (name != "old.txt")


@pytest.mark.parametrize("ascii", [0, 100, (1 << 18) - 5, (1 << 18) - 1, 1 << 18, 3 << 18])
def test_utf8_is_told_apart_at_its_first_character_that_is_not_ascii(
    tmp_path: Path, ascii: int
) -> None:
    """A book's licence is in English, or the first thousand rows are."""
    text = "x" * ascii + "ñandú y pingüino, café y té\n"
    (tmp_path / "new.txt").write_text(text, encoding="utf-8")
    (tmp_path / "old.txt").write_text(text, encoding="cp1252")
    options = ReadingOptions(encoding="cp1252")
    for name, found in (("new.txt", "utf-8"), ("old.txt", "cp1252")):
        reading = Reading()
        assert join(read_chunks(tmp_path / name, options, reading=reading)).decode() == text
        assert reading.encoding == found


def test_a_lone_last_byte_is_not_taken_for_the_beginning_of_utf8(tmp_path: Path) -> None:
    path = write(tmp_path, "un bebé".encode("cp1252"))
    assert join(read_chunks(path, ReadingOptions(encoding="cp1252"))).decode() == "un bebé"


@pytest.mark.parametrize("encoding", ["iso2022_jp", "utf-7", "utf-16-le", "cp037"])
def test_encodings_that_do_not_extend_ascii_are_read_as_named(
    tmp_path: Path, encoding: str
) -> None:
    text = "plain words\n" * 9
    path = write(tmp_path, text.encode(encoding))
    assert join(read_chunks(path, ReadingOptions(encoding=encoding))).decode() == text
