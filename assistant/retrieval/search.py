"""From a question to passages: the nearest sentences and the best paragraphs, fused, widened to windows and merged.

Scores are fused by a convex combination after each list has been brought to [0, 1] (Bruch et al. 2023, "An Analysis of
Fusion Functions for Hybrid Retrieval"): a sentence gets its own similarity and the keyword score of its paragraph.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from assistant.records import Hit, Retrieval
from assistant.retrieval import keywords, windows
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.keywords import Paragraph
from assistant.retrieval.vectors import Near, Vectors
from assistant.settings import Retrieval as Settings
from assistant.store import documents
from assistant.store.database import Database

HITS = 50
"""Most sentence hits of a search."""

_CANDIDATES = 100  # of each kind, before they are fused


class Search:
    """Finds passages. Thread-safe."""

    def __init__(self, *, database: Database, vectors: Vectors, embedder: Embedder, settings: Settings) -> None:
        self._database = database
        self._vectors = vectors
        self._embedder = embedder
        self._settings = settings

    def search(self, query: str, *, scopes: Sequence[str], document_ids: Sequence[int] = ()) -> Retrieval:
        """The best windows for ``query`` among the ready documents of ``scopes``, or those of them in ``document_ids``.

        Raises FielError when the vector index fails.
        """
        vector = self._embedder.embed([query])[0]
        near = self._vectors.query(vector, scopes=scopes, count=_CANDIDATES, document_ids=document_ids)
        with self._database.read() as session:
            paragraphs = keywords.query(session, query, scopes=scopes, count=_CANDIDATES, document_ids=document_ids)
            ids = {n.document_id for n in near} | {p.document_id for p in paragraphs}
            ready = documents.ready(session, ids, scopes=scopes)
            near = [n for n in near if n.document_id in ready and n.generation == ready[n.document_id].generation]
            hits = _hits(session, query, _fused(near, paragraphs, vector_weight=self._settings.vector_weight)[:HITS])
            size = windows.size(session, self._settings)
            shown = windows.shown(session, hits, ready, size=size, count=self._settings.passages)
        return Retrieval(query=query, passages=shown, hits=tuple(hits))


def _fused(
    near: Sequence[Near], paragraphs: Sequence[Paragraph], *, vector_weight: float
) -> list[tuple[float, Near | Paragraph]]:
    """Sentences, and paragraphs of which no sentence is near, with their scores in [0, 1], best first."""
    similarities = _scaled([n.similarity for n in near])
    left = dict(zip(paragraphs, _scaled([p.score for p in paragraphs]), strict=True))
    of_sentence = {(p.document_id, i): p for p in paragraphs for i in range(p.first, p.last + 1)}
    words = dict(left)
    found: list[tuple[float, Near | Paragraph]] = []
    for sentence, similarity in zip(near, similarities, strict=True):
        paragraph = of_sentence.get((sentence.document_id, sentence.sentence))
        word_score = words[paragraph] if paragraph else 0.0
        found.append((vector_weight * similarity + (1 - vector_weight) * word_score, sentence))
        if paragraph:
            left.pop(paragraph, None)
    found += [((1 - vector_weight) * score, paragraph) for paragraph, score in left.items()]
    return sorted(found, key=lambda scored: -scored[0])


def _scaled(scores: Sequence[float]) -> list[float]:
    """The highest becomes 1 and the lowest 0."""
    if not scores:
        return []
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def _hits(session: Session, query: str, scored: Sequence[tuple[float, Near | Paragraph]]) -> list[Hit]:
    """A paragraph without a near sentence is hit in the sentence that has most of the words."""
    best = keywords.best_sentences(session, query, [item for _, item in scored if isinstance(item, Paragraph)])
    return [
        Hit(item.document_id, best[item] if isinstance(item, Paragraph) else item.sentence, score)
        for score, item in scored
    ]
