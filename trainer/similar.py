"""Texts that say nearly the same, found among many through an index."""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator

from assistant.prompts import without_citations

NEAR = 0.8
"""Share of common words (Jaccard) from which two questions are near-duplicates."""

_SMALL = frozenset(
    "a an the of in on at to for by with and or is are was were be been this that these those it its "
    "o os as um uma de da do das dos em na nas nos e ao aos pela pelo se".split()
)
# What turns the meaning of a question whose other words stay the same.
_TURNS = frozenset(
    "who whom whose what which when where why how not no never without can must "
    "quem que qual quais quando onde porque como quanto quantos quanta quantas nao nunca sem pode deve".split()
)
_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")


def words(text: str) -> list[str]:
    """The words of a text without citation marks, case, accents and small words, in order; all if there are no others.

    Numbers keep their separators: 1.5 is one word.
    """
    plain = unicodedata.normalize("NFKD", without_citations(text)).casefold()
    found: list[str] = _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))
    return [word for word in found if word not in _SMALL] or found


def turns(text: Collection[str]) -> frozenset[str]:
    """Those of the words that decide what is asked or said: numbers, question words, negations."""
    return frozenset(word for word in text if word in _TURNS or any(letter.isdigit() for letter in word))


def jaccard(a: Collection[str], b: Collection[str]) -> float:
    """The share of common words, in [0, 1]."""
    a, b = set(a), set(b)
    return len(a & b) / len(a | b) if a or b else 1.0


class NearIndex:
    """Texts by their words. Finds, exactly, those near to another one without comparing it with all.

    Two sets that share a Jaccard index of t have a word in common among the first ``n - ceil(t n) + 1`` words of each,
    in any order that is the same for all (prefix filter, Bayardo et al. 2007); with long words, which are rarer, first,
    few are compared.
    """

    def __init__(self) -> None:
        self._texts: list[tuple[str, ...]] = []
        self._with_word: defaultdict[str, array[int]] = defaultdict(lambda: array("I"))
        self._known: dict[str, str] = {}

    def add(self, text: Collection[str]) -> int:
        """Returns the number of the text, from 0."""
        ordered = _rare_first(text)
        # One string object for each word, however many texts hold it.
        self._texts.append(tuple(self._known.setdefault(word, word) for word in ordered))
        for word in _prefix(ordered):
            self._with_word[self._known[word]].append(len(self._texts) - 1)
        return len(self._texts) - 1

    def near(self, text: Collection[str]) -> Iterator[int]:
        """The numbers of all texts that are near to this one, in the order in which they were added."""
        ordered = _rare_first(text)
        numbers = {n for word in _prefix(ordered) for n in self._with_word.get(word, ())}
        for n in sorted(numbers):
            if jaccard(self._texts[n], ordered) >= NEAR:
                yield n


def _rare_first(text: Collection[str]) -> list[str]:
    return sorted(set(text), key=lambda word: (-len(word), word))


def _prefix(ordered: list[str]) -> list[str]:
    return ordered[: len(ordered) - math.ceil(NEAR * len(ordered)) + 1]
