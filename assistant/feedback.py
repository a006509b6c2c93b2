"""What a person says of an answer: checked, limited, and marked for review before anything learns from it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from assistant.errors import InputError, TooOftenError
from assistant.records import Exchange, ExchangeStatus, Feedback, Person, Rating, Review, Role
from assistant.settings import Review as Settings
from assistant.store import accounts, exchanges, ratings
from assistant.store.database import Database
from assistant.throttle import Throttle

COMMENT = 2_000
CORRECTION = 10_000
_DAY = timedelta(days=1)


class Ratings:
    """Takes everybody's ratings. Thread-safe; one per program."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._throttle = Throttle(settings.ratings_a_minute, 60)

    def rate(self, person: Person, exchange_id: str, feedback: Feedback) -> Rating:
        """Sets or changes the rating of the person's own exchange.

        Raises NotFoundError, InputError for what does not fit the exchange or is too long, and TooOftenError.
        """
        self._count(person)
        with self._database.write() as session:
            return self._rate(session, person, exchange_id, feedback)

    def thumb(self, person: Person, exchange_id: str, value: int) -> None:
        """Up (1) or down (-1), all else that was said staying as it is; the same thumb again withdraws the rating."""
        self._count(person)
        with self._database.write() as session:
            rating = exchanges.get(session, exchange_id, person_id=person.id).rating
            if rating is not None and rating.feedback.value == value:
                ratings.withdraw(session, exchange_id, person_id=person.id)
            else:
                said = rating.feedback if rating is not None else Feedback(value=1)
                self._rate(session, person, exchange_id, replace(said, value=1 if value > 0 else -1))

    def withdraw(self, person: Person, exchange_id: str) -> None:
        self._count(person)
        with self._database.write() as session:
            ratings.withdraw(session, exchange_id, person_id=person.id)

    def _count(self, person: Person) -> None:
        if self._throttle.take(person.id) > 0:
            raise TooOftenError("That is a lot of ratings in a minute. Please wait a moment.")

    def _rate(self, session: Session, person: Person, exchange_id: str, feedback: Feedback) -> Rating:
        exchange = exchanges.get(session, exchange_id, person_id=person.id)
        feedback = _checked(feedback, exchange)
        held = self._is_held(session, person)
        review = Review.PENDING if held or self._is_reviewed(exchange_id) else Review.ACCEPTED
        return ratings.rate(session, exchange_id, person_id=person.id, feedback=feedback, review=review, held=held)

    def _is_held(self, session: Session, person: Person) -> bool:
        """Whether the person is new or unusually active: then an admin looks first, whatever the mode of review."""
        if person.role is Role.ADMIN:
            return False
        now = datetime.now(UTC)
        new = accounts.get(session, person.id).created_at > now - timedelta(days=self._settings.new_days)
        return new or ratings.count_since(session, person.id, now - _DAY) >= self._settings.ratings_a_day

    def _is_reviewed(self, exchange_id: str) -> bool:
        if self._settings.mode == "sampled":
            drawn = int.from_bytes(hashlib.sha256(exchange_id.encode()).digest()[:4], "big") / 2**32
            return drawn < self._settings.share
        return self._settings.mode == "required"


def _checked(feedback: Feedback, exchange: Exchange) -> Feedback:
    if exchange.status is ExchangeStatus.STREAMING:
        raise InputError("The answer is still being written.")
    for text, longest in ((feedback.comment, COMMENT), (feedback.correction, CORRECTION)):
        if len(text) > longest:
            raise InputError(f"That is too long: {len(text):,} characters, at most {longest:,} fit.")
    if any(not 1 <= n <= len(exchange.passages) for n in feedback.wrong_passages):
        raise InputError("The answer has no such passage.")
    correction = feedback.correction.strip()
    return replace(
        feedback,
        reasons=tuple(sorted(set(feedback.reasons))),
        comment=feedback.comment.strip(),
        correction="" if correction == exchange.answer.strip() else correction,
        wrong_passages=tuple(sorted(set(feedback.wrong_passages))),
    )
