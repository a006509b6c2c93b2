"""Training rows for the starter: numbered passages, and the questions asked about them, in the prompt of serving.

The prompt is rendered by ``assistant.prompts``; a row cuts it before the question, so that all questions about the
same passages share one reading of them (see ``starter_model``). Two styles, told apart by the system message alone:
the assistant's own (the supporting sentence) and ``BRIEF`` (as few words as possible). Both end with the citation.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerFast

from assistant import prompts
from assistant.records import SHARED, Message, Passage, Turn
from trainer.pretrain.corpus import Language, Text
from trainer.pretrain.starter_questions import ask_about, roughen

BRIEF = (
    "Answer the question from the numbered passages only, in the language of the question. Use as few words as "
    "possible, copied from the passages, and end with the number of the passage, like [1]. If the passages do not hold "
    f"the answer, reply only: {prompts.REFUSALS['en']} In Portuguese: {prompts.REFUSALS['pt']}"
)
_MARK = "\N{OBJECT REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what answers it: sentences ``first`` to ``last`` of its text, and a span (empty: none known)."""

    question: str
    span: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Window:
    """Sentences ``first`` to ``end`` - 1 of a text, less those in ``dropped``."""

    text: Text
    first: int
    end: int
    dropped: frozenset[int] = frozenset()

    def holds(self, asked: Asked) -> bool:
        return self.first <= asked.first and asked.last < self.end and not self.dropped & {asked.first, asked.last}

    def shows(self, asked: Asked) -> bool:
        """Whether any part of what answers the question is in the window."""
        return any(self.first <= i < self.end and i not in self.dropped for i in range(asked.first, asked.last + 1))

    def render(self) -> str:
        kept = (i for i in range(self.first, self.end) if i not in self.dropped)
        return "".join(self.text.sentences[i] for i in kept).strip()


@dataclass(frozen=True, slots=True)
class Branch:
    """A question and its answer as token ids; the answer's begin at ``answer_start``."""

    tokens: list[int]
    answer_start: int


@dataclass(frozen=True, slots=True)
class Row:
    context: list[int]
    branches: list[Branch]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large rows are: passages, sentences in each, branches, and tokens of the context at most."""

    passages: tuple[int, int]
    sentences: tuple[int, int]
    branches: int
    context: int


def asked_of(text: Text) -> list[Asked]:
    """The text's own questions whose answer is a span that lies within one sentence or two."""
    ends, position = [], 0
    for sentence in text.sentences:
        position += len(sentence)
        ends.append(position)
    found = []
    for question in text.questions:
        if question.start is not None:
            first = next(i for i, end in enumerate(ends) if question.start < end)
            last = next(i for i, end in enumerate(ends) if question.start + len(question.answer) <= end)
            if last - first <= 1:
                found.append(Asked(question.text, question.answer, first, last))
    return found


def made_from(text: Text, index: int, draw: random.Random) -> Asked | None:
    """A question made from sentence ``index``."""
    sentence = text.sentences[index].strip()
    if not 30 <= len(sentence) <= 320:
        return None
    question = ask_about(sentence, language=text.language, draw=draw)
    return Asked(question.text, question.answer, index, index) if question else None


def draw_windows(
    document: Sequence[Text], others: Sequence[Text], *, sizes: Sizes, draw: random.Random
) -> list[Window]:
    """Windows of one document, with some of other documents among them, in random order and without overlap."""
    count = draw.randint(*sizes.passages)
    strangers = min(len(others), sum(draw.random() < 0.25 for _ in range(count - 1)))
    windows: list[Window] = []
    for text in [*(draw.choice(document) for _ in range(count - strangers)), *draw.sample(list(others), strangers)]:
        size = min(draw.randint(*sizes.sentences), len(text.sentences))
        first = draw.randint(0, len(text.sentences) - size)
        window = Window(text, first, first + size)
        if all(w.text is not text or w.end <= window.first or window.end <= w.first for w in windows):
            windows.append(window)
    if draw.random() < 0.3:
        at = draw.randrange(len(windows))
        if windows[at].end - windows[at].first >= 3:
            gone = draw.randrange(windows[at].first, windows[at].end)
            windows[at] = replace(windows[at], dropped=frozenset({gone}))
    draw.shuffle(windows)
    return windows


class RowMaker:
    """Makes rows from texts; about a share ``refusals`` of the questions have no answer in the passages."""

    def __init__(self, *, tokenizer: PreTrainedTokenizerFast, refusals: float = 0.13) -> None:
        self.tokenizer = tokenizer
        self.refusals = refusals

    def make(
        self,
        document: Sequence[Text],
        others: Sequence[Text],
        *,
        sizes: Sizes,
        brief: bool,
        draw: random.Random,
        made: float,
    ) -> Row | None:
        """One row about windows of ``document``; a share ``made`` of its questions is made, the rest people's."""
        windows = draw_windows(document, others, sizes=sizes, draw=draw)
        answerable, unanswerable = self._questions(document, windows, made=made, brief=brief, draw=draw)
        wanted = sizes.branches
        refused = sum(draw.random() < self.refusals for _ in range(wanted))
        chosen = draw.sample(answerable, min(len(answerable), wanted - refused))
        refusals = draw.sample(unanswerable, min(len(unanswerable), refused))
        if not chosen:
            return None
        history = self._history(chosen, document[0].language, draw)
        context, tail = self._render(windows, history=history, brief=brief, draw=draw)
        if len(context) > sizes.context:
            return None
        branches = [
            self._branch(
                a.question, _answer(a, w, n, brief=brief), tail, draw=draw, clip=not brief and draw.random() < 0.4
            )
            for a, w, n in chosen
        ]
        refusal = prompts.REFUSALS[document[0].language]
        branches += [self._branch(a.question, refusal, tail, draw=draw, clip=False) for a in refusals]
        return Row(context, branches)

    def _questions(
        self, document: Sequence[Text], windows: list[Window], *, made: float, brief: bool, draw: random.Random
    ) -> tuple[list[tuple[Asked, Window, int]], list[Asked]]:
        """What the windows answer (with window and its number), and what only the rest of the document answers."""
        answerable: list[tuple[Asked, Window, int]] = []
        for number, window in enumerate(windows, start=1):
            asked = asked_of(window.text)
            if draw.random() < made or not asked:
                indexes = [*range(window.first, window.end)] * 2
                asked = asked + [m for i in indexes if (m := made_from(window.text, i, draw))]
            answerable += [(a, window, number) for a in asked if window.holds(a) and (a.span or not brief)]
        return answerable, [a for text in document for a in self._unanswered(text, windows, draw)]

    def _unanswered(self, text: Text, windows: list[Window], draw: random.Random) -> list[Asked]:
        """Questions about sentences of ``text`` that no window shows, nor any answer's words."""
        shown = "\n".join(w.render() for w in windows)
        own = [w for w in windows if w.text is text]
        asked = asked_of(text)
        if not asked:
            some = draw.sample(range(len(text.sentences)), min(6, len(text.sentences)))
            asked = [m for i in {*some, *(i for w in own for i in w.dropped)} if (m := made_from(text, i, draw))]
        return [
            a
            for a in asked
            if not any(w.shows(a) for w in own)
            and "".join(text.sentences[a.first : a.last + 1]).strip() not in shown
            and not (a.span and a.span in shown and text.questions)
        ]

    def _history(
        self, chosen: list[tuple[Asked, Window, int]], language: Language, draw: random.Random
    ) -> tuple[Turn, ...]:
        if draw.random() > 0.12 or len(chosen) < 2:
            return ()
        asked, window, number = chosen.pop()
        return (Turn(asked.question, _answer(asked, window, number, brief=False)),)

    def _render(
        self, windows: list[Window], *, history: tuple[Turn, ...], brief: bool, draw: random.Random
    ) -> tuple[list[int], str]:
        """The prompt's tokens up to the question, and the text that follows the question."""
        passages = [passage_of(window, draw) for window in windows]
        messages = prompts.render(question=_MARK, passages=passages, history=history)
        if brief:
            messages[0] = Message("system", BRIEF)
        text: str = self.tokenizer.apply_chat_template(  # type: ignore[assignment]
            [{"role": m.role, "content": m.content} for m in messages], tokenize=False, add_generation_prompt=True
        )
        head, tail = text.split(f"\n\nQuestion: {_MARK}")
        return self._encode(head), tail

    def _branch(self, question: str, answer: str, tail: str, *, draw: random.Random, clip: bool) -> Branch:
        """``clip`` keeps the beginning of the answer alone: which sentence it is, without the copying of the rest."""
        asked = self._encode(f"\n\nQuestion: {roughen(question, draw=draw)}{tail}")
        answered = self._encode(f" {answer}{self.tokenizer.eos_token}")
        return Branch(asked + (answered[:12] if clip else answered[:90]), len(asked))

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return tokens


def _answer(asked: Asked, window: Window, number: int, *, brief: bool) -> str:
    sentences = "".join(window.text.sentences[asked.first : asked.last + 1])
    words = asked.span if brief else re.sub(r"\s+", " ", sentences)
    return f"{words.strip()} [{number}]"


def passage_of(window: Window, draw: random.Random) -> Passage:
    """The window as the assistant would show it, under a name and perhaps a page of its own."""
    text = window.render()
    page = draw.randint(1, 60) if draw.random() < 0.3 else None
    return Passage(
        document_id=0,
        lineage="",
        document=_name(window.text, draw),
        scope=SHARED,
        page=page,
        section=0,
        start=0,
        end=len(text),
        text=text,
        score=0.0,
        sentences=(),
        hits=(),
    )


def _name(text: Text, draw: random.Random) -> str:
    """A title, or a file name made of it or of the first words."""
    words = text.title.replace("_", " ") or " ".join(re.findall(r"\w+", text.sentences[0])[: draw.randint(1, 3)])
    if draw.random() < 0.4:
        return words
    joined = words.replace(" ", draw.choice("_- ")).lower() if draw.random() < 0.7 else words
    return joined + draw.choice((".pdf", ".txt", ".md", ".html", ".docx", ".epub"))
