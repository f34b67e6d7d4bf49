"""A folder in which everything is done: how long it takes to find that out, and what is held of each file.

python -m benchmarks.finished
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.film import ROOT
from benchmarks.fresh_folder import fresh_folder
from benchmarks.measured_ratio import Spent, least
from benchmarks.small_inputs import CHANNELS, CONFIG, SIDE
from benchmarks.table import Table
from mediaconv.config import RunConfig, parse_config
from mediaconv.run.jobs.identity import run_identity, versions
from mediaconv.run.report.summary import Summary
from mediaconv.run.resume.manifest import Manifest
from mediaconv.run.resume.rows import DONE, Row
from mediaconv.run.runner import run_folder

FINISHED, LINKED, ROWS = 100_000, 300_000, 1_000_000
FINISHED_MS, FILE_BYTES = 4000, 300
MOST_LINKS = 50_000
"""To one file: ext4 knows 65,000."""
DAY_SECONDS, CONTENT = 86_400, b"output"
Make = Callable[[Path, Sequence[Path]], None]
"""Makes an input and its outputs."""
ROWS_ALONE = """
import sys, psutil
from pathlib import Path
from mediaconv.run.resume.manifest import read_manifest
before = psutil.Process().memory_info().rss
rows = read_manifest(Path(sys.argv[1]))
print(psutil.Process().memory_info().rss - before)
"""
WHOLE_RUN = """
import re, sys, psutil
from pathlib import Path
from benchmarks.small_inputs import CONFIG
from mediaconv.config import parse_config
from mediaconv.run.runner import run_folder
config = parse_config(CONFIG.format(pipeline="image", source=sys.argv[2], output=sys.argv[1]))
before = psutil.Process().memory_info().rss
summary = run_folder(config)
assert (summary.files, summary.skipped) == (0, int(sys.argv[3]))
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(int(peak[1]) * 1024 - before)
"""
"""The peak of this process's own memory: ru_maxrss begins with that of the program that starts it."""


def finished_tree(folder: Path, count: int, make: Make | None = None) -> RunConfig:
    """A folder of `count` inputs, its finished outputs and their manifest; its configuration."""
    source, output = folder / "many", folder / "many_out"
    config = parse_config(CONFIG.format(pipeline="image", source=source, output=output))
    output.mkdir()
    write_rows(output, config, count, make or write_files)
    return config


def write_files(path: Path, outputs: Sequence[Path]) -> None:
    """An input and its outputs, each a file of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    outputs[0].parent.mkdir(parents=True)
    for file in outputs:
        file.write_bytes(CONTENT)


class Links:
    """The same as links to a few files in a folder, which are made in a tenth of the time.

    Their time is later than any folder's, as an output's is that was the last to come into its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, 0

    def __call__(self, path: Path, outputs: Sequence[Path]) -> None:
        os.makedirs(path.parent, exist_ok=True)
        os.makedirs(outputs[0].parent)
        for file in (path, *outputs):
            number, position = divmod(self._made, MOST_LINKS)
            source = f"{self._folder}/{number}"
            if position == 0:
                Path(source).write_bytes(CONTENT)
                os.utime(source, (time.time() + DAY_SECONDS,) * 2)
            os.link(source, file)
            self._made += 1


def write_rows(output: Path, config: RunConfig, count: int, make: Make | None = None) -> None:
    """The manifest of a finished run, as long as real ones. make: makes each input with its outputs."""
    common, known = run_identity(config), versions()
    with Manifest(output) as manifest:
        for i in range(count):
            name = f"{i // 1000:03}/{i:06}.png"
            path, target = Path(config.input) / name, output / name
            files = [target / f"channel_{c}.png" for c in range(CHANNELS)]
            if make is not None:
                make(path, files)
            input_time, *times = (i if make is None else _time(file) for file in (path, *files))
            written: dict[str, Any] = {"bytes": len(CONTENT), "sha256": "0" * 64}
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
                identity={**common, "size": len(CONTENT), "time": input_time, "sha256": "0" * 64},
                versions=known,
                place="process 4321",
            )
            manifest.add(row)


def _time(file: Path) -> int:
    return file.stat().st_mtime_ns


def finished(folder: Path) -> Table:
    """What finding everything done takes, by the clock and in memory."""
    config = finished_tree(folder, FINISHED)
    for name in ("rows", "linked", "files"):
        (folder / name).mkdir()
    linked = finished_tree(folder / "linked", LINKED, Links(folder / "files"))
    goals = f"{FINISHED_MS / 1000:g} s, {FILE_BYTES} bytes a file", "as much for each"
    shown = []
    for done, count, goal in zip((config, linked), (FINISHED, LINKED), goals, strict=True):
        spent, held = _found(done, count), _whole_run(done, count) // count
        met = spent.processor <= FINISHED_MS * count / FINISHED and held <= FILE_BYTES
        seconds = [f"{spent.processor / 1000:.1f}", f"{spent.clock / 1000:.1f}"]
        shown.append([f"{count:,}", *seconds, f"{held}", goal, _told(met)])
    write_rows(folder / "rows", config, ROWS)
    held = _held(ROWS_ALONE, str(folder / "rows")) // ROWS
    goal = f"{FILE_BYTES} bytes a file"
    shown.append([f"{ROWS:,}, their rows alone", "", "", f"{held}", goal, _told(held <= FILE_BYTES)])
    columns = ["finished files", "processor seconds", "seconds", "bytes a file", "goal", "met"]
    system = ["stat", "--file-system", "--format", "%T", str(folder)]
    kind = subprocess.run(system, check=True, capture_output=True, text=True).stdout.strip()
    note = (
        f"On {kind}. Each output is looked at. Bytes a file: of the whole run at its peak, above what the "
        "program takes itself; of rows alone, what is held of the manifest. The "
        f"{LINKED:,} inputs and outputs are links to a few files, which the run looks at all the same: files "
        "would take an hour to make. The least of several runs in turn, without the start of the program."
    )
    return Table("A folder in which everything is done.", note, columns, shown)


def _found(config: RunConfig, count: int) -> Spent:
    """What a run takes that finds so many files finished, without the start of the program."""
    summaries: list[Summary] = []
    (spent,) = least(lambda: summaries.append(run_folder(config)))
    if {(summary.files, summary.skipped) for summary in summaries} != {(0, count)}:
        raise RuntimeError("a finished tree was not found to be finished")
    return spent


def _told(met: bool) -> str:
    return "yes" if met else "**no**"


def measure() -> list[Table]:
    """The table, in a folder of its own."""
    with fresh_folder() as folder:
        return [finished(folder)]


def _whole_run(config: RunConfig, count: int) -> int:
    """Bytes at the peak of a run that finds so many files finished."""
    return _held(WHOLE_RUN, config.output, config.input, str(count))


def _held(text: str, *words: str) -> int:
    """The number that a program prints."""
    command = [sys.executable, "-c", text, *words]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    print(measure()[0].markdown())
