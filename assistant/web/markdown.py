"""An answer as HTML, with something of ours in place of each citation mark. Nothing in it can load or lead anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from assistant.citations import marks
from assistant.records import Passage

# While Markdown is read, each citation mark is put aside as its ordinal between two characters of private use. Plain
# text says where a chip goes (another two characters); everywhere else, as in code, a mark stays what was written.
_ASIDE = re.compile("\ue000(\\d+)\ue001")
_PLACED = re.compile("([\ue000\ue002])(\\d+)[\ue001\ue003]")
_PRIVATE = str.maketrans("", "", "\ue000\ue001\ue002\ue003")


def _text(_renderer: object, tokens: Sequence[Token], index: int, _options: object, _env: object) -> str:
    return _ASIDE.sub("\ue002\\1\ue003", escape(tokens[index].content))


# HTML is shown as text, and neither images nor links are made: an answer could otherwise be steered, by what stands in
# a document, to send what it says to a stranger's server.
_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
_markdown.disable(["image", "link", "autolink", "reference"])
_markdown.add_render_rule("text", _text)


def written(answer: str, chips: Sequence[Markup], spans: Sequence[tuple[int, int]]) -> Markup:
    """The answer's Markdown as HTML, with a chip in place of each of the ``spans``."""
    pieces, last = [], 0
    for ordinal, (start, end) in enumerate(spans):
        pieces += [answer[last:start].translate(_PRIVATE), f"\ue000{ordinal}\ue001"]
        last = end
    text = "".join([*pieces, answer[last:].translate(_PRIVATE)])

    def place(found: re.Match[str]) -> str:
        ordinal = int(found.group(2))
        return str(chips[ordinal]) if found.group(1) == "\ue002" else answer[slice(*spans[ordinal])]

    return Markup(_PLACED.sub(place, _markdown.render(text)))  # noqa: S704  (what is put in is markup already)


def closed_chip(n: object) -> Markup:
    """The number of a passage where it cannot be opened."""
    return Markup('<span class="chip">{}</span>').format(n)


def shown(answer: str, passages: Sequence[Passage]) -> Markup:
    """The answer as its reader saw it, its citations as numbers."""
    found = list(marks(answer, passages))
    return written(answer, [closed_chip(citation.n) for *_, citation in found], [(s, e) for s, e, _ in found])
