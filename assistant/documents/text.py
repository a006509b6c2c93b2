"""Bytes and cells → clean text: encodings, control characters, table rows. Light to import."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Sequence

from charset_normalizer import from_bytes

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DETECTION_BYTES = 200_000
_NOT_WESTERN = re.compile("[^\x00-\x7f\xa0-¿‘’‚“”„–—…•€™‹›áàâãäçéèêëíìîïñóòôõöúùûüßœæÁÀÂÃÄÇÉÈÊËÍÌÎÏÑÓÒÔÕÖÚÙÛÜŒÆ]")
_SYMBOL_IN_WORD = re.compile("[a-zA-Z][¡-©«-¹»-¿•‚„‹›](?=[a-z])")
_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile("[\xa0\u2000-\u200a\u202f]")
# Control and invisible characters, lone surrogates, and what pdfium writes for letters that it cannot name.
_JUNK = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ufffe\uffff\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")


def decode(data: bytes) -> str | None:
    """The text of ``data`` in whatever encoding it is; None if it does not look like text at all.

    A byte order mark decides; then UTF-8 if it fits; then Windows-1252 (Latin-1 within it) if that reads as a Western
    language, since short Western text fits dozens of code pages and guessing picks a rare one; then charset-normalizer.
    """
    marked = next((encoding for mark, encoding in _BOMS if data.startswith(mark)), None) or _unmarked_utf16(data)
    if marked is not None:
        return data.decode(marked, errors="replace")
    if data.count(0, 0, _DETECTION_BYTES) > 0.02 * min(len(data), _DETECTION_BYTES):
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start > _DETECTION_BYTES:  # long and sound so far: a few broken bytes, not another encoding
            return data.decode("utf-8", errors="replace")
    sample = _sample(data)
    best = "cp1252" if _reads_as_western(sample) else _best_guess(sample)
    return data.decode(best, errors="replace") if best is not None else None


def clean(text: str) -> str:
    r"""NFC, ``\n`` line ends, plain spaces, no control or invisible characters, at most one blank line in a row.

    Two spaces before a line end stay: they are Markdown's hard line break.
    """
    text = _BREAKS.sub("\n", text)
    text = _SPACES.sub(" ", _JUNK.sub("", text))
    text = unicodedata.normalize("NFC", text)
    return _BLANK_LINES.sub("\n\n", text).strip()


def rows(table: Iterable[Sequence[str]]) -> str:
    """One line for each row, ``Item: Lamp | Price: 12``: each row says what its cells mean, so it can be cited alone.

    The first row that is not empty gives the labels if it looks like a header (no gaps, no numbers, no duplicates);
    otherwise the cells stand without labels. Empty cells of labelled rows are left out.
    """
    lines: list[str] = []
    header: Sequence[str] | None = None
    for row in table:
        cells = [" ".join(cell.split()) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        if header is None:
            header = cells if _is_header(cells) else ()
            if header:
                continue
        if header and len(cells) <= len(header):
            lines.append(" | ".join(f"{label}: {cell}" for label, cell in zip(header, cells, strict=False) if cell))
        else:
            lines.append(" | ".join(cells))
    return "\n".join(lines or [" | ".join(header or ())])


def _is_header(cells: Sequence[str]) -> bool:
    named = all(cell and not cell[0].isdigit() and cell[0] not in "-+.," for cell in cells)
    return len(cells) > 1 and named and len(set(cells)) == len(cells)


def _best_guess(sample: bytes) -> str | None:
    match = from_bytes(sample).best()
    return match.encoding if match is not None else None


def _reads_as_western(sample: bytes) -> bool:
    """Whether the bytes, taken as Windows-1252, hold few accents, all of them Western, and no symbols inside words."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    few = sum(byte >= 0x80 for byte in sample) < 0.3 * len(sample)
    return few and not _NOT_WESTERN.search(text) and not _SYMBOL_IN_WORD.search(text)


def _unmarked_utf16(data: bytes) -> str | None:
    """UTF-16 without a mark: in European text nearly every second byte is zero."""
    head = data[:4096]
    if len(head) < 4 or len(data) % 2:
        return None
    if head[1::2].count(0) > 0.4 * len(head) and head[::2].count(0) == 0:
        return "utf-16-le"
    if head[::2].count(0) > 0.4 * len(head) and head[1::2].count(0) == 0:
        return "utf-16-be"
    return None


def _sample(data: bytes) -> bytes:
    """The part of a long file from where it stops being ASCII: only that tells encodings apart."""
    first = next((m.start() for m in re.finditer(rb"[\x80-\xff]", data)), 0)
    start = max(0, first - _DETECTION_BYTES // 2)
    return data[start : start + _DETECTION_BYTES]
