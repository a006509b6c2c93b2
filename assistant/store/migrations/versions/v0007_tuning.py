"""Groups with their sides, decided for all earlier exchanges too, and runs."""

import secrets

import sqlalchemy as sa
from alembic import op

from assistant import splits

revision = "0007"
down_revision = "0006"

_FIRST_PASSAGE = "json_extract(passages, '$[0].lineage') || ':' || json_extract(passages, '$[0].section')"


def upgrade() -> None:
    op.create_table(
        "exchange_groups",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.Column("side", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_exchange_groups")),
        sa.UniqueConstraint("key", name=op.f("uq_exchange_groups_key")),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("heartbeat", sa.DateTime(), nullable=True),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("dataset_hash", sa.String(length=80), nullable=False),
        sa.Column("verdict", sa.JSON(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("cancelling", sa.Boolean(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_runs_person_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_status"), "runs", ["status"], unique=False)
    op.add_column("exchanges", sa.Column("group_key", sa.String(length=60), nullable=True))
    op.add_column("exchanges", sa.Column("side", sa.String(length=10), nullable=True))
    op.create_index(op.f("ix_exchanges_side_created_at"), "exchanges", ["side", "created_at"], unique=False)
    op.create_index(op.f("ix_exchanges_group_key"), "exchanges", ["group_key"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        _place_earlier_exchanges()


def _place_earlier_exchanges() -> None:
    """As if each had been placed when it was logged: groups in the order in which they came up."""
    connection = op.get_bind()
    key = secrets.token_bytes(32)
    connection.execute(sa.text("INSERT INTO secrets VALUES ('groups', :key)"), {"key": key})
    connection.execute(sa.text(f"UPDATE exchanges SET group_key = {_FIRST_PASSAGE}"))  # noqa: S608
    keys = connection.scalars(
        sa.text(
            "SELECT group_key FROM exchanges WHERE group_key IS NOT NULL "
            "GROUP BY group_key ORDER BY min(created_at), group_key"
        )
    ).all()
    rows = [{"number": n + 1, "key": each, "side": splits.side_of(n, key=key)} for n, each in enumerate(keys)]
    if rows:
        connection.execute(sa.text("INSERT INTO exchange_groups VALUES (:number, :key, :side)"), rows)
    connection.execute(
        sa.text("UPDATE exchanges SET side = (SELECT side FROM exchange_groups g WHERE g.key = group_key)")
    )
