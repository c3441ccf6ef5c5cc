"""Leases: who publishes to an output, and which server is the front of a cluster."""

import sqlalchemy as sa
from alembic import op

revision = "0100"
down_revision = "0095"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lease_sessions",
        sa.Column("session_id", sa.String(32), primary_key=True),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until_ts", sa.Float(53), nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("session_id", sa.String(32)),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("leases")
    op.drop_table("lease_sessions")
