"""The people who use the program, and what proves that it is them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from assistant.errors import InputError, NotFoundError
from assistant.records import Account, ApiKey, Person, Role
from assistant.store.tables import ApiKeyRow, InvitationRow, PersonRow, SessionRow

LOCAL_ADMIN = "local"


def local_admin(session: Session) -> Person:
    """The one person of a program that listens on loopback and asks for no login; made on first use."""
    row = session.scalar(select(PersonRow).where(PersonRow.name == LOCAL_ADMIN))
    if row is None:
        row = _added(session, LOCAL_ADMIN, Role.ADMIN)
    return person_of(row)


def person_of(row: PersonRow) -> Person:
    return Person(id=row.id, name=row.name, role=Role(row.role))


def any_account(session: Session) -> bool:
    """Whether there is anybody who can sign in, or was sent a link to do so."""
    return _anybody(session, select(InvitationRow.person_id))


def can_anybody_come_in(session: Session) -> bool:
    """Whether somebody has a password, or a link to choose one that is still good."""
    return _anybody(session, select(InvitationRow.person_id).where(InvitationRow.expires_at > datetime.now(UTC)))


def _anybody(session: Session, links: Select[int]) -> bool:
    with_password = exists().where(PersonRow.password_hash.is_not(None))
    return bool(session.scalar(select(or_(with_password, exists(links)))))


def first_admin(session: Session) -> Person | None:
    """The admin who was added first; the local one does not count."""
    admins = select(PersonRow).where(PersonRow.role == Role.ADMIN, PersonRow.name != LOCAL_ADMIN, ~PersonRow.disabled)
    row = session.scalar(admins.order_by(PersonRow.id).limit(1))
    return person_of(row) if row else None


def add(session: Session, *, name: str, role: Role) -> Person:
    """Raises InputError if somebody has this name already."""
    if session.scalar(select(exists().where(func.lower(PersonRow.name) == name.lower()))):
        raise InputError("Somebody has this name already.")
    return person_of(_added(session, name, role))


def accounts(session: Session) -> list[Account]:
    """Everybody but the local admin, by name."""
    now = datetime.now(UTC)
    sessions = (
        select(SessionRow.person_id, func.count().label("count"))
        .where(SessionRow.expires_at > now)
        .group_by(SessionRow.person_id)
        .subquery()
    )
    rows = session.execute(
        select(PersonRow, sessions.c.count)
        .outerjoin(sessions, sessions.c.person_id == PersonRow.id)
        .where(PersonRow.name != LOCAL_ADMIN)
        .order_by(PersonRow.name)
    )
    return [_account(row, count or 0) for row, count in rows]


def account(session: Session, person_id: int) -> Account:
    row = get(session, person_id)
    live = (SessionRow.person_id == person_id, SessionRow.expires_at > datetime.now(UTC))
    return _account(row, session.scalar(select(func.count()).select_from(SessionRow).where(*live)) or 0)


def get(session: Session, person_id: int) -> PersonRow:
    row = session.get(PersonRow, person_id)
    if row is None:
        raise NotFoundError("There is no such person.")
    return row


def active(session: Session, person_id: int) -> Person | None:
    """The person, unless they are disabled or gone."""
    row = session.get(PersonRow, person_id)
    return person_of(row) if row is not None and not row.disabled else None


def by_name(session: Session, name: str) -> PersonRow | None:
    return session.scalar(select(PersonRow).where(func.lower(PersonRow.name) == name.lower()))


def active_admins(session: Session) -> int:
    """Admins who can sign in; the local one does not count."""
    return (
        session.scalar(
            select(func.count())
            .select_from(PersonRow)
            .where(PersonRow.role == Role.ADMIN, ~PersonRow.disabled, PersonRow.password_hash.is_not(None))
        )
        or 0
    )


def add_session(session: Session, *, person_id: int, token_hash: str, lasts: timedelta) -> None:
    """Also forgets the sessions that have ended."""
    now = datetime.now(UTC)
    session.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
    session.add(SessionRow(token_hash=token_hash, person_id=person_id, created_at=now, expires_at=now + lasts))


def by_session(session: Session, token_hash: str) -> Person | None:
    """The person of a session that has neither ended nor been revoked."""
    row = session.scalar(
        select(PersonRow)
        .join(SessionRow, SessionRow.person_id == PersonRow.id)
        .where(SessionRow.token_hash == token_hash, SessionRow.expires_at > datetime.now(UTC), ~PersonRow.disabled)
    )
    return person_of(row) if row else None


def end_session(session: Session, token_hash: str) -> None:
    session.execute(delete(SessionRow).where(SessionRow.token_hash == token_hash))


def end_sessions(session: Session, person_id: int, *, but: str = "") -> None:
    session.execute(delete(SessionRow).where(SessionRow.person_id == person_id, SessionRow.token_hash != but))


def set_invitation(session: Session, *, person_id: int, token_hash: str, lasts: timedelta) -> None:
    """The person's only link from now on."""
    now = datetime.now(UTC)
    session.execute(
        delete(InvitationRow).where(or_(InvitationRow.person_id == person_id, InvitationRow.expires_at <= now))
    )
    session.add(InvitationRow(token_hash=token_hash, person_id=person_id, expires_at=now + lasts))


def by_invitation(session: Session, token_hash: str) -> PersonRow:
    """Raises NotFoundError if the link was used, replaced, or is too old."""
    row = session.scalar(
        select(PersonRow)
        .join(InvitationRow, InvitationRow.person_id == PersonRow.id)
        .where(
            InvitationRow.token_hash == token_hash, InvitationRow.expires_at > datetime.now(UTC), ~PersonRow.disabled
        )
    )
    if row is None:
        raise NotFoundError("This link has been used already, or is too old. Ask an administrator for a new one.")
    return row


def end_invitations(session: Session, person_id: int) -> None:
    session.execute(delete(InvitationRow).where(InvitationRow.person_id == person_id))


def add_key(session: Session, *, person_id: int, name: str, key_hash: str) -> ApiKey:
    row = ApiKeyRow(person_id=person_id, name=name, key_hash=key_hash, created_at=datetime.now(UTC))
    session.add(row)
    session.flush()
    return _key(row)


def keys(session: Session, person_id: int) -> list[ApiKey]:
    return [_key(row) for row in session.scalars(select(ApiKeyRow).where(ApiKeyRow.person_id == person_id))]


def by_key(session: Session, key_hash: str) -> Person | None:
    row = session.scalar(
        select(PersonRow)
        .join(ApiKeyRow, ApiKeyRow.person_id == PersonRow.id)
        .where(ApiKeyRow.key_hash == key_hash, ~PersonRow.disabled)
    )
    return person_of(row) if row else None


def delete_key(session: Session, key_id: int, *, person_id: int) -> None:
    row = session.get(ApiKeyRow, key_id)
    if row is None or row.person_id != person_id:
        raise NotFoundError("There is no such key.")
    session.delete(row)


def delete_keys(session: Session, person_id: int) -> None:
    session.execute(delete(ApiKeyRow).where(ApiKeyRow.person_id == person_id))


def _added(session: Session, name: str, role: Role) -> PersonRow:
    row = PersonRow(name=name, role=role, created_at=datetime.now(UTC))
    session.add(row)
    session.flush()
    return row


def _account(row: PersonRow, sessions: int) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        invited=row.password_hash is None,
        disabled=row.disabled,
        shares_private=row.shares_private,
        sessions=sessions,
        created_at=row.created_at,
    )


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(id=row.id, name=row.name, created_at=row.created_at)
