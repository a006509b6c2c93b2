"""Full text over paragraphs: those that share rare words with a question (SQLite FTS5, BM25 with k1 1.2 and b .75)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from assistant.records import DocumentStatus
from assistant.store.tables import ParagraphRow, SentenceRow

_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")

# Matching these costs thirty times as long and finds nothing more. Written without accents, as they are compared.
_STOP_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been before being between both but by can could did do
    does doing during each for from further had has have having he her here hers him his how i if in into is it its
    just me more most my no nor not of on once only or other our out over own same she should so some such than that
    the their them then there these they this those through to too under until up very was we were what when where
    which while who whom whose why will with would you your s t
    ao aos aquela aquelas aquele aqueles aquilo as ate com como da das de dela delas dele deles depois do dos e ela
    elas ele eles em entre era eram essa essas esse esses esta estao estas estava este estes eu foi foram ha isso isto
    ja lhe lhes mais mas mesmo meu meus minha minhas muito na nao nas nem no nos nossa nossas nosso nossos num numa o
    os ou para pela pelas pelo pelos por porque qual quais quando quanto quantos quanta quantas que quem sao se seja
    sem ser seu seus so sua suas tambem te tem ter teu teus tua tuas um uma umas uns voce voces
    """.split()
)

# The full-text table comes first and in the order of its rank, so that only as many rows are looked up as are wanted.
_SEARCH = """
    SELECT p.id, p.document_id, p.first, p.last, -w.rank AS score
    FROM paragraph_words AS w
    CROSS JOIN paragraphs AS p ON p.id = w.rowid
    CROSS JOIN documents AS d ON d.id = p.document_id
    WHERE paragraph_words MATCH :words AND d.scope IN :scopes AND d.status = :ready {limited}
    ORDER BY w.rank LIMIT :count
"""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """The sentences ``first`` to ``last`` of a document; ``score`` is BM25, above 0, higher is better."""

    id: int
    document_id: int
    first: int
    last: int
    score: float


def words(question: str) -> list[str]:
    """The words to look for, in lower case and without accents: all but the stop words, unless there are no others."""
    found = list(dict.fromkeys(_plain_words(question)))
    return [word for word in found if word not in _STOP_WORDS] or found


def query(
    session: Session, question: str, *, scopes: Sequence[str], count: int, document_ids: Sequence[int] = ()
) -> list[Paragraph]:
    """The best ``count`` paragraphs with any of the question's words, best first, of ready documents alone.

    ``document_ids`` limits the search to some documents.
    """
    wanted = words(question)
    if not wanted:
        return []
    parameters = {
        "words": " OR ".join(f'"{word}"' for word in wanted),  # quoted, so that no word is an operator
        "scopes": list(scopes),
        "ready": DocumentStatus.READY,
        "count": count,
    }
    statement = text(_SEARCH.format(limited="AND d.id IN :ids" if document_ids else ""))
    statement = statement.bindparams(bindparam("scopes", expanding=True))
    if document_ids:
        statement = statement.bindparams(bindparam("ids", expanding=True))
        parameters["ids"] = list(document_ids)
    return [Paragraph(*row) for row in session.execute(statement, parameters)]


def best_sentences(session: Session, question: str, paragraphs: Sequence[Paragraph]) -> dict[Paragraph, int]:
    """The sentence of each paragraph that has most of the question's words; the first of several."""
    wanted = set(words(question))
    rows = session.execute(
        select(ParagraphRow.id, SentenceRow.index, SentenceRow.text)
        .join(
            SentenceRow,
            (SentenceRow.document_id == ParagraphRow.document_id)
            & SentenceRow.index.between(ParagraphRow.first, ParagraphRow.last),
        )
        .where(ParagraphRow.id.in_([paragraph.id for paragraph in paragraphs]))
    )
    shared: dict[int, dict[int, int]] = {}
    for paragraph_id, index, sentence in rows:
        shared.setdefault(paragraph_id, {})[index] = len(wanted.intersection(_plain_words(sentence)))
    return {p: max(sorted(shared[p.id]), key=shared[p.id].__getitem__) for p in paragraphs}


def _plain_words(sentence: str) -> list[str]:
    """In lower case and without accents, as the full-text table compares them."""
    return _WORD.findall(_ACCENTS.sub("", unicodedata.normalize("NFKD", sentence.lower())))
