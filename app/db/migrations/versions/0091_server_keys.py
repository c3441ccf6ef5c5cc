"""Secret keys of this server: its identity at push services, and what signs links to snapshots."""

import sqlalchemy as sa
from alembic import op

revision = "0091"
down_revision = "0090"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "server_keys",
        sa.Column("key_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_ts", sa.Float(53), nullable=False),
        sqlite_autoincrement=True,  # links name keys so: a number is never used twice
    )
    op.create_index("ix_server_keys_purpose", "server_keys", ["purpose"])


def downgrade() -> None:
    op.drop_table("server_keys")
