"""What the starter reads: the open data as documents, and the course of its training from easy to real."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from trainer.pretrain.corpus import Language, Question, Text, read_questions, read_texts
from trainer.pretrain.starter_examples import Document, Example, ExampleMaker, Sizes, document_of

HELD_BACK_TITLES = 6
"""Titles of the questions' documents that are never trained on; the probe during training uses them."""

LANGUAGES: tuple[Language, ...] = ("en", "pt")


@dataclass(frozen=True, slots=True)
class Data:
    """Documents by language: plain ones, and those that people asked about; and the held-back ones."""

    plain: dict[Language, list[Document]]
    asked: dict[Language, list[Document]]
    probe: list[Document]


def read_data(folder: Path, *, characters: int, seed: int) -> Data:
    """Reads the corpora; ``characters`` bounds the plain text of each language."""
    texts = read_questions(
        [folder / "qa/squad_train.jsonl", folder / "qa/faquad_train.jsonl", folder / "pretrain/qa.jsonl.xz"]
    )
    by_title: dict[str, list[Text]] = {}
    for text in texts:
        if text.title:
            by_title.setdefault(text.title, []).append(text)
    english = [title for title, group in by_title.items() if group[0].language == "en"]
    probe = [document_of(by_title.pop(title)) for title in english[:HELD_BACK_TITLES]]
    gathered = list(by_title.values())
    for source, group in groupby((text for text in texts if not text.title), key=lambda text: text.source):
        gathered += _gather(list(group), single_sentences=source == "QAMR")
    documents = [document for document in map(document_of, gathered) if document.asked]
    return Data(
        plain={language: _plain(folder, language, characters=characters, seed=seed) for language in LANGUAGES},
        asked={language: [d for d in documents if d.language == language] for language in LANGUAGES},
        probe=probe,
    )


def _plain(folder: Path, language: Language, *, characters: int, seed: int) -> list[Document]:
    path = folder / f"pretrain/text_{language}.jsonl.xz"
    return [document_of([text]) for text in read_texts(path, language=language, limit=characters, seed=seed)]


def _gather(texts: list[Text], *, single_sentences: bool) -> list[list[Text]]:
    """Texts without a title as documents of six neighbours; single sentences are first joined, five to a text."""
    if single_sentences:
        texts = [_join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    return [texts[i : i + 6] for i in range(0, len(texts), 6)]


def _join(texts: Sequence[Text]) -> Text:
    sentences: list[str] = []
    questions: list[Question] = []
    for text in texts:
        offset = sum(map(len, sentences))
        questions += [replace(q, start=None if q.start is None else q.start + offset) for q in text.questions]
        sentences += [*text.sentences[:-1], text.sentences[-1] + " "]
    return replace(texts[0], sentences=tuple(sentences), questions=tuple(questions))


def sizes_at(progress: float) -> Sizes:
    """How large examples are when a share ``progress`` of the training is done: short ones teach choosing many times
    faster, and the last ones are as a search serves them (four windows of five sentences)."""
    if progress < 0.15:
        return Sizes(windows=2, sentences=2, tokens=300)
    if progress < 0.3:
        return Sizes(windows=3, sentences=3, tokens=500)
    if progress < 0.6:
        return Sizes(windows=4, sentences=3, tokens=900)
    return Sizes(windows=4, sentences=5, tokens=1400)


def refusals_at(progress: float) -> float:
    """The share of questions without an answer. They come late: one fixed answer would outweigh every single sentence
    before choosing is learnt."""
    return 0.0 if progress < 0.25 else 0.02 if progress < 0.6 else 0.05


def draw_example(data: Data, maker: ExampleMaker, *, progress: float, draw: random.Random) -> Example:
    """An example for this stage of the training; one in three is of an earlier stage."""
    while True:
        people = draw.random() < 0.45 + 0.3 * progress
        language = LANGUAGES[draw.random() < (0.2 if people else 0.45)]
        documents = (data.asked if people else data.plain)[language]
        example = maker.make(
            draw.choice(documents),
            [draw.choice(documents) for _ in range(2)],
            sizes=sizes_at(progress if draw.random() < 0.67 else progress * draw.random()),
            made=0.15 if people else 1.0,
            refusals=refusals_at(progress),
        )
        if example is not None:
            return example
