"""A file's bytes → readable text: finds out what the file is and hands it to the reader of its format.

Runs in the process that ``sandbox`` forks for each file. The readers of formats are imported when they are first
needed: plain text and Markdown, the most common, load none of them.
"""

from __future__ import annotations

import csv
import io
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from assistant.documents.text import clean, decode, rows
from assistant.errors import DocumentError
from assistant.records import PageSpan, ParsedText

READABLE = "text, Markdown, HTML, PDF, Word (.docx), PowerPoint (.pptx), Excel (.xlsx), CSV and EPUB"
_HTML_SUFFIXES = {".html", ".htm", ".xhtml"}
_CSV_SUFFIXES = {".csv", ".tsv"}
_ZIPPED = {"word/": "docx", "ppt/": "pptx", "xl/": "xlsx", "META-INF/container.xml": "epub"}
_KNOWN_UNREADABLE = {
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"II*\0": "a picture",
    b"RIFF": "sound, film or a picture",
    b"ID3": "sound",
    b"\x1f\x8b": "a packed archive",
    b"7z\xbc\xaf": "a packed archive",
    b"Rar!": "a packed archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one file may cost: ``seconds`` of wall time, bytes of ``memory`` beyond what the reading process itself
    holds, bytes of ``file`` size, bytes ``unpacked`` from a zipped format, ``pages`` or slides, ``characters`` of text.
    """

    seconds: float = 120.0
    memory: int = 2 * 1024**3
    file: int = 200 * 1024**2
    unpacked: int = 500 * 1024**2
    pages: int = 5_000
    characters: int = 30_000_000


def read(path: Path, *, name: str, limits: Limits) -> ParsedText:
    """The text of the file at ``path``. ``name`` is what its owner calls it: only its suffix is used, as a hint.

    Raises DocumentError with the reason if there is nothing to read or a limit is passed; whatever a parser raises on a
    damaged file passes through.
    """
    size = path.stat().st_size
    if size == 0:
        raise DocumentError("The file is empty.")
    if size > limits.file:
        raise DocumentError(
            f"The file has {size / 1e6:,.0f} MB, more than the {limits.file / 1e6:,.0f} MB allowed. Split it."
        )
    pages, paged = _pages(path.read_bytes(), suffix=PurePath(name).suffix.lower(), limits=limits)
    parsed = _joined(pages, paged=paged)
    if not parsed.text:
        raise DocumentError("The file holds no text that could be read.")
    if len(parsed.text) > limits.characters:
        raise DocumentError(
            f"The file holds {len(parsed.text) / 1e6:,.1f} million characters of text, more than the "
            f"{limits.characters / 1e6:,.1f} million allowed. Split it."
        )
    return parsed


def preload(name: str) -> None:
    """Imports what a file of this name will most likely need, so that processes forked later have it at once."""
    suffix = PurePath(name).suffix.lower()
    if suffix == ".pdf":
        import assistant.documents.pdf  # noqa: PLC0415
    elif suffix in _HTML_SUFFIXES | {".docx", ".pptx", ".xlsx", ".epub"}:
        import assistant.documents.office  # noqa: F401, PLC0415


def _pages(data: bytes, *, suffix: str, limits: Limits) -> tuple[list[str], bool]:
    """The pages of the file, and whether they are pages that a person knows by number."""
    if b"%PDF-" in data[:1024]:
        from assistant.documents import pdf  # noqa: PLC0415

        return pdf.read_pages(data, max_pages=limits.pages), True
    if data.startswith(b"PK\x03\x04"):
        return _unzipped_pages(data, limits=limits)
    _refuse_known(data)
    text = decode(data)
    if text is None or _share_of_controls(text) > 0.02:
        raise DocumentError(f"The file is of a kind that cannot be read. These can: {READABLE}.")
    head = text[:1000].lstrip("\ufeff \t\r\n").lower()
    if head.startswith("{\\rtf"):
        raise DocumentError("The file is in Rich Text Format. Save it as .docx or PDF and add that.")
    if suffix in _HTML_SUFFIXES or head.startswith(("<!doctype html", "<html")):
        from assistant.documents import office  # noqa: PLC0415

        return [office.read_html(text)], False
    if suffix in _CSV_SUFFIXES:
        return [rows(_csv_cells(text, suffix=suffix))], False
    return [text], False


def _unzipped_pages(data: bytes, *, limits: Limits) -> tuple[list[str], bool]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise DocumentError(
            "The file is damaged: its end is missing or was changed. Save it again, add that."
        ) from error
    names = archive.namelist()
    kind = next((kind for prefix, kind in _ZIPPED.items() if any(n.startswith(prefix) for n in names)), None)
    if kind is None:
        raise DocumentError(f"The file is an archive. Unpack it and add the files in it. Readable: {READABLE}.")
    # zipfile never reads a member beyond the size that the archive claims for it, so checking the claims is enough.
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > limits.unpacked:
        raise DocumentError(
            f"The file unpacks to {unpacked / 1e6:,.0f} MB, more than the {limits.unpacked / 1e6:,.0f} MB allowed. "
            "If it is sound, split it or take large pictures out."
        )
    from assistant.documents import office  # noqa: PLC0415

    if kind == "pptx":
        return office.read_slides(data, max_pages=limits.pages), True
    whole = {"docx": office.read_docx, "xlsx": office.read_xlsx, "epub": office.read_epub}[kind]
    return [whole(data)], False


def _refuse_known(data: bytes) -> None:
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise DocumentError("The file is protected by a password. Save a copy without one and add that.")
        raise DocumentError("The file is in an old Office format. Save it as .docx, .xlsx or .pptx and add that.")
    for start, kind in _KNOWN_UNREADABLE.items():
        if data.startswith(start):
            raise DocumentError(f"The file is {kind}, which cannot be read. These can: {READABLE}.")


def _share_of_controls(text: str) -> float:
    head = text[:20_000]
    return sum(unicodedata.category(c) == "Cc" and c not in "\t\n\r\f\v\x1a" for c in head) / max(1, len(head))


def _csv_cells(text: str, *, suffix: str) -> Iterable[list[str]]:
    """The separator is the one that the first lines use most evenly; Portuguese spreadsheets write semicolons."""
    csv.field_size_limit(len(text) + 1)
    lines = text[:20_000].splitlines()[:20]
    counts = {mark: [line.count(mark) for line in lines if line.strip()] for mark in ",;\t|"}
    best = max(counts, key=lambda mark: (min(counts[mark], default=0), sum(counts[mark])))
    separator = "\t" if suffix == ".tsv" else best
    return csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=separator)


def _joined(pages: list[str], *, paged: bool) -> ParsedText:
    """The pages in one text, a blank line between them unless a sentence runs on; a span reaches to the next page."""
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for page in map(clean, pages):
        if parts and page:
            runs_on = page[0].islower() and parts[-1][-1:].isalpha()
            separator = "\n" if runs_on else "\n\n"
            if length:
                parts.append(separator)
                length += len(separator)
        starts.append(length)
        if page:
            parts.append(page)
            length += len(page)
    text = "".join(parts)
    if not paged:
        return ParsedText(text)
    ends = [*starts[1:], length]
    numbered = enumerate(zip(starts, ends, strict=True), start=1)
    return ParsedText(text, tuple(PageSpan(number, start, end) for number, (start, end) in numbered))
