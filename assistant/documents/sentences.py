"""Text → sentences with their offsets, paragraphs, sections and pages, for English and Portuguese.

The lines of the Markdown are sorted into units that no sentence crosses (a heading, a table row, a list item, a block
of code, a run of prose); sentencex splits the prose, and a few rules mend what it gets wrong. Everything is linear in
the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import sentencex

from assistant.records import PageSpan, Sentence

MAX_SENTENCE = 1_000
"""Characters; a longer sentence, table row or block of code is cut."""
MAX_PARAGRAPH = 1_500
"""Characters; keyword search ranks paragraphs, and a long one would match everything."""
MAX_SECTION = 20
"""Sentences; a longer section is cut, and so is a document without headings."""

_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+\S")
_SETEXT = re.compile(r"(?:=+|-{3,})\s*")
_ITEM = re.compile(r"\s*(?:[-*+•—]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+\S")
_LABEL = re.compile(r"\s*[A-ZÀ-Ý][\w ./-]{0,30}: ")
_ROW_RULE = re.compile(r"[\s|:+=-]*-[\s|:+=-]*")
_OPENS = re.compile(r"\s*[\"“«(\[]?[A-ZÀ-Ý0-9]")
_HARD_BREAK = re.compile(r"(?: {2,}|\\)\n?$")
_SHORT_LINE = 45  # characters: a line that is short, also beside the longest of its block, is not wrapped prose

# What sentencex takes for the end of a sentence though it is not: abbreviations unknown to it, in both languages.
_OPEN = r"(?:^|[\s(\"“«—-])"
_BEFORE_NAME = re.compile(
    rf"{_OPEN}(?:[A-Z]|[Dd]ra|[Pp]rofa|[Ss]ra|[Ss]rta|Exm[oa]|Ilm[oa]|[Ee]ng|[Aa]rq|Av|Pça|Trav|Rod|Sto|Sta|St|Gen|Lt|Col"
    r"|Dep|Obs|[Ee]x)\.$"
)
_BEFORE_NUMBER = re.compile(
    rf"{_OPEN}(?:arts?|págs?|pp?|caps?|vols?|eds?|figs?|tab|inc|sécs?|tel|ext|nos?|nº|n|núm|v|ver|approx|aprox|ca|c|sec|eq"
    r"|ch|par|mon|tues?|wed|thurs?|thu|fri|sat|sun|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|fev|abr|ago|set|out|dez)\.$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d|[IVXLC]+\b")
_RUNS_ON = re.compile(r"[\"'“”«»(\[]*[a-zß-öø-ÿ]")
_CITES = re.compile(r"\bal\.$")
_ELLIPSIS = re.compile(r"…[\"'”’»)\]]*\s+(?=[A-ZÀ-Ý\"“«])")
_CUTS = (re.compile(r"[;:.!?]\s+"), re.compile(r"[,)|–—]\s+"), re.compile(r"\s+"))
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_WORD = re.compile(r"\w+")


class _Kind(StrEnum):
    HEADING = "heading"
    ROW = "row"
    CODE = "code"
    PROSE = "prose"


@dataclass(slots=True)
class _Unit:
    """A part of the text that no sentence crosses; ``block`` counts the blocks between blank lines."""

    start: int
    end: int
    kind: _Kind
    block: int


def split(text: str, *, pages: Sequence[PageSpan] = ()) -> list[Sentence]:
    """The sentences of ``text`` in order; together they cover it from the first letter to its end, without gaps.

    No sentence has fewer than two words if the text has more: a shorter heading begins the sentence after it, other
    scraps end the one before them. ``pages`` gives each sentence the page on which it starts.
    """
    spans = _without_scraps(text, [span for unit in _units(text) for span in _spans(text, unit)])
    page_starts = [page.start for page in pages]
    sentences: list[Sentence] = []
    numbering = _Numbering()
    for i, span in enumerate(spans):
        following = spans[i + 1].start if i + 1 < len(spans) else len(text)
        whole = text[span.start : following]
        end = span.start + len(whole.rstrip())
        paragraph, section = numbering.place(span)
        page = pages[max(0, bisect_right(page_starts, span.start) - 1)].number if pages else None
        sentences.append(Sentence(i, span.start, end, whole, paragraph, section, page))
    return sentences


class _Numbering:
    """Counts paragraphs and sections while sentences pass by in order."""

    def __init__(self) -> None:
        self._paragraph = -1
        self._section = 0
        self._block = -1
        self._paragraph_start = 0
        self._in_section = 0

    def place(self, span: _Unit) -> tuple[int, int]:
        fresh = span.block != self._block
        if fresh or span.end - self._paragraph_start > MAX_PARAGRAPH:
            self._paragraph += 1
            self._paragraph_start = span.start
        self._block = span.block
        full = self._in_section >= (MAX_SECTION if fresh else MAX_SECTION + 5)
        if self._in_section and (span.kind is _Kind.HEADING or full):
            self._section += 1
            self._in_section = 0
        self._in_section += 1
        return self._paragraph, self._section


def _units(text: str) -> Iterator[_Unit]:
    """Blocks of the text, cut into units. A heading is in one block with what follows it."""
    block = 0
    for lines in _blocks(text):
        if _FENCE.match(text, *lines[0]):
            units = [_Unit(lines[0][0], lines[-1][1], _Kind.CODE, block)]
        else:
            units = _block_units(text, lines, block)
        yield from units
        if units[-1].kind is not _Kind.HEADING:
            block += 1


def _blocks(text: str) -> Iterator[list[tuple[int, int]]]:
    """Runs of lines, as (start, end), with no blank or heading inside; fenced code is one run, blanks included."""
    lines: list[tuple[int, int]] = []
    fence: str | None = None
    for match in re.finditer(r"[^\n]*\n|[^\n]+$", text):
        line, opening = match.group(), _FENCE.match(match.group())
        ends_before = fence is None and (opening or not line.strip() or _HEADING.match(line))
        if ends_before and lines:
            yield lines
            lines = []
        if fence is not None or line.strip():
            lines.append(match.span())
        if fence is not None and line.strip().startswith(fence):
            yield lines
            lines, fence = [], None
        elif fence is None and opening:
            fence = opening.group(1)
    if lines:
        yield lines


def _block_units(text: str, lines: list[tuple[int, int]], block: int) -> list[_Unit]:
    units: list[_Unit] = []
    tabular = all(" | " in text[start:end] for start, end in lines)
    longest = max(end - start for start, end in lines)
    for i, (start, end) in enumerate(lines):
        line = text[start:end]
        before = text[slice(*lines[i - 1])] if i else ""
        if i == 0 and _HEADING.match(line):
            kind = _Kind.HEADING
        elif tabular or line.lstrip().startswith("|"):
            kind = _Kind.ROW
        else:
            kind = _Kind.PROSE
        if i == 1 and kind is _Kind.PROSE and units[0].kind is _Kind.PROSE and _SETEXT.fullmatch(line):
            units[0] = _Unit(units[0].start, end, _Kind.HEADING, block)
        elif i and units[-1].kind is kind and _goes_on(line, before, kind, longest):
            units[-1].end = end
        else:
            units.append(_Unit(start, end, kind, block))
    return units


def _goes_on(line: str, before: str, kind: _Kind, longest: int) -> bool:
    """Whether a line belongs to the row or the prose of the line before it, of the same kind, or stands for itself."""
    if kind is _Kind.ROW:
        return _ROW_RULE.fullmatch(line) is not None
    short = len(before) < min(_SHORT_LINE, 0.6 * longest) and _OPENS.match(line) is not None
    labelled = _LABEL.match(line) is not None and _LABEL.match(before) is not None
    return not (short or labelled or _ITEM.match(line) or _HARD_BREAK.search(before))


def _spans(text: str, unit: _Unit) -> Iterator[_Unit]:
    """The sentences of a unit; each starts with a letter or sign, not with white space."""
    prose = unit.kind is _Kind.PROSE
    starts = _prose_starts(text[unit.start : unit.end].replace("\n", " ")) if prose else [0]
    for start, end in pairwise([*(unit.start + start for start in starts), unit.end]):
        for piece_start, piece_end in _pieces(text, start, end, by_line=unit.kind is _Kind.CODE):
            piece = text[piece_start:piece_end]
            if stripped := piece.strip():
                first = piece_start + piece.index(stripped[0])
                yield _Unit(first, piece_end, unit.kind, unit.block)


def _prose_starts(prose: str) -> list[int]:
    starts, position = [0], 0
    for sentence in sentencex.segment("en", prose):
        if position and _is_boundary(prose, position):
            starts.append(position)
        more = (position + match.end() for match in _ELLIPSIS.finditer(sentence) if match.end() < len(sentence))
        starts.extend(more)
        position += len(sentence)
    return starts


def _is_boundary(prose: str, position: int) -> bool:
    if not prose[position - 1].isspace():
        return False
    before = prose[max(0, position - 20) : position].rstrip()
    after = prose[position : position + 8].lstrip()
    if _RUNS_ON.match(after) or _BEFORE_NAME.search(before) or _CITES.search(before):
        return False
    return not (_BEFORE_NUMBER.search(before) and _NUMBER.match(after))


def _pieces(text: str, start: int, end: int, *, by_line: bool) -> Iterator[tuple[int, int]]:
    """The span itself, or if it is too long, parts of it that end at a line, a clause, a space, whatever there is."""
    patterns = (re.compile(r"\n"), *_CUTS) if by_line else _CUTS
    while end - start > MAX_SENTENCE:
        low, high = start + MAX_SENTENCE // 2, start + MAX_SENTENCE
        cut = next((found[-1].end() for p in patterns if (found := list(p.finditer(text, low, high)))), high)
        yield start, cut
        start = cut
    yield start, end


def _without_scraps(text: str, spans: list[_Unit]) -> list[_Unit]:
    """Joins what has fewer than two words to a neighbour: a heading to what follows; a sign or tag to what precedes it;
    a lone word to what precedes it in its block, or else to what follows.
    """
    kept: list[_Unit] = []
    waiting: _Unit | None = None
    for span in spans:
        if waiting is not None:
            span.start = waiting.start
            span.kind = waiting.kind if waiting.kind is _Kind.HEADING else span.kind
            waiting = None
        words = _words(text[span.start : span.end])
        if words > 1:
            kept.append(span)
        elif kept and (words == 0 or (span.kind is not _Kind.HEADING and kept[-1].block == span.block)):
            if span.end - kept[-1].start <= MAX_SENTENCE:
                kept[-1].end = span.end
            else:
                kept.append(span)
        else:
            waiting = span
    if waiting is not None and kept:
        kept[-1].end = waiting.end
    elif waiting is not None:
        kept.append(waiting)
    return kept


def _words(sentence: str) -> int:
    """How many words it has, tags aside: 0, 1, or 2 for more. Scripts without spaces are judged by length."""
    if len(sentence) > 200:
        return 2
    bare = _TAG.sub("", sentence).strip()
    return min(2, len(_WORD.findall(bare)) + (len(bare) >= 20 and bare[0].isalnum()))
