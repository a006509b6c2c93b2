"""The process of a run: it holds the run's row, shows signs of life there, and hears when it is to end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch

from assistant.errors import BusyError, FielError, LeaseLostError, RunCancelledError
from assistant.records import Run, RunStatus
from assistant.store import runs
from assistant.store.database import Database

_log = logging.getLogger(__name__)

BEAT = runs.PATIENCE.total_seconds() / 6
"""Seconds between two signs of life."""

_CURVE = 200  # latest losses of a phase that are shown
_CANCELLED = "The run was cancelled."
_OFTEN = 0.5  # seconds between two reports that are written


class Holder:
    """Writes the progress of a claimed run. A thread of its own keeps showing life while the work is deep in a step."""

    def __init__(self, database: Database, run: Run) -> None:
        self.run = run
        self._database = database
        self._progress: dict[str, Any] = {}
        self._written = 0.0
        self._ended: FielError | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def report(self, progress: Mapping[str, Any]) -> None:
        """Merges ``progress`` into what is shown. Raises RunCancelledError or LeaseLostError when the run is over."""
        if progress.get("phase", self._progress.get("phase")) != self._progress.get("phase"):
            self._progress["curve"] = []
        if "loss" in progress:
            self._progress["curve"] = [*self._progress.get("curve", [])[1 - _CURVE :], progress["loss"]]
        self._progress |= progress
        if time.monotonic() - self._written >= _OFTEN:
            self._write()
        if self._ended is not None:
            raise self._ended

    def stage(self, name: str, *, dataset_hash: str | None = None) -> None:
        """Begins a stage. Raises as ``report`` does."""
        with self._lock, self._database.write() as session:
            runs.report(session, self.run.id, token=self.run.token, stage=name, dataset_hash=dataset_hash)
        self.report({})

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            self._write()

    def _write(self) -> None:
        with self._lock:
            self._written = time.monotonic()
            try:
                with self._database.write() as session:
                    progress = dict(self._progress)
                    cancelling = runs.report(session, self.run.id, token=self.run.token, progress=progress)
            except LeaseLostError as error:
                self._ended = self._told(error)
            except FielError as error:  # the database is busy or the disk full
                _log.warning("no sign of life could be written: %s", error)
            else:
                if cancelling:
                    self._ended = RunCancelledError(_CANCELLED)

    def _told(self, lost: LeaseLostError) -> FielError:
        """A run that was taken for dead when somebody cancelled it is cancelled, and not another process's."""
        with self._database.read() as session:
            cancelled = runs.get(session, self.run.id).status is RunStatus.CANCELLED
        return RunCancelledError(_CANCELLED) if cancelled else lost


@contextmanager
def held(database: Database, run_id: int, *, log: str = "") -> Iterator[Holder]:
    """Claims the run for the block, and notes how it ended: failed or cancelled when the block raises.

    Whoever is done says so by ``runs.finish`` within the block. Raises what ``runs.claim`` raises.
    """
    with database.write() as session:
        run = runs.claim(session, run_id, log=log)
    holder = Holder(database, run)
    try:
        yield holder
    except RunCancelledError as error:
        holder.close()
        with suppress(LeaseLostError):  # it has ended already
            _finish(database, run, RunStatus.CANCELLED, None if str(error) == _CANCELLED else str(error))
        raise
    except BusyError:
        raise  # the run is another process's, or the database busy for long: it is gone on with, as after a kill
    except BaseException as error:
        holder.close()
        _finish(database, run, RunStatus.FAILED, reason(error))
        raise
    finally:
        holder.close()


def reason(error: BaseException) -> str:
    """Why a run ended, for people."""
    return str(error) if isinstance(error, FielError) else "The training failed unexpectedly; the log says more."


def stand_back(niceness: int, *, threads: int) -> None:
    """Lets everything else on the machine go first. For the whole process, for good."""
    os.nice(max(0, niceness - os.nice(0)))
    torch.set_num_threads(threads)


def _finish(database: Database, run: Run, status: RunStatus, problem: str | None) -> None:
    with database.write() as session:
        runs.finish(session, run.id, token=run.token, status=status, problem=problem)
