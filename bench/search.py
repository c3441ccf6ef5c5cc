"""Search among a million plates: the duration of each kind of query, and the query plans.

The rows are inserted with plain SQL, as another program would do it; the plans are SQLite's for
the statements that the search actually sends.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from app.db.engine import open_database
from app.db.plate_search import PlateSearch
from app.db.plates import PlateRepository
from app.plates import PlateFilter
from bench.query_plans import plan_of, recorded_statements
from bench.table import show

ROWS, TIMES, LIMIT = 1_000_000, 5, 20
LETTER, DIGIT = "char(65 + abs(random()) % 26)", "(abs(random()) % 10)"
FILL = f"""
INSERT INTO license_plates (plate_number, confidence, timestamp)
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {ROWS})
SELECT {" || ".join([LETTER] * 3 + [DIGIT] * 4)}, 0.9, datetime('2026-01-01', n || ' seconds')
FROM number
"""


def run() -> None:
    """Fill a database, search it, and print times and plans."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'million.db'}")
        started = time.perf_counter()
        with engine.begin() as connection:
            connection.execute(text(FILL))
            number = str(connection.scalar(text("SELECT plate_number FROM license_plates")))
        print(f"\n{ROWS} plates inserted in {time.perf_counter() - started:.0f} s")
        report(engine, number)
        engine.dispose()


def report(engine: Engine, number: str) -> None:
    """Print times and plans for a number that exists."""
    unknown = "ÄÖÜ-ÄÖÜÄ"
    queries = {
        "a number": number,
        "its beginning": number[:4],
        "a part": number[2:6],
        "all but its first character": number[1:],
        "a wildcard, taken literally": f"{number[:2]}%",
        "one edit away": number[:2] + "00" + number[4:],
        "no similar number": unknown,
    }
    search, rows = PlateSearch(engine), PlateRepository(engine)
    times, plans = [], {}
    for name, query in queries.items():
        with recorded_statements(engine) as sent:
            found = len(search.find(query, LIMIT))
        took = _median_ms(lambda query=query: search.find(query, LIMIT))
        times.append([name, query, found, f"{took:.0f} ms"])
        for statement, values in sent:
            plans[statement] = plan_of(engine, statement, values)
    wanted = PlateFilter(number=number[2:6])
    took = _median_ms(lambda: rows.plates(wanted, 0, LIMIT))
    times.append(
        ["the list, by a part", number[2:6], rows.plates(wanted, 0, LIMIT)[1], f"{took:.0f} ms"]
    )
    show(f"Search among {ROWS} plates", ["kind", "query", "found", "median"], times)
    steps = [[_short(statement), "; ".join(plan)] for statement, plan in plans.items()]
    show("Query plans", ["condition", "SQLite's plan"], steps)


def _median_ms(call: Any) -> float:
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def _short(statement: str) -> str:
    condition = statement.partition("WHERE ")[2].partition("ORDER BY")[0]
    return " ".join(condition.replace("license_plates.", "").split())[:110]
