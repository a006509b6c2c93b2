"""Tells English from Portuguese, the two languages that the program speaks."""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "pt"]

# Words that one of the two languages uses all the time and the other never does.
_ENGLISH = frozenset(
    "the of and to in is are was were what when where who whom whose which why how does did do has have had been be "
    "that this these those it its for on with at by from many much can could should would will not there their they "
    "you your i we he she his her an or if".split()
)
_PORTUGUESE = frozenset(
    "o os um uma uns umas de da das dos do em na nas nos no para por pelo pela com que qual quais quem quando onde "
    "como quanto quantos quanta quantas por quê porque é são foi foram ser está estão tem têm não se seu sua seus "
    "suas ele ela eles elas ao aos à às mais ou e este esta isso isto você nós".split()
)
_WORD = re.compile(r"[^\W\d_]+")
_ONLY_PORTUGUESE = re.compile(r"[ãõçáâàéêíóôú]")


def detect(text: str) -> Language:
    """The language of a text or a question; English where nothing speaks for Portuguese."""
    words = [word.lower() for word in _WORD.findall(text[:2000])]
    english = sum(word in _ENGLISH for word in words)
    portuguese = sum(word in _PORTUGUESE for word in words)
    accents = sum(bool(_ONLY_PORTUGUESE.search(word)) for word in words)
    return "pt" if portuguese + accents / 2 > english else "en"
