"""Measures everything and writes it into the README, between its two marks.

python -m benchmarks.run            # all of it: minutes
python -m benchmarks.run film       # one of them, printed and not written
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import exported, film, folders, layers
from benchmarks.table import Table, machine

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- benchmarks: make bench -->", "<!-- end of benchmarks -->"
BENCHMARKS: dict[str, Callable[[], list[Table]]] = {
    "film": film.measure,
    "layers": layers.measure,
    "folders": folders.measure,
    "exported": exported.measure,
}


def main(chosen: list[str]) -> None:
    """Run the named benchmarks, or all and renew the README."""
    tables = [table for name in chosen or BENCHMARKS for table in BENCHMARKS[name]()]
    text = "\n\n".join(table.markdown() for table in tables)
    print(text)
    if not chosen:
        measured = f"Measured on {machine()}, {datetime.date.today()}."
        before, rest = README.read_text().split(BEGIN)
        after = rest.split(END)[1]
        README.write_text(f"{before}{BEGIN}\n{measured}\n\n{text}\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
