"""What the parts hand to each other: frozen values with types and no behaviour of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

SHARED = "shared"
"""The scope of documents that everybody may search; a person's own is ``person-<id>``."""


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    name: str
    role: Role

    @property
    def scope(self) -> str:
        """The scope of the documents that only this person sees."""
        return f"person-{self.id}"


@dataclass(frozen=True, slots=True)
class Account:
    """A person as an admin sees them. ``invited``: there is no password yet. ``sessions`` counts the live ones."""

    id: int
    name: str
    role: Role
    invited: bool
    disabled: bool
    shares_private: bool
    sessions: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key once it was shown."""

    id: int
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the audit log. ``person`` is empty for nobody, or somebody who is gone."""

    id: int
    at: datetime
    person: str
    action: str
    subject: str


class DocumentStatus(StrEnum):
    QUEUED = "queued"
    INDEXING = "indexing"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Document:
    """A file that somebody added.

    ``lineage`` outlives replacements of the file; ``generation`` counts re-indexings. ``file`` names the original in
    the state folder; ``source`` is the path it was ingested from, if any. ``progress`` is in [0, 1]; ``reason`` tells a
    person why it failed. ``empty_pages`` of its ``pages`` held no text.
    """

    id: int
    scope: str
    added_by: int
    lineage: str
    generation: int
    name: str
    file: str
    source: str | None
    content_hash: str
    size: int
    status: DocumentStatus
    progress: float
    reason: str | None
    pages: int | None
    empty_pages: int
    sentences: int
    embedding: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PageSpan:
    """Page ``number`` (from 1) covers ``text[start:end]`` of its document."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A document's readable text (Markdown where it has structure) and, for paged formats, where its pages lie."""

    text: str
    pages: tuple[PageSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a document: ``document.text[start:end]``.

    ``index`` counts from 0 within the document. ``text`` runs from ``start`` up to the start of the next sentence, so
    that joining neighbours gives back the document letter by letter; ``end`` excludes the trailing white space.
    ``paragraph`` and ``section`` count blocks of text and heading sections from 0; ``page`` counts from 1.
    """

    index: int
    start: int
    end: int
    text: str
    paragraph: int
    section: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A sentence that the search found; ``score`` is the fused score in [0, 1], higher is better."""

    document_id: int
    sentence: int
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A window of sentences as the model reads it, frozen as it was when the question was asked.

    ``text`` is the document's ``[start:end]``. ``sentences`` holds, for each sentence of the window, its index in the
    document and its start and end *within* ``text``; ``hits`` the indexes of those that the search itself found, of
    which ``best`` ranks first (none in exchanges that were logged before it was kept).
    """

    document_id: int
    lineage: str
    document: str
    scope: str
    page: int | None
    section: int
    start: int
    end: int
    text: str
    score: float
    sentences: tuple[tuple[int, int, int], ...]
    hits: tuple[int, ...]
    best: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a search returned: the windows in rank order, and the sentence hits (at most 50) that they came from."""

    query: str
    passages: tuple[Passage, ...]
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a sentence of an answer rests: passage ``n`` (from 1) and the sentence of it that supports the answer best.

    ``start`` and ``end`` are character offsets of ``sentence`` in its document; ``window`` is the whole passage.
    """

    n: int
    document_id: int
    document: str
    page: int | None
    sentence: str
    sentence_index: int
    start: int
    end: int
    window: str


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of the conversation and the answer it got."""

    question: str
    answer: str


class Side(StrEnum):
    """What an exchange is for, decided by its group when it is logged and never changed.

    ``gate``: sealed, to prove adapters with; ``validation``: to choose between them; ``train``: to learn from.
    """

    TRAIN = "train"
    VALIDATION = "validation"
    GATE = "gate"


class ExchangeStatus(StrEnum):
    STREAMING = "streaming"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds from the question on: search, first token, last token (None: never came)."""

    retrieve: float
    first_token: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question with everything that led to its answer: the training triple and its lineage."""

    id: str
    conversation_id: str
    person_id: int
    question: str
    search_query: str
    document_ids: tuple[int, ...]
    history: tuple[Turn, ...]
    passages: tuple[Passage, ...]
    left_out: tuple[int, ...]
    hits: tuple[Hit, ...]
    prompt_version: str
    model: str
    adapter: str | None
    answer: str
    citations: tuple[Citation, ...]
    refused: bool
    status: ExchangeStatus
    private: bool
    prompt_tokens: int
    completion_tokens: int
    timings: Timings
    created_at: datetime
    rating: Rating | None = None
    support: Support | None = None
    """None until a judge has looked."""
    group: str | None = None
    """The heading section that the first passage lies in (``splits.group_of``); None: nothing was found."""
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class SentenceSupport:
    """A sentence of an answer, ``answer[start:end]``, and how likely it follows from the passages, in [0, 1].

    Calibrated on answers of which some nine sentences in ten do; too high where fewer do.

    ``passage`` is the number, from 1, of the one that supports it best; None if none does.
    """

    start: int
    end: int
    probability: float
    supported: bool
    passage: int | None = None


@dataclass(frozen=True, slots=True)
class Support:
    """What ``judge`` found of an answer; ``score`` is how much of it the passages support, in [0, 1]."""

    score: float
    sentences: tuple[SentenceSupport, ...]
    judge: str


class Reason(StrEnum):
    """Why an answer was rated as it was."""

    NOT_IN_DOCUMENTS = "not_in_documents"
    WRONG = "wrong"
    INCOMPLETE = "incomplete"
    WRONG_PASSAGE = "wrong_passage"
    NOT_ASKED = "not_asked"
    TONE = "tone"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person says of an answer. ``wrong_passages`` are numbers from 1; ``correction`` is the right answer."""

    value: Literal[-1, 1]
    reasons: tuple[Reason, ...] = ()
    comment: str = ""
    correction: str = ""
    wrong_passages: tuple[int, ...] = ()


class Review(StrEnum):
    """What was decided about a rating."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Rating:
    """A person's rating of an exchange. ``held``: by somebody new or unusually active, so an admin has to look at it.

    ``accepted_answer`` is the answer as a reviewer edited it, empty if nobody did.
    """

    exchange_id: str
    person_id: int
    feedback: Feedback
    review: Review
    held: bool
    accepted_answer: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RatingChange:
    at: datetime
    feedback: Feedback | None


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    person_id: int
    title: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message in the form that chat templates and OpenAI's API take."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request: those read and those written."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class AdapterStatus(StrEnum):
    """What became of a version. A ``withdrawn`` one never answers again; a ``rejected`` one failed the gate."""

    CANDIDATE = "candidate"
    CHAMPION = "champion"
    RETIRED = "retired"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A version of a LoRA adapter for the model ``base``; its weights never change.

    ``predecessor`` was live when this one became so (None: the base model itself): where a rollback leads.
    ``weights_hash`` names its algorithm; ``origin`` says what made it. ``affected_at``: when the first of the exchanges
    that it was trained on was deleted or redacted; None while all are as they were. ``proven``: it passed the gate.
    """

    version: str
    base: str
    predecessor: str | None
    prompt_version: str
    weights_hash: str
    origin: str
    created_at: datetime
    affected_at: datetime | None = None
    status: AdapterStatus = AdapterStatus.CANDIDATE
    proven: bool = False
    rolled_back: bool = False
    run_id: int | None = None
    dataset_hash: str = ""


@dataclass(frozen=True, slots=True)
class AdapterService:
    """From when until when a version answered (None: the base model itself); ``until`` None: it does now.

    ``reason`` is what the person who promoted it by hand gave for it.
    """

    version: str | None
    since: datetime
    until: datetime | None
    person_id: int | None
    reason: str


class CommandKind(StrEnum):
    LOAD = "load"
    UNLOAD = "unload"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class CommandStatus(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Command:
    """What another process asks the serving one to do; ``problem`` tells a person why it failed."""

    id: int
    kind: CommandKind
    version: str | None
    person_id: int | None
    status: CommandStatus
    problem: str | None


class RunStatus(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Run:
    """A training, or a whole cycle of it: what it is at, and what came of it.

    ``parameters`` say what was asked for, ``progress`` is what people are shown of the stage (names and figures that
    JSON knows). ``token`` counts the claims of all runs: only the holder of the run's present one may write to it.
    ``heartbeat`` is the last sign of life. ``verdict`` is what was decided in the end, ``problem`` tells a person why
    it failed; ``log`` is the path of its log file.
    """

    id: int
    kind: str
    status: RunStatus
    stage: str
    parameters: Mapping[str, Any]
    progress: Mapping[str, Any]
    heartbeat: datetime | None
    seed: int
    dataset_hash: str
    verdict: Mapping[str, Any] | None
    problem: str | None
    log: str
    token: int
    cancelling: bool
    person_id: int | None
    created_at: datetime
    finished_at: datetime | None
