"""Stages of runs, tickets, the gate's scores and opened items, options, and what becomes of adapters."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "run_stages",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_stages_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_stages")),
    )
    op.create_table(
        "tickets",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("dataset_hash", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_tickets")),
        sa.UniqueConstraint("run_id", name=op.f("uq_tickets_run_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "gate_scores",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("exchange_id", sa.String(length=32), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name=op.f("fk_gate_scores_exchange_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_gate_scores")),
    )
    op.create_index(op.f("ix_gate_scores_exchange_id"), "gate_scores", ["exchange_id"])
    op.create_table(
        "gate_opened",
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_gate_opened")),
    )
    op.create_table(
        "options",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_options")),
    )
    op.create_table(
        "adapter_services",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("base", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=80), nullable=True),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter_services")),
    )
    op.create_index(op.f("ix_adapter_services_base_until"), "adapter_services", ["base", "until"])
    op.add_column("adapters", sa.Column("status", sa.String(length=10), nullable=False, server_default="candidate"))
    op.add_column("adapters", sa.Column("proven", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("adapters", sa.Column("run_id", sa.Integer(), nullable=True))
    op.add_column("adapters", sa.Column("dataset_hash", sa.String(length=80), nullable=False, server_default=""))
    op.add_column("adapters", sa.Column("rolled_back", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("INSERT INTO adapter_services (base, version, since) SELECT base, version, changed_at FROM champions")
    op.execute("UPDATE adapters SET status = 'champion' WHERE version IN (SELECT version FROM champions)")
