"""Word, PowerPoint, Excel, EPUB and HTML → Markdown. Slow to import: only the process that reads documents does."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import openpyxl
from markitdown import StreamInfo
from markitdown.converters import DocxConverter, EpubConverter, HtmlConverter, PptxConverter

from assistant.documents.text import rows
from assistant.errors import DocumentError

# Links and pictures become their text; emphasis goes: what is quoted later should read as it does on the page.
_OPTIONS: dict[str, Any] = {
    "strip": ["a", "img", "b", "strong", "i", "em", "u", "sup", "sub"],
    "escape_asterisks": False,
    "escape_underscores": False,
    "escape_misc": False,
    "table_infer_header": True,
    "heading_style": "ATX",
}
_HTML, _DOCX = HtmlConverter(), DocxConverter()  # type: ignore[no-untyped-call]
_EPUB, _PPTX = EpubConverter(), PptxConverter()  # type: ignore[no-untyped-call]
_CONDITIONAL = re.compile(r"<!(?:--)?\[(?:if|endif)[^>]*>", re.IGNORECASE)
_SLIDE = re.compile(r"<!-- Slide number: \d+ -->")
# A line break of the source inside a paragraph; in Markdown two spaces before it would make it one for the reader.
_WRAP = re.compile(r"(?<=[^\n|])(?<!  )\n(?=[^\n#|>`\-*+\d\s])")
_FENCED = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
_PICTURE = re.compile(r"!\[[^\]\n]*\]\([^)\n]*\)")


def read_html(html: str) -> str:
    """Scripts and styles are dropped; links and pictures become their text."""
    return _unwrapped(_HTML.convert_string(_CONDITIONAL.sub("", html), **_OPTIONS).markdown)


def read_docx(data: bytes) -> str:
    """Headings by their styles, lists and tables; comments and headers are left out."""
    return _DOCX.convert(io.BytesIO(data), StreamInfo(extension=".docx"), **_OPTIONS).markdown


def read_epub(data: bytes) -> str:
    """The chapters in reading order, after the title and other facts about the book."""
    return _unwrapped(_EPUB.convert(io.BytesIO(data), StreamInfo(extension=".epub"), **_OPTIONS).markdown)


def read_slides(data: bytes, *, max_pages: int) -> list[str]:
    """The text of each slide of a PowerPoint file, in order, its lines ended by hard breaks. Raises DocumentError."""
    markdown = _PPTX.convert(io.BytesIO(data), StreamInfo(extension=".pptx"), **_OPTIONS).markdown
    slides = _SLIDE.split(_PICTURE.sub("", markdown))[1:]
    if len(slides) > max_pages:
        raise DocumentError(f"The file has {len(slides):,} slides, more than the {max_pages:,} allowed. Split it.")
    return [re.sub(r"(?<=[^\n|])[\n\v](?=[^\n])", "  \n", slide.strip()) for slide in slides]


def read_xlsx(data: bytes) -> str:
    """Each sheet under its name as a heading, a line for each row; formulas as their last computed value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # styles and extensions that openpyxl does not know
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [(sheet.title, rows(_cells(sheet))) for sheet in book.worksheets]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sheets if text)


def _unwrapped(markdown: str) -> str:
    parts = _FENCED.split(markdown)
    return "".join(part if i % 2 else _WRAP.sub(" ", part) for i, part in enumerate(parts))


def _cells(sheet: Any) -> Iterator[list[str]]:
    sheet.reset_dimensions()  # the size that a file claims can be absurd
    for row in sheet.iter_rows(values_only=True):
        yield [_cell(value) for value in row]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)
