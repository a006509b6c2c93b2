"""What the two judges learn from: sentences with their contexts, whether these support them, and where they do not."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from assistant.documents import sentences
from assistant.evidence import claims
from trainer.pretrain.corpus import records

Which = Literal["a", "b", "held"]

_NLI = {
    "a": ("SNLI-test", "FoolMeTwice-test", "MED", "InferBR-train", "BreakingNLI"),
    "b": (
        "SNLI-validation",
        "CAD-NLI",
        "FoolMeTwice-dev",
        "FEVER-Symmetric",
        "FaithDial-audit",
        "InferBR-val",
        "InferBR-test",
    ),
}
_NLI_MOST = 2_500
"""Pairs of one collection at most, so that none drowns the others."""
SUMMEDITS = {"a": ("sales_call", "qmsumm"), "b": ("podcast", "scitldr")}


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence and what is known of it. ``answer`` is shared by the sentences of one response or summary.

    ``marks``: character spans of ``text`` that the context does not support, known where ``marked``. ``group``: claims
    of one document are of one group.
    """

    source: str
    group: str
    answer: str
    context: str
    text: str
    supported: bool
    lang: str
    marks: tuple[tuple[int, int], ...] = ()
    marked: bool = False


def share(key: str) -> float:
    """A number in [0, 1) that depends on ``key`` alone."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 16**8


def side(source: str, document: str) -> Which:
    """Which judge learns from a document. A fifth of every span source is kept back and shown to neither."""
    number = share(f"{source}/{document}")
    if source.startswith("ragtruth"):
        if number < 0.2:
            return "held"
        return "a" if source == "ragtruth_data2txt" or number < 0.3 else "b"
    return "a" if number < 0.4 else "b"


def spans(data: Path) -> Iterator[Claim]:
    """The sentences of RAGTruth's responses; one that a marked span touches is unsupported."""
    for path in sorted((data / "spans").glob("*.jsonl")):
        for record in records(path):
            yield from _response(path.stem, record)


def _response(source: str, record: dict[str, Any]) -> Iterator[Claim]:
    response = record["response"]
    for sentence in sentences.split(response):
        text = response[sentence.start : sentence.end]
        if not claims(text):
            continue
        marks = tuple(
            (max(0, span["start"] - sentence.start), min(len(text), span["end"] - sentence.start))
            for span in record["spans"]
            if span["start"] < sentence.end and span["end"] > sentence.start
        )
        marks = tuple((start, end) for start, end in marks if re.search(r"\w", text[start:end]))
        yield Claim(
            source,
            f"{source}/{record['source_id']}",
            f"{source}/{record['id']}",
            record["context"],
            text,
            not marks,
            record["lang"],
            marks,
            marked=True,
        )


def edits(data: Path) -> Iterator[Claim]:
    """SummEdits: the sentences of a summary in which its edited version differs are marked where they do."""
    for path in sorted((data / "judge").glob("summedits_*.jsonl")):
        originals: dict[str, str] = {}
        rows = list(records(path))
        for row in rows:
            if row["id"].endswith("_og"):
                originals[row["context"]] = row["text"]
        for number, row in enumerate(rows):
            original = originals.get(row["context"])
            changed = _changed(original, row["text"]) if original and not row["supported"] else ()
            if not row["supported"] and not changed:
                continue
            for sentence in sentences.split(row["text"]):
                text = row["text"][sentence.start : sentence.end]
                marks = tuple(
                    (max(0, a - sentence.start), min(len(text), b - sentence.start))
                    for a, b in changed
                    if a < sentence.end and b > sentence.start
                )
                group = f"{path.stem}/{share(row['context'])}"
                yield Claim(
                    path.stem, group, f"{path.stem}/{number}", row["context"], text, not marks, "en", marks, marked=True
                )


def _changed(original: str, edited: str) -> tuple[tuple[int, int], ...]:
    """Character spans of the words of ``edited`` that ``original`` does not have."""
    before = [match.group() for match in re.finditer(r"\S+", original)]
    after = list(re.finditer(r"\S+", edited))
    matcher = difflib.SequenceMatcher(None, before, [match.group() for match in after], autojunk=False)
    found = []
    for kind, _, _, start, end in matcher.get_opcodes():
        if kind in ("replace", "insert"):
            found.append((after[start].start(), after[end - 1].end()))
        elif kind == "delete" and after:
            near = after[min(start, len(after) - 1)]
            found.append((near.start(), near.end()))
    return tuple(found)


def pairs(data: Path) -> Iterator[Claim]:
    """Entailment pairs: ASSIN and the collections of ``pretrain/nli.jsonl.xz`` that a judge is given."""
    for record in records(data / "judge" / "assin_train.jsonl"):
        yield Claim("assin", f"assin/{record['context']}", f"assin/{record['id']}", record["context"], record["text"],
                    record["supported"], "pt")  # fmt: skip
    wanted = {name for names in _NLI.values() for name in names}
    seen: dict[str, int] = {}
    for record in sorted(
        records(data / "pretrain" / "nli.jsonl.xz"), key=lambda r: share(r["premise"] + r["hypothesis"])
    ):
        source = record["source"]
        if source not in wanted or seen.get(source, 0) >= _NLI_MOST:
            continue
        seen[source] = seen.get(source, 0) + 1
        yield Claim(source, f"{source}/{record['premise']}", f"{source}/{seen[source]}", record["premise"],
                    record["hypothesis"], record["label"] == "entailment", record["lang"])  # fmt: skip


def learner(claim: Claim) -> Which:
    """Who may learn from the claim."""
    for which, names in _NLI.items():
        if claim.source in names:
            return which  # type: ignore[return-value]
    for which, names in SUMMEDITS.items():
        if claim.source.removeprefix("summedits_") in names:
            return which  # type: ignore[return-value]
    source, _, document = claim.group.partition("/")
    return side(source, document)
