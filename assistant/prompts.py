"""The one prompt format. Serving and training both render through here, so that a model is asked as it was taught."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.records import Message, Passage, Turn

VERSION = "3"
"""Logged with every exchange and saved with every adapter; raise it whenever a rendered byte changes."""

REFUSALS = {"en": "I could not find this in the documents.", "pt": "Não encontrei isso nos documentos."}

SYSTEM = (
    "Answer the question from the numbered passages only, in the language of the question. Use one or two full "
    "sentences close to the words of the passages, and end each with the number of its passage, like [1]. What stands "
    "between >> and << was found to be nearest to the question; leave these marks out. If the passages do not hold the "
    f"answer, reply only: {REFUSALS['en']} In Portuguese: {REFUSALS['pt']}"
)

_CITATION = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")
_HEADING = re.compile(r"\s*(?:#{1,6} [^\n]*\n\s*)*(?=\S)")


def render(*, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()) -> list[Message]:
    """The chat messages for one question; passages are numbered from 1 in the order given.

    The question stands before the passages and after them: a causal model then knows what to look for while it reads
    (query-aware contextualization; Liu et al. 2024, "Lost in the Middle", section 4.2).

    Earlier turns are shown without their passages, and their citation marks are dropped: those numbers mean other
    passages now. Turns without an answer (stopped, failed) are not shown.
    """
    messages = [Message("system", SYSTEM)]
    for turn in (turn for turn in history if turn.answer):
        messages += [Message("user", turn.question), Message("assistant", without_citations(turn.answer))]
    numbered = "\n\n".join(render_passage(n, passage) for n, passage in enumerate(passages, start=1))
    asked = f"Question: {question}"
    messages.append(Message("user", "\n\n".join((asked, numbered, asked)) if numbered else asked))
    return messages


def render_passage(n: int, passage: Passage) -> str:
    """``[n] document, p. 3`` on a line of its own, then the text, with the search's best sentence set off by marks."""
    page = f", p. {passage.page}" if passage.page is not None else ""
    return f"[{n}] {passage.document}{page}\n{_marked(passage).strip()}"


def _marked(passage: Passage) -> str:
    text = passage.text
    for index, start, end in passage.sentences:
        if index == passage.best:
            begin = start + heading(text[start:end])
            sentence = text[begin:end].rstrip()
            return f"{text[:begin]}>> {sentence} <<{text[begin + len(sentence) :]}"
    return text


def heading(sentence: str) -> int:
    """How many characters of a sentence are a heading: one too short to stand alone is kept with what follows it."""
    found = _HEADING.match(sentence)
    return found.end() if found else 0


def without_citations(text: str) -> str:
    return _CITATION.sub("", text)


def is_refusal(answer: str) -> bool:
    """Whether the answer is one of the fixed refusals, give or take white space, citation marks and the final stop."""
    bare = without_citations(answer).strip().rstrip(".")
    return any(bare == refusal.rstrip(".") for refusal in REFUSALS.values())
