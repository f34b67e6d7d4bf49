"""Rows as CSV, with no cell that a spreadsheet would compute."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from mediaconv.web.json_values import plain

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet computes."""


def csv_text(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """CSV with a header; a number that is not there is an empty cell.

    A text that a spreadsheet would take for a formula (a file called `=1+1.png`) gets a quote before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(keys)
    for row in rows:
        cells = (plain(row.get(key)) for key in keys)
        writer.writerow(["" if cell is None else _inert(cell) for cell in cells])
    return out.getvalue()


def _inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
