"""Users, their sessions, and API tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("user_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("name_key", sa.String(64), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=True),
        sa.Column("grants", sa.JSON(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("subject", sa.String(255), nullable=True, unique=True),
        sa.Column("created_ts", sa.Float(53), nullable=False),
        sqlite_autoincrement=True,  # a number is never used twice: the audit log names users so
    )
    op.create_table(
        "user_sessions",
        sa.Column("session_id", sa.Integer(), primary_key=True, autoincrement=True),
        _user_id(nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("previous_hash", sa.String(64), nullable=True),
        sa.Column("created_ts", sa.Float(53), nullable=False),
        sa.Column("seen_ts", sa.Float(53), nullable=False),
        sa.Column("rotated_ts", sa.Float(53), nullable=False),
        sa.Column("confirmed_ts", sa.Float(53), nullable=True),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_user_sessions_user_id", "user_sessions", ["user_id"])
    op.create_index("ix_user_sessions_previous_hash", "user_sessions", ["previous_hash"])
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Integer(), primary_key=True, autoincrement=True),
        _user_id(nullable=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("rights", sa.JSON(), nullable=False),
        sa.Column("cameras", sa.JSON(), nullable=False),
        sa.Column("created_ts", sa.Float(53), nullable=False),
        sa.Column("expires_ts", sa.Float(53), nullable=True),
        sa.Column("used_ts", sa.Float(53), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"])


def _user_id(*, nullable: bool) -> "sa.Column[int]":
    return sa.Column(
        "user_id",
        sa.Integer(),
        sa.ForeignKey("users.user_id", ondelete="CASCADE"),
        nullable=nullable,
    )


def downgrade() -> None:
    for table in ("api_tokens", "user_sessions", "users"):
        op.drop_table(table)
