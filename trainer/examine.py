"""Has models answer the items of the gate, twins included, and the gate's judge score what they say.

Everything is kept by what it depends on: a run that goes on asks nothing twice, and what the base and the champion
said stays for the next candidate. A judge that does not repeat itself scores all models anew in each run, blind and
interleaved.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from assistant import language, prompts
from assistant.engines.base import Engine, Sampling
from assistant.engines.local import LocalEngine, computation
from assistant.entailment import Judge
from assistant.records import Message, Passage
from assistant.registry import Registry
from assistant.store import gate, samples
from assistant.store.database import Database
from trainer.evaluate import items as evaluated
from trainer.evaluate import runner
from trainer.evaluate.cache import key
from trainer.evaluate.runner import Record
from trainer.evaluate.scoring import Scorer
from trainer.gate.comparison import Row
from trainer.gate.items import Item, twin
from trainer.gate.scores import Answer, Label, Said

CHECKED = 40
"""Sentences of a run, at most, that are put up for people to judge blind: so they see how far to trust its judge."""
_AT_ONCE = 32
_MARK = re.compile(r"\[\d+(?:, ?\d+)*\]")
_WORD = re.compile(r"\w+")
_RUN = 3  # words in a row that are looked for again
_LONG = 8  # runs; fewer of them repeat by chance

Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class _Asked:
    """An item as it is put to models: with its own passages, or with those of its twin."""

    item: Item
    passages: tuple[Passage, ...]

    @property
    def messages(self) -> list[Message]:
        item = self.item
        return prompts.render(question=item.question, passages=self.passages, history=item.history)

    def kept(self, text: str) -> str:
        """What may be kept of an answer, until the item's exchange or its documents are deleted.

        A twin shows passages of other exchanges, so of its answer nothing is kept but whether it refuses.
        """
        if self.passages is self.item.passages:
            return text
        return prompts.REFUSALS["en"] if prompts.is_refusal(text) else ""


async def engine_with(model: str, registry: Registry, versions: Iterable[str | None]) -> Engine:
    """A copy of a base model of this process's own, with these adapters."""
    engine = await asyncio.to_thread(LocalEngine, model)
    for version in {version for version in versions if version is not None}:
        registry.verify(version)
        await engine.load_adapter(version, registry.path(version))
    return engine


class Examiner:
    """``helper`` finds which passages support an answer, for the twins; it is not the gate's judge."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        scorer: Scorer,
        helper: Judge,
        *,
        max_tokens: int,
        run_id: int,
        told: Told,
    ) -> None:
        self._database = database
        self._engine = engine
        self._scorer = scorer
        self._helper = helper
        self._max_tokens = max_tokens
        self._run_id = run_id
        self._told = told

    async def rows(self, items: Sequence[Item], models: Mapping[str, str | None], *, known: Sequence[str]) -> list[Row]:
        """The items as the models answered them; ``models`` are adapter versions (None: the base) by name.

        ``known`` names those whose answers say what supports an answer, and so what a twin lacks: not the candidate.
        Items for which the judge failed are left out.
        """
        asked = [_Asked(item, item.passages) for item in items]
        texts = {name: await self._answers(f"answers of {name}", asked, models[name]) for name in models}
        twins = self._twins(items, [[texts[name][n] for name in known] for n in range(len(items))])
        places = [n for n, each in enumerate(twins) if each is not None]
        refused: dict[str, dict[int, bool]] = {}
        for name in models:
            said = await self._answers(f"twins of {name}", [each for each in twins if each is not None], models[name])
            refused[name] = {n: prompts.is_refusal(text) for n, text in zip(places, said, strict=True)}
        rows, judged = [], []
        for n, item in enumerate(items):
            self._told("scores", n, len(items))
            records = await self._scored(item, {name: texts[name][n] for name in models})
            if records is not None:
                answers = {
                    name: await self._answer(item, record, refused[name].get(n)) for name, record in records.items()
                }
                rows.append(Row(item.id, item.group, item.label, answers))
                judged.append((item, list(records.values())))
        self._put_up(judged)
        return rows

    def _put_up(self, judged: Sequence[tuple[Item, Sequence[Record]]]) -> None:
        """A sentence of each of some answers, all chosen by chance, for people to judge blind; of a question only one.

        A run that goes on puts up none twice. Golden questions are left out: with an exchange its sentence goes too.
        """
        rng = random.Random(self._run_id)  # noqa: S311
        said = [(item, rng.choice(records)) for item, records in judged if item.exchange_id is not None]
        said = [(item, record) for item, record in said if record["statements"] and record["statements"][0]]
        with self._database.write() as session:
            known = samples.questions(session, self._scorer.judge_name)
            for item, record in rng.sample(said, min(CHECKED, len(said))):
                statement = rng.choice(record["statements"][0])
                if item.question not in known:
                    samples.add(
                        session,
                        exchange_id=item.exchange_id,
                        question=item.question,
                        passages=[passage.text for passage in item.passages],
                        sentence=statement["statement"],
                        judge=self._scorer.judge_name,
                        supported=statement["supported"],
                        probability=statement["probability"],
                    )

    async def _answers(self, what: str, asked: Sequence[_Asked], adapter: str | None) -> list[str]:
        texts: list[str] = []
        for first in range(0, len(asked), _AT_ONCE):
            self._told(what, first, len(asked))
            texts += await self._some_answers(asked[first : first + _AT_ONCE], adapter)
        return texts

    async def _some_answers(self, asked: Sequence[_Asked], adapter: str | None) -> list[str]:
        keys = [self._key(each, adapter) for each in asked]
        with self._database.read() as session:
            kept = [gate.score(session, at) for at in keys]
        missing = [n for n, text in enumerate(kept) if text is None]
        if missing:
            sampling = Sampling(max_tokens=self._max_tokens)
            wanted = [asked[n].messages for n in missing]
            new = await self._engine.generate_many(wanted, sampling=sampling, adapter=adapter)
            with self._database.write() as session:
                for n, text in zip(missing, new, strict=True):
                    kept[n] = asked[n].kept(text.strip())
                    _keep(session, keys[n], kept[n], asked[n].item)
        return kept

    def _key(self, asked: _Asked, adapter: str | None) -> str:
        messages = [asdict(message) for message in asked.messages]
        decoding = {"max_tokens": self._max_tokens, "temperature": 0}
        model = [type(self._engine).__name__, computation(), self._engine.model, adapter]
        return key("gate", model, prompts.VERSION, decoding, messages, asked.item.id)

    def _twins(self, items: Sequence[Item], known: Sequence[Sequence[str]]) -> list[_Asked | None]:
        found: list[_Asked | None] = []
        for item, answers in zip(items, known, strict=True):
            passages = twin(item, self._supporting(item, answers), items)
            found.append(None if passages is None else _Asked(item, passages))
        return found

    def _supporting(self, item: Item, answers: Sequence[str]) -> frozenset[int]:
        """The passages that support a known answer, or the reference, by themselves."""
        judge, supporting = self._helper, set()
        for answer in {*answers, item.reference or ""}:
            if not _MARK.sub("", answer).strip() or prompts.is_refusal(answer):
                continue
            for n, passage in enumerate(item.passages):
                supports = judge.support([passage.text], answer)
                if supports and judge.answer_probability(supports) >= judge.answer_threshold:
                    supporting.add(n)
        return frozenset(supporting)

    async def _scored(self, item: Item, texts: Mapping[str, str]) -> dict[str, Record] | None:
        """A record for each model; None if the judge failed for any of them."""
        names = sorted(texts)
        random.Random(f"{self._run_id}:{item.id}").shuffle(names)  # noqa: S311  (so that no model is always first)
        # What has no words has no score, and is no failure of the judge.
        answers = [texts[name] if _WORD.search(_MARK.sub("", texts[name])) else "" for name in names]
        records = await runner.run(
            [_for_judge(item)] * len(names),
            answers,
            self._scorer,
            _Kept(self._database, item, "" if self._scorer.repeats == 1 else str(self._run_id)),
            told=lambda _done, _of: None,
        )
        if any(set(record["errors"]) - {"answer"} for record in records):
            return None
        return dict(zip(names, records, strict=True))

    async def _answer(self, item: Item, record: Record, twin_refused: bool | None) -> Answer:
        text, metrics = record["answer"], record["metrics"]
        said = await self._said(text)
        answer = Answer(
            said,
            twin_refused=twin_refused,
            words=len(_WORD.findall(_MARK.sub("", text))),
            context_relevance=_metric(metrics, "context_relevance"),
            context_precision=_metric(metrics, "context_precision"),
        )
        if said is Said.ANSWERED:
            relevancy = _metric(metrics, "answer_relevancy")
            answer = replace(answer, faithfulness=metrics["faithfulness"], relevancy=relevancy)
        if item.reference is not None and item.label is not Label.UNANSWERABLE:
            answer = replace(answer, f1=record["measures"].get("f1", 0.0) if said is Said.ANSWERED else 0.0)
        return answer

    async def _said(self, text: str) -> Said:
        if not text or repeats(text):
            return Said.BROKEN
        if prompts.is_refusal(text):
            return Said.REFUSED
        # No text has more tokens than bytes, so most need not be counted.
        if len(text.encode()) >= self._max_tokens:
            tokens = await self._engine.count_tokens([Message("assistant", text)])
            if tokens >= self._max_tokens:
                return Said.BROKEN  # it came to no end
        return Said.ANSWERED


def _metric(metrics: Mapping[str, float], name: str) -> float | None:
    """By Ragas's name; a stand-in's begins with it."""
    return next((value for found, value in metrics.items() if found.startswith(name)), None)


def repeats(text: str) -> bool:
    """Whether a text says the same again and again: less than half of its runs of three words are different."""
    words = text.casefold().split()
    runs = [tuple(words[n : n + _RUN]) for n in range(len(words) - _RUN + 1)]
    return len(runs) >= _LONG and len(set(runs)) < len(runs) / 2


def _keep(session: Session, at: str, value: Any, item: Item) -> None:
    """Keeps what was made from an item's passages, unless they were deleted while it was made."""
    documents = {passage.document_id for passage in item.passages}
    gate.keep_score(session, at, value, exchange_id=item.exchange_id, documents=documents)


class _Kept:
    """What is kept about one item, as ``trainer.evaluate`` wants it."""

    def __init__(self, database: Database, item: Item, salt: str) -> None:
        self._database = database
        self._item = item
        self._salt = salt

    def get(self, at: str) -> Any:
        with self._database.read() as session:
            return gate.score(session, key(at, self._salt))

    def put(self, at: str, record: object) -> None:
        with self._database.write() as session:
            _keep(session, key(at, self._salt), record, self._item)


def _for_judge(item: Item) -> evaluated.Item:
    return evaluated.Item(
        id=item.id,
        document=item.group,
        question=item.question,
        passages=tuple(passage.text for passage in item.passages),
        answer=None,
        references=(item.reference,) if item.reference is not None else (),
        answerable=None if item.label is None else item.label is Label.ANSWERABLE,
        lang=language.detect(item.question),
    )
