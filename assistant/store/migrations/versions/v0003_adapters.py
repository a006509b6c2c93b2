"""Adapters, which of them is live and what other processes ask of the serving one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "adapters",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=80), nullable=False),
        sa.Column("base", sa.String(length=200), nullable=False),
        sa.Column("predecessor", sa.String(length=80), nullable=True),
        sa.Column("prompt_version", sa.String(length=20), nullable=False),
        sa.Column("weights_hash", sa.String(length=80), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_adapters")),
        sa.UniqueConstraint("version", name=op.f("uq_adapters_version")),
    )
    op.create_index(op.f("ix_adapters_base"), "adapters", ["base"], unique=False)
    op.create_table(
        "champions",
        sa.Column("base", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=80), nullable=True),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["adapters.version"], name=op.f("fk_champions_version")),
        sa.PrimaryKeyConstraint("base", name=op.f("pk_champions")),
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("version", sa.String(length=80), nullable=True),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_commands_person_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commands")),
    )
    op.create_index(op.f("ix_commands_status"), "commands", ["status"], unique=False)
