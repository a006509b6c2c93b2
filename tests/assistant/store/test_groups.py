"""Groups keep their sides for good, a fifth of them is sealed, and nothing crosses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from sqlalchemy import select

from assistant import splits
from assistant.records import Exchange, Side
from assistant.store import exchanges, groups
from assistant.store.database import Database, open_database, sqlite_url
from assistant.store.tables import GroupRow
from tests.assistant.store.test_exchanges import PASSAGE, exchange_of
from tests.conftest import People


def sides(database: Database, keys: list[str]) -> list[Side]:
    with database.write() as session:
        return [groups.side(session, key) for key in keys]


def test_of_each_five_new_groups_one_is_sealed_and_one_for_validation(database: Database) -> None:
    decided = sides(database, [f"{n}:0" for n in range(50)])
    for block in range(0, 50, 5):
        counted = Counter(decided[block : block + 5])
        assert counted == {Side.TRAIN: 3, Side.VALIDATION: 1, Side.GATE: 1}


def test_a_group_keeps_its_side_whatever_comes_after(database: Database) -> None:
    keys = [f"{n % 3}:{n}" for n in range(23)]
    first = sides(database, keys)
    assert sides(database, [*reversed(keys)]) == [*reversed(first)]
    sides(database, [f"later:{n}" for n in range(40)])
    assert sides(database, keys) == first


def test_the_key_decides_which(tmp_path: Path) -> None:
    drawn = set()
    for n in range(6):
        database = open_database(sqlite_url(tmp_path / f"{n}.db"))
        drawn.add(tuple(sides(database, [f"{n}:0" for n in range(30)])))
        database.close()
    assert len(drawn) == 6, "every installation seals others"
    known = b"k" * 32
    places = Counter(
        place for block in range(400) for place in range(5) if splits.side_of(5 * block + place, key=known) is Side.GATE
    )
    assert min(places.values()) > 50, "and every place in its turn"


@pytest.mark.parametrize("documents", [3, 3_000])
def test_nothing_crosses(database: Database, people: People, documents: int) -> None:
    """Exchanges of one section of a lineage are on one side, and no side is empty."""
    with database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=people.ana.id, title="t").id
        logged = []
        for n in range(max(60, documents)):
            passage = replace(PASSAGE, lineage=f"lineage{n % documents}", section=n // documents % 4)
            asked = replace(exchange_of(people.ana, conversation), id=uuid4().hex, passages=(passage, PASSAGE))
            logged.append(exchanges.add(session, asked))
    of_group: dict[str, set[Side]] = {}
    for exchange in logged:
        assert exchange.group is not None
        assert exchange.side is not None
        assert exchange.group == f"{exchange.passages[0].lineage}:{exchange.passages[0].section}"
        of_group.setdefault(exchange.group, set()).add(exchange.side)
    assert all(len(found) == 1 for found in of_group.values())
    counted = Counter(side for (side,) in of_group.values())
    assert counted[Side.GATE] == pytest.approx(len(of_group) / 5, abs=1)
    assert counted[Side.VALIDATION] == pytest.approx(len(of_group) / 5, abs=1)
    with database.read() as session:
        stored = {e.id: e.side for e in exchanges.triples(session, person_id=people.ana.id)}
    assert stored == {exchange.id: exchange.side for exchange in logged}


def test_a_new_version_of_a_file_opens_nothing(database: Database, people: People) -> None:
    with database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=people.ana.id, title="t").id

        def ask(document_id: int) -> Exchange:
            passage = replace(PASSAGE, document_id=document_id, text="Another version.")
            asked = replace(exchange_of(people.ana, conversation), id=uuid4().hex, passages=(passage,))
            return exchanges.add(session, asked)

        before, after = ask(1), ask(2)
    assert (before.group, before.side) == (after.group, after.side)


def test_an_exchange_without_passages_is_on_no_side(database: Database, people: People) -> None:
    with database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=people.ana.id, title="t").id
        exchange = exchanges.add(session, replace(exchange_of(people.ana, conversation), passages=()))
        assert (exchange.group, exchange.side) == (None, None)
        assert session.scalars(select(GroupRow)).all() == []


def test_finishing_an_answer_changes_no_side(database: Database, people: People) -> None:
    with database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=people.ana.id, title="t").id
        exchange = exchanges.add(session, exchange_of(people.ana, conversation))
        exchanges.finish(session, replace(exchange, answer="Later.", passages=(replace(PASSAGE, section=9),)))
        seen = exchanges.get(session, exchange.id, person_id=people.ana.id)
    assert (seen.answer, seen.group, seen.side) == ("Later.", exchange.group, exchange.side)


def test_exchanges_from_before_are_placed_as_if_each_had_been_when_it_was_logged(tmp_path: Path) -> None:
    engine = sa.create_engine(sqlite_url(tmp_path / "old.db"))
    config = alembic.config.Config()
    config.set_main_option("script_location", "assistant/store/migrations")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0003")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO people (id, name, role, created_at) VALUES (1, 'a', 'user', '2026-01-01')"
        )
        connection.exec_driver_sql(
            "INSERT INTO conversations (id, person_id, title, created_at, updated_at) VALUES ('c', 1, 't', "
            "'2026-01-01', '2026-01-01')"
        )
        for n in range(40):
            shown = "[]" if n == 39 else f'[{{"lineage": "l{n % 13}", "section": {n // 26}}}]'
            connection.exec_driver_sql(
                "INSERT INTO exchanges (id, conversation_id, person_id, question, search_query, document_ids, history, "
                "passages, left_out, hits, prompt_version, model, answer, citations, refused, status, private, shown, "
                "prompt_tokens, completion_tokens, retrieve_ms, total_ms, created_at) VALUES (?, 'c', 1, 'q', 'q', "
                "'[]', '[]', ?, '[]', '[]', '1', 'm', 'a', '[]', 0, 'complete', 0, 1, 0, 0, 0, 0, ?)",
                (f"{n:02}", shown, f"2026-01-{1 + n // 24:02} {n % 24:02}:00:00"),
            )
    engine.dispose()
    database = open_database(sqlite_url(tmp_path / "old.db"))
    with database.write() as session:
        placed = session.scalars(select(GroupRow).order_by(GroupRow.number)).all()
        assert [row.key for row in placed] == [f"l{n}:0" for n in range(13)] + [f"l{n}:1" for n in range(13)]
        assert Counter(row.side for row in placed[:25])["gate"] == 5
        of_group = {row.key: row.side for row in placed}
        rows = session.execute(sa.text("SELECT id, group_key, side FROM exchanges ORDER BY id")).all()
        assert [side for _, _, side in rows] == [of_group.get(key) for _, key, _ in rows]
        assert rows[39].group_key is None
        secret = session.scalar(sa.text("SELECT value FROM secrets WHERE name = 'groups'"))
        assert groups.side(session, "new:0") is splits.side_of(26, key=secret), "and goes on with the same key"
    database.close()
