"""`tfcli tokenizer` in pipes."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest

from tests.conftest import BOOK, SENTENCES, Shell, bare_environment, forked

TEXT = "Ann\r\nsaw\t  José — 🙂‍↕️ 日本 \x00 ▁ <s>\n\n".encode() * 3


def test_text_round_trips_through_encode_and_decode(trained: Shell) -> None:
    ids = trained("tokenizer", "encode", "--tokenizer", "words", stdin=TEXT)
    assert ids.code == 0
    assert all(word.isdigit() for word in ids.out.split())
    text = trained("tokenizer", "decode", "--tokenizer", "words", stdin=ids.out)
    assert text.out == TEXT


def test_empty_input_gives_empty_output(trained: Shell) -> None:
    for command in ("encode", "decode"):
        done = trained("tokenizer", command, "-t", "words", stdin=b"")
        assert (done.code, done.out) == (0, b"")


@pytest.mark.parametrize("option", [(), ("--pieces",)])
def test_lines_go_in_and_out_one_by_one(trained: Shell, option: tuple[str, ...]) -> None:
    lines = TEXT.split(b"\n")
    done = trained("tokenizer", "encode", "-t", "words", "--lines", *option, stdin=TEXT)
    assert done.code == 0
    assert done.out.count(b"\n") == len(lines) - 1
    for line, encoded in zip(lines[:5], done.out.split(b"\n")[:5], strict=True):
        alone = trained("tokenizer", "encode", "-t", "words", *option, stdin=line)
        assert alone.out.strip() == encoded


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_lines_of_ids_are_decoded_line_by_line(trained: Shell, end: bytes) -> None:
    text = TEXT.rstrip() + end
    ids = trained("tokenizer", "encode", "-t", "words", "--lines", stdin=text)
    done = trained("tokenizer", "decode", "-t", "words", "--lines", stdin=ids.out)
    assert done.out == text.removesuffix(b"\n") + b"\n"


def test_pieces_are_visible_words(trained: Shell) -> None:
    text = "Ann\tsaw  José\r\n— \\ ▁\u200d".encode()
    done = trained("tokenizer", "encode", "-t", "words", "--pieces", stdin=text)
    shown = done.out.decode()
    assert "<0x09>" in shown
    assert "<0x0D> \\n" in shown
    assert "<0xE2> <0x96> <0x81>" in shown
    assert shown.count("▁") == 4
    ids = trained("tokenizer", "encode", "-t", "words", stdin=text).out.split()
    assert len(shown.split()) == len(ids)


@pytest.mark.parametrize(
    ("command", "line", "answer"),
    [
        ("encode", b"Ann saw", b" "),
        ("encode --pieces", b"Bob", b"B"),
        ("decode", b"68", b"A"),
    ],
)
def test_line_is_answered_before_the_next_is_read(
    trained: Shell, command: str, line: bytes, answer: bytes
) -> None:
    process = subprocess.Popen(
        [*forked(), "tokenizer", *command.split(), "-t", "words", "--lines"],
        cwd=trained.folder, env=bare_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    for _ in range(2):
        process.stdin.write(line + b"\n")
        process.stdin.flush()
        assert answer in process.stdout.readline()
    process.stdin.close()
    assert process.wait() == 0
    process.stdout.close()


def test_lines_before_an_invalid_one_are_answered(trained: Shell) -> None:
    done = trained("tokenizer", "encode", "-t", "words", "--lines", stdin=b"Ann\n\xff\nBob\n")
    assert done.code == 65
    assert done.out.count(b"\n") == 1
    assert "line 2 is not valid UTF-8" in done.err


def test_tokenizer_of_a_run_is_found(trained: Shell) -> None:
    text = SENTENCES[0].encode()
    by_name = trained("tokenizer", "encode", "-t", "words", stdin=text)
    by_run = trained("tokenizer", "encode", "--run", "tale", stdin=text)
    assert by_run.out == by_name.out
    assert trained("tokenizer", "vocab", "--run", "tale").out
    decoded = trained("tokenizer", "decode", "--run", "tale", stdin=by_run.out)
    assert decoded.out == text


def test_vocabulary_is_listed(trained: Shell) -> None:
    done = trained("tokenizer", "vocab", "words")
    table = [line.split("\t") for line in done.out.decode().splitlines()]
    assert [int(i) for i, *_ in table] == list(range(320))
    assert [row[1:3] for row in table[:4]] == [
        ["<unk>", "unknown"], ["<s>", "control"], ["</s>", "control"], ["<0x00>", "byte"]
    ]  # fmt: skip
    assert {kind for _, _, kind, _ in table[259:]} == {"normal"}
    text = SENTENCES[7].encode()
    ids = trained("tokenizer", "encode", "-t", "words", stdin=text).out.split()
    pieces = trained("tokenizer", "encode", "-t", "words", "--pieces", stdin=text).out.decode()
    assert [table[int(i)][1] for i in ids] == pieces.split()


def test_vocabulary_is_listed_as_json(trained: Shell) -> None:
    done = trained("tokenizer", "vocab", "words", "--json")
    entries = [json.loads(line) for line in done.out.splitlines()]
    assert [entry["id"] for entry in entries] == list(range(320))
    assert all(entry.keys() == {"id", "piece", "text", "type", "score"} for entry in entries)
    assert (entries[3 + 0x41]["text"], entries[3 + 0xFF]["text"]) == ("A", None)
    assert all(e["text"] == e["piece"].replace("▁", " ").replace("\\n", "\n")
               for e in entries if e["type"] == "normal")  # fmt: skip


def test_listing_ends_quietly_with_its_reader(trained: Shell) -> None:
    command = f"{shlex.join(forked())} tokenizer vocab words --json | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=trained.folder, env=bare_environment(),
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_info_is_shown_as_table_and_as_json(trained: Shell) -> None:
    shown = trained("tokenizer", "info", "words")
    assert shown.code == 0
    assert b"vocab_size" in shown.out
    facts = json.loads(trained("tokenizer", "info", "words", "--json").out)
    assert facts["vocab_size"] == 320
    assert facts["metadata"]["corpus"]["bytes"] == len(BOOK.encode())


@pytest.mark.parametrize(
    ("option", "kind"), [("--type", "bpe"), ("--type", "unigram"), ("--tokenizer-type", "char")]
)
def test_every_type_is_trained_and_measured(shell: Shell, option: str, kind: str) -> None:
    done = shell("tokenizer", "train", "book.txt", "--name", "it", option, kind, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["type"] == kind
    assert report["measures"]["bytes_per_token"] > 0.95


def test_vocabulary_too_large_for_the_text_is_reduced_with_a_note(shell: Shell) -> None:
    done = shell("tokenizer", "train", "book.txt", "--name", "it", "--vocab-size", "30k")
    assert done.code == 0
    assert "not the 30,000 requested" in done.err


@pytest.mark.parametrize("command", ["tokenizer train", "train"])
def test_user_defined_symbols_are_tokens(shell: Shell, command: str) -> None:
    (shell.folder / "symbols.txt").write_text("the sea.\n a,b\n")
    name = "--user-defined-symbols"
    options = (name, "<|user|>,Ann saw", name, "@symbols.txt")
    if command == "train":
        size = ("--steps", "2", "--num-layers", "1", "--d-model", "32", "--context-length", "16")
        done = shell("train", "book.txt", "--run", "it", *size, *options)
        where = ("--run", "it")
    else:
        done = shell("tokenizer", "train", "book.txt", "--name", "it", *options, "--json")
        assert json.loads(done.out)["user_defined_symbols"] == [
            "<|user|>", "Ann saw", "the sea.", " a,b"
        ]  # fmt: skip
        assert "with 4 user-defined symbols" in done.err
        assert b"<|user|>, Ann saw" in shell("tokenizer", "info", "it").out
        assert shell("tokenizer", "export", "it", "out").code == 0
        assert shell("tokenizer", "import", "out", "--name", "back").code == 0
        facts = json.loads(shell("tokenizer", "info", "back", "--json").out)
        assert facts["user_defined_symbols"] == ["<|user|>", "Ann saw", "the sea.", " a,b"]
        where = ("-t", "it")
    assert done.code == 0, done.err
    text = b"<|user|>Ann saw a,b<|user|>the sea.\n"
    pieces = shell("tokenizer", "encode", *where, "--pieces", stdin=text).out.decode().split()
    assert pieces[:5] == ["<|user|>", "Ann▁saw", "▁a,b", "<|user|>", "the▁sea."]
    ids = shell("tokenizer", "encode", *where, stdin=text).out
    assert shell("tokenizer", "decode", *where, stdin=ids).out == text


ERRORS = {
    "words instead of ids": (("decode", "-t", "words"), b"1 2\n3 four", 65, "line 2"),
    "unknown id": (("decode", "-t", "words"), b"1 2 320", 65, "the unknown id 320"),
    "binary": (("encode", "-t", "words"), b"\xff\xfe\x00", 65, "byte 0"),
    "two lines in one": (
        ("decode", "-t", "words", "--lines"), b"68\n13 13\n", 65, "line 2 of standard input is",
    ),
    "no tokenizer": (("encode",), b"", 2, "tfcli tokenizer encode -t NAME"),
    "two tokenizers": (("decode", "-t", "words", "--run", "tale"), b"", 2, "cannot be combined"),
    "two vocabularies": (("vocab", "words", "--run", "tale"), b"", 2, "cannot be combined"),
    "symbol that is a control token": (
        ("train", "book.txt", "--name", "it", "--user-defined-symbols", "<a>,<s>"),
        b"", 2, "--user-defined-symbols cannot include '<s>'",
    ),
    "empty symbol": (
        ("train", "book.txt", "--name", "it", "--user-defined-symbols", ""), b"", 2, "empty",
    ),
    "misspelled": (("encode", "-t", "wods"), b"", 66, "did you mean 'words'"),
    "name of a run": (("info", "tale"), b"", 66, "try: --run tale"),
    "name of a run to encode with": (("encode", "-t", "tale"), b"", 66, "try: --run tale"),
    "bad name": (("train", "book.txt", "--name", "a/b"), b"", 2, "invalid tokenizer name: 'a/b'"),
    "too small": (
        ("train", "book.txt", "--name", "it", "--vocab-size", "100"), b"", 65, "too small",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_reported(trained: Shell, case: str) -> None:
    arguments, stdin, code, message = ERRORS[case]
    done = trained("tokenizer", *arguments, stdin=stdin)
    assert done.code == code, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_tokenizer_of_a_run_is_shown(trained: Shell) -> None:
    saved = json.loads(trained("tokenizer", "info", "words", "--json").out)
    of_run = json.loads(trained("tokenizer", "info", "--run", "tale", "--json").out)
    assert of_run["name"] == "tale"
    assert of_run["fingerprint"] == saved["fingerprint"]
    assert of_run["type"] == saved["type"] == "bpe"
    for key in ("held_out.bytes", "held_out.bytes_per_token"):
        assert of_run[key] == pytest.approx(saved[key], rel=0.01)  # the run counts ends of texts
    assert trained("tokenizer", "info", "words", "--run", "tale").code == 2
    assert "tfcli tokenizer info NAME" in trained("tokenizer", "info").err
