"""The one shape in which exchanges leave the program: a JSON object each, a line each where there are many.

``id``, ``conversation_id``, ``created_at``, ``status``, ``private``; the triple itself: ``context`` (the passages as
they were shown, each a records.Passage), ``question`` and ``answer``; ``rating`` (1, -1 or null) and ``feedback`` (null
or ``reasons``, ``comment``, ``correction``, ``wrong_passages``, ``review``, ``accepted_answer``); what led to it:
``search_query``, ``history``, ``document_ids``, ``left_out``, ``hits``, ``prompt_version``, ``model``, ``adapter``;
what came of it: ``citations`` (each a records.Citation), ``refused``, ``support``, ``prompt_tokens``,
``completion_tokens``, ``timings`` (milliseconds).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from assistant.records import Exchange
from assistant.store import exchanges
from assistant.store.database import Database

_exchange = TypeAdapter(Exchange)


def as_json(exchange: Exchange) -> dict[str, Any]:
    """The exchange as values that JSON knows."""
    values: dict[str, Any] = _exchange.dump_python(exchange, mode="json")
    del values["person_id"]
    rating, value = values["rating"], None
    if rating is not None:
        value = rating["feedback"].pop("value")
        rating = rating["feedback"] | {name: rating[name] for name in ("review", "accepted_answer")}
    return values | {"context": values.pop("passages"), "rating": value, "feedback": rating}


def lines(database: Database, *, person_id: int) -> Iterator[str]:
    """Every exchange of a person as a line of JSON, oldest first; read while it is being written."""
    with database.read() as session:
        for exchange in exchanges.triples(session, person_id=person_id):
            yield json.dumps(as_json(exchange), ensure_ascii=False) + "\n"
