"""Training rows for the starter: numbered passages, and the questions asked about them, in the prompt of serving.

The prompt is rendered by ``assistant.prompts``; a row cuts it before the question, so that all questions about the
same passages share one reading of them (see ``starter_model``).
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from transformers import PreTrainedTokenizerFast

from assistant import prompts
from assistant.records import SHARED, Passage, Turn
from trainer.pretrain.corpus import Language, Text
from trainer.pretrain.starter_questions import ask_about, roughen

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
    """Sentences ``first`` to ``end`` - 1 of a text around ``centre``, less those in ``dropped``."""

    text: Text
    first: int
    end: int
    centre: int
    dropped: frozenset[int] = frozenset()

    def holds(self, asked: Asked) -> bool:
        return self.first <= asked.first and asked.last < self.end and not self.dropped & {asked.first, asked.last}

    def shows(self, asked: Asked) -> bool:
        """Whether any part of what answers the question is in the window."""
        return any(self.first <= i < self.end and i not in self.dropped for i in range(asked.first, asked.last + 1))

    def kept(self) -> list[int]:
        return [i for i in range(self.first, self.end) if i not in self.dropped]

    def render(self) -> str:
        return "".join(self.text.sentences[i] for i in self.kept()).strip()

    def offset_of(self, sentence: int) -> int:
        """Where sentence ``sentence`` begins in ``render()``."""
        before = [self.text.sentences[i] for i in self.kept() if i < sentence]
        return len("".join([*before, self.text.sentences[sentence]]).lstrip()) - len(
            self.text.sentences[sentence].lstrip()
        )


@dataclass(frozen=True, slots=True)
class Branch:
    """A question and its answer as token ids; the answer's begin at ``answer_start``.

    ``source`` is where in the context the answer's sentence stands (first token, token after the last), and
    ``copied`` the context's token that each of the first answer tokens repeats; both empty for a refusal.
    """

    tokens: list[int]
    answer_start: int
    source: tuple[int, int] | None = None
    copied: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """``sentences`` are those of the passages: first token in the context, token after the last."""

    context: list[int]
    branches: list[Branch]
    sentences: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large rows are: passages, sentences in each, branches, and tokens of the context at most. A share ``found``
    of the rows are as after a search; about a share ``refusals`` of the questions have no answer in the passages."""

    passages: tuple[int, int]
    sentences: tuple[int, int]
    branches: int
    context: int
    found: float
    refusals: float


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
        window = _around(_centre(text, draw), text, size=draw.randint(*sizes.sentences))
        if all(w.text is not text or w.end <= window.first or window.end <= w.first for w in windows):
            windows.append(window)
    if draw.random() < 0.3:
        at = draw.randrange(len(windows))
        if windows[at].end - windows[at].first >= 3:
            gone = draw.randrange(windows[at].first, windows[at].end)
            windows[at] = replace(windows[at], dropped=frozenset({gone} - {windows[at].centre}))
    draw.shuffle(windows)
    return windows


def _centre(text: Text, draw: random.Random) -> int:
    """A sentence to find: mostly one that people asked about, where there are such."""
    asked = asked_of(text) if draw.random() < 0.8 else []
    return draw.choice(asked).first if asked else draw.randrange(len(text.sentences))


def _around(centre: int, text: Text, *, size: int) -> Window:
    """A window as search makes it: cut off at the ends of the text."""
    first = max(0, centre - size // 2)
    return Window(text, first, min(len(text.sentences), centre + (size + 1) // 2), centre)


class RowMaker:
    """Makes rows from texts."""

    def __init__(self, *, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer

    def make(
        self,
        document: Sequence[Text],
        others: Sequence[Text],
        *,
        sizes: Sizes,
        draw: random.Random,
        made: float,
    ) -> Row | None:
        """One row about windows of ``document``; a share ``made`` of its questions is made, the rest people's.

        In two rows of three, answers are cut after a few tokens: those choose the sentence, the rest is copying.
        """
        windows = draw_windows(document, others, sizes=sizes, draw=draw)
        answerable, unanswerable = self._questions(document, windows, made=made, draw=draw)
        if draw.random() < sizes.found:
            answerable = _as_found(answerable, windows[0], made=4 if made == 1 else 2, draw=draw)
        longest = 6 if draw.random() < 0.65 else 90
        wanted = sizes.branches if longest == 6 else sizes.branches // 2
        refused = sum(draw.random() < sizes.refusals for _ in range(wanted))
        chosen = draw.sample(answerable, min(len(answerable), wanted - refused))
        refusals = draw.sample(unanswerable, min(len(unanswerable), refused))
        if not chosen:
            return None
        history = self._history(chosen, document[0].language, draw)
        prompt = self._render(windows, history=history, draw=draw)
        if len(prompt.tokens) > sizes.context:
            return None
        branches = [self._answered(*choice, prompt, longest=longest, draw=draw) for choice in chosen]
        refusal = prompts.REFUSALS[document[0].language]
        for asked in refusals:
            question, answer = self._ask(asked, prompt, draw), self._encode(f" {refusal}{self.tokenizer.eos_token}")
            branches.append(Branch(question + answer, len(question)))
        sentences = [prompt.sentence(window, at, i) for at, window in enumerate(windows) for i in window.kept()]
        return Row(prompt.tokens, branches, sentences)

    def _questions(
        self, document: Sequence[Text], windows: list[Window], *, made: float, draw: random.Random
    ) -> tuple[list[tuple[Asked, Window, int]], list[Asked]]:
        """What the windows answer (with window and its number), and what only the rest of the document answers."""
        answerable: list[tuple[Asked, Window, int]] = []
        for number, window in enumerate(windows, start=1):
            asked = asked_of(window.text)
            if draw.random() < made or not asked:
                indexes = [*range(window.first, window.end)] * 2
                asked = asked + [m for i in indexes if (m := made_from(window.text, i, draw))]
            answerable += [(a, window, number) for a in asked if window.holds(a)]
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
        if draw.random() > 0.08 or len(chosen) < 2:
            return ()
        asked, window, number = chosen.pop()
        return (Turn(asked.question, _answer(asked, window, number)),)

    def _render(self, windows: list[Window], *, history: tuple[Turn, ...], draw: random.Random) -> _Prompt:
        messages = prompts.render(question=_MARK, passages=[passage_of(w, draw) for w in windows], history=history)
        text: str = self.tokenizer.apply_chat_template(  # type: ignore[assignment]
            [{"role": m.role, "content": m.content} for m in messages], tokenize=False, add_generation_prompt=True
        )
        head, tail = text.split(f"\n\nQuestion: {_MARK}")
        encoded = self.tokenizer(head, add_special_tokens=False, return_offsets_mapping=True)
        starts, position = [], head.rindex("<|user|>")
        for window in windows:
            starts.append(head.index(window.render(), position))
            position = starts[-1] + len(window.render())
        return _Prompt(encoded["input_ids"], encoded["offset_mapping"], tuple(starts), tail)

    def _ask(self, asked: Asked, prompt: _Prompt, draw: random.Random) -> list[int]:
        return self._encode(f"\n\nQuestion: {roughen(asked.question, draw=draw)}{prompt.tail}")

    def _answered(
        self, asked: Asked, window: Window, number: int, prompt: _Prompt, *, longest: int, draw: random.Random
    ) -> Branch:
        question = self._ask(asked, prompt, draw)
        answer = self._encode(f" {_answer(asked, window, number)}{self.tokenizer.eos_token}")[:longest]
        source = prompt.sentence(window, number - 1, asked.first, asked.last)
        copied = [source[0]]
        for token, position in zip(answer[1:], range(source[0] + 1, source[1]), strict=False):
            if prompt.tokens[position] != token:
                break
            copied.append(position)
        return Branch(question + answer, len(question), source, tuple(copied))

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return tokens


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The prompt up to the question: tokens and their characters, where each window begins, and what follows it."""

    tokens: list[int]
    offsets: list[tuple[int, int]]
    starts: tuple[int, ...]
    tail: str

    def sentence(self, window: Window, number: int, index: int, last: int | None = None) -> tuple[int, int]:
        """The tokens of a sentence (or of sentences ``index`` to ``last``) of the window that stands at ``number``
        from 0; a token's leading space counts as its own."""
        start = self.starts[number] + window.offset_of(index)
        sentences = window.text.sentences[index : (index if last is None else last) + 1]
        end = start + len("".join(sentences).strip())
        first = bisect_right(self.offsets, start, key=lambda offset: offset[1])
        return first, max(first + 1, bisect_left(self.offsets, end, key=lambda offset: offset[0]))


def _as_found(
    answerable: list[tuple[Asked, Window, int]], first: Window, *, made: int, draw: random.Random
) -> list[tuple[Asked, Window, int]]:
    """As after a search, which puts a window around the best sentence first: two questions of three are about it."""
    about = [item for item in answerable if item[1] is first and item[0].first <= first.centre <= item[0].last]
    about += [(a, first, 1) for _ in range(made) if (a := made_from(first.text, first.centre, draw)) is not None]
    other = [item for item in answerable if item[1] is not first or item[0].first != first.centre]
    return about + draw.sample(other, min(len(other), round(len(about) * 0.5 + draw.random())))


def _answer(asked: Asked, window: Window, number: int) -> str:
    sentences = re.sub(r"\s+", " ", "".join(window.text.sentences[asked.first : asked.last + 1]))
    return f"{sentences.strip()} [{number}]"


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
