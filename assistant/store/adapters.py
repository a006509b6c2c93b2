"""Rows of adapters, of which one is live for each base model, and of the commands that ask for a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from assistant.errors import InputError, NotAllowedError, NotFoundError
from assistant.records import Adapter, AdapterService, AdapterStatus, Command, CommandKind, CommandStatus
from assistant.store import audit, stages
from assistant.store.tables import (
    AdapterExchangeRow,
    AdapterRow,
    AdapterServiceRow,
    ChampionRow,
    CommandRow,
    ForgottenRow,
)

CUT_OFF = "The program ended before this was done."
BROKE, FORGOTTEN = "broke", "forgotten"
"""Reasons for a change of the champion that no person typed: it broke its answers; it had to be forgotten."""


def next_number(session: Session) -> int:
    return (session.scalar(select(func.max(AdapterRow.number))) or 0) + 1


def add(
    session: Session,
    *,
    number: int,
    version: str,
    base: str,
    prompt_version: str,
    weights_hash: str,
    origin: str,
    run_id: int | None = None,
    dataset_hash: str = "",
) -> Adapter:
    row = AdapterRow(
        number=number,
        version=version,
        base=base,
        prompt_version=prompt_version,
        weights_hash=weights_hash,
        origin=origin,
        run_id=run_id,
        dataset_hash=dataset_hash,
        status=AdapterStatus.CANDIDATE,
        proven=False,
        rolled_back=False,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    return _adapter(row, {})


def record_exchanges(session: Session, version: str, exchange_ids: Iterable[str]) -> None:
    """Notes what a version was trained on, so that it is listed as affected once any of it is deleted."""
    for exchange_id in set(exchange_ids):
        session.merge(AdapterExchangeRow(exchange_id=exchange_id, adapter_version=version))


def get(session: Session, version: str) -> Adapter:
    return _adapter(_row(session, version), _affected(session, [version]))


def for_base(session: Session, base: str) -> list[Adapter]:
    """The adapters of a base model, the latest first."""
    return _listed(session, select(AdapterRow).where(AdapterRow.base == base))


def every(session: Session) -> list[Adapter]:
    """The adapters of all base models, the latest first."""
    return _listed(session, select(AdapterRow))


def champion(session: Session, base: str) -> str | None:
    """The live version; None: the base model itself."""
    return session.scalar(select(ChampionRow.version).where(ChampionRow.base == base))


def line(session: Session, base: str) -> list[Adapter]:
    """The champion, the one that was live before it, and so on: where rollbacks lead one after the other."""
    found: dict[str, Adapter] = {}
    version = champion(session, base)
    while version is not None and version not in found:
        found[version] = get(session, version)
        version = found[version].predecessor
    return [adapter for adapter in found.values() if adapter.status is not AdapterStatus.WITHDRAWN]


def before(session: Session, base: str) -> str | None:
    """Where a rollback leads; None: to the base model itself."""
    return next((adapter.version for adapter in line(session, base)[1:]), None)


def promote(session: Session, version: str, *, person_id: int | None, reason: str = "") -> None:
    """Makes it the champion of its base, with an entry in the audit log. Raises InputError for a withdrawn one."""
    row = _row(session, version)
    if row.status == AdapterStatus.WITHDRAWN:
        raise InputError(f"The adapter {version} was withdrawn.")
    live = champion(session, row.base)
    if version == live:
        return
    row.predecessor = live
    _set_champion(session, row.base, version, person_id=person_id, reason=reason)
    audit.record(session, "adapter.promote", person_id=person_id, subject=version)


def promote_proven(session: Session, version: str) -> None:
    """Makes a version the champion that the gate proved better than the one before.

    Raises NotAllowedError when that proof does not hold any more: it is checked in the transaction that makes it live.
    """
    adapter = get(session, version)
    live = champion(session, adapter.base)
    examined = stages.finished(session, adapter.run_id).get("examine") if adapter.run_id is not None else None
    against = examined["champion"] if examined is not None else live
    if not adapter.proven:
        raise NotAllowedError(f"The adapter {version} did not pass the gate.")
    if adapter.affected_at is not None:
        raise NotAllowedError(f"The adapter {version} learnt from what was deleted since.")
    if adapter.rolled_back or live not in (version, against):
        raise NotAllowedError(f"The adapters were changed since {version} was proven, so nothing is proven any more.")
    promote(session, version, person_id=None)


def roll_back(session: Session, base: str, *, to: str | None, person_id: int | None, reason: str = "") -> None:
    """Makes ``to``, a predecessor of the champion or None, the champion, with an entry in the audit log."""
    live = champion(session, base)
    if live is None:
        raise NotFoundError("The base model itself answers: there is nothing to roll back to.")
    row = _row(session, live)
    row.rolled_back = True
    _set_champion(session, base, to, person_id=person_id, reason=reason)
    audit.record(session, "adapter.rollback", person_id=person_id, subject=live)


def decide(session: Session, version: str, *, proven: bool) -> None:
    """Notes what the gate said of a version: it may be promoted without anybody asking, or it is rejected.

    What people made of it meanwhile stays: one that was withdrawn, or that somebody made the champion.
    """
    row = _row(session, version)
    row.proven = proven
    if row.status == AdapterStatus.CANDIDATE and not proven:
        row.status = AdapterStatus.REJECTED


def withdraw(session: Session, version: str, *, person_id: int) -> None:
    """Takes a version out for good. Raises InputError while it is the champion."""
    row = _row(session, version)
    if champion(session, row.base) == version:
        raise InputError(f"The adapter {version} answers now. Roll back first.")
    row.status = AdapterStatus.WITHDRAWN
    audit.record(session, "adapter.withdraw", person_id=person_id, subject=version)


def affected(session: Session, base: str) -> list[str]:
    """The versions that learnt from what was deleted since, but for those that were withdrawn."""
    left = [adapter for adapter in for_base(session, base) if adapter.status is not AdapterStatus.WITHDRAWN]
    return [adapter.version for adapter in left if adapter.affected_at is not None]


def unaffected(session: Session, base: str) -> str | None:
    """The champion, or the first before it that learnt from nothing that was deleted; None: the base model itself."""
    return next((adapter.version for adapter in line(session, base) if adapter.affected_at is None), None)


def withdraw_affected(session: Session, base: str, *, person_id: int) -> list[str]:
    """Takes all affected versions out for good; returns them. What was ``unaffected`` is the champion now."""
    versions, live = affected(session, base), unaffected(session, base)
    if live != champion(session, base):
        _set_champion(session, base, live, person_id=person_id, reason=FORGOTTEN)
    for version in versions:
        withdraw(session, version, person_id=person_id)
    return versions


def services(session: Session, base: str) -> list[AdapterService]:
    """Who answered when, the latest first."""
    rows = session.scalars(
        select(AdapterServiceRow).where(AdapterServiceRow.base == base).order_by(AdapterServiceRow.id.desc())
    )
    return [AdapterService(row.version, row.since, row.until, row.person_id, row.reason) for row in rows]


def last_proven(session: Session, base: str) -> str | None:
    """After a change by hand, the version that passed the gate and answered last before; None where the gate itself
    chose the champion.

    One that was rolled back is none: somebody found it wanting.
    """
    live = champion(session, base)
    if live is None or (get(session, live).proven and services(session, base)[0].person_id is None):
        return None
    proven = (
        select(AdapterRow.version)
        .join(AdapterServiceRow, AdapterServiceRow.version == AdapterRow.version)
        .where(AdapterRow.base == base, AdapterRow.proven, AdapterRow.status != AdapterStatus.WITHDRAWN)
        .where(AdapterRow.version != live, ~AdapterRow.rolled_back)
        .order_by(AdapterServiceRow.id.desc())
    )
    return session.scalar(proven.limit(1))


def exchanges_of(session: Session, versions: Sequence[str]) -> frozenset[str]:
    """The ids of all exchanges that any of the versions learnt from."""
    wanted = AdapterExchangeRow.adapter_version.in_(versions)
    return frozenset(session.scalars(select(AdapterExchangeRow.exchange_id).where(wanted)))


def that_saw(session: Session, exchange_id: str) -> list[str]:
    """The versions that learnt from an exchange."""
    query = select(AdapterExchangeRow.adapter_version).where(AdapterExchangeRow.exchange_id == exchange_id)
    return list(session.scalars(query.order_by(AdapterExchangeRow.adapter_version)))


def ask(session: Session, kind: CommandKind, *, version: str | None, person_id: int | None) -> int:
    """Leaves a command for the serving process; returns its id."""
    row = CommandRow(
        kind=kind, version=version, person_id=person_id, status=CommandStatus.WAITING, created_at=datetime.now(UTC)
    )
    session.add(row)
    session.flush()
    return row.id


def command(session: Session, command_id: int) -> Command:
    row = session.get(CommandRow, command_id)
    if row is None:
        raise NotFoundError("There is no such command.")
    return _command(row)


def any_waiting(session: Session) -> bool:
    return session.scalar(select(CommandRow.id).where(CommandRow.status == CommandStatus.WAITING).limit(1)) is not None


def claim(session: Session) -> Command | None:
    """The oldest command that waits, now running."""
    waiting = select(CommandRow).where(CommandRow.status == CommandStatus.WAITING).order_by(CommandRow.id).limit(1)
    row = session.scalar(waiting)
    if row is None:
        return None
    row.status = CommandStatus.RUNNING
    return _command(row)


def finish(session: Session, command_id: int, *, problem: str | None) -> None:
    status = CommandStatus.DONE if problem is None else CommandStatus.FAILED
    session.execute(
        update(CommandRow)
        .where(CommandRow.id == command_id)
        .values(status=status, problem=problem, finished_at=datetime.now(UTC))
    )


def fail_unfinished(session: Session) -> None:
    """Marks as failed what was being carried out when the program died: whoever asked may have gone since."""
    session.execute(
        update(CommandRow)
        .where(CommandRow.status == CommandStatus.RUNNING)
        .values(
            status=CommandStatus.FAILED,
            problem=CUT_OFF,
            finished_at=datetime.now(UTC),
        )
    )


def _row(session: Session, version: str) -> AdapterRow:
    row = session.scalar(select(AdapterRow).where(AdapterRow.version == version))
    if row is None:
        raise NotFoundError(f"There is no adapter {version}.")
    return row


def _set_champion(session: Session, base: str, version: str | None, *, person_id: int | None, reason: str = "") -> None:
    now = datetime.now(UTC)
    champions = AdapterRow.base == base, AdapterRow.status == AdapterStatus.CHAMPION
    session.execute(update(AdapterRow).where(*champions).values(status=AdapterStatus.RETIRED))
    answering = AdapterServiceRow.base == base, AdapterServiceRow.until.is_(None)
    session.execute(update(AdapterServiceRow).where(*answering).values(until=now))
    if version is not None:
        _row(session, version).status = AdapterStatus.CHAMPION
    session.add(AdapterServiceRow(base=base, version=version, since=now, person_id=person_id, reason=reason))
    session.merge(ChampionRow(base=base, version=version, changed_at=now))


def _listed(session: Session, query: Select[AdapterRow]) -> list[Adapter]:
    found = session.scalars(query.order_by(AdapterRow.number.desc())).all()
    affected = _affected(session, [row.version for row in found])
    return [_adapter(row, affected) for row in found]


def _affected(session: Session, versions: Sequence[str]) -> dict[str, datetime]:
    """When the first of the exchanges that each version saw was forgotten; versions that lost none are not in it."""
    rows = session.execute(
        select(AdapterExchangeRow.adapter_version, func.min(ForgottenRow.at, type_=ForgottenRow.at.type))
        .join(ForgottenRow, ForgottenRow.exchange_id == AdapterExchangeRow.exchange_id)
        .where(AdapterExchangeRow.adapter_version.in_(versions))
        .group_by(AdapterExchangeRow.adapter_version)
    )
    return {row[0]: row[1] for row in rows}


def _adapter(row: AdapterRow, affected: Mapping[str, datetime]) -> Adapter:
    return Adapter(
        version=row.version,
        base=row.base,
        predecessor=row.predecessor,
        prompt_version=row.prompt_version,
        weights_hash=row.weights_hash,
        origin=row.origin,
        created_at=row.created_at,
        affected_at=affected.get(row.version),
        status=AdapterStatus(row.status),
        proven=row.proven,
        rolled_back=row.rolled_back,
        run_id=row.run_id,
        dataset_hash=row.dataset_hash,
    )


def _command(row: CommandRow) -> Command:
    return Command(
        id=row.id,
        kind=CommandKind(row.kind),
        version=row.version,
        person_id=row.person_id,
        status=CommandStatus(row.status),
        problem=row.problem,
    )
