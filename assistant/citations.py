"""From the marks in an answer to the sentences they rest on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from assistant import prompts
from assistant.records import Citation, Passage

_MARK = re.compile(r"\[\d+(?:, ?\d+)*\]")
_NUMBER = re.compile(r"\[?(\d+)(?:, ?|\])")
_WORD = re.compile(r"\w+")


def cited(answer: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """One citation for each different sentence that a mark ``[n]`` or ``[n, m]`` of the answer points to, in order.

    The sentence is the one of passage ``n`` that shares most words with what the mark closes: the text since the
    previous mark. Marks of passages that do not exist are passed over.
    """
    found: dict[tuple[int, int], Citation] = {}
    for _, _, citation in marks(answer, passages):
        found.setdefault((citation.n, citation.sentence_index), citation)
    return tuple(found.values())


def marks(answer: str, passages: Sequence[Passage]) -> Iterator[tuple[int, int, Citation]]:
    """Each mark of the answer that names one of the passages: where it starts and ends, and what it points to.

    The numbers of ``[n, m]`` are a mark each: ``[n, `` and ``m]``.
    """
    for claim, start, end in _claims(answer):
        for number in _NUMBER.finditer(answer, start, end):
            n = int(number.group(1))
            if 1 <= n <= len(passages):
                yield number.start(), number.end(), _best_sentence(claim, n, passages[n - 1])


def _claims(answer: str) -> Iterator[tuple[str, int, int]]:
    """The text that each mark closes, and where the mark starts and ends; adjacent marks close the same text."""
    claim, start = "", 0
    for mark in _MARK.finditer(answer):
        claim = answer[start : mark.start()].strip(" \n.") or claim
        start = mark.end()
        yield claim, mark.start(), mark.end()


def _best_sentence(claim: str, n: int, passage: Passage) -> Citation:
    wanted = _words(claim)

    def shared(sentence: tuple[int, int, int]) -> tuple[float, bool]:
        index, start, end = sentence
        words = _words(passage.text[start:end])
        return 2 * len(wanted & words) / max(1, len(wanted) + len(words)), index in passage.hits

    index, start, end = max(passage.sentences, key=shared)
    start += prompts.heading(passage.text[start:end])
    return Citation(
        n=n,
        document_id=passage.document_id,
        document=passage.document,
        page=passage.page,
        sentence=passage.text[start:end],
        sentence_index=index,
        start=passage.start + start,
        end=passage.start + end,
        window=passage.text,
    )


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}
