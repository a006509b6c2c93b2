"""Rows of the stages of runs that are over, and the settings that admins change while the program runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.store.tables import OptionRow, RunStageRow


def finished(session: Session, run_id: int) -> dict[str, dict[str, Any]]:
    """What came of each stage of a run that is over, by its name, in the order in which they ended."""
    rows = session.scalars(select(RunStageRow).where(RunStageRow.run_id == run_id).order_by(RunStageRow.finished_at))
    return {row.name: row.result for row in rows}


def finish(session: Session, run_id: int, name: str, result: dict[str, Any]) -> None:
    session.merge(RunStageRow(run_id=run_id, name=name, result=result, finished_at=datetime.now(UTC)))


def option(session: Session, name: str) -> dict[str, Any] | None:
    row = session.get(OptionRow, name)
    return None if row is None else row.value


def set_option(session: Session, name: str, value: dict[str, Any]) -> None:
    session.merge(OptionRow(name=name, value=value, changed_at=datetime.now(UTC)))
