"""The nodes of a cluster that have the files of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0105"
down_revision = "0100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collect_files", sa.Column("node", sa.String(80), nullable=True))
    op.create_index("ix_collect_files_node", "collect_files", ["node", "path"])


def downgrade() -> None:
    op.drop_index("ix_collect_files_node", "collect_files")
    op.drop_column("collect_files", "node")
