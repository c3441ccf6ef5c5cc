"""The nodes of a cluster that have the snapshots of events, and footage."""

import sqlalchemy as sa
from alembic import op

revision = "0095"
down_revision = "0091"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("node", sa.String(80), nullable=True))
    op.add_column("footage", sa.Column("node", sa.String(80), nullable=True))
    op.create_index("ix_footage_node", "footage", ["node", "path"])
    op.create_table(
        "node_erasures",
        sa.Column("erasure_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("node", sa.String(80), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
    )
    op.create_index("ix_node_erasures_node", "node_erasures", ["node"])


def downgrade() -> None:
    op.drop_table("node_erasures")
    op.drop_index("ix_footage_node", "footage")
    op.drop_column("footage", "node")
    op.drop_column("events", "node")
