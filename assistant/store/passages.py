"""Windows of stored sentences as passages, frozen as they are now."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from assistant.records import Document, Hit, Passage
from assistant.store import documents


def around(document: Document, hit: Hit, *, size: int) -> tuple[int, int]:
    """The first and last sentence of a window of ``size`` sentences around a hit, within its document."""
    first = max(0, min(hit.sentence - (size - 1) // 2, document.sentences - size))
    return first, min(first + size, document.sentences) - 1


def passage(session: Session, document: Document, *, first: int, last: int, best: Hit, hits: Sequence[int]) -> Passage:
    """Sentences ``first`` to ``last`` of a ready document, with page, section and score of the ``best`` hit."""
    sentences = documents.sentences_between(session, document.id, first, last)
    start, end = sentences[0].start, sentences[-1].end
    place = next(sentence for sentence in sentences if sentence.index == best.sentence)
    return Passage(
        document_id=document.id,
        lineage=document.lineage,
        document=document.name,
        scope=document.scope,
        page=place.page,
        section=place.section,
        start=start,
        end=end,
        text="".join(sentence.text for sentence in sentences)[: end - start],
        score=best.score,
        sentences=tuple((sentence.index, sentence.start - start, sentence.end - start) for sentence in sentences),
        hits=tuple(hits),
    )
