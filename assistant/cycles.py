"""When a training cycle begins, as admins set it, and how one is asked for. The scheduler picks up what is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from assistant.errors import BusyError
from assistant.records import Review, Run, RunStatus
from assistant.store import audit, exchanges, runs, stages
from assistant.store.tables import ExchangeRow, RatingRow, RunRow

KIND = "cycle"
_SCHEDULE = "schedule"
_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_FIELD = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
_SEED = 0  # always the same, so that the same log gives the same dataset and is known again


def _cron(text: str) -> str:
    fields = text.split()
    if len(fields) != len(_LIMITS):
        raise ValueError("must have five fields: minute, hour, day, month, day of the week")
    for field, (low, high) in zip(fields, _LIMITS, strict=True):
        for part in field.split(","):
            found = _FIELD.fullmatch(part)
            numbers = [int(number) for number in found.groups()[:2] if number] if found else []
            if found is None or numbers != sorted(numbers) or not all(low <= n <= high for n in numbers):
                raise ValueError(f"cannot be read at '{part}'")
            if found[3] is not None and not int(found[3]):
                raise ValueError(f"cannot be read at '{part}'")
    return " ".join(fields)


class Schedule(BaseModel):
    """When a cycle begins by itself. Times are those of this machine.

    ``cron`` has five fields of numbers (day of the week: 0 and 7 are Sunday). ``after`` is a number of newly accepted
    ratings. From ``quiet_from`` until ``quiet_until`` none begins by itself; what falls due then begins afterwards.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cron: Annotated[str, Field(max_length=100), AfterValidator(_cron)] | None = "0 3 * * *"
    after: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None
    paused: bool = False

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("quiet hours need both a beginning and an end")
        return self

    def quiet(self, at: time) -> bool:
        """Whether a time of the day lies within the quiet hours, which may go past midnight."""
        if self.quiet_from is None or self.quiet_until is None:
            return False
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= at < self.quiet_until
        return at >= self.quiet_from or at < self.quiet_until


def schedule(session: Session) -> tuple[Schedule, datetime | None]:
    """The schedule, and since when firings count: the last one, or when it was set; None before its first look."""
    value = stages.option(session, _SCHEDULE) or {}
    since = datetime.fromisoformat(value["since"]) if "since" in value else None
    return Schedule.model_validate(value.get("schedule", {})), since


def set_schedule(session: Session, new: Schedule, *, person_id: int) -> None:
    """What fell due under the schedule before is not made up under the new one."""
    _keep(session, new, datetime.now(UTC))
    audit.record(session, "schedule changed", person_id=person_id)


def fired(session: Session, now: datetime) -> None:
    """Firings count from ``now`` on."""
    _keep(session, schedule(session)[0], now)


def request(session: Session, *, by: str, person_id: int | None, asked: Mapping[str, Any] | None = None) -> Run:
    """A cycle that waits to be picked up; ``by`` says what asked for it. In a transaction that writes.

    Raises BusyError while one waits or is at work: pressing a button twice makes no second one.
    """
    if (other := unfinished(session)) is not None:
        state = "is at work" if other.status is RunStatus.RUNNING else "waits to begin"
        raise BusyError(f"Run {other.id} {state} already.")
    parameters = {"by": by, "accepted": accepted(session)} | dict(asked or {})
    run = runs.add(session, kind=KIND, seed=_SEED, parameters=parameters, person_id=person_id)
    audit.record(session, "cycle asked for", person_id=person_id, subject=run.id)
    return run


def unfinished(session: Session) -> Run | None:
    """The cycle that waits, is at work, or was cut off."""
    query = select(RunRow.id).where(RunRow.kind == KIND, RunRow.status.in_(runs.UNFINISHED))
    found = session.scalar(query.order_by(RunRow.id).limit(1))
    return None if found is None else runs.get(session, found)


def accepted(session: Session) -> int:
    """How many accepted ratings may be learnt from."""
    query = select(func.count()).select_from(RatingRow).join(ExchangeRow, ExchangeRow.id == RatingRow.exchange_id)
    return session.scalar(query.where(RatingRow.review == Review.ACCEPTED, exchanges.learnable())) or 0


def newly_accepted(session: Session) -> int:
    """How many ratings were accepted since the last cycle was asked for."""
    cycles = (run for run in runs.latest(session, kind=KIND) if not run.parameters.get("preview"))
    last = next(cycles, None)
    return accepted(session) - (int(last.parameters.get("accepted", 0)) if last else 0)


def _keep(session: Session, value: Schedule, since: datetime) -> None:
    stages.set_option(
        session, _SCHEDULE, {"schedule": value.model_dump(mode="json"), "since": since.astimezone(UTC).isoformat()}
    )
