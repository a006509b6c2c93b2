"""The tables. Every row that belongs to somebody says so from the first migration on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Float, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Aware times, kept in UTC: SQLite has no time zones of its own."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's own idiom)
        datetime: UtcDateTime,
        str: Text,
        list[Any]: JSON,
        dict[str, Any]: JSON(none_as_null=True),
    }


class PersonRow(Base):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[str] = mapped_column(String(10))
    password_hash: Mapped[str | None]
    """None: cannot sign in (yet): invited, reset, or the local admin."""
    disabled: Mapped[bool] = mapped_column(default=False)
    shares_private: Mapped[bool] = mapped_column(default=False)
    """Whether exchanges that rest on this person's private documents may be reviewed and learnt from."""
    created_at: Mapped[datetime]


class SessionRow(Base):
    """A browser that is signed in. Of every token only the SHA-256 is kept: 256 random bits need no slow hash."""

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class InvitationRow(Base):
    """A link that lets a person set a password, once."""

    __tablename__ = "invitations"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime]


class ApiKeyRow(Base):
    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]


class AuditRow(Base):
    """Who did what, and when. It names things by their ids and never holds what people wrote."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"), index=True)
    action: Mapped[str] = mapped_column(String(40), index=True)
    subject: Mapped[str] = mapped_column(String(100), default="", index=True)


class DocumentRow(Base):
    __tablename__ = "documents"
    __table_args__ = (
        Index(None, "scope", "status"),
        Index(None, "lineage"),
        UniqueConstraint("scope", "content_hash", "retired"),
        {"sqlite_autoincrement": True},  # vectors are named by this id: it must never be used twice
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    scope: Mapped[str] = mapped_column(String(40))
    added_by: Mapped[int] = mapped_column(ForeignKey("people.id"))
    lineage: Mapped[str] = mapped_column(String(32))
    generation: Mapped[int] = mapped_column(default=0)
    name: Mapped[str]
    file: Mapped[str] = mapped_column(String(32))
    source: Mapped[str | None]
    content_hash: Mapped[str] = mapped_column(String(80))
    size: Mapped[int]
    status: Mapped[str] = mapped_column(String(10))
    retired: Mapped[int] = mapped_column(default=0)
    """0, or the row's own id once it is being deleted: then the same content may be added again at once."""
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    reason: Mapped[str | None]
    pages: Mapped[int | None]
    empty_pages: Mapped[int] = mapped_column(default=0)
    sentences: Mapped[int] = mapped_column(default=0)
    embedding: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class SentenceRow(Base):
    __tablename__ = "sentences"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[int]
    end: Mapped[int]
    text: Mapped[str]
    paragraph: Mapped[int]
    section: Mapped[int]
    page: Mapped[int | None]


class ParagraphRow(Base):
    """A run of sentences whose words stand in the full-text table ``paragraph_words`` under the same row id."""

    __tablename__ = "paragraphs"

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), index=True)
    first: Mapped[int]
    last: Mapped[int]


class ConversationRow(Base):
    __tablename__ = "conversations"
    __table_args__ = (Index(None, "person_id", "updated_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    title: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ExchangeRow(Base):
    __tablename__ = "exchanges"
    __table_args__ = (
        Index(None, "conversation_id", "created_at"),
        Index(None, "person_id", "created_at"),
        Index(None, "refused", "created_at"),
        Index(None, "side", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    question: Mapped[str]
    search_query: Mapped[str]
    document_ids: Mapped[list[Any]]
    history: Mapped[list[Any]]
    passages: Mapped[list[Any]]
    left_out: Mapped[list[Any]]
    hits: Mapped[list[Any]]
    prompt_version: Mapped[str] = mapped_column(String(20))
    model: Mapped[str]
    adapter: Mapped[str | None] = mapped_column(String(80))
    answer: Mapped[str] = mapped_column(default="")
    citations: Mapped[list[Any]]
    refused: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str] = mapped_column(String(10))
    private: Mapped[bool]
    shown: Mapped[bool] = mapped_column(default=True)
    """False once it was asked again or edited: it leaves the conversation, and stays in the log."""
    prompt_tokens: Mapped[int] = mapped_column(default=0)
    completion_tokens: Mapped[int] = mapped_column(default=0)
    retrieve_ms: Mapped[float] = mapped_column(Float, default=0.0)
    first_token_ms: Mapped[float | None] = mapped_column(Float)
    total_ms: Mapped[float] = mapped_column(Float, default=0.0)
    group_key: Mapped[str | None] = mapped_column(String(60), index=True)
    """The group that decided on ``side``, both when the exchange was logged; None: nothing was found."""
    side: Mapped[str | None] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(index=True)


class GroupRow(Base):
    """A heading section that was asked about, in the order in which they came up: that and the key decide on the side.

    Rows stay for good, whatever becomes of the exchanges: what is sealed stays sealed.
    """

    __tablename__ = "exchange_groups"

    number: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(60), unique=True)
    side: Mapped[str] = mapped_column(String(10))


class SecretRow(Base):
    """Random values of this installation that must stay the same and be guessed by nobody."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    value: Mapped[bytes]


class SupportRow(Base):
    """What a judge found of an exchange's answer; none until one has looked, and none where words were deleted."""

    __tablename__ = "support"
    __table_args__ = (Index(None, "exchange_id", "score"),)  # a filter by the score reads no sentences

    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), primary_key=True)
    score: Mapped[float] = mapped_column(Float)
    sentences: Mapped[list[Any]]
    judge: Mapped[str]
    created_at: Mapped[datetime]


class SampleRow(Base):
    """A sentence of an answer that a judge gave a verdict on, for people to judge without seeing that verdict."""

    __tablename__ = "samples"
    __table_args__ = (Index(None, "judge", "human"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    exchange_id: Mapped[str | None] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), index=True)
    """Where question and passages are from; None: from nothing that belongs to a person."""
    question: Mapped[str]
    passages: Mapped[list[Any]]
    sentence: Mapped[str]
    judge: Mapped[str]
    supported: Mapped[bool]
    probability: Mapped[float | None] = mapped_column(Float)
    human: Mapped[bool | None]
    """What a person said: supported or not; None until somebody has."""
    labelled_by: Mapped[int | None]  # no foreign key: a label outlives its giver's account
    labelled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class ExchangeDocumentRow(Base):
    """The documents that an exchange showed passages of."""

    __tablename__ = "exchange_documents"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), primary_key=True)
    document_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, index=True)


class RatingRow(Base):
    """A rating as it is now. Its words, and those of its exchange, stand in ``rating_words`` under the same row id."""

    __tablename__ = "ratings"
    __table_args__ = (
        UniqueConstraint("exchange_id", "person_id"),
        Index(None, "review", "updated_at"),
        Index(None, "value", "review", "updated_at"),
        Index(None, "person_id", "updated_at"),
        Index(None, "adapter", "updated_at"),
        Index(None, "question_hash", "value"),
        Index(None, "updated_at", "value", "adapter", "private", "person_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    value: Mapped[int]
    reasons: Mapped[list[Any]] = mapped_column(default=list)
    comment: Mapped[str] = mapped_column(default="")
    correction: Mapped[str] = mapped_column(default="")
    wrong_passages: Mapped[list[Any]] = mapped_column(default=list)
    """The numbers, from 1, of the passages that do not belong there."""
    adapter: Mapped[str | None] = mapped_column(String(80))
    """The exchange's, repeated so that an index serves a filter by it; likewise ``private``."""
    private: Mapped[bool] = mapped_column(default=False)
    question_hash: Mapped[str] = mapped_column(String(16), default="")
    """Equal for questions that differ in case, spaces and punctuation alone."""
    review: Mapped[str] = mapped_column(String(10), default="pending")
    held: Mapped[bool] = mapped_column(default=False)
    """By somebody new or unusually active: only an admin accepts it."""
    accepted_answer: Mapped[str] = mapped_column(default="")
    """The answer as a reviewer edited it; empty: as it is."""
    reviewed_by: Mapped[int | None]  # no foreign key: a review outlives its reviewer's account
    reviewed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class RatingReasonRow(Base):
    __tablename__ = "rating_reasons"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    reason: Mapped[str] = mapped_column(String(20), primary_key=True)
    rating_id: Mapped[int] = mapped_column(ForeignKey("ratings.id", ondelete="CASCADE"), primary_key=True, index=True)


class RatingChangeRow(Base):
    """What a rating was set to, each time; ``value`` is None where it was withdrawn."""

    __tablename__ = "rating_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    value: Mapped[int | None]
    reasons: Mapped[list[Any]] = mapped_column(default=list)
    comment: Mapped[str] = mapped_column(default="")
    correction: Mapped[str] = mapped_column(default="")
    wrong_passages: Mapped[list[Any]] = mapped_column(default=list)
    at: Mapped[datetime]


class GoldenRow(Base):
    """A question with the answer that it should get, for measuring."""

    __tablename__ = "golden"

    id: Mapped[int] = mapped_column(primary_key=True)
    question: Mapped[str] = mapped_column(unique=True)
    answer: Mapped[str]
    added_by: Mapped[int] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]


class ForgottenRow(Base):
    """An exchange that was deleted or redacted: adapters that were trained on it are affected."""

    __tablename__ = "forgotten"

    exchange_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]


class AdapterRow(Base):
    __tablename__ = "adapters"

    number: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(String(80), unique=True)
    base: Mapped[str] = mapped_column(String(200), index=True)
    predecessor: Mapped[str | None] = mapped_column(String(80))
    prompt_version: Mapped[str] = mapped_column(String(20))
    weights_hash: Mapped[str] = mapped_column(String(80))
    origin: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(String(10), default="candidate")
    proven: Mapped[bool] = mapped_column(default=False)
    """Whether it passed the gate; one that was promoted by hand did not."""
    rolled_back: Mapped[bool] = mapped_column(default=False)
    run_id: Mapped[int | None]  # no foreign key: an adapter outlives its run
    dataset_hash: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]


class AdapterServiceRow(Base):
    """From when until when a version answered; no version: the base model itself; ``until`` None: it does now."""

    __tablename__ = "adapter_services"
    __table_args__ = (Index(None, "base", "until"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    base: Mapped[str] = mapped_column(String(200))
    version: Mapped[str | None] = mapped_column(String(80))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    person_id: Mapped[int | None]  # no foreign key: who it was is history
    reason: Mapped[str] = mapped_column(default="")
    """Why somebody promoted it by hand."""


class AdapterExchangeRow(Base):
    """An exchange that an adapter was trained on. No foreign key: it outlives both."""

    __tablename__ = "adapter_exchanges"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    exchange_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    adapter_version: Mapped[str] = mapped_column(String(80), primary_key=True, index=True)


class ChampionRow(Base):
    """Which adapter answers, for each base model; no row or no version: the base model itself."""

    __tablename__ = "champions"

    base: Mapped[str] = mapped_column(String(200), primary_key=True)
    version: Mapped[str | None] = mapped_column(ForeignKey("adapters.version"))
    changed_at: Mapped[datetime]


class CommandRow(Base):
    __tablename__ = "commands"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    version: Mapped[str | None] = mapped_column(String(80))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    status: Mapped[str] = mapped_column(String(10), index=True)
    problem: Mapped[str | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class RunRow(Base):
    __tablename__ = "runs"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  (adapters and tickets name runs by their id)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(10), index=True)
    stage: Mapped[str] = mapped_column(String(20), default="")
    parameters: Mapped[dict[str, Any]]
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    heartbeat: Mapped[datetime | None]
    seed: Mapped[int]
    dataset_hash: Mapped[str] = mapped_column(String(80), default="")
    verdict: Mapped[dict[str, Any] | None]
    problem: Mapped[str | None]
    log: Mapped[str] = mapped_column(default="")
    token: Mapped[int] = mapped_column(default=0)
    cancelling: Mapped[bool] = mapped_column(default=False)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class RunStageRow(Base):
    """A stage of a run that is over, with what came of it: a run that is resumed goes on after it."""

    __tablename__ = "run_stages"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    result: Mapped[dict[str, Any]]
    finished_at: Mapped[datetime]


class TicketRow(Base):
    """A try to promote that was paid for. It outlives its run: deleting that gives nothing back."""

    __tablename__ = "tickets"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run_id: Mapped[int] = mapped_column(unique=True)
    dataset_hash: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime]


class GateScoreRow(Base):
    """What a model answered to an item of the gate, or how a judge scored that, by all that it depends on."""

    __tablename__ = "gate_scores"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    exchange_id: Mapped[str | None] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), index=True)
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class GateOpenedRow(Base):
    """An item of the gate that somebody looked at: it proves nothing any more."""

    __tablename__ = "gate_opened"

    exchange_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    person_id: Mapped[int]
    at: Mapped[datetime]


class OptionRow(Base):
    """Something that admins set in the running program, such as the schedule."""

    __tablename__ = "options"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    value: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime]
