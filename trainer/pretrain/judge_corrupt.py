"""Sentences corrupted on purpose: a number, a name, a word or the negation of a supported sentence is changed, or a
sentence of another passage is put in its place. What was changed is marked.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from assistant.documents import sentences
from trainer.pretrain.corpus import records
from trainer.pretrain.judge_data import Claim

_NUMBER = re.compile(r"\b\d+(?:[.,]\d+)*\b")
_NAME = re.compile(r"(?<=[a-zà-ÿ,;] )[A-ZÀ-Ý][\w'’-]+(?: (?:d[aeo]s? |of |the )?[A-ZÀ-Ý][\w'’-]+)*")
_WORD = re.compile(r"\b[a-zà-ÿ]{5,}\b")
_AUXILIARY = {
    "en": re.compile(r"\b(is|are|was|were|can|could|may|should|will|would|has|had|have|must|does|do|did)\b(?! not)"),
    "pt": re.compile(r"\b(?<!não )(é|são|foi|foram|está|estão|pode|podem|deve|devem|tem|têm|será|era|eram)\b"),
}
_PARENTHESIS = re.compile(r"\s*\([^()]*\)")
_TAIL = re.compile(r"(?:,| that| which| because| porque| que) [^,]{15,}(?=[.!?]?$)")
_LEAD = re.compile(r"^((?:In|On|At|By|After|During|From|Em|No|Na|Depois|Durante|Após|Por) [^,]{4,60}), (.+?)([.!?]?)$")

Change = Callable[[Claim, random.Random], tuple[str, int, int] | None]


def _swap(pattern: re.Pattern[str], claim: Claim, rng: random.Random) -> tuple[str, int, int] | None:
    """One match in the claim becomes another one of the context that the claim does not have."""
    found = list(pattern.finditer(claim.text))
    if not found:
        return None
    match = rng.choice(found)
    others = sorted({other.group() for other in pattern.finditer(claim.context)} - {m.group() for m in found})
    others = [other for other in others if other.casefold() not in claim.text.casefold()]
    return (rng.choice(others), *match.span()) if others else None


def _number(claim: Claim, rng: random.Random) -> tuple[str, int, int] | None:
    if rng.random() < 0.5:
        return _swap(_NUMBER, claim, rng)
    found = list(_NUMBER.finditer(claim.text))
    if not found:
        return None
    match = rng.choice(found)
    digits = match.group()
    at = rng.randrange(len(digits))
    if not digits[at].isdigit():
        return None
    other = digits[:at] + str((int(digits[at]) + rng.randint(1, 8)) % 10) + digits[at + 1 :]
    return other, *match.span()


def _name(claim: Claim, rng: random.Random) -> tuple[str, int, int] | None:
    return _swap(_NAME, claim, rng)


def _word(claim: Claim, rng: random.Random) -> tuple[str, int, int] | None:
    """A word of the context with the same ending takes the place of one of the claim."""
    found = list(_WORD.finditer(claim.text))
    if not found:
        return None
    match = rng.choice(found)
    ending = match.group()[-2:]
    known = set(_WORD.findall(claim.text))
    others = sorted(
        {w for w in _WORD.findall(claim.context) if w.endswith(ending) and w[:4] != match.group()[:4]} - known
    )
    return (rng.choice(others), *match.span()) if others else None


def _negation(claim: Claim, rng: random.Random) -> tuple[str, int, int] | None:
    found = list(_AUXILIARY[claim.lang].finditer(claim.text))
    if not found:
        return None
    match = rng.choice(found)
    negated = f"{match.group()} not" if claim.lang == "en" else f"não {match.group()}"
    return negated, *match.span()


_CHANGES: tuple[Change, ...] = (_number, _number, _name, _name, _word, _word, _negation)


def corrupted(claim: Claim, rng: random.Random) -> Claim | None:
    """The supported claim with one thing changed that its context does not support, or None where nothing can be."""
    change = rng.choice(_CHANGES)(claim, rng)
    if change is None:
        return None
    new, start, end = change
    text = claim.text[:start] + new + claim.text[end:]
    return replace(claim, text=text, supported=False, marks=((start, start + len(new)),), marked=True,
                   source=f"{claim.source}+", answer=f"{claim.answer}+")  # fmt: skip


def misplaced(claims: Sequence[Claim], rng: random.Random) -> Iterator[Claim]:
    """Each claim with the context of another one of the same source: all of it is unsupported."""
    by_source: dict[str, list[Claim]] = {}
    for claim in claims:
        by_source.setdefault(claim.source, []).append(claim)
    for claim in claims:
        other = rng.choice(by_source[claim.source])
        if other.context != claim.context:
            yield replace(claim, context=other.context, supported=False, marks=((0, len(claim.text)),), marked=True,
                          source=f"{claim.source}~", answer=f"{claim.answer}~")  # fmt: skip


def shortened(text: str, rng: random.Random) -> str:
    """The sentence said a little differently: without a parenthesis or its tail, or with its beginning at the end."""
    text = _PARENTHESIS.sub("", text)
    if (lead := _LEAD.match(text)) and rng.random() < 0.7:
        opening, rest, stop = lead.groups()
        text = f"{rest[0].upper()}{rest[1:]} {opening[0].lower()}{opening[1:]}{stop}"
    if rng.random() < 0.4:
        text = _TAIL.sub("", text)
    return text


def from_texts(texts: Iterable[tuple[str, str, str, str]], rng: random.Random) -> Iterator[Claim]:
    """From (source, document, text, language): sentences, shortened, with a window that holds or lacks them."""
    for source, document, text, lang in texts:
        found = [s.text.strip() for s in sentences.split(text)]
        usable = [i for i, s in enumerate(found) if 40 <= len(s) <= 300 and s[-1:] in ".!?" and s[:1].isupper()]
        if len(found) < 5 or not usable:
            continue
        i = rng.choice(usable)
        first = max(0, i - rng.randint(0, 8))
        window = found[first : first + 12]
        if i >= first + len(window):
            continue
        group = f"{source}/{document}"
        said = shortened(found[i], rng)
        context = " ".join(window)
        yield Claim(source, group, f"{group}/{i}", context, said, supported=True, lang=lang, marked=True)
        outside = [j for j in usable if not first <= j < first + len(window)]
        if outside:  # of the same document, so about the same things
            other = found[rng.choice(outside)]
            yield Claim(f"{source}~", group, f"{group}/{i}~", context, other, supported=False, lang=lang,
                        marks=((0, len(other)),), marked=True)  # fmt: skip


def documents(data: Path, most: int) -> Iterator[tuple[str, str, str, str]]:
    """Up to ``most`` texts of each source, as ``from_texts`` takes them."""
    for name, lang in (("squad_train", "en"), ("faquad_train", "pt")):
        by_title: dict[str, set[str]] = {}
        for record in records(data / "qa" / f"{name}.jsonl"):
            by_title.setdefault(record["title"], set()).add(record["context"])
        texts = [(name, title, text, lang) for title, found in by_title.items() for text in sorted(found)]
        yield from random.Random(0).sample(texts, min(most, len(texts)))  # noqa: S311
    for lang in ("en", "pt"):
        rng = random.Random(1)  # noqa: S311
        count = 0
        for record in records(data / "pretrain" / f"text_{lang}.jsonl.xz"):
            if rng.random() < (0.1 if lang == "en" else 0.3):
                count += 1
                start = rng.randrange(max(1, len(record["text"]) - 4000))
                start = record["text"].find("\n", start) + 1
                yield f"text_{lang}", f"{lang}{count}", record["text"][start : start + 4000], lang
            if count >= most:
                break
