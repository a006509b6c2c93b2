"""Files of every format, damaged files, limits, and processes that are really killed."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from assistant.documents.parse import Limits, Parser
from assistant.documents.sentences import split
from assistant.errors import DocumentError
from assistant.records import ParsedText
from tests.assistant.documents import files

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "data" / "samples"
SLOW_HTML = b"<p>One <b>paragraph</b> of many.</p>" * 600_000

Read = Callable[..., ParsedText]


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as parser:
        yield parser


@pytest.fixture
def read(parser: Parser, tmp_path: Path) -> Read:
    def read(content: bytes, name: str, **limits: float) -> ParsedText:
        path = tmp_path / "content"
        path.write_bytes(content)
        return parser.parse(path, name=name, limits=Limits(**limits))  # type: ignore[arg-type]

    return read


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("text", ["A manutenção é feita às segundas-feiras.", "Coração", "The café’s “naïve” plan"])
def test_text_in_any_encoding(read: Read, text: str, encoding: str) -> None:
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        assert encoding == "latin-1"  # which has no curly quotes
        return
    assert read(content, "note.txt").text == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Статья о языке программирования и его истории.", "cp1251"),
        ("日本語の文書です。これはテストです。", "shift_jis"),
    ],
)
def test_encodings_of_other_scripts(read: Read, text: str, encoding: str) -> None:
    assert read(text.encode(encoding), "note.txt").text == text


def test_text_is_cleaned(read: Read) -> None:
    parsed = read(("word " * 30 + "cafe\u0301\0 one\xa0two\u200b\r\nthree\rfour\n\n\n\nfive\x07 \n").encode(), "a.md")
    assert parsed == ParsedText("word " * 30 + "café one two\nthree\nfour\n\nfive")


def test_html_loses_scripts_and_keeps_structure(read: Read) -> None:
    html = """<html><head><title>x</title><style>p {color: red}</style></head><body><h1>Main title</h1>
    <script>alert("no")</script><p>A wrapped
    line with a <a href="https://example.org">link</a>.</p><![if !lists]><ul><li>First item</li></ul>
    <table><tr><th>Part</th><th>Price</th></tr><tr><td>Lamp_1</td><td>12</td></tr></table></body></html>"""
    text = read(html.encode(), "page.html").text
    assert "# Main title" in text
    assert "A wrapped line with a link." in text
    assert "- First item" in text or "* First item" in text
    assert "| Part | Price |\n| --- | --- |\n| Lamp_1 | 12 |" in text
    assert not {"alert", "color", "example.org", "!lists"} & set(text.replace("(", " ").replace("[", " ").split())
    assert "alert" not in text


def test_html_is_known_by_its_content(read: Read) -> None:
    assert read(b"<!DOCTYPE html><p>Some text</p>", "unknown").text == "Some text"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_rows_carry_their_labels(read: Read, separator: str) -> None:
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator).writerows(
        [["Item", "Price", "Note"], ["Lamp", "1.234,56", f"dry{separator} cool"], ["", "", ""], ["Bulb", "3", ""]]
    )
    text = read(stream.getvalue().encode("cp1252"), "prices.csv").text
    note = " ".join(f"dry{separator} cool".split())
    assert text == f"Item: Lamp | Price: 1.234,56 | Note: {note}\nItem: Bulb | Price: 3"


def test_csv_without_header(read: Read) -> None:
    assert read(b"1,2\n3,4\n", "numbers.csv").text == "1 | 2\n3 | 4"


def test_workbook(read: Read) -> None:
    text = read(files.workbook([["Item", "Price"], ["Lamp", 12.5], [None, None], ["Bulb", 3]]), "prices.xlsx").text
    assert text == "## Prices\n\nItem: Lamp | Price: 12.5\nItem: Bulb | Price: 3"


def test_word_document_whatever_its_name(read: Read) -> None:
    content = files.docx(("Heading1", "Opening hours"), ("Normal", "We open at nine_thirty."))
    for name in ("hours.docx", "hours.txt", "../../etc/passwd", "a\0b/c.pdf", ""):
        assert read(content, name).text == "# Opening hours\n\nWe open at nine_thirty."


def test_slides_are_pages(read: Read) -> None:
    parsed = read(files.slides(("First title", "One point\nOther point"), ("Second title", "Last words")), "talk.pptx")
    assert [page.number for page in parsed.pages] == [1, 2]
    first, second = (parsed.text[page.start : page.end] for page in parsed.pages)
    assert "# First title" in first
    assert second == "# Second title  \nLast words"
    assert "Other point" in [s.text.strip() for s in split(parsed.text, pages=parsed.pages)]


def test_epub_chapters(read: Read) -> None:
    text = read(files.epub("<h1>One day</h1><p>It rained\nall day.</p>", "<h1>Two days</h1><p>Sun.</p>"), "b.epub").text
    assert text.index("# One day\n\nIt rained all day.") < text.index("# Two days\n\nSun.")


def test_pdf_pages_paragraphs_and_headings(read: Read) -> None:
    pages: list[list[str | tuple[int, str]]] = [
        [
            "Brightwater annual report",
            (18, f"Chapter {name} of the report"),
            "This is a long line of ordinary prose that fills the whole width,",
            f"and it ends here on page {n}. The next sentence follows at once and then it stops.",
            "Short.",
            "A new paragraph begins with this line that is as long as the others",
            f"{name}.",
            f"Page {n} of 3",
        ]
        for n, name in enumerate(("one", "two", "three"), start=1)
    ]
    parsed = read(files.pdf(*pages), "report.pdf")
    assert [page.number for page in parsed.pages] == [1, 2, 3]
    second = parsed.text[parsed.pages[1].start : parsed.pages[1].end].strip()
    assert second == (
        "## Chapter two of the report\n\n"
        "This is a long line of ordinary prose that fills the whole width, and it ends here on page 2. "
        "The next sentence follows at once and then it stops. Short.\n\n"
        "A new paragraph begins with this line that is as long as the others two."
    )


ENCRYPTED_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.txt", "is empty"),
        (b" \n\n ", "a.txt", "no text"),
        (files.PNG, "a.pdf", "is a picture"),
        (bytes(range(256)) * 20, "a.txt", "kind that cannot be read"),
        (b"{\\rtf1 text}", "a.rtf", "Rich Text"),
        (ENCRYPTED_OFFICE, "a.docx", "password"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "a.doc", "old Office format"),
        (files.docx(("Normal", "Text"))[:-40], "a.docx", "damaged"),
        (files.zipped({"word/document.xml": "<not xml"}), "a.docx", "damaged"),
        (files.zipped({"notes.txt": "text"}), "a.zip", "an archive"),
        (b"%PDF-1.7 and nothing else", "a.pdf", "damaged"),
        (files.pdf([]), "a.pdf", "no text"),
        (files.locked_pdf(), "a.pdf", "password"),
        (files.workbook([]), "a.xlsx", "no text"),
    ],
)
def test_what_cannot_be_read_says_why(read: Read, content: bytes, name: str, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason) as raised:
        read(content, name)
    assert str(raised.value).endswith(".")
    assert read(b"The next file is read.", "b.txt").text == "The next file is read."


def test_limits(read: Read) -> None:
    bomb = files.zipped({"word/document.xml": b"0" * 50_000_000})
    assert len(bomb) < 100_000
    with pytest.raises(DocumentError, match="unpacks to 50 MB, more than the 40 MB allowed"):
        read(bomb, "bomb.docx", unpacked=40_000_000)
    with pytest.raises(DocumentError, match="has 3 pages, more than the 2 allowed"):
        read(files.pdf(["One"], ["Two"], ["Three"]), "a.pdf", pages=2)
    with pytest.raises(DocumentError, match="has 2 slides, more than the 1 allowed"):
        read(files.slides(("One", "Two"), ("Three", "Four")), "a.pptx", pages=1)
    with pytest.raises(DocumentError, match="more than the 1 MB allowed"):
        read(b"word " * 300_000, "a.txt", file=1_000_000)
    with pytest.raises(DocumentError, match=r"1\.5 million characters"):
        read(b"word " * 300_000, "a.txt", characters=1_000_000)


def test_a_zip_that_lies_about_its_size_is_damaged(read: Read) -> None:
    whole = files.docx(("Normal", "text " * 10_000))
    size = 1
    at = whole.rindex(b"PK\x01\x02") + 24  # the unpacked size in the last entry of the central directory
    with pytest.raises(DocumentError, match="damaged"):
        read(whole[:at] + size.to_bytes(4, "little") + whole[at + 4 :], "a.docx")


def test_time_and_memory_run_out(read: Read) -> None:
    with pytest.raises(DocumentError, match=r"more than the 0\.2 seconds"):
        read(SLOW_HTML, "slow.html", seconds=0.2)
    with pytest.raises(DocumentError, match=r"memory|MB allowed"):
        read(SLOW_HTML * 3, "large.txt", memory=32 * 1024**2)
    assert read(b"Still reading.", "a.txt").text == "Still reading."


def test_close_interrupts_and_the_next_file_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "slow"
    path.write_bytes(SLOW_HTML)
    errors: list[DocumentError] = []
    with Parser() as parser:

        def parse() -> None:
            try:
                parser.parse(path, name="slow.html")
            except DocumentError as error:
                errors.append(error)

        thread = threading.Thread(target=parse)
        thread.start()
        reader = wait_for_reader(psutil.Process())
        parser.close()
        thread.join()
        assert "interrupted" in str(errors[0])
        psutil.wait_procs([reader], timeout=30)
        assert not reader.is_running()
        path.write_text("Fresh start.")
        assert parser.parse(path, name="a.txt").text == "Fresh start."


def wait_for_reader(program: psutil.Process) -> psutil.Process:
    """The process that reads a file for ``program``: a child of its child."""
    while True:
        for child in program.children():
            if readers := child.children():
                return readers[0]


def test_killing_the_program_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "slow").write_bytes(SLOW_HTML)
    code = (
        "import pathlib, sys; from assistant.documents.parse import Parser\n"
        "Parser().parse(pathlib.Path(sys.argv[1]), name='slow.html')"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "slow"], cwd=ROOT) as program:
        reader = wait_for_reader(psutil.Process(program.pid))
        sandbox = reader.parent()
        assert sandbox is not None
        os.kill(program.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs([reader, sandbox], timeout=30)
    assert alive == []


def test_the_reading_process_is_confined(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = (
            "import socket, subprocess, sys, pathlib\n"
            "from assistant.documents.sandbox import confine; from assistant.documents.reader import Limits\n"
            "confine(Limits())\n"
            f"for attempt in (lambda: socket.create_connection(('127.0.0.1', {server.getsockname()[1]})),\n"
            "                lambda: subprocess.run(['true']), lambda: pathlib.Path(sys.argv[1]).write_text('x')):\n"
            "    try: attempt(); print('done')\n"
            "    except PermissionError: print('refused')\n"
        )
        result = subprocess.run([sys.executable, "-c", code, tmp_path / "x"], cwd=ROOT, capture_output=True, check=True)
    assert result.stdout.split() == [b"refused"] * 3


def test_sample_documents_answer_the_sample_questions(parser: Parser) -> None:
    questions = json.loads((SAMPLES / "questions.json").read_text("utf-8"))
    assert {language: len(entries) for language, entries in questions.items()} == {"en": 4, "pt": 4}
    for entry in questions["en"] + questions["pt"]:
        parsed = parser.parse(SAMPLES / entry["document"], name=entry["document"])
        sentences = split(parsed.text, pages=parsed.pages)
        assert any(entry["answer"] in " ".join(s.text.split()) for s in sentences), entry
