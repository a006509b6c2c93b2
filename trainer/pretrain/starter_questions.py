"""Questions made from sentences, since questions that people asked are few: a span of the sentence is asked for, or
some of its words are thrown at the reader in any order, as people type into a search box.
"""

from __future__ import annotations

import random
import re

from trainer.pretrain.corpus import Language, Question

_WORD = re.compile(r"[\w'’-]+", re.UNICODE)
_SPAN = re.compile(
    r"\b(?:\d[\d.,]*\d|\d)\b(?:\s?%|\s(?:million|billion|thousand|milhões|mil|years|anos|days|dias)\b)?"
    r"|\b[A-ZÀ-Ú][\w'’-]+(?:\s(?:of|de|da|do|dos|the|[A-ZÀ-Ú][\w'’-]*))*\s[A-ZÀ-Ú][\w'’-]+"
    r"|\b[A-ZÀ-Ú][\w'’-]+|`[^`\n]{2,40}`"
)
_LEAD = {"What", "Who", "When", "Where", "The", "In", "A", "An", "It", "He", "She", "They", "This", "These", "O", "Os"}
_ENGLISH = """
a an the of in on at to for from by with and or but is are was were be been has have had it its this that these those
as which who whom he she they his her their not also can may will would there into than then so if
"""
_PORTUGUESE = """
o a os as um uma uns umas de do da dos das em no na nos nas ao aos à às por pelo pela para com e ou mas é são foi foram
ser está estão que se seu sua seus suas não também pode como mais este esta isso ele ela eles há
"""
STOP_WORDS = {"en": set(_ENGLISH.split()), "pt": set(_PORTUGUESE.split())}
_ASK = {
    "en": {
        "year": ("When", "In what year", "In which year"),
        "number": ("How many", "How much", "What number of"),
        "place": ("Where", "In which place", "In what"),
        "name": ("Who", "What", "Which", "What is the name of"),
        "thing": ("What", "Which", "What"),
        "open": ("What about", "Tell me about", "How does", "Why", "What is", "What are", "Explain", "When", "Where"),
    },
    "pt": {
        "year": ("Quando", "Em que ano", "Em qual ano"),
        "number": ("Quantos", "Quantas", "Qual é o número de"),
        "place": ("Onde", "Em que lugar", "Em qual"),
        "name": ("Quem", "O que", "Qual", "Qual é o nome de"),
        "thing": ("O que", "Qual", "Quais"),
        "open": ("O que é", "Como", "Por que", "Fale sobre", "Quais são", "Explique", "Onde", "Para que serve"),
    },
}
_BEFORE_PLACE = {"in", "at", "from", "near", "em", "no", "na", "nos", "nas"}


def ask_about(sentence: str, *, language: Language, draw: random.Random) -> Question | None:
    """A question that the sentence answers, or None if it holds too little; ``start`` counts within the sentence.

    Its ``answer`` is the span that was taken out, or empty if the question asks for the sentence as a whole.
    """
    if len(_content_words(sentence, language)) < 3:
        return None
    question = _ask_for_span(sentence, language, draw) if draw.random() < 0.6 else None
    return question or _ask_by_words(sentence, language, draw)


def _content_words(text: str, language: Language) -> list[str]:
    return [w for w in _WORD.findall(text) if w.lower() not in STOP_WORDS[language] and len(w) > 1]


def _ask_for_span(sentence: str, language: Language, draw: random.Random) -> Question | None:
    """Cloze: takes a span out, puts a question word in front and keeps most words near the gap."""
    spans = [m for m in _SPAN.finditer(sentence) if m.group() not in _LEAD]
    spans = [m for m in spans if m.start() > 0 or " " in m.group()]
    if draw.random() < 0.3 or not spans:
        span = _plain_span(sentence, language, draw)
    else:
        match = draw.choice(spans)
        span = match.start(), match.end()
    if span is None:
        return None
    start, end = span
    answer = sentence[start:end]
    before, after = _WORD.findall(sentence[:start])[-9:], _WORD.findall(sentence[end:])[:9]
    keep = draw.uniform(0.55, 1.0)
    words = [w for w in before + after if draw.random() < keep]
    if draw.random() < 0.3:
        words = [w for w in after if draw.random() < keep] + [w for w in before if draw.random() < keep]
    if len([w for w in words if w.lower() not in STOP_WORDS[language]]) < 2:
        return None
    ask = draw.choice(_ASK[language][_kind_of(answer, before)])
    words[0] = words[0] if words[0][1:].lower() != words[0][1:] or draw.random() < 0.3 else words[0].lower()
    return Question(f"{ask} {' '.join(words)}?", answer, start)


def _plain_span(sentence: str, language: Language, draw: random.Random) -> tuple[int, int] | None:
    """Two to five words in a row that begin and end with a content word and cross no punctuation."""
    words = list(_WORD.finditer(sentence))
    for _ in range(6):
        size = draw.randint(1, 4)
        first = draw.randrange(max(1, len(words) - size))
        chosen = words[first : first + size]
        text = sentence[chosen[0].start() : chosen[-1].end()]
        edges = {chosen[0].group().lower(), chosen[-1].group().lower()}
        if not edges & STOP_WORDS[language] and re.fullmatch(r"[\w'’ -]{4,60}", text):
            return chosen[0].start(), chosen[-1].end()
    return None


def _kind_of(answer: str, before: list[str]) -> str:
    if re.fullmatch(r"1\d{3}|20\d\d", answer):
        return "year"
    if answer[0].isdigit():
        return "number"
    if answer[0].isupper():
        return "place" if before and before[-1].lower() in _BEFORE_PLACE else "name"
    return "thing"


def _ask_by_words(sentence: str, language: Language, draw: random.Random) -> Question:
    """Some of the content words, in order or shuffled, bare or behind a question word."""
    words = _content_words(sentence, language)
    size = max(2, min(draw.randint(2, 7), round(len(words) * draw.uniform(0.3, 0.8))))
    first = draw.randrange(max(1, len(words) - 2 * size))
    near = words[first : first + 2 * size]
    chosen = sorted(draw.sample(range(len(near)), min(size, len(near))))
    if draw.random() < 0.4:
        draw.shuffle(chosen)
    text = " ".join(near[i] for i in chosen)
    if draw.random() < 0.6:
        text = f"{draw.choice(_ASK[language]['open'])} {text}?"
    return Question(text, "", None)


def roughen(question: str, *, draw: random.Random) -> str:
    """The question as a hurried person types it: sometimes without capitals or question mark, or with a typo."""
    if draw.random() < 0.15:
        question = question.lower()
    if draw.random() < 0.15:
        question = question.rstrip("?").rstrip()
    if draw.random() < 0.08 and len(question) > 12:
        at = draw.randrange(4, len(question) - 2)
        question = question[:at] + question[at + 1] + question[at] + question[at + 2 :]
    return question
