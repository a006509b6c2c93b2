"""Documents about towns, and people who ask about them and rate: the log that a dataset is made from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from assistant.records import (
    SHARED,
    Document,
    Exchange,
    ExchangeStatus,
    Feedback,
    Hit,
    Passage,
    Reason,
    Review,
    Role,
    Sentence,
    Side,
    Timings,
    Turn,
)
from assistant.store import documents, exchanges, groups, passages, ratings
from assistant.store.database import Database
from assistant.store.tables import PersonRow

SENTENCES = 5
"""Of a section; one passage shows one section."""

_THINGS = ("bridge", "museum", "station", "library", "harbour", "theatre", "market", "garden", "mill", "chapel")
_MAKERS = ("Baker", "Carver", "Dyer", "Fuller", "Glover", "Hooper", "Mason", "Potter", "Sawyer", "Turner", "Weaver")


def thing_of(document: int, section: int) -> str:
    """A name that no other section has."""
    return f"{_THINGS[section % len(_THINGS)]} of Town{document}x{section // len(_THINGS)}"


def year_of(document: int, section: int) -> int:
    return 1100 + (document * 37 + section * 11) % 800


def maker_of(document: int, section: int) -> str:
    return _MAKERS[(document * 7 + section * 3) % len(_MAKERS)]


_OPENED = (
    "Master {maker} opened the {thing} in {year}.",
    "Since {year} everybody may enter the {thing}, thanks to {maker}.",
    "{maker}'s finest work, the {thing}, received its first guests during {year}.",
    "People celebrated when the {thing} began business ({year}), which {maker} had built alone.",
    "Year {year}: a duke cut ribbons before the {thing} while {maker} looked on.",
    "Though {maker} died early, heirs completed the {thing} until {year}.",
    "Chronicles name {maker} as founder of the {thing}, inaugurated {year}.",
)


def fact(document: int, section: int) -> str:
    """The first sentence of a section."""
    values = {"thing": thing_of(document, section), "year": year_of(document, section)}
    return _OPENED[(section + 3 * document) % len(_OPENED)].format(**values, maker=maker_of(document, section))


def _section(document: int, section: int) -> list[str]:
    thing = thing_of(document, section)
    return [
        f"{fact(document, section)} ",
        f"Visitors of the {thing} enter through the eastern door and leave by the southern one. ",
        f"Its walls are {2 + section % 7} metres thick, for the {thing} once stood against the floods. ",
        f"On market days the {thing} charges {3 + document % 9} coins. ",
        f"Nobody lives near the {thing} any more. ",
    ]


@dataclass
class Talk:
    """Writes documents, exchanges and ratings through the store, as the program does."""

    database: Database
    people: list[int] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    conversations: dict[int, str] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    session: Session | None = None

    def __post_init__(self) -> None:
        with self.database.write() as session:
            for n in range(40):
                row = PersonRow(name=f"person{n}", role=Role.USER, created_at=datetime(2026, 1, 1, tzinfo=UTC))
                session.add(row)
                session.flush()
                self.people.append(row.id)
                title = "talk"
                self.conversations[row.id] = exchanges.add_conversation(session, person_id=row.id, title=title).id

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """One transaction for all that is done in the block."""
        with self.database.write() as self.session:
            yield
        self.session = None

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        if self.session is not None:
            yield self.session
        else:
            with self.database.write() as session:
                yield session

    def add_documents(self, count: int, *, sections: int, scope: str = SHARED) -> None:
        with self._writing() as session:
            for _ in range(count):
                number = len(self.documents)
                added = documents.add(
                    session,
                    scope=scope,
                    added_by=self.people[0],
                    lineage=f"lineage{number}",
                    name=f"town{number}.txt",
                    file=str(number),
                    source=None,
                    content_hash=str(number),
                    size=1,
                )
                texts = [(section, text) for section in range(sections) for text in _section(number, section)]
                rows, start = [], 0
                for index, (section, text) in enumerate(texts):
                    end = start + len(text.rstrip())
                    rows.append(Sentence(index, start, end, text, section, section))
                    start += len(text)
                documents.set_ready(session, added.id, sentences=rows, pages=None, empty_pages=0, embedding="none")
                self.documents.append(documents.get(session, added.id, scopes=(scope,)))

    def passage(self, session: Session, document: int, section: int) -> Passage:
        first = section * SENTENCES
        best = Hit(self.documents[document].id, first, 0.9)
        stored = self.documents[document]
        return passages.passage(session, stored, first=first, last=first + SENTENCES - 1, best=best, hits=[first])

    def ask(
        self,
        place: tuple[int, int],
        *,
        question: str = "",
        answer: str | None = None,
        person: int = 0,
        others: Sequence[tuple[int, int]] = (),
        history: tuple[Turn, ...] = (),
        status: ExchangeStatus = ExchangeStatus.COMPLETE,
        private: bool = False,
        finds: bool = True,
    ) -> Exchange:
        """An exchange whose first passage is a section, given as (document, section); ``others`` are shown after it.
        With ``finds`` false none is shown.

        The first 50 sections of all documents are hits.
        """
        number = next(self.numbers)
        with self._writing() as session:
            shown = tuple(self.passage(session, *each) for each in (place, *others) if finds)
            lower = (Hit(d.id, n, 0.5) for d in self.documents for n in range(0, d.sentences, SENTENCES))
            hits = itertools.islice(lower, 50)
            exchange = Exchange(
                id=UUID(int=number).hex,
                conversation_id=self.conversations[self.people[person]],
                person_id=self.people[person],
                question=question or f"When was the {thing_of(*place)} opened?",
                search_query="",
                document_ids=(),
                history=history,
                passages=shown,
                left_out=(),
                hits=tuple(hits),
                prompt_version="1",
                model="starter",
                adapter=None,
                answer=right_answer(place) if answer is None else answer,
                citations=(),
                refused=False,
                status=status,
                private=private,
                prompt_tokens=10,
                completion_tokens=4,
                timings=Timings(retrieve=1.5, first_token=2.5, total=9.0),
                created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
            )
            return exchanges.add(session, exchange)

    def rate(
        self,
        exchange: Exchange,
        value: int = 1,
        *,
        correction: str = "",
        reasons: tuple[Reason, ...] = (),
        wrong_passages: tuple[int, ...] = (),
        review: Review = Review.ACCEPTED,
    ) -> Exchange:
        feedback = Feedback(
            value=1 if value > 0 else -1, correction=correction, reasons=reasons, wrong_passages=wrong_passages
        )
        with self._writing() as session:
            ratings.rate(session, exchange.id, person_id=exchange.person_id, feedback=feedback, review=review)
        return exchange

    def places(self, side: Side, count: int, *, document: int | None = None) -> list[tuple[int, int]]:
        """Sections on a side, as (document, section); groups that are new come up in the order of the documents."""
        wanted = range(len(self.documents)) if document is None else [document]
        found = []
        with self._writing() as session:
            for number in wanted:
                for section in range(self.documents[number].sentences // SENTENCES):
                    if groups.side(session, f"{self.documents[number].lineage}:{section}") is side:
                        found.append((number, section))
                        if len(found) == count:
                            return found
        raise AssertionError(f"there are only {len(found)} sections on the side {side}")


def right_answer(place: tuple[int, int]) -> str:
    return f"{fact(*place)} [1]"
