"""Targets, routes and deliveries of notifications."""

import sqlalchemy as sa
from alembic import op

revision = "0080"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notify_targets",
        sa.Column("target_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("options", sa.LargeBinary(), nullable=False),
        sa.Column("created_ts", sa.Float(53), nullable=False),
        sqlite_autoincrement=True,  # a number is never used twice: the audit log names targets so
    )
    op.create_table(
        "notify_routes",
        sa.Column("route_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("targets", sa.JSON(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("suppressed", sa.Integer(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "notify_deliveries",
        sa.Column("delivery_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("message_id", sa.String(64), nullable=False, unique=True),
        _reference("target", nullable=False, ondelete="CASCADE"),
        _reference("route", nullable=True, ondelete="SET NULL"),
        sa.Column("stream_id", sa.String(64), nullable=False),
        sa.Column("event_ids", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("created_ts", sa.Float(53), nullable=False),
        sa.Column("due_ts", sa.Float(53), nullable=False),
        sa.Column("finished_ts", sa.Float(53), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sqlite_autoincrement=True,  # deliveries are sent in the order of their numbers
    )
    for name, columns in (
        ("waiting", ["target_id", "state", "stream_id", "delivery_id"]),
        ("route", ["route_id", "created_ts"]),
        ("finished", ["finished_ts"]),
    ):
        op.create_index(f"ix_notify_deliveries_{name}", "notify_deliveries", columns)


def _reference(name: str, *, nullable: bool, ondelete: str) -> "sa.Column[int]":
    return sa.Column(
        f"{name}_id",
        sa.Integer(),
        sa.ForeignKey(f"notify_{name}s.{name}_id", ondelete=ondelete),
        nullable=nullable,
    )


def downgrade() -> None:
    for table in ("notify_deliveries", "notify_routes", "notify_targets"):
        op.drop_table(table)
