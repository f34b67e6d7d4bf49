"""A folder in which everything is done: how long it takes to find that out, and what is held of each file.

python -m benchmarks.finished
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.film import ROOT
from benchmarks.folders import CHANNELS, CONFIG, SIDE
from benchmarks.fresh_folder import fresh_folder
from benchmarks.measured_ratio import least
from benchmarks.table import Table
from mediaconv.config import RunConfig, parse_config
from mediaconv.run.jobs.identity import run_identity, versions
from mediaconv.run.report.summary import Summary
from mediaconv.run.resume.manifest import Manifest
from mediaconv.run.resume.rows import DONE, Row
from mediaconv.run.runner import run_folder

FINISHED = 100_000
FINISHED_MS, ROW_BYTES = 4000, 300
ROWS = 1_000_000
ROWS_ALONE = """
import sys, psutil
from pathlib import Path
from mediaconv.run.resume.manifest import read_manifest
before = psutil.Process().memory_info().rss
rows = read_manifest(Path(sys.argv[1]))
print(psutil.Process().memory_info().rss - before)
"""
WHOLE_RUN = """
import resource, sys, psutil
from benchmarks.folders import CONFIG
from mediaconv.config import parse_config
from mediaconv.run.runner import run_folder
config = parse_config(CONFIG.format(pipeline="image", source=sys.argv[2], output=sys.argv[1]))
before = psutil.Process().memory_info().rss
run_folder(config)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)
"""


def finished_tree(folder: Path, count: int) -> RunConfig:
    """A folder of `count` inputs, its finished outputs and their manifest; its configuration."""
    source, output = folder / "many", folder / "many_out"
    config = parse_config(CONFIG.format(pipeline="image", source=source, output=output))
    output.mkdir()
    write_rows(output, config, count, makes_files=True)
    return config


def write_rows(output: Path, config: RunConfig, count: int, *, makes_files: bool = False) -> None:
    """The manifest of a finished run, as long as real ones; inputs and outputs too where it `makes_files`."""
    common, known = run_identity(config), versions()
    with Manifest(output) as manifest:
        for i in range(count):
            name = f"{i // 1000:03}/{i:06}.png"
            path, target = Path(config.input) / name, output / name
            files = [target / f"channel_{c}.png" for c in range(CHANNELS)]
            if makes_files:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"input")
                target.mkdir(parents=True)
                for file in files:
                    file.write_bytes(b"output")
            input_time, *times = (_time(file) if makes_files else i for file in (path, *files))
            written: dict[str, Any] = {"bytes": 6, "sha256": "0" * 64}
            row = Row(
                name,
                DONE,
                [
                    {"path": f"{name}/{f.name}", **written, "time": t}
                    for f, t in zip(files, times, strict=True)
                ],
                seconds=0.002,
                input_shape=[3, SIDE, SIDE],
                output_shape=[CHANNELS, SIDE, SIDE],
                identity={**common, "size": 5, "time": input_time, "sha256": "0" * 64},
                versions=known,
                place="process 4321",
            )
            manifest.add(row)


def _time(file: Path) -> int:
    return file.stat().st_mtime_ns


def finished(folder: Path) -> Table:
    """What finding everything done takes, by the clock and in memory."""
    config = finished_tree(folder, FINISHED)
    summaries: list[Summary] = []
    taken = least(lambda: summaries.append(run_folder(config)))[0]
    if {(summary.files, summary.skipped) for summary in summaries} != {(0, FINISHED)}:
        raise RuntimeError("a finished tree was not found to be finished")
    whole = _held(WHOLE_RUN, config.output, str(folder / "many")) // FINISHED
    rows = folder / "rows"
    rows.mkdir()
    write_rows(rows, config, ROWS)
    held = _held(ROWS_ALONE, str(rows)) // ROWS
    met = taken.processor <= FINISHED_MS and held <= ROW_BYTES
    row = [
        f"{FINISHED:,}",
        f"{taken.processor / 1000:.1f}",
        f"{taken.clock / 1000:.1f}",
        f"{held}",
        f"{whole}",
    ]
    row += [f"{FINISHED_MS / 1000:g} s, {ROW_BYTES} bytes a row", "yes" if met else "**no**"]
    columns = ["finished files", "processor seconds", "seconds", "bytes a row", "bytes a file", "goal", "met"]
    note = (
        f"Each output is looked at. Bytes a row: held of each of {ROWS:,} rows. Bytes a file: of the whole "
        "run at its peak, with the paths of inputs and outputs. A folder of a million is not made: its six "
        "million files and folders would take longer than all else here."
    )
    return Table("A folder in which everything is done.", note, columns, [row])


def _held(text: str, *words: str) -> int:
    """The number that a program prints."""
    command = [sys.executable, "-c", text, *words]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    with fresh_folder() as place:
        print(finished(place).markdown())
