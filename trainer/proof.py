"""What the gate is to know of the log: its items, what people said of them, and how far people trust its judge."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from assistant import prompts
from assistant.records import Exchange, Review
from assistant.store import examples, gate, golden, samples
from trainer.agreement import target, unanswerable
from trainer.gate.comparison import Row
from trainer.gate.items import Item, select
from trainer.gate.scores import Answer, Label, Said

MOST = 600
"""Items in a gate, at most: more would show smaller gains than are worth a change, and take longer."""


def items(session: Session, *, now: datetime | None = None) -> list[Item]:
    """The items of the gate as it is now: exchanges of sealed groups, rated or not, and the golden questions."""
    now = now or datetime.now(UTC)
    found = [_item(exchange) for exchange in gate.sealed(session)]
    found += [_golden_item(each, now) for each in golden.proving(session)]
    return select(found, now=now, opened=gate.opened(session), most=MOST)


def trust(session: Session, judge: str) -> tuple[int, float | None]:
    """How many sentences people checked that this judge had judged, and its balanced accuracy on them."""
    for agreement in samples.agreements(session):
        if agreement.judge == judge:
            return agreement.sensitivity.n + agreement.specificity.n, agreement.balanced_accuracy
    return 0, None


def rows_to_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Without a word of what anybody wrote."""
    return [
        {
            "item": row.item,
            "group": row.group,
            "label": row.label,
            "answers": {model: _answer_to_json(answer) for model, answer in row.answers.items()},
        }
        for row in rows
    ]


def rows_from_json(rows: list[Mapping[str, Any]]) -> list[Row]:
    return [
        Row(
            item=row["item"],
            group=row["group"],
            label=Label(row["label"]) if row["label"] is not None else None,
            answers={
                model: Answer(**{**values, "said": Said(values["said"])}) for model, values in row["answers"].items()
            },
        )
        for row in rows
    ]


def _answer_to_json(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in Answer.__slots__}


def _item(exchange: Exchange) -> Item:
    assert exchange.group is not None  # it is of a sealed one
    label, reference = _known(exchange)
    return Item(
        id=exchange.id,
        group=exchange.group,
        person=str(exchange.person_id),
        question=exchange.question,
        history=exchange.history,
        passages=exchange.passages,
        asked_at=exchange.created_at,
        label=label,
        reference=reference,
        exchange_id=exchange.id,
    )


def _golden_item(asked: golden.Frozen, now: datetime) -> Item:
    refuses = prompts.is_refusal(asked.answer)
    return Item(
        id=f"golden:{asked.id}",
        group=asked.group,
        person=None,
        question=asked.question,
        history=(),
        passages=asked.passages,
        asked_at=now,
        label=Label.UNANSWERABLE if refuses else Label.ANSWERABLE,
        reference=None if refuses else prompts.without_citations(asked.answer).strip() or None,
    )


def _known(exchange: Exchange) -> tuple[Label | None, str | None]:
    """What an accepted rating says: whether there is an answer, and which one somebody wrote.

    An answer that merely got a thumbs-up is no reference: whoever gave it would repeat it word for word.
    """
    if exchange.rating is None or exchange.rating.review is not Review.ACCEPTED:
        return None, None
    rated = examples.rated(exchange)
    right = target(rated)
    if not right:
        return None, None
    if unanswerable(rated) or prompts.is_refusal(right):
        return Label.UNANSWERABLE, None
    written = rated.accepted_answer or rated.correction
    return Label.ANSWERABLE, prompts.without_citations(written).strip() or None
