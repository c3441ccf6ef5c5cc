"""Numbers of plates as people write them; their key makes look-alikes of more scripts equal."""

import sqlalchemy as sa
from alembic import op

revision = "0081"
down_revision = "0080"
branch_labels = None
depends_on = None

# As ``app.plate_text.shape`` was then, which a test compares with what the database computes.
GAPS = " -./_'"
TWINS, FOR_TWINS = "OQI", "001"
WIDE_GAPS = "\u00a0\u00b7\u2009\u200a\u2010\u2011\u2012\u2013\u2014\u2019\u2022\u202f\u3000\u30fb"
LETTERS = (
    "бгджзийлпфцчшщъыьэюяєґўђѓќљњћџγδθλξπσφψωςÀàÁáÂâÃãÄäÅåĀāĂăĄąΑ"
    "αАаΒβВвÇçĆćĈĉĊċČčСсĎďĐđÐðÈèÉéÊêËëĒēĖėĘęĚěΕεЕеЁёĞğĢģĠġΗηНнÌìÍ"
    "íÎîÏïĪīĮįİΙιІіЇїЈјĶķΚκКкŁłĹĺĻļĽľΜμМмÑñŃńŅņŇňΝνÒòÓóÔôÕõÖöØøŌō"
    "ŐőΟοОоΡρРрŔŕŘřŚśŞşŠšȘșЅѕŢţŤťȚțΤτТтÙùÚúÛûÜüŪūŮůŰűŲųΧχХхÝýŸÿΥυ"
    "УуŹźŻżŽžΖζ٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹"
)
KEYS = (
    "БГДЖЗИЙЛПФЦЧШЩЪЫЬЭЮЯЄҐЎЂЃЌЉЊЋЏΓΔΘΛΞΠΣΦΨΩΣAAAAAAAAAAAAAAAAAAA"
    "AAABBBBCCCCCCCCCCCCDDDDDDEEEEEEEEEEEEEEEEEEEEEEGGGGGGHHHH111"
    "1111111111111111JJKKKKKKLLLLLLLLMMMMNNNNNNNNNN00000000000000"
    "000000PPPPRRRRSSSSSSSSSSTTTTTTTTTTUUUUUUUUUUUUUUUUXXXXYYYYYY"
    "YYZZZZZZZZ01234567890123456789"
)
OLD_GAPS, OLD_LETTERS, OLD_KEYS = " -.", "АВЕКМНОРСТУХІ", "ABEKMH0PCTYX1"

TABLE, INDEX = "license_plates", "ix_license_plates_search"
NESTED = 12  # calls of replace(): SQLite's parser goes no deeper than a hundred steps
EVENTS = ("INSERT", "UPDATE OF plate_number")


def replaced(expression: str, letters: str, keys: str) -> str:
    """SQL that replaces characters; those without a key are removed."""
    for letter, key in zip(letters, keys.ljust(len(letters)), strict=True):
        quoted = letter.replace("'", "''")
        expression = f"replace({expression}, '{quoted}', '{key.strip()}')"
    return expression


def sqlite_steps(number: str, row: str, gaps: str, letters: str, keys: str) -> list[str]:
    """Statements that fill ``shape`` of the rows in which ``row`` is true, one after the other.

    Only numbers with characters beyond ASCII need more than the first.
    """
    plain = replaced(f"upper({replaced(number, gaps, '')})", TWINS, FOR_TWINS)
    steps = [f"UPDATE {TABLE} SET shape = {plain} WHERE {row}"]
    for start in range(0, len(letters), NESTED):
        part = slice(start, start + NESTED)
        expression = replaced("shape", letters[part], keys[part])
        rare = f"{row} AND {number} GLOB '*[^ -~]*'"
        steps.append(f"UPDATE {TABLE} SET shape = {expression} WHERE {rare}")
    return steps


def change_sqlite(gaps: str, letters: str, keys: str) -> None:
    for event in EVENTS:
        name = f"{TABLE}_shape_{event[:6].lower()}"
        steps = sqlite_steps("NEW.plate_number", "id = NEW.id", gaps, letters, keys)
        op.execute(f"DROP TRIGGER {name}")
        body = "; ".join(steps)
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON {TABLE} BEGIN {body}; END")
    for step in sqlite_steps("plate_number", "id = id", gaps, letters, keys):
        op.execute(step)


def change_postgresql(gaps: str, letters: str, keys: str) -> None:
    gaps = gaps.replace("'", "''")
    first = f"translate(plate_number, '{letters}{gaps}', '{keys}')"
    own = sa.Computed(f"translate(upper({first}), '{TWINS}', '{FOR_TWINS}')", persisted=True)
    op.drop_index(INDEX, TABLE)
    op.drop_column(TABLE, "shape")
    op.add_column(TABLE, sa.Column("shape", sa.String(32, collation="C"), own))
    op.create_index(INDEX, TABLE, ["shape", "is_deleted", "id"])


def change(gaps: str, letters: str, keys: str) -> None:
    """Let the database compute the key in another way, for all rows."""
    if op.get_bind().dialect.name == "postgresql":
        change_postgresql(gaps, letters, keys)
    else:
        change_sqlite(gaps, letters, keys)


def upgrade() -> None:
    assert len(LETTERS) == len(KEYS)
    if op.get_bind().dialect.name == "postgresql":  # there, characters without a key come last
        change(GAPS + WIDE_GAPS, LETTERS, KEYS)
    else:
        change(GAPS, WIDE_GAPS + LETTERS, " " * len(WIDE_GAPS) + KEYS)


def downgrade() -> None:
    change(OLD_GAPS, OLD_LETTERS, OLD_KEYS)
