"""Makes a follow-up question stand on its own, so that a search for it finds what the conversation is about."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from assistant.engines.base import Engine, Sampling
from assistant.errors import EngineError
from assistant.records import Message, Turn

_log = logging.getLogger(__name__)

_REWRITE = (
    "Rewrite the last question so that it can be understood without the conversation. Keep its language and its "
    "meaning, name what its pronouns stand for, and reply with the question alone."
)
_LONGEST_REWRITE = 96  # tokens

# Words that point back to something said before: pronouns and openings, English and Portuguese.
_POINTERS = frozenset(
    "it its they them their theirs he him his she hers her this these those former latter "
    "ele ela eles elas dele dela deles delas isso isto aquilo esse essa esses essas este esta estes estas aquele "
    "aquela lá ali nele nela neles nelas disso disto nisso nisto seu sua seus suas".split()
)
_LAST = frozenset("that there one ones".split())  # elsewhere in a question these mostly do not point anywhere
_OPENINGS = re.compile(r"^\s*(and|but|or|so|what about|how about|e|mas|ou|então)\b", re.I)
_WORD = re.compile(r"\w+")
_SHORT = 3  # words; "And in Portugal?" has no subject of its own


def by_rule(question: str, history: Sequence[Turn]) -> str:
    """The question, led by the one before it if it points back, and that one by its own if it does, too."""
    if not history or not _points_back(question):
        return question
    *earlier, last = history
    return f"{by_rule(last.question, earlier)} {question}"


def _points_back(question: str) -> bool:
    """Whether it has pronouns, an opening such as *and*, or next to no words."""
    words = [word.casefold() for word in _WORD.findall(question)]
    return (
        len(words) <= _SHORT
        or words[-1] in _LAST
        or not _POINTERS.isdisjoint(words)
        or _OPENINGS.match(question) is not None
    )


async def by_model(question: str, history: Sequence[Turn], *, engine: Engine) -> str:
    """The question as the model rewrites it; the rule's version where the model says nothing usable."""
    if not history:
        return question
    turns = "\n".join(f"Q: {turn.question}\nA: {turn.answer}" for turn in history)
    messages = [Message("system", _REWRITE), Message("user", f"{turns}\nLast question: {question}")]
    try:
        pieces = [piece.text async for piece in engine.stream(messages, sampling=Sampling(max_tokens=_LONGEST_REWRITE))]
    except EngineError:
        _log.exception("a follow-up question could not be rewritten")
        return by_rule(question, history)
    rewritten = "".join(pieces).strip().split("\n")[0]
    return rewritten or by_rule(question, history)
