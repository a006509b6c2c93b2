"""Judges finished chat answers in the background: which of their sentences the passages support."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from threading import Condition
from typing import TYPE_CHECKING

from assistant.errors import FielError
from assistant.records import Exchange, ExchangeStatus, SentenceSupport, Support
from assistant.store import exchanges
from assistant.store import support as store
from assistant.store.database import Database

if TYPE_CHECKING:  # importing the judge imports torch, and the page must not wait for that
    from assistant.entailment import Judge

_log = logging.getLogger(__name__)

_LIKELY = 0.5
"""Calibrated where most sentences are supported: what is less probable there is so anywhere."""

_LEFT_OVER = 200
_PAUSE = 0.5  # seconds after an answer, in which the next question may come
_LATEST = 10  # seconds after an answer at which it is judged whoever waits


class Level(StrEnum):
    """What people are told of a sentence.

    No share: of answers of one kind nine sentences in ten are supported, of another three in ten, and one calibration
    cannot suit both (data/models/judge/README.md).
    """

    SUPPORTED = "supported"
    UNCLEAR = "unclear"
    NOT_FOUND = "not_found"


def level_of(found: SentenceSupport) -> Level:
    if found.supported:
        return Level.SUPPORTED
    return Level.UNCLEAR if found.probability >= _LIKELY else Level.NOT_FOUND


class Supporter:
    """Scores answers one after another in a thread of its own; ``close`` leaves what has not begun to the next start.

    The judge is loaded when it is first needed: that takes seconds.
    """

    def __init__(self, database: Database, load: Callable[[], Judge]) -> None:
        self._database = database
        self._load = load
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="support")
        self._last: Future[None] | None = None
        self._turn = Condition()
        self._unheard = 0
        self._closing = False

    def start(self) -> None:
        """Takes up the latest answers that nobody has judged: a stop or a crash left them."""
        with self._database.read() as session:
            left = exchanges.unjudged(session, limit=_LEFT_OVER)
        for exchange in left:
            self.finished(exchange)

    def finished(self, exchange: Exchange) -> None:
        """Has an answer judged, if there is something to judge. Returns at once."""
        if exchange.status is ExchangeStatus.COMPLETE and exchange.passages and not exchange.refused:
            self._last = self._worker.submit(self._judged, exchange, time.monotonic())

    @contextmanager
    def held(self) -> Iterator[None]:
        """In this block somebody waits for the first words of an answer. Judging others meanwhile would take a core of
        the few that there are, so that waits, but not for long."""
        with self._turn:
            self._unheard += 1
        try:
            yield
        finally:
            with self._turn:
                self._unheard -= 1
                self._turn.notify_all()

    def wait(self) -> None:
        """Until all that was handed over is judged."""
        if self._last is not None:
            self._last.result()

    def close(self) -> None:
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        self._worker.shutdown(cancel_futures=True)

    def _has_its_turn(self, finished: float) -> bool:
        """Waits for it; False when it will not come before the next start."""
        with self._turn:
            self._turn.wait_for(lambda: self._closing, timeout=max(0.0, finished + _PAUSE - time.monotonic()))
            latest = max(0.0, finished + _LATEST - time.monotonic())
            self._turn.wait_for(lambda: self._closing or not self._unheard, timeout=latest)
            return not self._closing

    def _judged(self, exchange: Exchange, finished: float) -> None:
        if not self._has_its_turn(finished):
            return
        try:
            support = judged(self._load(), exchange)
            if support is not None:
                with self._database.write() as session:
                    store.keep(session, exchange.id, support, answer=exchange.answer)
        except FielError:  # the answer stays without a badge, and is taken up again at the next start
            _log.exception("exchange %s could not be judged", exchange.id)


def judged(judge: Judge, exchange: Exchange) -> Support | None:
    """What the judge finds of the answer, ``score`` being the share of its supported sentences; None without any."""
    found = judge.support([passage.text for passage in exchange.passages], exchange.answer)
    sentences = tuple(
        SentenceSupport(
            start=one.start,
            end=one.end,
            probability=one.probability,
            supported=one.probability >= judge.threshold,
            passage=None if one.passage is None else one.passage + 1,
        )
        for one in found
    )
    if not sentences:
        return None
    score = sum(sentence.supported for sentence in sentences) / len(sentences)
    return Support(score=score, sentences=sentences, judge=judge.name)
