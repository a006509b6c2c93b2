"""What training must not repeat: questions that adapters are proved or chosen with, and what sealed sections say."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from assistant import splits
from assistant.entailment import Judge, SentenceSupport
from assistant.records import Exchange
from assistant.store import examples, golden
from trainer.similar import ContainingIndex, NearIndex, turns, words

_SHARE = 0.6
"""Of an answer's words; a sealed passage that holds more of them may support it, and the judge is asked."""

_FEWEST = 3  # words; "Yes, in May" stands in a hundred passages
_ASKED = 3  # passages that the judge is asked about


class Sealed:
    """The sealed side as it is at one moment, with its questions and passages; ``groups`` are its sections.

    The sections that the gate's golden questions are about belong to it.
    """

    def __init__(self, session: Session, judge: Judge) -> None:
        self._judge = judge
        self._questions = NearIndex()
        for question in examples.sealed_questions(session):
            self._questions.add(words(question))
        self._passages: list[str] = []
        self._holding = ContainingIndex(_SHARE)
        proving = list(golden.proving(session))
        for text in (*examples.sealed_passages(session), *(each.passages[0].text for each in proving)):
            self._passages.append(text)
            self._holding.add(words(text))
        self.groups = examples.sealed_groups(session) | {each.group for each in proving}

    def asks(self, exchange: Exchange) -> bool:
        """Whether its question, or one before it in its conversation, is nearly one of the gate."""
        asked = [exchange.question, *(turn.question for turn in exchange.history)]
        return any(next(self._questions.near(words(question)), None) is not None for question in asked)

    def supports(self, exchange: Exchange, answer: str, supports: Sequence[SentenceSupport]) -> bool:
        """Whether a sealed section supports the answer: one that the exchange showed, or one of the gate's.

        ``supports`` is the judge's verdict on the answer with the passages of the exchange.
        """
        for support in supports:
            if support.passage is not None and support.probability >= self._judge.threshold:
                resting = exchange.passages[support.passage]
                if splits.group_of([resting]) in self.groups:
                    return True
        said = set(words(answer))
        if len(said) < _FEWEST:
            return False
        return any(self._follows(answer, self._passages[n]) for n in self._holding.holding(said, most=_ASKED))

    def _follows(self, answer: str, passage: str) -> bool:
        if not turns(words(answer)) <= set(words(passage)):
            return False  # a number of it is not there, or a "not"
        verdict = self._judge.answer_probability(self._judge.support([passage], answer))
        return verdict >= self._judge.answer_threshold
