"""PDF → pages of text: wrapped lines joined into paragraphs, running headers dropped, headings by their type size."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium_c

from assistant.documents.text import clean
from assistant.errors import DocumentError

_PASSWORD_NEEDED = 4  # FPDF_ERR_PASSWORD
_SOFT_HYPHEN = "\ufffe"  # how pdfium marks a hyphen that only breaks a line
_HEADING_SIZE = 1.12  # times the size of the body's type
_ITEM = re.compile(r"(?:[•●▪‣◦–—*-]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+\S")
_BULLET = re.compile(r"[•●▪‣◦]\s*")
_RUNNING_LINES = 2  # lines at the top and at the bottom of a page that may repeat


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float


def read_pages(data: bytes, *, max_pages: int) -> list[str]:
    """The text of each page, in order; a page without text is an empty string. Raises DocumentError."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == _PASSWORD_NEEDED:
            raise DocumentError("The PDF is protected by a password. Save a copy without one and add that.") from error
        raise DocumentError("The PDF is damaged and cannot be opened. Save or export it again and add that.") from error
    if len(document) > max_pages:
        raise DocumentError(f"The PDF has {len(document):,} pages, more than the {max_pages:,} allowed. Split it.")
    pages = [_lines(document[number]) for number in range(len(document))]
    if not any(line.text.strip() for page in pages for line in page):
        raise DocumentError(
            "The PDF holds pictures of pages but no text (a scan, perhaps). Run text recognition (OCR) on it first."
        )
    body = _body_size(pages)
    return [clean(_paragraphs(page, body=body)) for page in _without_running_lines(pages)]


def _lines(page: pypdfium2.PdfPage) -> list[_Line]:
    text_page = page.get_textpage()
    lines, offset = [], 0
    for text in text_page.get_text_range().split("\r\n"):
        size = _size(text_page, offset + len(text) // 2) if text else 0.0
        lines.append(_Line(text.strip(), size))
        offset += len(text) + 2
    text_page.close()
    page.close()
    return [line for line in lines if line.text]


def _size(text_page: Any, index: int) -> float:
    return round(float(pdfium_c.FPDFText_GetFontSize(text_page, index)), 1)


def _body_size(pages: list[list[_Line]]) -> float:
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page:
            sizes[line.size] += len(line.text)
    return max(sizes, key=lambda size: sizes[size])


def _without_running_lines(pages: list[list[_Line]]) -> list[list[_Line]]:
    """Drops what stands at the top or bottom of most pages, the same each time or with the number of the page."""
    keys = [[_running_keys(line, number) for line in page] for number, page in enumerate(pages)]
    edges = [set[str]().union(*page[:_RUNNING_LINES], *page[-_RUNNING_LINES:]) for page in keys]
    counts = Counter(key for edge in edges for key in edge)
    repeated = {key for key, count in counts.items() if len(pages) >= 3 and count > 0.6 * len(pages)}
    kept = []
    for page, page_keys in zip(pages, keys, strict=True):
        start, end = 0, len(page)
        while start < min(end, _RUNNING_LINES) and page_keys[start] & repeated:
            start += 1
        while end > max(start, len(page) - _RUNNING_LINES) and page_keys[end - 1] & repeated:
            end -= 1
        kept.append(page[start:end])
    return kept


def _running_keys(line: _Line, page: int) -> set[str]:
    """The line itself, and the line with one of its numbers counted from the page: page 3 of 9, page 4 of 9."""
    text = line.text
    numbers = re.finditer(r"\d{1,6}", text)
    return {text} | {f"{text[: m.start()]}#{int(m.group()) - page}{text[m.end() :]}" for m in numbers}


def _paragraphs(lines: list[_Line], *, body: float) -> str:
    """Blocks with a blank line between; lines that stand for themselves (tables, addresses) end with a hard break."""
    full = sorted(len(line.text) for line in lines)[int(0.9 * (len(lines) - 1))] if lines else 0
    parts: list[str] = []
    for before, line in zip([None, *lines], lines, strict=False):
        text = _BULLET.sub("- ", line.text, count=1) if _BULLET.match(line.text) else line.text
        if _is_heading(line, body):
            same = before is not None and _is_heading(before, body) and before.size == line.size and len(parts) < 3
            parts.append(f" {text}" if same else f"\n\n## {text}")
        elif before is None or _is_heading(before, body):
            parts.append(f"\n\n{text}")
        else:
            parts.append(_joint(before.text, line.text, full=full) + text)
    return "".join(parts).replace(_SOFT_HYPHEN, "")


def _is_heading(line: _Line, body: float) -> bool:
    return line.size > _HEADING_SIZE * body and len(line.text) <= 120 and any(c.isalpha() for c in line.text)


def _joint(before: str, line: str, *, full: int) -> str:
    """What stands between two lines of a page: nothing (a split word), a space, a hard break or a new paragraph."""
    if before.endswith(_SOFT_HYPHEN):
        return ""
    if _ITEM.match(line):
        return "\n"
    ends = before.endswith((".", "!", "?", ":", "”", '"', "…"))
    if len(before) < 0.6 * full or (len(before) < 0.75 * full and (ends or not line[:1].islower())):
        return "\n\n" if ends else "  \n"
    return " "
