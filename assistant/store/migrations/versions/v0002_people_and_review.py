"""People sign in; ratings say more, are reviewed and can be searched; what was deleted is remembered by its id."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "forgotten",
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_forgotten")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_api_keys_person_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(op.f("ix_api_keys_person_id"), "api_keys", ["person_id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_audit_person_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_action"), "audit", ["action"], unique=False)
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_index(op.f("ix_audit_person_id"), "audit", ["person_id"], unique=False)
    op.create_table(
        "golden",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["added_by"], ["people.id"], name=op.f("fk_golden_added_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_golden")),
        sa.UniqueConstraint("question", name=op.f("uq_golden_question")),
    )
    op.create_table(
        "invitations",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_invitations_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_invitations")),
    )
    op.create_index(op.f("ix_invitations_person_id"), "invitations", ["person_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_sessions_person_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_person_id"), "sessions", ["person_id"], unique=False)
    op.create_table(
        "exchange_documents",
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name=op.f("fk_exchange_documents_exchange_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("exchange_id", "document_id", name=op.f("pk_exchange_documents")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_exchange_documents_document_id"), "exchange_documents", ["document_id"], unique=False)
    op.create_table(
        "rating_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("correction", sa.Text(), nullable=False),
        sa.Column("wrong_passages", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name=op.f("fk_rating_changes_exchange_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_rating_changes_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_changes")),
    )
    op.create_index(op.f("ix_rating_changes_exchange_id"), "rating_changes", ["exchange_id"], unique=False)
    op.create_table(
        "rating_reasons",
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("rating_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rating_id"], ["ratings.id"], name=op.f("fk_rating_reasons_rating_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("reason", "rating_id", name=op.f("pk_rating_reasons")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_rating_reasons_rating_id"), "rating_reasons", ["rating_id"], unique=False)
    op.add_column("exchanges", sa.Column("support", sa.Float(), nullable=True))
    op.create_index(op.f("ix_exchanges_refused_created_at"), "exchanges", ["refused", "created_at"], unique=False)
    op.add_column("people", sa.Column("password_hash", sa.Text(), nullable=True))
    op.add_column("people", sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("people", sa.Column("shares_private", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("ratings", sa.Column("reasons", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("ratings", sa.Column("comment", sa.Text(), nullable=False, server_default=""))
    op.add_column("ratings", sa.Column("correction", sa.Text(), nullable=False, server_default=""))
    op.add_column("ratings", sa.Column("wrong_passages", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("ratings", sa.Column("adapter", sa.String(length=80), nullable=True))
    op.add_column("ratings", sa.Column("private", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("ratings", sa.Column("question_hash", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("ratings", sa.Column("review", sa.String(length=10), nullable=False, server_default="pending"))
    op.add_column("ratings", sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("ratings", sa.Column("accepted_answer", sa.Text(), nullable=False, server_default=""))
    op.add_column("ratings", sa.Column("reviewed_by", sa.Integer(), nullable=True))
    op.add_column("ratings", sa.Column("reviewed_at", sa.DateTime(), nullable=True))
    op.create_index(op.f("ix_ratings_adapter_updated_at"), "ratings", ["adapter", "updated_at"], unique=False)
    op.create_index(op.f("ix_ratings_person_id_updated_at"), "ratings", ["person_id", "updated_at"], unique=False)
    op.create_index(op.f("ix_ratings_question_hash_value"), "ratings", ["question_hash", "value"], unique=False)
    op.create_index(op.f("ix_ratings_review_updated_at"), "ratings", ["review", "updated_at"], unique=False)
    op.create_index(
        op.f("ix_ratings_updated_at_value_adapter_private_person_id"),
        "ratings",
        ["updated_at", "value", "adapter", "private", "person_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_ratings_value_review_updated_at"), "ratings", ["value", "review", "updated_at"], unique=False
    )
    if op.get_bind().dialect.name == "sqlite":
        _only_sqlite()


def _only_sqlite() -> None:
    """Full text of rated exchanges, what earlier exchanges showed, and what deletions take along."""
    op.execute("CREATE VIRTUAL TABLE rating_words USING fts5(words, tokenize = 'unicode61 remove_diacritics 2')")
    op.execute(
        "INSERT OR IGNORE INTO exchange_documents SELECT e.id, json_extract(p.value, '$.document_id') "
        "FROM exchanges e, json_each(e.passages) p"
    )
    op.execute(
        "INSERT INTO rating_words(rowid, words) SELECT r.id, e.question || ' ' || e.answer "
        "FROM ratings r JOIN exchanges e ON e.id = r.exchange_id"
    )
    op.execute(
        "UPDATE ratings SET (adapter, private) = (SELECT adapter, private FROM exchanges e WHERE e.id = exchange_id)"
    )
    # Deletions come by cascade, too: whatever way a row goes, its words go along and its id is remembered.
    op.execute(
        "CREATE TRIGGER ratings_gone AFTER DELETE ON ratings BEGIN DELETE FROM rating_words WHERE rowid = old.id; END"
    )
    op.execute(
        "CREATE TRIGGER exchanges_gone AFTER DELETE ON exchanges BEGIN "
        "INSERT OR REPLACE INTO forgotten VALUES (old.id, strftime('%Y-%m-%d %H:%M:%f000', 'now')); END"
    )
