"""What supports an answer, sentence by sentence; which exchanges an adapter saw; how many pages held no text."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "support",
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("sentences", sa.JSON(), nullable=False),
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name=op.f("fk_support_exchange_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_support")),
    )
    op.create_index(op.f("ix_support_exchange_id_score"), "support", ["exchange_id", "score"], unique=False)
    op.drop_column("exchanges", "support")  # nothing ever filled it
    op.create_table(
        "adapter_exchanges",
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("adapter_version", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", "adapter_version", name=op.f("pk_adapter_exchanges")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_adapter_exchanges_adapter_version"), "adapter_exchanges", ["adapter_version"])
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"], unique=False)
    op.add_column("documents", sa.Column("empty_pages", sa.Integer(), nullable=False, server_default="0"))
