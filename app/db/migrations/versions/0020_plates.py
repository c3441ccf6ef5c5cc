"""Number plates: sessions, plates, the watch-list, and the record of questions to Claude."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0010"
branch_labels = None
depends_on = None

# SQLite nests one replace() a letter, no deeper than its parser goes: capitals only.
CYRILLIC = "АВЕКМНОРСТУХІ"
LATIN = "ABEKMHOPCTYXI"
GAPS = " -."


def shape(number: str) -> str:
    """SQL of a plate number with look-alikes made equal: as ``app.numbers.shape``."""
    pairs = {**dict(zip(CYRILLIC, LATIN, strict=True)), "O": "0", "Q": "0", "I": "1"}
    if op.get_bind().dialect.name == "postgresql":
        first = f"translate({number}, '{CYRILLIC}{GAPS}', '{LATIN}')"
        return f"translate(upper({first}), 'OQI', '001')"
    expression = number
    for gap in GAPS:
        expression = f"replace({expression}, '{gap}', '')"
    for cyrillic, latin in zip(CYRILLIC, LATIN, strict=True):
        expression = f"replace({expression}, '{cyrillic}', '{latin}')"
    expression = f"upper({expression})"
    for twin in "OQI":
        expression = f"replace({expression}, '{twin}', '{pairs[twin]}')"
    return expression


def shape_column() -> sa.Column[str]:
    """What search looks through, kept by the database itself, whoever writes the row.

    PostgreSQL: a generated column, compared byte by byte, so that a range of the index is what
    begins alike. SQLite answers from the index alone only for a plain column: triggers fill it.
    """
    if op.get_bind().dialect.name == "postgresql":
        own = sa.Computed(shape("plate_number"), persisted=True)
        return sa.Column("shape", sa.String(32, collation="C"), own)
    return sa.Column("shape", sa.String(32), nullable=False, server_default=sa.text("''"))


def keep_shape() -> None:
    if op.get_bind().dialect.name == "postgresql":
        return
    for event in ("INSERT", "UPDATE OF plate_number"):
        op.execute(
            f"CREATE TRIGGER license_plates_shape_{event[:6].lower()} AFTER {event} "
            "ON license_plates BEGIN UPDATE license_plates "
            f"SET shape = {shape('NEW.plate_number')} WHERE id = NEW.id; END"
        )


def upgrade() -> None:
    now = sa.text("CURRENT_TIMESTAMP")
    moment = sa.DateTime(timezone=True)
    nought, empty, no = sa.text("0"), sa.text("''"), sa.false()
    op.create_table(
        "detection_sessions",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("filename", sa.String(255), nullable=False, server_default=empty),
        sa.Column("timestamp", moment, nullable=False, server_default=now),
        sa.Column("processing_time", sa.Float(), nullable=False, server_default=nought),
        sa.Column("total_plates_detected", sa.Integer(), nullable=False, server_default=nought),
        sa.Column("source", sa.String(64), nullable=False, server_default="upload"),
        sa.Column("source_image_path", sa.String(255), nullable=False, server_default=empty),
    )
    op.create_table(
        "license_plates",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("plate_number", sa.String(32), nullable=False, server_default=empty),
        sa.Column("confidence", sa.Float(), nullable=False, server_default=nought),
        sa.Column("timestamp", moment, nullable=False, server_default=now),
        sa.Column("image_path", sa.String(255), nullable=False, server_default=empty),
        sa.Column("source_image_path", sa.String(255), nullable=False, server_default=empty),
        *(
            sa.Column(name, sa.Integer(), nullable=False, server_default=nought)
            for name in ("x_min", "y_min", "x_max", "y_max")
        ),
        sa.Column("processed_by", sa.String(16), nullable=False, server_default="local"),
        sa.Column("alternative_readings", sa.Text(), nullable=True),
        sa.Column("is_verified", sa.Boolean(), nullable=False, server_default=no),
        sa.Column("is_deleted", sa.Boolean(), nullable=False, server_default=no),
        sa.Column("detection_id", sa.Integer(), sa.ForeignKey("detection_sessions.id")),
        sa.Column("country", sa.String(64), nullable=True),
        sa.Column("votes", sa.JSON(), nullable=True),
        sa.Column("source", sa.String(64), nullable=False, server_default="upload"),
        sa.Column("first_reading", sa.String(32), nullable=True),
        shape_column(),
    )
    op.create_index("ix_license_plates_detection_id", "license_plates", ["detection_id"])
    op.create_index("ix_license_plates_newest", "license_plates", ["timestamp", "id"])
    op.create_index("ix_license_plates_search", "license_plates", ["shape", "is_deleted", "id"])
    keep_shape()
    op.create_table(
        "watchlist",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("number", sa.String(32), nullable=False, unique=True),
        sa.Column("note", sa.Text(), nullable=False, server_default=empty),
        sa.Column("action", sa.String(8), nullable=False, server_default="alert"),
        sa.Column("created_at", moment, nullable=False, server_default=now),
    )
    op.create_table(
        "claude_calls",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("timestamp", moment, nullable=False, server_default=now),
        sa.Column("plate_id", sa.Integer(), nullable=True),
        sa.Column("crop_hash", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False, server_default=nought),
        sa.Column("output_tokens", sa.Integer(), nullable=False, server_default=nought),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("answer", sa.String(32), nullable=True),
    )
    op.create_index("ix_claude_calls_timestamp", "claude_calls", ["timestamp"])
    op.create_index("ix_claude_calls_crop_hash", "claude_calls", ["crop_hash"])


def downgrade() -> None:
    for table in ("claude_calls", "watchlist", "license_plates", "detection_sessions"):
        op.drop_table(table)
