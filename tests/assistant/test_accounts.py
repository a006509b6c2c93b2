"""Passwords, sessions, keys and links, against a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from assistant.accounts import Accounts
from assistant.errors import InputError, NotAllowedError, NotFoundError, TooOftenError
from assistant.records import Person, Role
from assistant.store import accounts as store
from assistant.store import audit
from assistant.store.database import Database
from assistant.store.tables import ApiKeyRow, InvitationRow, PersonRow, SessionRow
from assistant.throttle import Throttle

PASSWORD = "correct horse battery"
HERE = "192.0.2.1"


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)


@pytest.fixture
def root(database: Database) -> Person:
    with database.write() as session:
        return store.local_admin(session)


@pytest.fixture
def ada(accounts: Accounts, root: Person) -> Person:
    """An admin who has chosen a password."""
    person, token = accounts.invite("ada", Role.ADMIN, by=root)
    accounts.accept(token, PASSWORD)
    return person


def test_a_login_is_asked_for_from_the_first_account_on(accounts: Accounts, root: Person) -> None:
    assert not accounts.needs_login()
    accounts.invite("ada", Role.ADMIN, by=root)
    assert accounts.needs_login()


def test_a_link_sets_a_password_once(accounts: Accounts, root: Person) -> None:
    person, token = accounts.invite("ada", Role.USER, by=root)
    with pytest.raises(NotAllowedError):
        accounts.sign_in("ada", "", address=HERE)
    with pytest.raises(InputError):
        accounts.accept(token, "short")
    assert accounts.by_session(accounts.accept(token, PASSWORD)) == person
    with pytest.raises(NotFoundError):
        accounts.accept(token, PASSWORD)


def test_a_link_ends(accounts: Accounts, root: Person, database: Database) -> None:
    person, token = accounts.invite("ada", Role.USER, by=root)
    accounts.reset(person.id, by=root)  # makes another one
    with pytest.raises(NotFoundError):
        accounts.invited(token)
    token = accounts.reset(person.id, by=root)
    with database.write() as session:
        session.execute(update(InvitationRow).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(NotFoundError):
        accounts.accept(token, PASSWORD)


def test_nothing_that_opens_a_door_is_stored_as_it_is(accounts: Accounts, ada: Person, database: Database) -> None:
    token = accounts.sign_in("ADA", PASSWORD, address=HERE)
    _, key = accounts.new_key(ada, "notebook")
    with database.read() as session:
        stored = [
            *session.scalars(select(PersonRow.password_hash)),
            *session.scalars(select(SessionRow.token_hash)),
            *session.scalars(select(ApiKeyRow.key_hash)),
        ]
    assert any(value and value.startswith("$argon2id$") for value in stored)
    assert not any(secret in str(value) for value in stored for secret in (PASSWORD, token, key))


def test_sessions_end_at_once(accounts: Accounts, ada: Person, root: Person, database: Database) -> None:
    def signed_in() -> str:
        return accounts.sign_in("ada", PASSWORD, address=HERE)

    first, second = signed_in(), signed_in()
    accounts.sign_out(first)
    assert (accounts.by_session(first), accounts.by_session(second)) == (None, ada)
    accounts.sign_out_elsewhere(ada, token=second)
    assert accounts.by_session(second) == ada
    accounts.change_password(ada, old=PASSWORD, new="another good password", token=signed_in())
    assert accounts.by_session(second) is None
    third = accounts.sign_in("ada", "another good password", address=HERE)
    with database.write() as session:
        session.execute(update(SessionRow).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert accounts.by_session(third) is None


def test_who_is_disabled_or_reset_is_out(accounts: Accounts, ada: Person, root: Person) -> None:
    bob, token = accounts.invite("bob", Role.USER, by=ada)
    for shut_out in (lambda: accounts.set_disabled(bob.id, True, by=ada), lambda: accounts.reset(bob.id, by=ada)):
        session, (_, key) = accounts.accept(token, PASSWORD), accounts.new_key(bob, "notebook")
        assert accounts.by_session(session) == accounts.by_key(key) == bob
        shut_out()
        assert accounts.by_session(session) is accounts.by_key(key) is None
        with pytest.raises(NotAllowedError):
            accounts.sign_in("bob", PASSWORD, address=HERE)
        accounts.set_disabled(bob.id, False, by=ada)
        token = accounts.reset(bob.id, by=ada)


def test_the_last_admin_stays(accounts: Accounts, ada: Person, root: Person) -> None:
    for change in (
        lambda: accounts.set_role(ada.id, Role.USER, by=ada),
        lambda: accounts.set_disabled(ada.id, True, by=ada),
        lambda: accounts.set_role(root.id, Role.USER, by=ada),
    ):
        with pytest.raises(NotAllowedError):
            change()
    assert accounts.sign_in("ada", PASSWORD, address=HERE)


def test_guessing_is_slowed_down(accounts: Accounts, ada: Person) -> None:
    for _ in range(5):
        with pytest.raises(NotAllowedError):
            accounts.sign_in("ada", "wrong password", address=HERE)
    with pytest.raises(TooOftenError):
        accounts.sign_in("ada", PASSWORD, address=HERE)
    assert accounts.sign_in("ada", PASSWORD, address="192.0.2.2")  # she herself, elsewhere, is not shut out


def test_the_throttle_counts_what_happened_lately() -> None:
    now = 0.0
    throttle = Throttle(2, 60, clock=lambda: now)
    assert (throttle.take("a"), throttle.take("a"), throttle.take("b")) == (0, 0, 0)
    now = 20
    assert throttle.take("a") == 40
    now = 61
    assert throttle.take("a") == 0


@pytest.mark.parametrize("name", ["", " ", "a b", "a\u202eb", "a\u200bb", "<b>", "x" * 65, "a\0"])
def test_names_that_deceive_are_refused(accounts: Accounts, root: Person, name: str) -> None:
    with pytest.raises(InputError):
        accounts.invite(name, Role.USER, by=root)


def test_a_name_is_taken_in_any_spelling(accounts: Accounts, ada: Person) -> None:
    for name in ("ADA", "ａｄａ"):
        with pytest.raises(InputError):
            accounts.invite(name, Role.USER, by=ada)


def test_what_happened_stands_in_the_audit_log(accounts: Accounts, ada: Person, database: Database) -> None:
    with pytest.raises(NotAllowedError):
        accounts.sign_in("ada", PASSWORD + "?", address=HERE)
    with database.read() as session:
        found = audit.events(session)
        refused = audit.events(session, action="sign in refused", person_id=ada.id)
        assert audit.events(session, before=found[-1].id) == []
    assert [event.action for event in found] == ["sign in refused", "password set", "invite"]
    assert refused == found[:1]
