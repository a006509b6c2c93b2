"""Who may come in: passwords, sessions, API keys and the links that let somebody in for the first time.

The program asks nobody for a login until there is an account beside the local admin; from then on it always does.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy.orm import Session

from assistant.errors import InputError, NotAllowedError, TooOftenError
from assistant.records import Account, ApiKey, Person, Role
from assistant.store import accounts as store
from assistant.store import audit
from assistant.store.database import Database
from assistant.throttle import Throttle

SESSION_LASTS = timedelta(days=14)
LINK_LASTS = timedelta(days=3)
_NAME = re.compile(r"[\w.@+-]{1,64}")
_PASSWORD = (10, 200)  # characters
_KEY = "fiel-"
_FIRST_ADMIN = "admin"
_REFUSED = 2_000  # entries in the audit log
_HASHES_AT_ONCE = 2  # each takes 64 MB for a moment


class Accounts:
    """Everybody's accounts. Thread-safe; one per database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher()
        self._hashing = threading.Semaphore(_HASHES_AT_ONCE)
        self._nobody = self._hasher.hash(secrets.token_urlsafe())
        self._tries = Throttle(5, 300)  # of one name from one address
        self._all_tries = Throttle(30, 300)  # from one address whatever the names, of one name wherever from
        self._closed = False

    def needs_login(self) -> bool:
        """Whether there is any account. Once there was one, a login is asked for as long as the program runs."""
        if not self._closed:
            with self._database.read() as session:
                self._closed = store.any_account(session)
        return self._closed

    def by_session(self, token: str) -> Person | None:
        with self._database.read() as session:
            return store.by_session(session, _hash(token))

    def by_key(self, key: str) -> Person | None:
        with self._database.read() as session:
            return store.by_key(session, _hash(key)) if key.startswith(_KEY) else None

    def sign_in(self, name: str, password: str, *, address: str) -> str:
        """The token of a new session. Raises NotAllowedError, or TooOftenError after too many tries."""
        name = unicodedata.normalize("NFKC", name)
        tried = (name.casefold(), address)
        _wait_for(self._tries.take(tried))
        for part in enumerate(tried):
            _wait_for(self._all_tries.take(part))
        with self._database.read() as session:
            row = store.by_name(session, name)
            found = (row.id, row.password_hash, row.disabled) if row is not None else (None, None, True)
        person_id, password_hash, disabled = found
        # The same work whether there is such a person or not, so that its time tells nobody.
        right = self._verified(password_hash or self._nobody, password) and password_hash is not None
        if person_id is None or not right or disabled:
            if person_id is not None:
                with self._database.write() as session:
                    audit.record_some(session, "sign in refused", person_id=person_id, subject=address, keep=_REFUSED)
            raise NotAllowedError("The name or the password is wrong.")
        self._tries.clear(tried)
        with self._database.write() as session:
            audit.record(session, "sign in", person_id=person_id)
            return self._begin(session, person_id)

    def sign_out(self, token: str) -> None:
        with self._database.write() as session:
            store.end_session(session, _hash(token))

    def invite(self, name: str, role: Role, *, by: Person) -> tuple[Person, str]:
        """Adds a person and returns them with the token of the link under which they choose a password."""
        name = unicodedata.normalize("NFKC", name).strip()
        if not _NAME.fullmatch(name):
            raise InputError("A name has 1 to 64 letters, digits and . _ @ + - in it, and nothing else.")
        with self._database.write() as session:
            person = store.add(session, name=name, role=role)
            audit.record(session, "invite", person_id=by.id, subject=person.id)
            return person, self._link(session, person.id)

    def first_link(self) -> tuple[str, str] | None:
        """Name and link token of the first admin, who is made if need be; None as soon as anybody can come in."""
        with self._database.write() as session:
            if store.can_anybody_come_in(session):
                return None
            person = store.first_admin(session) or store.add(session, name=_FIRST_ADMIN, role=Role.ADMIN)
            audit.record(session, "invite", person_id=None, subject=person.id)
            return person.name, self._link(session, person.id)

    def reset(self, person_id: int, *, by: Person) -> str:
        """Ends the person's password, sessions and keys, and returns the token of a link to choose a new password."""
        with self._changing(person_id, by, "reset") as (session, _):
            store.get(session, person_id).password_hash = None
            self._shut_out(session, person_id)
            return self._link(session, person_id)

    def invited(self, token: str) -> str:
        """The name of the person whom a link lets in. Raises NotFoundError for one that is used or too old."""
        with self._database.read() as session:
            return store.by_invitation(session, _hash(token)).name

    def accept(self, token: str, password: str) -> str:
        """Sets the password of the person with this link, which ends with it; the token of a new session."""
        with self._database.read() as session:
            name = store.by_invitation(session, _hash(token)).name
        hashed = self._hashed(password, name=name)
        with self._database.write() as session:
            row = store.by_invitation(session, _hash(token))  # again: of two at once, one comes too late
            row.password_hash = hashed
            store.end_invitations(session, row.id)
            audit.record(session, "password set", person_id=row.id)
            return self._begin(session, row.id)

    def change_password(self, person: Person, *, old: str, new: str, token: str) -> None:
        """Also ends all of the person's sessions but the one of ``token``."""
        _wait_for(self._tries.take(person.id))
        with self._database.read() as session:
            current = store.get(session, person.id).password_hash
        if current is None or not self._verified(current, old):
            raise NotAllowedError("The current password is wrong.")
        hashed = self._hashed(new, name=person.name)
        with self._database.write() as session:
            store.get(session, person.id).password_hash = hashed
            store.end_sessions(session, person.id, but=_hash(token))
            audit.record(session, "password changed", person_id=person.id)

    def sign_out_elsewhere(self, person: Person, *, token: str) -> None:
        with self._database.write() as session:
            store.end_sessions(session, person.id, but=_hash(token))
            audit.record(session, "sessions revoked", person_id=person.id)

    def set_role(self, person_id: int, role: Role, *, by: Person) -> None:
        with self._changing(person_id, by, f"role {role.value}") as (session, account):
            if role is not Role.ADMIN:
                self._check_not_last(session, account)
            store.get(session, person_id).role = role

    def set_disabled(self, person_id: int, disabled: bool, *, by: Person) -> None:
        """Whoever is disabled is out at once: sessions, keys and links end."""
        with self._changing(person_id, by, "disable" if disabled else "enable") as (session, account):
            if disabled:
                self._check_not_last(session, account)
                self._shut_out(session, person_id)
            store.get(session, person_id).disabled = disabled

    def check_leaving(self, person: Person, password: str) -> None:
        """Raises NotAllowedError unless the password is right and somebody stays who can look after the program."""
        _wait_for(self._tries.take(person.id))
        with self._database.read() as session:
            account, current = store.account(session, person.id), store.get(session, person.id).password_hash
            if current is None or not self._verified(current, password):
                raise NotAllowedError("The current password is wrong.")
            self._check_not_last(session, account)

    def set_sharing(self, person: Person, shares_private: bool) -> None:
        """The person's consent that exchanges over their private documents are reviewed and learnt from."""
        with self._database.write() as session:
            store.get(session, person.id).shares_private = shares_private
            audit.record(session, "consent given" if shares_private else "consent revoked", person_id=person.id)

    def new_key(self, person: Person, name: str) -> tuple[ApiKey, str]:
        """The key itself is never seen again."""
        key = _KEY + secrets.token_urlsafe(32)
        with self._database.write() as session:
            made = store.add_key(session, person_id=person.id, name=name.strip()[:80], key_hash=_hash(key))
            audit.record(session, "key made", person_id=person.id, subject=made.id)
        return made, key

    def revoke_key(self, person: Person, key_id: int) -> None:
        with self._database.write() as session:
            store.delete_key(session, key_id, person_id=person.id)
            audit.record(session, "key revoked", person_id=person.id, subject=key_id)

    @contextmanager
    def _changing(self, person_id: int, by: Person, action: str) -> Iterator[tuple[Session, Account]]:
        with self._database.write() as session:
            account = store.account(session, person_id)
            if account.name == store.LOCAL_ADMIN:
                raise NotAllowedError("The local administrator cannot be changed.")
            audit.record(session, action, person_id=by.id, subject=person_id)
            yield session, account

    def _check_not_last(self, session: Session, account: Account) -> None:
        counts = account.role is Role.ADMIN and not account.disabled and not account.invited
        if counts and store.active_admins(session) == 1:
            raise NotAllowedError("This is the only administrator. Make somebody else one first.")

    def _shut_out(self, session: Session, person_id: int) -> None:
        store.end_sessions(session, person_id)
        store.end_invitations(session, person_id)
        store.delete_keys(session, person_id)

    def _begin(self, session: Session, person_id: int) -> str:
        token = secrets.token_urlsafe(32)
        store.add_session(session, person_id=person_id, token_hash=_hash(token), lasts=SESSION_LASTS)
        return token

    def _link(self, session: Session, person_id: int) -> str:
        token = secrets.token_urlsafe(32)
        store.set_invitation(session, person_id=person_id, token_hash=_hash(token), lasts=LINK_LASTS)
        return token

    def _hashed(self, password: str, *, name: str) -> str:
        shortest, longest = _PASSWORD
        if not shortest <= len(password) <= longest or password.casefold() == name.casefold():
            raise InputError(f"A password has {shortest} to {longest} characters and is not your name.")
        with self._hashing:
            return self._hasher.hash(_normal(password))

    def _verified(self, hashed: str, password: str) -> bool:
        if len(password) > _PASSWORD[1]:
            return False
        with self._hashing:
            try:
                return self._hasher.verify(hashed, _normal(password))
            except (Argon2Error, InvalidHashError):
                return False


def _wait_for(seconds: float) -> None:
    if seconds > 0:
        raise TooOftenError(f"Too many tries. Please wait {math.ceil(seconds / 60)} minutes.")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _normal(password: str) -> str:
    """The same password typed on another keyboard has the same bytes."""
    return unicodedata.normalize("NFKC", password)
