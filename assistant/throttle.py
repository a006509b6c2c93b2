"""How often somebody may do something."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_KEYS = 10_000


class Throttle:
    """At most ``times`` in any ``seconds``, for each key. Thread-safe; forgets with the process."""

    def __init__(self, times: int, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._times = times
        self._seconds = seconds
        self._clock = clock
        self._taken: dict[object, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, key: object) -> float:
        """Counts one more and returns 0; or counts nothing and returns the seconds until it may be tried again."""
        now = self._clock()
        with self._lock:
            taken = self._taken.setdefault(key, deque())
            while taken and taken[0] <= now - self._seconds:
                taken.popleft()
            if len(taken) >= self._times:
                return taken[0] + self._seconds - now
            taken.append(now)
            if len(self._taken) > _KEYS:
                self._taken = {k: t for k, t in self._taken.items() if t and t[-1] > now - self._seconds}
            return 0.0

    def clear(self, key: object) -> None:
        with self._lock:
            self._taken.pop(key, None)
