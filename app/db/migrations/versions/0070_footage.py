"""Clips of events and continuous recordings of cameras."""

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "footage",
        sa.Column("footage_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("stream_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("begin_ts", sa.Float(53), nullable=False),
        sa.Column("end_ts", sa.Float(53), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_footage_stream_id", "footage", ["stream_id", "begin_ts"])
    op.create_table(
        "clips",
        sa.Column("event_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column(
            "footage_id",
            sa.Integer(),
            sa.ForeignKey("footage.footage_id", ondelete="CASCADE"),
            nullable=False,
        ),
    )
    op.create_index("ix_clips_footage_id", "clips", ["footage_id"])


def downgrade() -> None:
    op.drop_table("clips")
    op.drop_table("footage")
