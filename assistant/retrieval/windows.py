"""From hits to the windows of sentences that are shown: made when they are asked for, so that their size can be chosen.

The size is the setting ``retrieval.window``, unless an admin applied another one after a study (``trainer.windows``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from assistant.records import Document, Hit, Passage
from assistant.settings import Retrieval as Settings
from assistant.store import audit, passages, stages

_OPTION = "window"


@dataclass(frozen=True, slots=True)
class Applied:
    """The size that somebody applied; ``proven``: the gate confirmed it."""

    size: int
    proven: bool


def applied(session: Session) -> Applied | None:
    value = stages.option(session, _OPTION)
    return Applied(**value) if value else None


def size(session: Session, settings: Settings) -> int:
    """Sentences in a window, now."""
    chosen = applied(session)
    return settings.window if chosen is None else chosen.size


def apply(session: Session, chosen: Applied | None, *, person_id: int | None) -> None:
    """Questions are asked with windows of this size from now on; None: of the size in the settings."""
    value = {} if chosen is None else {"size": chosen.size, "proven": chosen.proven}
    stages.set_option(session, _OPTION, value)
    audit.record(session, "window applied", person_id=person_id, subject=chosen.size if chosen else "")


def shown(
    session: Session, hits: Sequence[Hit], ready: Mapping[int, Document], *, size: int, count: int
) -> tuple[Passage, ...]:
    """The passages for these hits, best first: at most ``count`` windows, of documents that are ``ready``."""
    return tuple(
        passages.passage(session, ready[w.document_id], first=w.first, last=w.last, best=w.best, hits=w.hits)
        for w in _windows(hits, ready, size=size, count=count)
    )


@dataclass(slots=True)
class _Window:
    """The sentences ``first`` to ``last`` of a document; ``best`` is the highest hit among ``hits``."""

    document_id: int
    first: int
    last: int
    best: Hit
    hits: list[int] = field(default_factory=list)

    def holds(self, hit: Hit) -> bool:
        return self.document_id == hit.document_id and self.first <= hit.sentence <= self.last


def _windows(hits: Sequence[Hit], ready: Mapping[int, Document], *, size: int, count: int) -> list[_Window]:
    """Windows around the first ``count`` hits that no better hit's window holds already, merged where they touch."""
    opened: list[_Window] = []
    for hit in hits:
        if len(opened) < count and not any(window.holds(hit) for window in opened):
            first, last = passages.around(ready[hit.document_id], hit, size=size)
            opened.append(_Window(hit.document_id, first, last, hit))
    merged = _merged(opened)
    for window in merged:
        window.hits = sorted(hit.sentence for hit in hits if window.holds(hit))
    return merged


def _merged(windows: Collection[_Window]) -> list[_Window]:
    """Windows of one document that overlap or touch become one; the best first."""
    merged: list[_Window] = []
    for window in sorted(windows, key=lambda w: (w.document_id, w.first)):
        before = merged[-1] if merged else None
        if before and before.document_id == window.document_id and window.first <= before.last + 1:
            before.last = max(before.last, window.last)
            before.best = max(before.best, window.best, key=lambda hit: hit.score)
        else:
            merged.append(window)
    return sorted(merged, key=lambda window: -window.best.score)
