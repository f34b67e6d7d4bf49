"""Measures everything and writes it into docs/performance.md, each part between its two marks.

python -m benchmarks.run            # all of it: half an hour
python -m benchmarks.run film       # one part of it
"""

from __future__ import annotations

import compileall
import datetime
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks import busy_core, exported, film, finished, layers, models, ratios, small_files
from benchmarks.film import ROOT
from benchmarks.table import Table, machine

PACKAGES = "mediaconv", "pipelines", "benchmarks"
PAGE = Path(__file__).parents[1] / "docs/performance.md"
BENCHMARKS: dict[str, Callable[[], list[Table]]] = {
    "ratios": ratios.measure,
    "finished": finished.measure,
    "small files": small_files.measure,
    "busy core": busy_core.measure,
    "film": film.measure,
    "layers": layers.measure,
    "models": models.measure,
    "exported": exported.measure,
}


def main(chosen: list[str]) -> int:
    """Run the named benchmarks, or all, and renew their parts; 1 where a ratio is over its limit.

    One that fails leaves its part of the page as it was, and the others are measured all the same.
    """
    for package in PACKAGES:  # as pip leaves them: where Python may not write it, each start compiles anew
        compileall.compile_dir(ROOT / package, quiet=1)
    faults: list[str] = []
    for name in chosen or BENCHMARKS:
        began = time.monotonic()
        try:
            tables = BENCHMARKS[name]()
        except Exception:
            traceback.print_exc()
            faults.append(f"{name} could not be measured")
            continue
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        faults += [fault for table in tables for fault in table.faults]
        text = "\n\n".join(table.markdown() for table in tables)
        print(text, flush=True)
        renew(name, f"Measured on {machine()}, {datetime.date.today()}.\n\n{text}")
    if faults:
        print(f"over the limit, or not measured: {', '.join(faults)}", file=sys.stderr)
    return int(bool(faults))


def renew(name: str, text: str) -> None:
    """Replace one part of the page."""
    begin, end = f"<!-- {name}: make bench -->\n", f"<!-- end of {name} -->"
    before, rest = PAGE.read_text().split(begin)
    PAGE.write_text(f"{before}{begin}{text}\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
