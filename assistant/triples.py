"""The one shape in which exchanges leave the program: a JSON object each, a line each where there are many.

``id``, ``conversation_id``, ``created_at``, ``status``, ``private``; the triple itself: ``context`` (the passages as
they were shown, each a records.Passage), ``question`` and ``answer``; ``rating`` (1, -1 or null) and ``feedback`` (null
or ``reasons``, ``comment``, ``correction``, ``wrong_passages``, ``review``, ``accepted_answer``); what led to it:
``search_query``, ``history``, ``document_ids``, ``left_out``, ``hits``, ``prompt_version``, ``model``, ``adapter``;
what came of it: ``citations`` (each a records.Citation), ``refused``, ``support`` (null or a records.Support),
``prompt_tokens``, ``completion_tokens``, ``timings`` (milliseconds).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter

from assistant import prompts
from assistant.records import Exchange, Review
from assistant.store import exchanges, review
from assistant.store.database import Database
from assistant.store.review import Filters

_exchange = TypeAdapter(Exchange)


def as_json(exchange: Exchange) -> dict[str, Any]:
    """The exchange as values that JSON knows; not on which side it is, lest anybody rates for it."""
    values: dict[str, Any] = _exchange.dump_python(exchange, mode="json")
    for name in ("person_id", "group", "side"):
        del values[name]
    rating, value = values["rating"], None
    if rating is not None:
        value = rating["feedback"].pop("value")
        rating = rating["feedback"] | {name: rating[name] for name in ("review", "accepted_answer")}
    return values | {"context": values.pop("passages"), "rating": value, "feedback": rating}


def export(database: Database, filters: Filters, *, form: str) -> Iterator[str]:
    """The ratings that ``filters`` leave and that were accepted, one or more lines of JSON each.

    ``raw``: as above; ``openai``: ``{"messages"}``; ``trl``: ``{"prompt", "completion"}``; ``kto``: these, ``label``.
    """
    with database.read() as session:
        for exchange in review.stream(session, replace(filters, review=Review.ACCEPTED)):
            for row in [as_json(exchange)] if form == "raw" else _examples(exchange, form):
                yield json.dumps(row, ensure_ascii=False) + "\n"


def _examples(exchange: Exchange, form: str) -> Iterator[dict[str, Any]]:
    """What there is to learn from an accepted rating: the right answer, if one is known, and for kto the wrong one."""
    assert exchange.rating is not None  # it was accepted
    rating, said = exchange.rating, exchange.rating.feedback
    better = rating.accepted_answer or said.correction
    rendered = prompts.render(question=exchange.question, passages=exchange.passages, history=exchange.history)
    prompt = [asdict(message) for message in rendered]
    answers = [(better or exchange.answer, True)] if better or said.value > 0 else []
    if form == "kto" and said.value < 0:
        answers.append((exchange.answer, False))
    for answer, label in answers:
        completion = [{"role": "assistant", "content": answer}]
        if form == "openai":
            yield {"messages": prompt + completion}
        else:
            yield {"prompt": prompt, "completion": completion} | ({"label": label} if form == "kto" else {})


def lines(database: Database, *, person_id: int) -> Iterator[str]:
    """Every exchange of a person as a line of JSON, oldest first; read while it is being written."""
    with database.read() as session:
        for exchange in exchanges.triples(session, person_id=person_id):
            yield json.dumps(as_json(exchange), ensure_ascii=False) + "\n"
