"""Keeps an eye on what each version says: one that breaks answer after answer is to be taken back."""

from __future__ import annotations

from collections import defaultdict, deque

from assistant.records import Exchange, ExchangeStatus

LATEST = 10
BROKEN = 5
"""So many of the latest answers, broken, are no accident."""


class Watch:
    """The latest answers by version. Safe between threads."""

    def __init__(self) -> None:
        self._latest: defaultdict[str, deque[bool]] = defaultdict(lambda: deque(maxlen=LATEST))
        self._crashes: dict[str, int] = {}

    def note(self, exchange: Exchange, *, most_tokens: int, crash: int | None = None) -> None:
        """An answer has ended; one of ``most_tokens`` came to no end by itself. What a person stopped says nothing.

        ``crash``: which one of the engine cut it off. Each counts once, however many answers that cost.
        """
        if exchange.adapter is None or exchange.status is ExchangeStatus.STOPPED:
            return
        if crash is not None:
            if crash == self._crashes.get(exchange.adapter):
                return
            self._crashes[exchange.adapter] = crash
        empty = not exchange.answer
        endless = exchange.completion_tokens >= most_tokens
        self._latest[exchange.adapter].append(exchange.status is ExchangeStatus.FAILED or empty or endless)

    def breaks(self, version: str) -> bool:
        """Whether half of the latest ten answers of a version were empty, endless or failed."""
        return sum(tuple(self._latest[version])) >= BROKEN

    def forget(self, version: str) -> None:
        """What was seen of a version says nothing of what follows."""
        self._latest.pop(version, None)
