"""The one prompt format. Serving and training both render through here, so that a model is asked as it was taught."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.records import Message, Passage, Turn

VERSION = "1"
"""Logged with every exchange and saved with every adapter; raise it whenever a rendered byte changes."""

REFUSALS = {"en": "I could not find this in the documents.", "pt": "Não encontrei isso nos documentos."}

SYSTEM = (
    "Answer the question from the numbered passages only, in the language of the question. Use one or two full "
    "sentences close to the words of the passages, and end each with the number of its passage, like [1]. If the "
    f"passages do not hold the answer, reply only: {REFUSALS['en']} In Portuguese: {REFUSALS['pt']}"
)

_CITATION = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")


def render(*, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()) -> list[Message]:
    """The chat messages for one question; passages are numbered from 1 in the order given.

    Earlier turns are shown without their passages, and their citation marks are dropped: those numbers mean other
    passages now. Turns without an answer (stopped, failed) are not shown.
    """
    messages = [Message("system", SYSTEM)]
    for turn in (turn for turn in history if turn.answer):
        messages += [Message("user", turn.question), Message("assistant", without_citations(turn.answer))]
    numbered = "\n\n".join(render_passage(n, passage) for n, passage in enumerate(passages, start=1))
    messages.append(Message("user", f"{numbered}\n\nQuestion: {question}".lstrip()))
    return messages


def render_passage(n: int, passage: Passage) -> str:
    """``[n] document, p. 3`` on a line of its own, then the text."""
    page = f", p. {passage.page}" if passage.page is not None else ""
    return f"[{n}] {passage.document}{page}\n{passage.text.strip()}"


def without_citations(text: str) -> str:
    return _CITATION.sub("", text)


def is_refusal(answer: str) -> bool:
    """Whether the answer is one of the fixed refusals, give or take white space, citation marks and the final stop."""
    bare = without_citations(answer).strip().rstrip(".")
    return any(bare == refusal.rstrip(".") for refusal in REFUSALS.values())
