"""Events that are searched, flagged and commented; why continuous recordings have gaps."""

import sqlalchemy as sa
from alembic import op

revision = "0090"
down_revision = "0081"
branch_labels = None
depends_on = None

SEARCHED = {"label": "label", "zone": "zone", "line": "line", "plate": "plate_number"}
"""Columns, and the names of their values in the details of an event."""
INDEXES = {
    "ix_events_ts": ["ts", "event_id", "stream_id", "type"],
    "ix_events_stream_ts": ["stream_id", "ts", "event_id"],
    "ix_events_type_ts": ["type", "ts", "event_id"],
    "ix_events_label_ts": ["label", "ts", "event_id"],
    "ix_events_zone_ts": ["zone", "ts", "event_id"],
    "ix_events_plate": ["plate", "ts", "event_id"],
    "ix_events_flagged": ["flagged", "ts", "event_id"],
}


def add_columns(*, bytewise: bool) -> None:
    """Add the columns; numbers of plates are compared byte by byte, to find their beginnings."""
    for name in SEARCHED:
        collation = "C" if bytewise and name == "plate" else None
        op.add_column("events", sa.Column(name, sa.Text(collation=collation), nullable=True))
    op.add_column(
        "events",
        sa.Column("flagged", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("events", sa.Column("comment", sa.Text(), nullable=True))
    op.add_column("events", sa.Column("comment_by", sa.String(64), nullable=True))
    op.add_column("events", sa.Column("comment_ts", sa.Float(53), nullable=True))
    op.add_column("footage", sa.Column("ended", sa.String(16), nullable=True))


def fill(*, postgresql: bool) -> None:
    """Copy what is searched out of the details."""
    if postgresql:  # ->> fails on any text with a null character, which JSON may contain
        values = {column: f"details->>'{name}'" for column, name in SEARCHED.items()}
        rows = "CAST(details AS TEXT) NOT LIKE '%\\\\u0000%'"
    else:
        values = {column: f"json_extract(details, '$.{name}')" for column, name in SEARCHED.items()}
        rows = "json_valid(details)"
    values = {column: f"CAST({value} AS TEXT)" for column, value in values.items()}
    any_there = " OR ".join(f"{value} IS NOT NULL" for value in values.values())
    given = ", ".join(f"{column} = {value}" for column, value in values.items())
    op.execute(f"UPDATE events SET {given} WHERE CASE WHEN {rows} THEN {any_there} END")


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    add_columns(bytewise=postgresql)
    fill(postgresql=postgresql)
    op.drop_index("ix_events_type", "events")
    op.drop_index("ix_events_ts", "events")
    for name, columns in INDEXES.items():
        op.create_index(name, "events", columns)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "events")
    op.create_index("ix_events_type", "events", ["type"])
    op.create_index("ix_events_ts", "events", ["ts"])
    for name in (*SEARCHED, "flagged", "comment", "comment_by", "comment_ts"):
        op.drop_column("events", name)
    op.drop_column("footage", "ended")
