"""Lines of CSV files that spreadsheets open safely."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

FORMULA = "=+-@\t\r"
"""A spreadsheet takes a text that begins with one of these for a formula."""


def csv_line(values: Sequence[Any]) -> str:
    """One line, with its end."""
    file = io.StringIO()
    csv.writer(file).writerow([_harmless(value) for value in values])
    return file.getvalue()


def _harmless(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULA and value else value
