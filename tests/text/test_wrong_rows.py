"""What is said of rows that are not as expected, and of options that do nothing to them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tfcli.errors import DataError, NotFoundError
from tfcli.generation.request import read_schema
from tfcli.options import OptionError
from tfcli.text.byte_streams import STDIN
from tfcli.text.corpus import open_sources
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import DEFAULT, ReadingOptions, parse_format
from tfcli.text.sources import find_sources

ROWS = b'{"title": "A ship", "body": "Ann saw a ship."}\n' * 3


def read(path: Path, data: bytes, options: ReadingOptions = DEFAULT) -> Reading:
    path.write_bytes(data)
    found = Reading()
    for _ in read_chunks(path, options, reading=found):
        pass
    return found


def test_rows_as_lines_of_text_are_suggested_where_lines_were_meant(tmp_path: Path) -> None:
    path, by_line = tmp_path / "rows.jsonl", ReadingOptions(document="line")
    with pytest.raises(DataError) as caught:
        read(path, ROWS, by_line)
    assert "--format text" in (caught.value.hint or "")
    assert "--field body" in (caught.value.hint or "")
    with pytest.raises(DataError) as caught:
        read(path, ROWS)
    hint = "--field body   # or, as pairs: --prompt-field title --answer-field body"
    assert caught.value.hint == hint
    pairs = ReadingOptions(prompt_field=("title",), answer_field="body")
    assert read(path, ROWS, pairs).form


def test_the_hinted_command_keeps_all_rows_with_a_text(tmp_path: Path) -> None:
    good = [{"a": {"b c": text}} for text in ("One day.", "Two days.", "\u00f1 days")]
    bad: list[object] = ["{broken", '{"a": "x"}', '{"a": {"b c": 5}}', "[1]", "5", '{"a": {']
    lines = [json.dumps(good[0]), *bad[:3], json.dumps(good[1]), *bad[3:], json.dumps(good[2])]
    path = tmp_path / "some rows.jsonl"
    with pytest.raises(DataError, match="6 of 9 rows") as caught:
        read(path, "\n".join(map(str, lines)).encode(), ReadingOptions(field="a.b c"))
    assert caught.value.hint
    subprocess.run(caught.value.hint, shell=True, check=True, cwd=tmp_path)
    kept = (tmp_path / "good.jsonl").read_text().splitlines()
    assert [json.loads(row) for row in kept] == good


def test_each_of_several_files_may_have_its_own_field(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,review,title\n1,One day.,A b\n")
    (tmp_path / "b.csv").write_text("body,note\nTwo days.,c d\n")
    (tmp_path / "c.csv").write_text("id,only\n1,Three days.\n")
    options = ReadingOptions(field="a.csv=review,b.csv=body")
    corpus = open_sources(find_sources([str(tmp_path)]), options, cache=tmp_path / ".cache")
    text = b"".join(chunk.data for chunk, _ in corpus.parts[0].split())
    assert text == b"One day.Two days.Three days."


def test_a_copy_that_is_left_out_may_be_named(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("id,review\n1,One day.\n")
    sources = find_sources([str(tmp_path)])
    assert len(sources.files) == 1
    ReadingOptions(field="a.csv=review,b.csv=review").require_named(sources.met)
    with pytest.raises(OptionError, match=r"names c\.csv, which is not among the files"):
        ReadingOptions(field="a.csv=review,c.csv=x").require_named(sources.met)
    with pytest.raises(OptionError, match="must be FILE=NAME for each file, not 'b'"):
        ReadingOptions(field="a.csv=review,b")


def test_labels_beside_a_text_are_named(tmp_path: Path) -> None:
    rows = "".join(f"Text number {n}.,{('good', 'bad')[n % 2]},{n}\n" for n in range(9))
    (_, said) = read(tmp_path / "a.csv", f"text,label,id\n{rows}".encode()).notes(
        Path("a.csv"), DEFAULT
    )
    assert said == (
        "a.csv: only 'text' is trained on; --prompt-field text --answer-field label trains 'label' "
        "as the answer to it"
    )
    pairs = ReadingOptions(prompt_field=("text",), answer_field="label")
    found = read(tmp_path / "a.csv", f"text,label,id\n{rows}".encode(), pairs)
    assert found.rows
    assert found.rows.pairs == 9
    ids = "".join(f"Text number {n}.,{n}\n" for n in range(9))
    assert len(read(tmp_path / "b.csv", f"text,id\n{ids}".encode()).notes(Path("b"), DEFAULT)) == 1


def test_a_number_is_a_prompt_and_an_answer(tmp_path: Path) -> None:
    rows = b'{"prompt": 12, "answer": 7}\n{"prompt": "1.5", "answer": 1.50}\n'
    path = tmp_path / "sums.jsonl"
    path.write_bytes(rows)
    said = [(chunk.role, chunk.data) for chunk in read_chunks(path)]
    assert said == [
        ("prompt", b"12\n"), ("answer", b"7"), ("prompt", b"1.5\n"), ("answer", b"1.5")
    ]  # fmt: skip
    with pytest.raises(DataError, match="have no pair"):
        read(path, b'{"prompt": "a", "answer": true}\n' + rows)


def test_options_without_effect_on_rows_get_a_note(tmp_path: Path) -> None:
    options = ReadingOptions(field="body", document="line")
    notes = read(tmp_path / "a", ROWS, options).notes(Path("a"), options)
    assert any("--document has no effect on rows" in note for note in notes)
    options = ReadingOptions(separator=";", format="csv")
    notes = read(tmp_path / "a", b"id;text\n1;Ann saw it\n", options).notes(Path("a"), options)
    assert any("the delimiter of columns is recognized" in note for note in notes)


def test_standard_input_is_called_so(tmp_path: Path) -> None:
    found = read(tmp_path / "a", "Ann saw a ship.\n".encode("utf-16"))
    assert found.notes(STDIN, DEFAULT) == ["standard input is UTF-16-LE"]


def test_a_file_that_is_not_compressed_as_its_name_says(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "rows.jsonl.gz", ROWS)
    assert "rows.jsonl.gz is not gzip, as its name says" in caught.value.what
    assert caught.value.hint == f"mv {tmp_path}/rows.jsonl.gz {tmp_path}/rows.jsonl"
    with pytest.raises(DataError, match="not a complete gzip file"):
        read(tmp_path / "rows.jsonl.gz", b"")


@pytest.mark.parametrize(("name", "data"), [("a.json", b"[]\n"), ("a.csv", b"id,text\n")])
def test_files_without_rows(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        open_sources(find_sources([str(tmp_path / name)]), cache=tmp_path / "cache")
    assert caught.value.why == "no rows"


def test_formats_have_the_names_of_their_suffixes() -> None:
    assert parse_format("jsonl") == parse_format("NDJSON") == "json"
    with pytest.raises(ValueError, match="must be one of text, json"):
        parse_format("xls")


def test_errors_in_json_name_the_line_of_the_file(tmp_path: Path) -> None:
    rows = [{"text": f"row {number}"} for number in range(3)]
    text = "\n\n" + json.dumps(rows, indent=1).replace('"row 2"', "row")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.json", text.encode())
    assert caught.value.why == "row 3, line 11: Expecting value at column 11"
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.jsonl", ROWS.replace(b"title", b"text", 1) + b'{"text": x}\n')
    assert "row 4: not valid JSON (Expecting value at column 10)" in (caught.value.why or "")


def test_the_field_with_most_text_is_suggested(tmp_path: Path) -> None:
    for wanted in (None, "zzzz"):
        with pytest.raises(DataError) as caught:
            read(tmp_path / "a.jsonl", ROWS, ReadingOptions(field=wanted))
        assert (caught.value.hint or "").partition("   #")[0] == "--field body"


def test_near_file_names_are_suggested_and_others_are_not(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "schema.json"):
        (tmp_path / name).write_text("{}")
    for name, meant in (("row.jsonl", "rows.jsonl"), ("nope.jsonl", None)):
        with pytest.raises(NotFoundError) as caught:
            find_sources([str(tmp_path / name)])
        assert caught.value.hint == (meant and f"did you mean '{tmp_path / meant}'?")
    with pytest.raises(NotFoundError) as caught:
        read_schema(str(tmp_path / "shema.json"))
    assert caught.value.hint == f"did you mean '{tmp_path / 'schema.json'}'?"
