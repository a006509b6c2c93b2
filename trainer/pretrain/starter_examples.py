"""Training examples for the starter: a question, passages as a search would show them, and the sentence that answers.

Prompts are rendered by ``assistant.prompts`` and the starter's chat template, so that training reads what serving asks.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from sys import intern

from transformers import PreTrainedTokenizerFast

from assistant import prompts
from assistant.records import SHARED, Passage, Turn
from trainer.pretrain.corpus import Language, Text
from trainer.pretrain.starter_questions import STOP_WORDS, ask_about, roughen

_BY_MEANING = 0.3
"""The share of questions that the search understands beyond their words, so that the first window's best sentence is
the answer about as often as when serving (.72 of SQuAD's questions)."""

_STEM = 5  # letters of a word that count when words are compared


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what answers it: sentences ``first`` to ``last`` of a document, and a span (empty: none known)."""

    question: str
    span: str
    first: int
    last: int


@dataclass(frozen=True)
class Document:
    """Sentences one after another, joined they are the text; and what people asked about them."""

    title: str
    language: Language
    sentences: tuple[str, ...]
    asked: tuple[Asked, ...]

    @cached_property
    def stems(self) -> tuple[frozenset[str], ...]:
        """The content words of each sentence, cut to their first letters."""
        return tuple(stems_of(sentence, self.language) for sentence in self.sentences)


@dataclass(frozen=True, slots=True)
class Window:
    """Sentences ``first`` to ``end`` - 1 of a document around ``best``, which the search found."""

    document: Document
    first: int
    end: int
    best: int

    def holds(self, document: Document, asked: Asked) -> bool:
        return document is self.document and self.first <= asked.first and asked.last < self.end


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large examples are, at most: windows, sentences in each, and tokens of the prompt."""

    windows: int
    sentences: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids; the answer's begin at ``answer``."""

    tokens: list[int]
    answer: int


def document_of(texts: Sequence[Text]) -> Document:
    """The texts one after another, with all questions whose answer lies within one sentence or two."""
    sentences: list[str] = []
    asked: list[Asked] = []
    for text in texts:
        ends, position = [], 0
        for sentence in text.sentences:
            position += len(sentence)
            ends.append(position)
        for question in text.questions:
            if question.start is not None:
                first = next(i for i, end in enumerate(ends) if question.start < end)
                last = next(i for i, end in enumerate(ends) if question.start + len(question.answer) <= end)
                if last - first <= 1:
                    asked.append(Asked(question.text, question.answer, len(sentences) + first, len(sentences) + last))
        sentences += [*text.sentences[:-1], text.sentences[-1].rstrip() + "\n\n"]
    return Document(texts[0].title, texts[0].language, tuple(sentences), tuple(asked))


def stems_of(text: str, language: Language) -> frozenset[str]:
    words = re.findall(r"\w+", text.lower())
    return frozenset(intern(word[:_STEM]) for word in words if len(word) > 1 and word not in STOP_WORDS[language])


class ExampleMaker:
    """Makes examples from documents."""

    def __init__(self, *, tokenizer: PreTrainedTokenizerFast, draw: random.Random) -> None:
        self._tokenizer = tokenizer
        self._draw = draw

    def make(
        self, document: Document, others: Sequence[Document], *, sizes: Sizes, made: float, refusals: float
    ) -> Example | None:
        """One example about ``document``, with windows of ``others`` among its own; None if what was drawn is of no
        use. A share ``made`` of the questions is made from sentences; about ``refusals`` have no answer shown."""
        asked = self._question(document, made=made)
        if asked is None:
            return None
        windows = self._searched(asked, document, others, sizes=sizes)
        if self._draw.random() < refusals:
            windows = [window for window in windows if not window.holds(document, asked)]
        number = next((n for n, window in enumerate(windows, start=1) if window.holds(document, asked)), None)
        if not windows or (number is None and not self._refusable(asked, document, windows)):
            return None
        if number is None and self._draw.random() > 10 * refusals:
            return None  # the search missed it; while refusals are rare these are, too
        answer = prompts.REFUSALS[document.language] if number is None else _answer(asked, document, number)
        return self._encoded(asked, document, windows, answer, sizes)

    def _question(self, document: Document, *, made: float) -> Asked | None:
        if document.asked and self._draw.random() >= made:
            return self._draw.choice(document.asked)
        index = self._draw.randrange(len(document.sentences))
        sentence = document.sentences[index].strip()
        if not 30 <= len(sentence) <= 320:
            return None
        question = ask_about(sentence, language=document.language, draw=self._draw)
        return Asked(question.text, question.answer, index, index) if question else None

    def _searched(self, asked: Asked, document: Document, others: Sequence[Document], *, sizes: Sizes) -> list[Window]:
        """Windows around the sentences that share most words with the question, the rarer the better, best first."""
        draw, wanted = self._draw, stems_of(asked.question, document.language)
        places = [(source, i) for source in (document, *others) for i in range(len(source.sentences))]
        shared = [wanted & source.stems[i] for source, i in places]
        counts = {stem: sum(stem in s for s in shared) for stem in wanted}
        weight = {stem: log(1 + len(places) / (1 + count)) for stem, count in counts.items()}
        total = sum(weight.values())
        scores = [sum(weight[stem] for stem in s) + draw.gauss(0, 0.03 * total) for s in shared]
        if draw.random() < _BY_MEANING:
            scores[asked.first] += 0.5 * total
        count = sizes.windows if draw.random() < 0.7 else draw.randint(1, sizes.windows)
        opened: list[Window] = []
        for at in sorted(range(len(places)), key=lambda at: -scores[at])[: 3 * count]:
            source, index = places[at]
            if len(opened) < count and not any(w.document is source and w.first <= index < w.end for w in opened):
                first = max(0, min(index - (sizes.sentences - 1) // 2, len(source.sentences) - sizes.sentences))
                opened.append(Window(source, first, min(first + sizes.sentences, len(source.sentences)), index))
        return _merged(opened)

    def _refusable(self, asked: Asked, document: Document, windows: Sequence[Window]) -> bool:
        """Whether nothing shown answers the question, not even a part of its sentences or the same words elsewhere."""
        shown = "\n".join("".join(w.document.sentences[w.first : w.end]) for w in windows)
        sentences = document.sentences[asked.first : asked.last + 1]
        return not any(sentence.strip() in shown for sentence in sentences) and not (asked.span and asked.span in shown)

    def _encoded(
        self, asked: Asked, document: Document, windows: Sequence[Window], answer: str, sizes: Sizes
    ) -> Example | None:
        draw = self._draw
        history: tuple[Turn, ...] = ()
        if document.asked and draw.random() < 0.06:
            history = (Turn(draw.choice(document.asked).question, "…"),)
        messages = prompts.render(
            question=roughen(asked.question, draw=draw),
            passages=[passage_of(window, draw) for window in windows],
            history=history,
        )
        prompt = self._tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in messages], add_generation_prompt=True, return_dict=False
        )
        if len(prompt) > sizes.tokens:
            return None
        said = self._tokenizer.encode(f" {answer}{self._tokenizer.eos_token}", add_special_tokens=False)
        return Example([*prompt, *said[:140]], len(prompt))


def _merged(windows: Sequence[Window]) -> list[Window]:
    """Windows of one document that overlap or touch become one, at the place of the better."""
    merged: list[Window] = []
    for window in windows:
        for at, other in enumerate(merged):
            if other.document is window.document and window.first <= other.end and other.first <= window.end:
                first, end = min(other.first, window.first), max(other.end, window.end)
                merged[at] = Window(other.document, first, end, other.best)
                break
        else:
            merged.append(window)
    return merged


def _answer(asked: Asked, document: Document, number: int) -> str:
    sentences = re.sub(r"\s+", " ", "".join(document.sentences[asked.first : asked.last + 1]))
    return f"{sentences.strip()} [{number}]"


def passage_of(window: Window, draw: random.Random) -> Passage:
    """The window as the assistant would show it, under a name and perhaps a page of its own."""
    sentences, position = [], 0
    for index in range(window.first, window.end):
        text = window.document.sentences[index]
        sentences.append((index, position, position + len(text.rstrip())))
        position += len(text)
    text = "".join(window.document.sentences[window.first : window.end]).rstrip()
    return Passage(
        document_id=0,
        lineage="",
        document=_name(window, draw),
        scope=SHARED,
        page=draw.randint(1, 60) if draw.random() < 0.3 else None,
        section=0,
        start=0,
        end=len(text),
        text=text,
        score=0.0,
        sentences=tuple(sentences),
        hits=(window.best,),
        best=window.best,
    )


def _name(window: Window, draw: random.Random) -> str:
    """A title, or a file name made of it or of the first words."""
    words = window.document.title.replace("_", " ")
    if not words:
        words = " ".join(re.findall(r"\w+", window.document.sentences[0])[: draw.randint(1, 3)]) or "document"
    if draw.random() < 0.4:
        return words
    joined = words.replace(" ", draw.choice("_- ")).lower() if draw.random() < 0.7 else words
    return joined + draw.choice((".pdf", ".txt", ".md", ".html", ".docx", ".epub"))


def random_example(*, vocabulary: int, first: int, template: ExampleTemplate, draw: random.Random) -> Example:
    """Passages of random tokens, a sentence set off in each; the first of these is the answer, and asked by its tokens.

    Where no token means anything, only looking tokens up and copying what follows helps: the skill that all reading
    rests on, learnt on short rows. Few different tokens make a row hard: one token no longer tells what follows.
    """
    known = [draw.randrange(first, vocabulary) for _ in range(draw.choice((6, 12, 25, 50, 100)))]
    shown: list[int] = []
    answer: list[int] = []
    for opening in template.opening[: draw.randint(1, 2)]:
        sentences = [[*draw.choices(known, k=draw.randint(3, 16)), template.stop] for _ in range(draw.randint(1, 4))]
        best = draw.randrange(len(sentences))
        answer = answer or sentences[best]
        sentences[best] = [*template.mark, *sentences[best], *template.unmark]
        shown += [*opening, *(token for sentence in sentences for token in sentence)]
    words = answer[:-1]
    question = [*template.question, *draw.sample(words, draw.randint(2, len(words) - 1))]
    prompt = [*template.begin, *question, *shown, *template.gap, *question, *template.end]
    return Example([*prompt, *answer, *template.citation], len(prompt))


@dataclass(frozen=True, slots=True)
class ExampleTemplate:
    """The tokens that stand around questions, passages and answers in every prompt."""

    begin: tuple[int, ...]
    question: tuple[int, ...]
    opening: tuple[tuple[int, ...], tuple[int, ...]]
    mark: tuple[int, ...]
    unmark: tuple[int, ...]
    gap: tuple[int, ...]
    end: tuple[int, ...]
    citation: tuple[int, ...]
    stop: int


def template_of(tokenizer: PreTrainedTokenizerFast) -> ExampleTemplate:
    def tokens(text: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode(text, add_special_tokens=False))

    return ExampleTemplate(
        begin=tokens("<|user|>"),
        question=tokens("Question:"),
        opening=(tokens("\n\n[1] a\n"), tokens("\n\n[2] a\n")),
        mark=tokens(" >>"),
        unmark=tokens(" <<"),
        gap=tokens("\n\n"),
        end=tokens("<|end|><|assistant|>"),
        citation=tokens(" [1]<|end|>"),
        stop=tokens(".")[0],
    )
