"""How far a training is, as people see it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from trainer.fit import Report


class Progress:
    """Reports phase, step, loss, examples a second and the seconds left.

    ``batch`` are the examples of a step, ``expected`` the seconds that the whole training was estimated to take.
    """

    def __init__(self, report: Report, *, batch: int, expected: float) -> None:
        self._report = report
        self._batch = batch
        self._expected = expected
        self._started = self._phase_started = time.monotonic()
        self._first_step: int | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def phase(self, name: str) -> None:
        self._phase_started, self._first_step = time.monotonic(), None
        self._report({"phase": name, "step": 0, "steps": 0, "seconds_left": round(self._left())})

    def show(self, **values: Any) -> None:
        self._report(values)

    def step(self, values: Mapping[str, Any]) -> None:
        told = dict(values)
        if "step" in values:
            if self._first_step is None:  # not 1 where a checkpoint was gone on from
                self._first_step = values["step"] - 1
            each = (time.monotonic() - self._phase_started) / (values["step"] - self._first_step)
            told["examples_per_second"] = round(self._batch / each, 2)
            told["seconds_left"] = round(max(self._left(), each * (values["steps"] - values["step"])))
        self._report(told)

    def _left(self) -> float:
        return max(0.0, self._expected - self.seconds)
