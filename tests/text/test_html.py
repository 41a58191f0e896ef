"""Pages and books: the text that a person would copy from them, and nothing else."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from html import escape
from pathlib import Path

import pytest
import selectolax  # noqa: F401  (tests/missing_packages.py leaves this file out without it)
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DataError
from tfcli.text.corpus import open_sources
from tfcli.text.html import html_text, is_html
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import DEFAULT, ReadingOptions
from tfcli.text.sources import find_sources

from .helpers import documents, join, standard_input

NAME = Path("page.html")


def text_of(page: str) -> str:
    return html_text(page.encode(), NAME).decode()


def read(folder: Path, data: bytes, name: str, options: ReadingOptions = DEFAULT) -> list[bytes]:
    path = folder / name
    path.write_bytes(data)
    return documents(read_chunks(path, options))


def refused(folder: Path, data: bytes, name: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, data, name)
    return caught.value


# --- what is text -------------------------------------------------------------------------------

SHOWN = {
    "paragraphs": ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
    "end tags left out": ("<p>One<p>Two<ul><li>a<li>b</ul>", "One\n\nTwo\n\na\nb\n"),
    "headings": ("<h1>Title</h1>Text<h2>Part</h2><p>More", "Title\n\nText\n\nPart\n\nMore\n"),
    "nested lists": ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "a\nb\nc\n"),
    "lines": ("one<br>two<br/><br>three<div>four</div><div>five</div>",
              "one\ntwo\n\nthree\nfour\nfive\n"),
    "white space": ("<div>\n  one\n\t two <b> three</b>four <i>five</i> </div>\n six",
                    "one two threefour five\nsix\n"),
    "entities": ("<p>caf&eacute; &lt;b&gt; &#8212; &amp;amp; &#x1F600;", "café <b> — &amp; 😀\n"),
    "spaces that do not break": ("<p>a&nbsp;&nbsp;b<p>&nbsp;<p>c", "a b\n\nc\n"),
    "soft hyphens": ("<p>Wör&shy;ter", "Wörter\n"),
    "code": ("<p>So:<pre>\nif x:\n    y()\n\n\nz\n</pre><p>End",
             "So:\n\nif x:\n    y()\n\n\nz\n\nEnd\n"),
    "marked code": ("<pre><b>if</b> x:<br>  y</pre>", "if x:\n  y\n"),
    "a table": ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a\tb\n1\t2\n"),
    "ruby": ("<p><ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>だ", "漢字だ\n"),
    "wrongly nested": ("<b><p>one</b> two</p></div>three", "one two\n\nthree\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHOWN)
def test_text_is_what_a_browser_shows(kind: str) -> None:
    page, text = SHOWN[kind]
    assert text_of(f"<!doctype html><title>x</title>{page}") == text


@pytest.mark.parametrize(
    "element",
    [
        "<script>var x = '<p>x</p>'</script>", "<style>p { x: y }</style>", "<!-- x -->",
        "<p hidden>x</p>", "<div style='color: red; DISPLAY : none'><p>x</p></div>",
        "<nav><ul><li>x</ul></nav>", "<div role=navigation>x</div>", "<template><p>x</template>",
        "<noscript>x</noscript>", "<svg><text>x</text></svg>", "<button>x</button>",
        "<select><option>x</select>", "<textarea>x</textarea>", "<iframe>x</iframe>",
        "<dialog>x</dialog>", "<video>x</video>",
    ],
)  # fmt: skip
def test_what_a_browser_does_not_show_is_left_out(element: str) -> None:
    assert text_of(f"<html><head><title>x</title></head><p>a {element} b</html>") in {
        "a b\n", "a\n\nb\n", "a\nb\n",
    }  # fmt: skip


MAIN = {
    "a main part": (
        "<div>Site</div><main><h1>Title</h1>Text</main><footer>About",
        "Title\n\nText\n",
    ),
    "by its role": ("Site<div role=main><p>Text</div>About", "Text\n"),
    "one of two": ("<main hidden>Other</main><main>Text</main>About", "Text\n"),
    "two": ("<main>One</main><main>Two</main>", "One\n\nTwo\n"),
    "an empty one": ("<main><script>x</script></main><p>Text", "Text\n"),
}


@pytest.mark.parametrize("kind", MAIN)
def test_only_the_main_part_is_read_where_a_page_names_one(kind: str) -> None:
    page, text = MAIN[kind]
    assert text_of(f"<!doctype html>{page}") == text


@given(texts=st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)))
def test_any_text_comes_through(texts: list[str]) -> None:
    page = "".join(f"<p>{escape(text)}</p>\n" for text in texts)
    assert text_of(f"<!doctype html>{page}") == "\n\n".join(texts) + "\n" * bool(texts)


@pytest.mark.parametrize("tag", ["span", "div", "section"])
def test_pages_nested_thousands_deep_are_read(tag: str) -> None:
    assert text_of(f"<{tag}>" * 20_000 + "deep") == "deep\n"


def test_large_flat_page_is_read() -> None:
    page = "<div><ul><li><p>a</p></ul></div><p>b" * 30_000
    assert text_of(page).count("a") == 30_000


def test_page_that_would_take_minutes_is_refused() -> None:
    with pytest.raises(DataError, match="nested too deeply") as caught:
        text_of("<div>" * 200_000)
    assert caught.value.why == "elements are nested 200,000 levels deep"


def test_many_comments_before_anything_else_take_no_time() -> None:
    assert not is_html(b"<!---->" * 500 + b"x", "")
    assert is_html(b"<!---->" * 500 + b"<html>", "")


BOOK = """<?xml version="1.0" encoding="windows-1251"?>
<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0" xmlns:l="http://www.w3.org/1999/xlink">
<description><title-info><book-title>Имя</book-title></title-info></description>
<body><title><p>Книга</p></title><section><title><p>Глава 1</p></title>
<p>Она <emphasis>шла</emphasis>.<a l:href="#n" type="note">[1]</a></p><empty-line/>
<p>Он ждал.</p><poem><stanza><v>Раз</v><v>два</v></stanza></poem></section></body>
<body name="notes"><section id="n"><p>Домой.</p></section></body>
<binary id="cover.jpg" content-type="image/jpeg">/9j/4AAQ</binary>
</FictionBook>"""


def test_fiction_book_is_read_as_a_page(tmp_path: Path) -> None:
    """http://www.fictionbook.org/index.php/Eng:XML_Schema_Fictionbook_2.1"""
    text = "Книга\n\nГлава 1\n\nОна шла.[1]\n\nОн ждал.\n\nРаз\nдва\n\nДомой.\n"
    assert read(tmp_path, BOOK.encode("cp1251"), "book.fb2") == [text.encode()]
    assert read(tmp_path, BOOK.replace("windows-1251", "utf-8").encode(), "b") == [text.encode()]


@pytest.mark.parametrize("head", ['<?xml version="1.0"?><html>', '<html xmlns="http://x">'])
def test_empty_elements_of_xhtml_end_where_they_begin(head: str) -> None:
    page = f'{head}<head><title/><script src="a>b" /></head><body><p>one<a id="x"/><br/>two</p>'
    assert text_of(page) == "one\ntwo\n"


# --- encodings ----------------------------------------------------------------------------------

ENCODED = {
    "declared": ("<meta charset='windows-1251'><p>Лиса", "cp1251"),
    "declared as before": (
        '<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS"><p>①吾輩', "cp932"),
    "declared as Latin-1, which browsers read as cp1252": (
        "<meta charset=iso-8859-1><p>“Hello” — café", "cp1252"),
    "declared by XML": ('<?xml version="1.0" encoding="gb2312"?><html><p>今天镕', "gb18030"),
    "declared wrongly": ("<meta charset=iso-8859-1><p>“Hello” — café", "utf-8"),
    "seven bits": ("<meta charset=iso-2022-jp><p>吾輩は猫である", "iso-2022-jp"),
    "UTF-16 with a mark": ("<html><p>El niño</p></html>", "utf-16"),
    "UTF-16 without": ("<html><p>A longer text\nof lines</p></html>", "utf-16-le"),
    "UTF-8 with a mark": ("\ufeff<html><p>El niño", "utf-8"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENCODED)
def test_encoding_is_what_the_page_or_its_first_bytes_say(tmp_path: Path, kind: str) -> None:
    page, encoding = ENCODED[kind]
    wanted = page.rsplit("<p>")[-1].removesuffix("</p></html>").replace("\n", " ")
    assert read(tmp_path, page.encode(encoding), "page.html") == [f"{wanted}\n".encode()]


def test_unknown_encoding_is_refused_until_it_is_named(tmp_path: Path) -> None:
    page = "<html><p>“Hello” — café".encode("cp1252")
    assert "is not UTF-8" in refused(tmp_path, page, "page.html").what
    options = ReadingOptions(encoding="cp1252")
    assert read(tmp_path, page, "page.html", options) == ["“Hello” — café\n".encode()]
    lies = b"<meta charset=shift_jis>" + page
    assert "not in cp932" in refused(tmp_path, lies, "page.html").what


# --- books --------------------------------------------------------------------------------------

CONTAINER = (
    '<container xmlns="urn:x"><rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles>'
    "</container>"
)
CHAPTERS = {"second part.xhtml": "Two", "one.xhtml": "One", "three.html": "Three"}


def package(spine: str = "one two three", items: str = "") -> str:
    return f"""<?xml version="1.0"?><package xmlns="urn:opf"><manifest>
        <item id="toc" href="toc.xhtml" media-type="application/xhtml+xml" properties="nav"/>
        <item id="two" href="text/second%20part.xhtml#x" media-type="application/xhtml+xml"/>
        <item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
        <item id="three" href="../three.html" media-type="text/html"/>
        <item id="cover" href="cover.svg" media-type="image/svg+xml"/>{items}
        </manifest><spine>{"".join(f'<itemref idref="{each}"/>' for each in spine.split())}
        </spine></package>"""


def book(**changed: str) -> bytes:
    """A book of three chapters, with some of its files changed or, where empty, left out."""
    files = {
        "mimetype": "application/epub+zip",
        "container": CONTAINER,
        "encryption": "",
        "package": package("toc cover one two three one"),
        "one": "<html><head><title/></head><body><h1>One</h1><p>It began.</p></body></html>",
        "two": "<html><body><p>It went on.</p></body></html>",
        "three": "<html><body><p>It ended.</p></body></html>",
        **changed,
    }
    places = {
        "container": "META-INF/container.xml", "encryption": "META-INF/encryption.xml",
        "package": "OEBPS/content.opf", "one": "OEBPS/text/one.xhtml",
        "two": "OEBPS/text/second part.xhtml", "three": "three.html",
    }  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            if text:
                archive.writestr(places.get(name, name), text)
    return out.getvalue()


WHOLE = b"One\n\nIt began.\n\nIt went on.\n\nIt ended.\n"


@pytest.mark.parametrize("name", ["book.epub", "book", "book.zip"])
def test_book_is_one_document_of_its_chapters_in_their_order(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, book(), name) == [WHOLE]
    assert read(tmp_path, gzip.compress(book()), f"{name}.gz") == [WHOLE]
    with standard_input([book()]):
        assert join(read_chunks(Path("-"))) == WHOLE


ENCRYPTED = (
    '<encryption xmlns:enc="urn:enc"><enc:EncryptedData><enc:CipherData>'
    '<enc:CipherReference URI="{}"/></enc:CipherData></enc:EncryptedData></encryption>'
)
BROKEN = {
    "not a book": (b"PK\x03\x04" + b"nothing" * 9, "not a valid EPUB"),
    "cut short": (book()[:-200], "not a valid EPUB"),
    "without a list": (book(container=""), "not a valid EPUB"),
    "a list that is no XML": (book(package="<package"), "not a valid EPUB"),
    "a chapter that is missing": (book(two=""), "not a valid EPUB"),
    "no chapters": (book(package=package("")), "no text"),
    "a chapter elsewhere": (
        book(package=package("etc", '<item id="etc" href="../../etc/passwd" '
                             'media-type="text/html"/>')), "not a valid EPUB"),
    "entities": (
        book(package='<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + package()),
        "not a valid EPUB"),
    "entities from outside": (
        book(package='<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + package()),
        "not a valid EPUB"),
    "DRM": (book(encryption=ENCRYPTED.format("OEBPS/text/one.xhtml")), "is encrypted"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_book_that_cannot_be_read_as_a_whole_is_refused(tmp_path: Path, kind: str) -> None:
    data, what = BROKEN[kind]
    assert what in refused(tmp_path, data, "book.epub").what


def test_encrypted_fonts_are_no_hindrance(tmp_path: Path) -> None:
    fonts = ENCRYPTED.format("OEBPS/fonts/a.otf")
    assert read(tmp_path, book(encryption=fonts), "book.epub") == [WHOLE]


def test_book_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    bomb = book(one="<p>" + " " * (80 << 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfcli.text.epub.MAX_BOOK", 1 << 20)
        assert "unpacks to 83,8" in refused(tmp_path, bomb, "book.epub").what
    assert "a page of more than" in refused(tmp_path, bomb, "book.epub").what


def check_flipped(folder: Path, place: int, bit: int) -> None:
    data = bytearray(book())
    data[place] ^= 1 << bit
    try:
        texts = read(folder, bytes(data), "book.epub")
    except DataError:
        return
    assert texts == [WHOLE]


@given(place=st.integers(0, len(book()) - 1), bit=st.integers(0, 7))
def test_flipped_bit_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    check_flipped(tmp_path_factory.mktemp("bit"), place, bit)


def test_every_flipped_bit_where_an_archive_says_where_things_are(tmp_path: Path) -> None:
    version = book().rfind(b"PK\x01\x02") - len(book()) + 6  # of zip, that is needed
    for place in (version, *range(-22, 0)):
        for bit in range(8):
            check_flipped(tmp_path, place, bit)


# --- among other files --------------------------------------------------------------------------


def test_page_in_a_folder_is_read_and_said_and_what_belongs_to_it_is_left_out(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    (site / "story_files").mkdir(parents=True)
    (site / "story.html").write_text("<html><p>A story.</p></html>")
    (site / "story_files" / "site.js").write_text("var a = 1;\n")
    (site / "other_files").mkdir()
    (site / "other_files" / "a.txt").write_text("Text.\n")
    (site / "book.epub").write_bytes(book())
    sources = find_sources([str(site)])
    assert sources.left_out == ((site / "story_files", "belongs to story.html"),)
    corpus = open_sources(sources, cache=tmp_path / "cache", val_fraction=0.0)
    assert join(corpus.training()) == WHOLE + b"Text.\n" + b"A story.\n"
    assert corpus.notes == (
        f"{site / 'book.epub'} is EPUB; only its text is read",
        f"{site / 'story.html'} is HTML; only its text is read",
    )


def test_many_pages_are_one_note(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.html").write_text(f"<html><p>Page {number}.</p></html>")
    corpus = open_sources(find_sources([str(tmp_path)]), cache=tmp_path / ".cache")
    (note,) = corpus.notes
    assert note.startswith(f"9 HTML pages, such as {tmp_path / '0.html'}")


def test_page_without_text_is_refused_or_left_out_of_a_folder(tmp_path: Path) -> None:
    page = b"<html><body><div id=app></div><script>render()</script></body></html>"
    assert "no text in" in refused(tmp_path, page, "app.html").what
    (tmp_path / "book.txt").write_text("Text.\n")
    corpus = open_sources(find_sources([str(tmp_path)]), cache=tmp_path / ".cache")
    assert corpus.notes == (f"left out: no text in {tmp_path / 'app.html'}",)


def test_markup_can_be_read_as_it_is_and_pages_by_any_name(tmp_path: Path) -> None:
    page = b"<html><p>Hello</p></html>"
    assert read(tmp_path, page, "a.html", ReadingOptions(format="text")) == [page]
    assert read(tmp_path, page, "a.txt") == [b"Hello\n"]
    part = b"<p>Hello</p>"
    assert read(tmp_path, part, "part.html") == [b"Hello\n"]
    assert read(tmp_path, part, "part.txt") == [part]
    assert read(tmp_path, part, "part.txt", ReadingOptions(format="html")) == [b"Hello\n"]
    template = b"{% block text %}<p>Hello</p>\n"
    assert read(tmp_path, template, "template.html") == [template]


def test_documents_of_a_page_are_told_apart_like_those_of_plain_text(tmp_path: Path) -> None:
    page = b"<html><p>One</p><p>Two<br>lines</p></html>"
    options = ReadingOptions(document="blank-line")
    assert read(tmp_path, page, "a.html", options) == [b"One", b"Two\nlines"]


def test_note_names_the_kind(tmp_path: Path) -> None:
    found = Reading(format="html")
    assert found.notes(NAME, DEFAULT) == ["page.html is HTML; only its text is read"]
    assert found.notes(NAME, ReadingOptions(format="html")) == []


def test_utf8_page_is_read_as_such_whatever_encoding_is_named() -> None:
    page = "<p>El niño salió.</p>"
    for written, named in (("utf-8", "cp1252"), ("cp1252", "cp1252")):
        text = html_text(page.encode(written), Path("page.html"), encoding=named)
        assert text.decode().strip() == "El niño salió."


def test_without_selectolax_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    """A folder's other files are read without it, and its pages once it is there."""
    (tmp_path / "page.html").write_text("<html><p>Hello</p></html>")
    (tmp_path / "book.epub").write_bytes(book())
    (tmp_path / "book.txt").write_text("Some text.\n" * 50)
    code = (
        "import sys; sys.modules['selectolax'] = None; from tfcli.cli.app import run; "
        "sys.exit(run(sys.argv[1:], started=0.0))"
    )

    def without(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, "tokenizer", "train", *arguments, "--name", "x"],
            cwd=tmp_path, check=False, capture_output=True, text=True,
        )  # fmt: skip

    for name, kind in (("page.html", "HTML"), ("book.epub", "an EPUB book")):
        done = without(name)
        assert done.returncode == 65
        assert f"{name} is {kind}; reading it requires tfcli[html]" in done.stderr
        assert 'try: pip install "tfcli[html]"' in done.stderr
    done = without(".")
    assert done.returncode == 0, done.stderr
    assert "page.html is HTML; reading it requires tfcli[html]" in " ".join(done.stderr.split())
    corpus = open_sources(
        find_sources([str(tmp_path)]), cache=tmp_path / "checkpoints/.cache", val_fraction=0.1
    )
    assert len(corpus.sources) == 3
