"""From the log to a dataset: which rated exchanges are learnt from, and as which examples.

The story: people's ratings are brought to agreement, group by group; what agrees is taken in random order, as long as
no person and no document has had enough; what nearly repeats the sealed side, or is not supported by its passages, is
left out; the rest is rendered with the present prompt. Everything is streamed. The same log, the same judge and the
same seed give the same files.

    python -m trainer.dataset --out FOLDER [--seed N]

makes one from the program's log, for ``trainer.lora``. It holds what people wrote: remove it when it has served.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from assistant import language, prompts
from assistant import settings as configuration
from assistant.entailment import Judge, load_judge
from assistant.errors import FielError, InputError
from assistant.records import Exchange, ExchangeStatus, Message, Passage, Side
from assistant.settings import Training
from assistant.store import examples
from assistant.store.database import Database, open_database, sqlite_url
from assistant.store.examples import Rated
from trainer import raft
from trainer.agreement import LeftOut, agreed, blames_retrieval, in_order, say_the_same, target, unanswerable
from trainer.card import Card, Writer
from trainer.sealed import Sealed
from trainer.similar import NearIndex, turns, words

Progress = Callable[[int, int], None]
"""Called with how many exchanges were looked at and how many there are."""


def build(
    database: Database,
    folder: Path,
    *,
    judge: Judge,
    settings: Training,
    seed: int,
    progress: Progress = lambda _done, _all: None,
) -> Card:
    """Makes the dataset ``folder``, which must not exist yet; it appears whole or not at all.

    ``judge`` filters: it must not be the one that gates. Raises OSError when the disk is full.
    """
    card = Card(seed=seed, prompt_version=prompts.VERSION, judge=judge.name, settings=settings.model_dump(mode="json"))
    incoming = folder.with_name(f"incoming-{uuid4().hex}")
    try:
        with database.read() as session, Writer(incoming, card) as writer:
            _Build(session, writer, judge, settings, seed).run(progress)
            writer.finish()
        incoming.rename(folder)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return card


@dataclass(slots=True)
class _Chosen:
    """The ids that the ratings come to, all in random order."""

    validation: list[str]
    train: list[str]
    undesirable: list[str]
    retrieval: list[str]


_VALIDATION = 500
"""Validation examples, at most: each look at them while training costs as much as learning from half as many."""


class _Build:
    def __init__(self, session: Session, writer: Writer, judge: Judge, settings: Training, seed: int) -> None:
        self._session = session
        self._writer = writer
        self._judge = judge
        self._settings = settings
        self._seed = seed
        self._sealed = Sealed(session, judge)
        self._validation = _Kept(settings.model_copy(update={"examples": min(_VALIDATION, settings.examples)}))
        self._train, self._undesirable = _Kept(settings), _Kept(settings)

    def run(self, progress: Progress) -> None:
        chosen = self._choose()
        parts = (
            (chosen.validation, self._validate),
            (chosen.train, self._teach),
            (chosen.undesirable, self._discourage),
            (chosen.retrieval, self._note_retrieval),
        )
        total, done = sum(len(ids) for ids, _ in parts), 0
        for ids, take in parts:
            for exchange in examples.loaded(self._session, ids):
                take(exchange)
                done += 1
                progress(done, total)

    def _choose(self) -> _Chosen:
        for exchange_id in examples.not_accepted(self._session):
            self._writer.leave_out(exchange_id, LeftOut.NOT_ACCEPTED)
        for exchange_id in examples.without_passages(self._session):
            self._writer.leave_out(exchange_id, LeftOut.NO_PASSAGES)
        chosen = _Chosen([], [], [], [])
        for group in in_order(examples.accepted(self._session)):
            result = agreed(group, raters=self._settings.raters)
            wanted = chosen.train if group[0].side is Side.TRAIN else chosen.validation
            wanted += [rated.id for rated in result.wanted]
            if group[0].side is Side.TRAIN:
                chosen.undesirable += [rated.id for rated in result.unwanted]
            chosen.retrieval += [rated.id for rated in group if blames_retrieval(rated)]
            for exchange_id, why in result.left_out.items():
                self._writer.leave_out(exchange_id, why)
        for ids in (chosen.validation, chosen.train, chosen.undesirable, chosen.retrieval):
            ids.sort(key=self._place)
        return chosen

    def _place(self, exchange_id: str) -> bytes:
        return hashlib.sha256(f"{self._seed}:{exchange_id}".encode()).digest()

    def _validate(self, exchange: Exchange) -> None:
        """As it was served: what is chosen on it is to be served like that."""
        lesson = self._lesson(exchange, self._validation)
        if lesson is not None:
            self._write("validation", lesson, raft.Shown(exchange.passages, lesson.answer))

    def _teach(self, exchange: Exchange) -> None:
        lesson = self._lesson(exchange, self._train)
        if lesson is None:
            return
        draw = random.Random(f"{self._seed}:{exchange.id}")  # noqa: S311
        mix, remove = draw.random() < self._settings.distractors, draw.random() < self._settings.removed
        others = raft.spare(self._session, exchange, sealed=self._sealed.groups)
        if mix and lesson.needed:
            shown = raft.mixed(exchange, lesson.answer, needed=lesson.needed, others=others, draw=draw)
        else:
            shown = raft.shuffled(exchange, lesson.answer, draw=draw)
        self._write("train", lesson, shown)
        self._writer.learnt(exchange.id, exchange.person_id)
        if remove and lesson.needed:
            self._teach_to_refuse(lesson, draw)
        self._prefer(lesson)

    def _teach_to_refuse(self, lesson: _Lesson, draw: random.Random) -> None:
        """The same question without the passages that answer it, unless the rest answers it too."""
        others = raft.spare(self._session, lesson.exchange, sealed=self._sealed.groups)
        left = raft.removed(lesson.exchange, needed=lesson.needed, others=others, draw=draw)
        if left and not self._follows(lesson.answer, left):
            refusal = prompts.REFUSALS[language.detect(lesson.exchange.question)]
            self._write("train", replace(lesson, origin="removed"), raft.Shown(left, refusal))

    def _prefer(self, lesson: _Lesson) -> None:
        """A corrected answer is better than the one that was given."""
        exchange, said = lesson.exchange, lesson.exchange.answer
        if lesson.corrects and exchange.status is ExchangeStatus.COMPLETE and said:
            pair = {"chosen": _answered(lesson.answer), "rejected": _answered(said)}
            self._writer.write("preferences", {"exchange": exchange.id, "prompt": _prompt(exchange)} | pair)

    def _discourage(self, exchange: Exchange) -> None:
        why = self._undesirable.enough(exchange) or self._forbidden(exchange, self._undesirable)
        if why is not None:
            self._writer.leave_out(exchange.id, why)
            return
        self._undesirable.add(exchange, exchange.answer)
        row = {"exchange": exchange.id, "prompt": _prompt(exchange), "completion": exchange.answer}
        self._writer.write("undesirable", row)

    def _note_retrieval(self, exchange: Exchange) -> None:
        assert exchange.rating is not None  # it blames the passages
        wrong = exchange.rating.feedback.wrong_passages
        shown = [
            {"document_id": p.document_id, "start": p.start, "end": p.end, "wrong": n in wrong}
            for n, p in enumerate(exchange.passages, start=1)
        ]
        row = {"exchange": exchange.id, "question": exchange.question, "passages": shown}
        self._writer.write("retrieval", row)

    def _lesson(self, exchange: Exchange, kept: _Kept) -> _Lesson | None:
        """What an exchange teaches; None, with the reason noted, if it must not."""
        rated = examples.rated(exchange)
        answer = raft.renumbered(target(rated), {n: n for n in range(1, len(exchange.passages) + 1)})
        why = kept.enough(exchange) or self._forbidden(exchange, kept)
        if why is None and kept.holds(exchange.question, answer):
            why = LeftOut.MERGED
        found = why or self._grounded(exchange, rated, answer)
        if isinstance(found, LeftOut):
            self._writer.leave_out(exchange.id, found)
            return None
        kept.add(exchange, found.answer)
        return found

    def _forbidden(self, exchange: Exchange, kept: _Kept) -> LeftOut | None:
        if self._sealed.asks(exchange):
            return LeftOut.GATE
        if kept is not self._validation and self._validation.asks(exchange.question):
            return LeftOut.VALIDATION
        return None

    def _grounded(self, exchange: Exchange, rated: Rated, answer: str) -> _Lesson | LeftOut:
        """A thumbs-up is no evidence of grounding: the judge has to see it in the passages."""
        if prompts.is_refusal(answer):
            if unanswerable(rated) and self._follows(exchange.answer, exchange.passages):
                return LeftOut.ANSWERABLE
            origin = "unanswerable" if unanswerable(rated) else "refusal"
            return _Lesson(exchange, answer, origin, frozenset(), corrects=not rated.value > 0)
        passages = [passage.text for passage in exchange.passages]
        supports = self._judge.support(passages, answer)
        if not supports or not self._judge.supported(supports):
            return LeftOut.UNSUPPORTED
        if self._sealed.supports(exchange, answer, supports):
            return LeftOut.SEALED
        corrected = bool(rated.accepted_answer or rated.correction)
        origin = "review" if rated.accepted_answer else "correction" if corrected else "thumbs-up"
        answer = raft.pointed(raft.cite(answer, supports), passages, supports, judge=self._judge)
        needed = raft.supporting(answer, supports)
        return _Lesson(exchange, answer, origin, needed, corrects=corrected and not blames_retrieval(rated))

    def _follows(self, answer: str, passages: Sequence[Passage]) -> bool:
        supports = self._judge.support([passage.text for passage in passages], answer)
        return self._judge.supported(supports)

    def _write(self, name: str, lesson: _Lesson, shown: raft.Shown) -> None:
        exchange = lesson.exchange
        row: dict[str, Any] = {
            "exchange": exchange.id,
            "origin": lesson.origin,
            "language": language.detect(exchange.question),
            "document": exchange.passages[0].document,
            "prompt": _prompt(replace(exchange, passages=shown.passages)),
            "completion": shown.answer,
        }
        if name == "validation":  # a judge will want to read them
            row["passages"] = [passage.text for passage in shown.passages]
        self._writer.write(name, row)


@dataclass(frozen=True, slots=True)
class _Lesson:
    """The right answer to an exchange, the indexes of the passages that it needs (none: it refuses), and its origin."""

    exchange: Exchange
    answer: str
    origin: str
    needed: frozenset[int]
    corrects: bool


class _Kept:
    """What is in a part of the dataset so far: how much of each person and document, and which questions."""

    def __init__(self, settings: Training) -> None:
        self._settings = settings
        self._people: Counter[int] = Counter()
        self._documents: Counter[str] = Counter()
        self._questions = NearIndex()
        self._known: list[tuple[str, str]] = []

    def enough(self, exchange: Exchange) -> LeftOut | None:
        if len(self._known) >= self._settings.examples:
            return LeftOut.ENOUGH
        if self._people[exchange.person_id] >= self._settings.per_person:
            return LeftOut.PERSON
        if self._documents[exchange.passages[0].lineage] >= self._settings.per_document:
            return LeftOut.DOCUMENT
        return None

    def asks(self, question: str) -> bool:
        """Whether a question is nearly one of these."""
        return next(self._questions.near(words(question)), None) is not None

    def holds(self, question: str, answer: str) -> bool:
        """Whether a question is nearly one of these and has the same answer: in other documents it may have another."""
        asked = words(question)
        near = (self._known[n] for n in self._questions.near(asked))
        return any(turns(words(q)) == turns(asked) and say_the_same(a, answer) for q, a in near)

    def add(self, exchange: Exchange, answer: str) -> None:
        self._people[exchange.person_id] += 1
        self._documents[exchange.passages[0].lineage] += 1
        self._questions.add(words(exchange.question))
        self._known.append((exchange.question, answer))


def _prompt(exchange: Exchange) -> list[dict[str, str]]:
    rendered = prompts.render(question=exchange.question, passages=exchange.passages, history=exchange.history)
    return [asdict(message) for message in rendered]


def _answered(text: str) -> list[dict[str, str]]:
    return [asdict(Message("assistant", text))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, help="the folder of the program's state (default: that of the settings)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make; it must not exist")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        loaded = configuration.load(**({"state": options.state} if options.state else {}))
        if options.out.exists():
            raise InputError(f"{options.out} is there already.")
        database = open_database(sqlite_url(loaded.state / "fiel.db"))
        judge, chosen = load_judge("a"), loaded.training
        card = build(database, options.out, judge=judge, settings=chosen, seed=options.seed)
        database.close()
    except (FielError, OSError) as error:
        print(f"fiel: {error}", file=sys.stderr)
        return 1
    print("\n".join(card.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
