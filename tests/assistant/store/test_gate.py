"""What is kept of the gate's answers and scores while people delete what they were made from."""

from __future__ import annotations

import pytest

from assistant.records import DocumentStatus, Side
from assistant.store import documents, forget, gate
from assistant.store.database import Database
from tests.trainer.talk import Talk


@pytest.fixture
def talk(database: Database) -> Talk:
    talk = Talk(database)
    talk.add_documents(2, sections=10)
    return talk


@pytest.mark.parametrize("how", ["exchange", "document", "another document"])
def test_what_was_forgotten_meanwhile_is_not_written_back(talk: Talk, database: Database, how: str) -> None:
    """A run still holds the passages in memory, and has answered from them."""
    (place,) = talk.places(Side.GATE, 1, document=0)
    exchange = talk.ask(place)
    with database.write() as session:
        if how == "exchange":
            forget.exchange(session, exchange.id, person_id=exchange.person_id)
        else:
            forget.document(session, talk.documents[how == "another document"].id)
    with database.write() as session:
        gate.keep_score(session, "said", "In 1894.", exchange_id=exchange.id)
        assert gate.score(session, "said") == ("In 1894." if how == "another document" else None)


def test_nor_is_what_golden_questions_were_answered_from(talk: Talk, database: Database) -> None:
    first, second = (document.id for document in talk.documents)
    with database.write() as session:
        gate.keep_score(session, "before", "In 1894.", exchange_id=None, documents=[first, second, second])
        documents.set_status(session, first, DocumentStatus.DELETING)
        gate.keep_score(session, "deleting", "In 1894.", exchange_id=None, documents=[first, second])
        documents.remove(session, first)
        gate.keep_score(session, "gone", "In 1894.", exchange_id=None, documents=[first])
        gate.keep_score(session, "other", "In 1894.", exchange_id=None, documents=[second])
        kept = {key for key in ("before", "deleting", "gone", "other") if gate.score(session, key) is not None}
    assert kept == {"before", "other"}
