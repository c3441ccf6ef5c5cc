"""Collection jobs, their files and logs, and schedules."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collect_jobs",
        sa.Column("job_id", sa.String(36), primary_key=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("schedule_id", sa.String(36), nullable=True),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("gaps", sa.JSON(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("created_ts", sa.Double(), nullable=False),
        sa.Column("ended_ts", sa.Double(), nullable=True),
    )
    for column in ("state", "schedule_id", "created_ts"):
        op.create_index(f"ix_collect_jobs_{column}", "collect_jobs", [column])
    op.create_table(
        "collect_files",
        sa.Column("file_id", sa.Integer(), primary_key=True, autoincrement=True),
        _job_id(),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("started_ts", sa.Double(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("removed_ts", sa.Double(), nullable=True),
    )
    op.create_index("ix_collect_files_job_id", "collect_files", ["job_id"])
    op.create_table(
        "collect_logs",
        sa.Column("log_id", sa.Integer(), primary_key=True, autoincrement=True),
        _job_id(),
        sa.Column("ts", sa.Double(), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("line", sa.JSON(), nullable=True),
    )
    op.create_index("ix_collect_logs_job_id", "collect_logs", ["job_id"])
    op.create_table(
        "collect_schedules",
        sa.Column("schedule_id", sa.String(36), primary_key=True),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("created_ts", sa.Double(), nullable=False),
        sa.Column("last_run_ts", sa.Double(), nullable=True),
        sa.Column("last_job_id", sa.String(36), nullable=True),
        sa.Column("skipped", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    for table in ("collect_schedules", "collect_logs", "collect_files", "collect_jobs"):
        op.drop_table(table)


def _job_id() -> sa.Column[str]:
    return sa.Column(
        "job_id",
        sa.String(36),
        sa.ForeignKey("collect_jobs.job_id", ondelete="CASCADE"),
        nullable=False,
    )
