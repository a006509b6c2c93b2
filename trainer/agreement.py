"""What people agree on who asked the same: near-duplicates merged, contradictions resolved by majority or held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from assistant import language, prompts
from assistant.records import Reason
from assistant.store.examples import Rated
from trainer.similar import NearIndex, turns, words

_SAME = 0.5
"""Share of the shorter answer's words that two answers have in common if they say the same."""


class LeftOut(StrEnum):
    """Why an exchange teaches nothing."""

    NOT_ACCEPTED = "not accepted by a reviewer"
    NO_PASSAGES = "it showed no passages"
    UNFINISHED = "the answer was stopped or failed"
    DOUBTED = "a thumbs-up on a refusal, with a reason that speaks against it"
    RETRIEVAL = "the passages were wrong: kept for tuning the retrieval"
    TONE = "a thumbs-down for its tone alone"
    RATERS = "too few people said so"
    OUTVOTED = "more people said otherwise"
    HELD = "people contradict each other and none has the majority"
    MERGED = "nearly the same as another one, which is learnt from"
    PERSON = "enough of this person"
    DOCUMENT = "enough of this document"
    ENOUGH = "enough examples"
    GATE = "nearly a question of the gate"
    VALIDATION = "nearly a question of the validation"
    SEALED = "a sealed section supports what it says"
    ANSWERABLE = "its passages support what was said not to be in the documents"
    UNSUPPORTED = "its passages do not support what it says"


@dataclass(slots=True)
class Agreed:
    """What rated exchanges come to: those to learn from, those whose answer is to be avoided, and the rest."""

    wanted: list[Rated] = field(default_factory=list)
    unwanted: list[Rated] = field(default_factory=list)
    left_out: dict[str, LeftOut] = field(default_factory=dict)

    def leave_out(self, rated: Sequence[Rated], why: LeftOut) -> None:
        for each in rated:
            self.left_out.setdefault(each.id, why)


def agreed(rated: Sequence[Rated], *, raters: int) -> Agreed:
    """Resolves the ratings of one group, given in the order in which the questions were asked.

    ``raters``: how many different people have to say that an answer is right, or wrong.
    """
    result = Agreed()
    for same in _same_questions(rated):
        _resolve(same, raters, result)
    for used in (*result.wanted, *result.unwanted):
        result.left_out.pop(used.id, None)
    return result


def target(rated: Rated) -> str:
    """The answer that a rating holds to be right; empty: none is known.

    The reviewer's, the person's own, the one that got a thumbs-up (a refusal: without a reason that speaks against it),
    or the refusal where the person says that the documents do not hold the answer (and not that another answer would
    have been right).
    """
    praised = rated.value > 0 and rated.complete and not _doubted(rated)
    known = rated.accepted_answer or rated.correction or (rated.answer if praised else "")
    return known or (prompts.REFUSALS[language.detect(rated.question)] if unanswerable(rated) else "")


def unanswerable(rated: Rated) -> bool:
    """Whether the person's only word on what is right is that the documents do not hold the answer."""
    corrected = rated.accepted_answer or rated.correction
    return rated.value < 0 and not corrected and Reason.NOT_IN_DOCUMENTS in rated.reasons and not _misses_another(rated)


def _doubted(rated: Rated) -> bool:
    """Whether a person likes a refusal and says, all the same, that there was an answer."""
    return rated.value > 0 and prompts.is_refusal(rated.answer) and (_misses_another(rated) or blames_retrieval(rated))


def _misses_another(rated: Rated) -> bool:
    return not {Reason.WRONG, Reason.INCOMPLETE, Reason.WRONG_PASSAGE}.isdisjoint(rated.reasons)


@dataclass(slots=True)
class _Claim:
    """An answer that people hold to be right or wrong; ``votes`` has the last word of each, 1 or -1."""

    answer: str
    votes: dict[int, int] = field(default_factory=dict)
    ups: list[Rated] = field(default_factory=list)
    downs: list[Rated] = field(default_factory=list)

    @property
    def lead(self) -> int:
        return sum(self.votes.values())

    def people(self, vote: int) -> set[int]:
        return {person for person, last in self.votes.items() if last == vote}


def _same_questions(rated: Sequence[Rated]) -> list[list[Rated]]:
    index = NearIndex()
    groups: list[list[Rated]] = []
    of_number: list[list[Rated]] = []
    for each in rated:
        asked = words(each.question)
        near = (of_number[n] for n in index.near(asked))
        group = next((same for same in near if turns(words(same[0].question)) == turns(asked)), None)
        if group is None:
            group = []
            groups.append(group)
        index.add(asked)
        of_number.append(group)
        group.append(each)
    return groups


def _resolve(same: Sequence[Rated], raters: int, result: Agreed) -> None:
    claims = list(_claims(same, result).values())
    standing = [claim for claim in claims if claim.ups and claim.lead > 0]
    standing.sort(key=lambda claim: (claim.lead, claim.ups[-1].created_at, claim.answer), reverse=True)
    if standing:
        _choose(standing, raters, result)
    for claim in claims:
        if claim not in standing:
            _reject(claim, raters, result)


def _claims(same: Sequence[Rated], result: Agreed) -> dict[tuple[str, ...], _Claim]:
    """All answers that were said to be right or wrong, by their words."""
    claims: dict[tuple[str, ...], _Claim] = {}

    def claim(answer: str) -> _Claim:
        return claims.setdefault(tuple(words(answer)), _Claim(answer))

    for rated in same:
        right, corrected = target(rated), bool(rated.accepted_answer or rated.correction)
        if right:
            backed = claim(right)
            backed.votes[rated.person_id] = 1
            backed.ups.append(rated)
        if rated.value > 0 and not corrected:
            if not right:
                result.leave_out([rated], LeftOut.DOUBTED if _doubted(rated) else LeftOut.UNFINISHED)
        elif blames_retrieval(rated):  # a correction is learnt from; what it corrects is not the generator's fault
            result.leave_out([] if right else [rated], LeftOut.RETRIEVAL)
        elif rated.reasons and set(rated.reasons) <= {Reason.TONE}:
            result.leave_out([] if right else [rated], LeftOut.TONE)
        elif not rated.complete or not rated.answer:
            result.leave_out([] if right else [rated], LeftOut.UNFINISHED)
        elif rated.value < 0 and words(rated.answer) != words(right):
            opposed = claim(rated.answer)
            opposed.votes[rated.person_id] = -1
            opposed.downs.append(rated)
    return claims


def blames_retrieval(rated: Rated) -> bool:
    return Reason.WRONG_PASSAGE in rated.reasons or bool(rated.wrong_passages)


def _reject(claim: _Claim, raters: int, result: Agreed) -> None:
    """An answer that has no majority."""
    if claim.lead == 0:
        result.leave_out([*claim.ups, *claim.downs], LeftOut.HELD)
    elif len(claim.people(-1)) < raters:
        result.leave_out(claim.downs, LeftOut.RATERS)
    else:
        result.unwanted.append(claim.downs[-1])
        result.leave_out(claim.downs, LeftOut.MERGED)
    result.leave_out(claim.ups, LeftOut.OUTVOTED)


def _choose(standing: Sequence[_Claim], raters: int, result: Agreed) -> None:
    """Of answers that each have a majority, the one with the largest; those that say the same back it."""
    best, *others = standing
    rivals = [claim for claim in others if not say_the_same(best.answer, claim.answer)]
    if any(rival.lead == best.lead for rival in rivals):
        result.leave_out([rated for claim in standing for rated in claim.ups], LeftOut.HELD)
        return
    backers = best.people(1).union(*(claim.people(1) for claim in others if claim not in rivals))
    if len(backers) < raters:
        result.leave_out(best.ups, LeftOut.RATERS)
    else:
        result.wanted.append(best.ups[-1])
        result.leave_out(best.ups, LeftOut.MERGED)
    for claim in others:
        result.leave_out(claim.ups, LeftOut.OUTVOTED if claim in rivals else LeftOut.MERGED)
    for claim in standing:
        result.leave_out([rated for rated in claim.downs if not target(rated)], LeftOut.OUTVOTED)


def say_the_same(one: str, other: str) -> bool:
    """Whether two answers differ in wording alone: the numbers and half of the words of the shorter are the other's."""
    if prompts.is_refusal(one) or prompts.is_refusal(other):
        return prompts.is_refusal(one) and prompts.is_refusal(other)
    short, long = sorted((set(words(one)), set(words(other))), key=len)
    return turns(short) <= turns(long) and len(short & long) >= _SAME * len(short)


def in_order(rated: Iterator[Rated]) -> Iterator[list[Rated]]:
    """The groups, one after the other, of rows that are sorted by group."""
    group: list[Rated] = []
    for each in rated:
        if group and each.group != group[0].group:
            yield group
            group = []
        group.append(each)
    if group:
        yield group
