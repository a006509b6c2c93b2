"""Chooses the sentences of the passages on which a claim may rest, and measures what the claim shares with them."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from assistant.documents import sentences

Floats = npt.NDArray[np.float32]

BUCKETS = 1 << 15
"""Size of the table of word weights: stems share it by hash."""
CHOSEN = 6
"""Sentences of the passages that a claim is compared with word by word."""
READ = 160
"""Sentences of the passages that the encoder reads for one claim at most: those that share most with it."""

_WORD = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+")
# What belongs to the form of an answer and claims nothing: citation marks, references to passages, numbers of a list
# (the next item's may stand at the end of a sentence).
_FORM = re.compile(
    r"\[\d+(?:, ?\d+)*\]|\(?\b(?:passages?|passagens|passagem|trechos?)\s+\d+(?:\s*(?:,|and|e|&)\s*\d+)*\)?"
    r"|^\s*(?:(?:step|passo)\s+\d+:|\(?\d{1,2}[.)](?=\s)|[-*+•–](?=\s))|(?<=[.!?:)\]\"”])\s+\(?\d{1,2}[.)]\s*$",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"\W*(?:sure|certainly|of course|claro|com certeza)\W*"
    r"|\W*(?:(?:sure|certainly|of course|claro|com certeza)\W+)?"
    r"(?:i hope (?:this|that|it) helps|i can help you with that|(?:please )?(?:let me know|feel free to ask)"
    r"|if you have (?:any )?(?:(?:other|further|more) )?questions?|you(?:'|’)re welcome|espero ter ajudado"
    r"|(?:se|caso) tiver (?:mais|outras|alguma) (?:dúvidas?|perguntas?))(?:\W+\w+){0,6}\W*",
    re.IGNORECASE,
)
_STOP = frozenset(
    "a an the of and to in is are was were be been being for on with at by from as that this these those it its or if "
    "then than so such into about also can could may might will would shall should do does did has have had having he "
    "she they them his her their there here which who whom whose what when where how i you we our your my me us but "
    "o os as um uma uns umas de da das do dos em na nas no nos e ou que se por para com ao aos à às pelo pela pelos "
    "pelas é são foi foram ser era eram está estão ter tem têm seu sua seus suas este esta isto esse essa isso aquele "
    "aquela ele ela eles elas mais como mas também já há lhe".split()
)
_NEGATIONS = frozenset(
    "not no never none nobody nothing neither nor cannot without t não nunca nenhum nenhuma nem ninguém nada sem "
    "jamais unable fail fails failed lack lacks lacking refused denied denies".split()
)
_ABSOLUTES = frozenset(
    "all every only always never most none must exactly entire entirely both any first last largest smallest best "
    "worst more less fewer before after todos todas só somente apenas sempre nunca maioria cada ambos maior menor "
    "menos antes depois primeiro último".split()
)
_ABOUT_PASSAGES = frozenset(
    "passage passages provided given according based context text document documents mention mentioned mentions "
    "following answer question information article summary passagem passagens texto documento documentos acordo "
    "informação resposta pergunta contexto".split()
)
_NUMBERS = {
    word: str(number)
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "zero um dois três quatro cinco seis sete oito nove dez onze doze",
        "- - duas",
    )
    for number, word in enumerate(words.split())
    if word not in ("-", "um", "one")
}

NAMES = (
    "words_all words_chosen words_best words_window plain_all plain_chosen missing_weight missing_weight_chosen "
    "pairs_all pairs_chosen near_pairs triples numbers numbers_best names negation_here negation_there absolutes run "
    "order_best about_passages cosine cosine_pair"
).split()
"""What ``Context.features`` measures, in order. Shares, cosines and flags: none counts words."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text. ``stems`` are in order, stop words left out; ``stopped`` all words, folded."""

    stems: tuple[str, ...]
    folded: frozenset[str]
    names: frozenset[str]
    numbers: frozenset[str]
    about_passages: float

    @property
    def negated(self) -> bool:
        return not self.folded.isdisjoint(_NEGATIONS)


def bare(claim: str) -> str:
    """The claim with its form blanked out: citation marks, numbers of a list, "passage 3". Offsets stay as they are."""
    return _FORM.sub(lambda match: " " * len(match.group()), claim)


def claims(sentence: str) -> bool:
    """Whether it says anything that passages could support: not where form is all there is, nor "I hope this helps"."""
    return _WORD.search(bare(sentence)) is not None and _COURTESY.fullmatch(sentence) is None


def words(text: str) -> Words:
    stems: list[str] = []
    folded: set[str] = set()
    names: set[str] = set()
    numbers: set[str] = set()
    about = 0
    content = 0
    for position, match in enumerate(_WORD.finditer(text)):
        raw = match.group()
        word = raw.casefold()
        folded.add(word)
        if word[0].isdigit() or word in _NUMBERS:
            number = _NUMBERS.get(word, word.replace(",", "").rstrip(".:/"))
            numbers.add(number)
            stems.append(number)
            content += 1
            continue
        if word in _STOP or (len(word) == 1 and not word.isdigit()):
            continue
        content += 1
        if word in _ABOUT_PASSAGES:
            about += 1
            continue
        stem = stem_of(word)
        stems.append(stem)
        if position and raw[0].isupper():
            names.add(stem)
    return Words(tuple(stems), frozenset(folded), frozenset(names), frozenset(numbers), about / max(1, content))


@lru_cache(maxsize=100_000)
def stem_of(word: str) -> str:
    """The first five letters of a folded word, without accents; of a number all digits."""
    if word[:1].isdigit():
        return word.replace(",", "")
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    return plain[:5]


def is_stop(word: str) -> bool:
    return word in _STOP


def is_negation(word: str) -> bool:
    return word in _NEGATIONS


class Weights:
    """How rare words are: inverse document frequencies by the hash of the stem."""

    def __init__(self, table: npt.NDArray[np.floating]) -> None:
        self._table = table.astype(np.float32)
        self._known: dict[str, float] = {}

    def __getitem__(self, stem: str) -> float:
        weight = self._known.get(stem)
        if weight is None:
            weight = self._known[stem] = float(self._table[zlib.crc32(stem.encode()) % BUCKETS])
        return weight


@dataclass(slots=True)
class Line:
    """A sentence of passage ``passage`` (from 0), with its words."""

    passage: int
    text: str
    words: Words
    stems: frozenset[str] = field(init=False)
    pairs: frozenset[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.stems = frozenset(self.words.stems)
        self.pairs = frozenset(pairwise(self.words.stems))


class Context:
    """Passages, cut into sentences once and compared with any number of claims."""

    def __init__(self, passages: Sequence[str], weights: Weights) -> None:
        self.weights = weights
        self.lines = [
            Line(n, text, words(text))
            for n, passage in enumerate(passages)
            for sentence in sentences.split(passage)
            if (text := sentence.text.strip())
        ]
        self.stems = frozenset(stem for line in self.lines for stem in line.stems)
        self.pairs: set[tuple[str, str]] = {pair for line in self.lines for pair in line.pairs}
        self.numbers: set[str] = {number for line in self.lines for number in line.words.numbers}
        self._index: dict[str, list[int]] = {}
        for i, line in enumerate(self.lines):
            for stem in line.stems:
                self._index.setdefault(stem, []).append(i)

    def texts(self, indexes: Iterable[int]) -> list[str]:
        return [self.lines[i].text for i in indexes]

    def shares(self, claim: Words) -> Floats:
        """For each sentence the weighted share of the claim's stems that it holds, in [0, 1]."""
        shares = np.zeros(len(self.lines), np.float32)
        wanted = set(claim.stems)
        for stem in wanted:
            shares[self._index.get(stem, [])] += self.weights[stem]
        return shares / max(1e-6, sum(self.weights[stem] for stem in wanted))

    def readable(self, claim: Words) -> npt.NDArray[np.intp]:
        """The sentences worth encoding for this claim, in order: all of them in a context of usual length."""
        if len(self.lines) <= READ:
            return np.arange(len(self.lines))
        shares = self.shares(claim)
        best = np.argsort(-shares, kind="stable")[:READ]
        return np.sort(best[: max(1, int((shares[best] > 0).sum()))])

    def choose(self, claim: Words, cosines: Floats) -> list[int]:
        """At most CHOSEN sentences: the nearest by cosine, then greedily what covers most of the words not yet covered.

        ``cosines``: one for each sentence of the context (-1: not read).
        """
        if not self.lines:
            return []
        chosen = [int(np.argmax(cosines))]
        open_stems = set(claim.stems) - self.lines[chosen[0]].stems
        open_pairs = set(pairwise(claim.stems)) - self.lines[chosen[0]].pairs
        candidates = {i for stem in set(claim.stems) for i in self._index.get(stem, [])} - set(chosen)
        while candidates and len(chosen) < CHOSEN - 1:
            gains = {i: self._gain(self.lines[i], open_stems, open_pairs) + 0.1 * float(cosines[i]) for i in candidates}
            best = max(gains, key=lambda i: (gains[i], -i))
            if self._gain(self.lines[best], open_stems, open_pairs) <= 0:
                break
            chosen.append(best)
            candidates.discard(best)
            open_stems -= self.lines[best].stems
            open_pairs -= self.lines[best].pairs
        for i in np.argsort(-cosines, kind="stable")[:CHOSEN]:
            if len(chosen) < CHOSEN and int(i) not in chosen and cosines[i] > 0:
                chosen.append(int(i))
        return chosen

    def likeness(self, claim: Words, line: int, cosine: float) -> float:
        """How well one sentence alone carries the claim: the weighted share of its stems, and the cosine."""
        stems = set(claim.stems)
        total = sum(self.weights[stem] for stem in stems)
        return (self._covered(stems, self.lines[line].stems) / total if total else 0.0) + 0.5 * cosine

    def _gain(self, line: Line, open_stems: set[str], open_pairs: set[tuple[str, str]]) -> float:
        gain = sum(self.weights[stem] for stem in open_stems & line.stems)
        return gain + sum(0.5 * (self.weights[a] + self.weights[b]) for a, b in open_pairs & line.pairs)

    def features(self, claim: Words, chosen: Sequence[int], cosines: Floats) -> Floats:
        """What NAMES lists. ``chosen`` as ``choose`` gave it, the first by cosine."""
        weight = self.weights
        stems = set(claim.stems)
        total = sum(weight[stem] for stem in stems)
        there = frozenset().union(*(self.lines[i].stems for i in chosen))
        there_pairs = frozenset().union(*(self.lines[i].pairs for i in chosen))
        best = max(chosen, key=lambda i: self._covered(stems, self.lines[i].stems), default=None)
        best_stems = self.lines[best].stems if best is not None else frozenset()
        best_words = self.lines[best].words if best is not None else words("")
        window = frozenset().union(*(self.lines[i].stems for i in self._around(best)))
        pairs = set(pairwise(claim.stems))
        triples = set(zip(claim.stems, claim.stems[1:], claim.stems[2:], strict=False))
        near = {
            pair
            for pair in pairs
            if any(pair[0] in line.stems and pair[1] in line.stems for line in self._lines(chosen))
        }
        missing = [weight[stem] for stem in stems if stem not in self.stems]
        missing_chosen = [weight[stem] for stem in stems if stem not in there]
        absolutes = claim.folded & _ABSOLUTES
        chosen_folded = frozenset().union(*(self.lines[i].words.folded for i in chosen))

        def share(part: float, whole: float) -> float:
            return part / whole if whole else 1.0

        ordered = [line.words.stems for line in self._lines(chosen)]
        values = [
            share(self._covered(stems, self.stems), total),
            share(self._covered(stems, there), total),
            share(self._covered(stems, best_stems), total),
            share(self._covered(stems, window), total),
            share(sum(stem in self.stems for stem in stems), len(stems)),
            share(sum(stem in there for stem in stems), len(stems)),
            max(missing, default=0.0),
            max(missing_chosen, default=0.0),
            share(len(pairs & self.pairs), len(pairs)),
            share(len(pairs & there_pairs), len(pairs)),
            share(len(near), len(pairs)),
            share(sum(any(_holds(line, triple) for line in ordered) for triple in triples), len(triples)),
            share(len(claim.numbers & self.numbers), len(claim.numbers)),
            share(len(claim.numbers & best_words.numbers), len(claim.numbers)),
            share(sum(name in self.stems for name in claim.names), len(claim.names)),
            float(claim.negated and not best_words.negated),
            float(best_words.negated and not claim.negated),
            share(len(absolutes & chosen_folded), len(absolutes)),
            share(max((_longest_run(claim.stems, line) for line in ordered), default=0), len(claim.stems)),
            share(_longest_subsequence(claim.stems, best_words.stems), len(claim.stems)),
            claim.about_passages,
            float(cosines.max(initial=-1.0)),
            float(np.sort(cosines)[-2:].mean()) if len(cosines) else -1.0,
        ]
        return np.array(values, np.float32)

    def _lines(self, chosen: Sequence[int]) -> list[Line]:
        return [self.lines[i] for i in chosen]

    def _covered(self, stems: set[str], there: frozenset[str]) -> float:
        return sum(self.weights[stem] for stem in stems if stem in there)

    def _around(self, best: int | None) -> range:
        if best is None:
            return range(0)
        around = range(max(0, best - 1), min(len(self.lines), best + 2))
        same = [i for i in around if self.lines[i].passage == self.lines[best].passage]
        return range(same[0], same[-1] + 1)


def _holds(line: tuple[str, ...], triple: tuple[str, str, str]) -> bool:
    return any(line[i : i + 3] == triple for i in range(len(line) - 2))


def _longest_run(claim: tuple[str, ...], line: tuple[str, ...]) -> int:
    """The longest run of stems that both have, as ``difflib`` would find it, without its cost."""
    best = 0
    previous = [0] * (len(line) + 1)
    for stem in claim[:60]:
        row = [0] * (len(line) + 1)
        for j, other in enumerate(line):
            if stem == other:
                row[j + 1] = previous[j] + 1
                best = max(best, row[j + 1])
        previous = row
    return best


def _longest_subsequence(claim: tuple[str, ...], line: tuple[str, ...]) -> int:
    previous = [0] * (len(line) + 1)
    for stem in claim[:60]:
        row = [0]
        for j, other in enumerate(line):
            row.append(previous[j] + 1 if stem == other else max(previous[j + 1], row[j]))
        previous = row
    return previous[-1]
