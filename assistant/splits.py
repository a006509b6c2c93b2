"""Which exchanges adapters learn from and which are sealed to prove them: decided by group when an exchange is logged.

A group is a heading section (about 20 sentences) of the first passage's document, known by the document's lineage, so
that a new version of a file does not open what was sealed. Of each five consecutive new groups one is sealed for the
gate and one is for validation, by a keyed hash: nobody can tell beforehand which, and each share is a fifth with few
groups as with many.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from assistant.records import Passage, Side

BLOCK = 5
"""Groups in a row of which one is sealed and one is for validation."""


def group_of(passages: Sequence[Passage]) -> str | None:
    """The group of an exchange, by its first-ranked passage alone; None if it showed none."""
    return group(passages[0].lineage, passages[0].section) if passages else None


def group(lineage: str, section: int) -> str:
    return f"{lineage}:{section}"


def side_of(number: int, *, key: bytes) -> Side:
    """The side of the group that came up as the ``number``-th, from 0, of an installation with this secret key."""
    block, place = divmod(number, BLOCK)
    drawn = int.from_bytes(hmac.digest(key, str(block).encode(), hashlib.sha256))
    drawn, sealed = divmod(drawn, BLOCK)
    validation = (sealed + 1 + drawn % (BLOCK - 1)) % BLOCK
    return {sealed: Side.GATE, validation: Side.VALIDATION}.get(place, Side.TRAIN)
