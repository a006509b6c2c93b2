"""What was refused to somebody, in the audit log: bounded, so that a flood fills no disk and hides nothing."""

from __future__ import annotations

import logging

from assistant.errors import FielError
from assistant.records import Person
from assistant.store import audit
from assistant.store.database import Database
from assistant.throttle import Throttle

_log = logging.getLogger(__name__)

_KINDS = {
    400: "invalid",
    401: "not signed in",
    403: "not allowed",
    404: "not found",
    413: "too large",
    422: "invalid",
    429: "too often",
}
_KEPT = 2_000  # entries of each kind: the oldest go
_A_MINUTE = 10  # of one person or address; what comes beyond is refused all the same, and not noted
_A_MINUTE_IN_ALL = 100


class Refusals:
    """Notes refusals. Thread-safe; one per program."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._of_one = Throttle(_A_MINUTE, 60)
        self._of_all = Throttle(_A_MINUTE_IN_ALL, 60)

    def note(self, status: int, what: str, *, person: Person | None, address: str = "") -> None:
        """``status`` as in HTTP; ``what`` names a route or an event, never what somebody wrote."""
        if status not in _KINDS or self._of_one.take(person.id if person else address) or self._of_all.take(""):
            return
        subject = what if person or not address else f"{what} from {address}"
        try:
            with self._database.write() as session:
                action, person_id = f"refused: {_KINDS[status]}", person.id if person else None
                audit.record_some(session, action, person_id=person_id, subject=subject, keep=_KEPT)
        except FielError:  # the refusal itself must reach the person
            _log.exception("a refusal could not be noted")
