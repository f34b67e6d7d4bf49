"""What a run has to do: each input's last row and outputs against what is asked for now. Writes nothing.

Files are compared by size and time, and by content where only the time differs: a folder may be copied, and
an output that was damaged, or that a killed run of another configuration put there, is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mediaconv.errors import ReadError
from mediaconv.run.identity import content_hash
from mediaconv.run.manifest import DONE, Row
from mediaconv.run.plan import Job
from mediaconv.run.staging import is_unfinished
from mediaconv.run.transfer import content_of, identity_of

NEW, FAILED_BEFORE, OVERWRITE = "new", "failed before", "--overwrite"
INPUT_CHANGED, OUTPUTS_GONE, OUTPUTS_CHANGED = "input changed", "outputs missing", "outputs changed"
RUN_CHANGED = {
    "config": "configuration changed",
    "weights": "weights changed",
    "code": "program's version changed",
}
"""Reasons why an input is run, by the part of its identity that no longer matches."""


@dataclass
class OutputTree:
    """What lies in an output folder, found in one pass.

    files: of each folder its files by name, with bytes and time in ns; a store has no time of its own.
    leftovers: what killed runs left behind.
    """

    files: dict[str, dict[str, tuple[int, int | None]]] = field(default_factory=dict)
    leftovers: list[Path] = field(default_factory=list)

    def find(self, output: Path, path: str) -> tuple[int, int | None] | None:
        """Bytes and time of an output, by its path below the folder; None where it is not there."""
        folder, _, name = path.rpartition("/")
        return self.files.get(f"{output}/{folder}" if folder else str(output), {}).get(name)


@dataclass(frozen=True)
class Survey:
    """todo: jobs to run, each with its reason. skipped: jobs that are done and still match.

    renewed: rows of those of the skipped whose input or outputs have another time but the same content, with
    the times that they have now.
    """

    todo: list[tuple[Job, str]]
    skipped: list[Job]
    renewed: list[Row]


def scan_outputs(output: Path) -> OutputTree:
    """Read an output folder in depth, each folder once; hidden folders and links are not entered."""
    tree = OutputTree()
    waiting = [str(output)]
    while waiting:
        folder = waiting.pop()
        files: dict[str, tuple[int, int | None]] = {}
        try:
            entries = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with entries:
            for entry in entries:
                if is_unfinished(entry.name):
                    tree.leftovers.append(Path(entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        waiting.append(entry.path)
                else:
                    stat = entry.stat(follow_symlinks=False)
                    files[entry.name] = stat.st_size, stat.st_mtime_ns
        tree.files[folder] = files
    return tree


def survey(
    jobs: Sequence[Job],
    rows: Mapping[str, Row],
    tree: OutputTree,
    output: Path,
    run: Mapping[str, str],
    *,
    overwrite: bool = False,
) -> Survey:
    """Compare every job with its last row.

    run: what all jobs have in common (identity.run_identity). overwrite: nothing is skipped.
    """
    todo: list[tuple[Job, str]] = []
    skipped: list[Job] = []
    renewed: list[Row] = []
    for job in jobs:
        row = rows.get(job.name)
        if row is None or overwrite:
            todo.append((job, OVERWRITE if overwrite else NEW))
            continue
        now: dict[str, Any] = {}
        reason = (
            _run_reason(row, run) or _input_reason(job, row, now) or _output_reason(row, tree, output, now)
        )
        if reason is not None:
            todo.append((job, reason))
            continue
        skipped.append(job)
        if now:
            renewed.append(replace(row, **now))
    return Survey(todo, skipped, renewed)


def failed_jobs(jobs: Iterable[Job], rows: Mapping[str, Row]) -> list[Job]:
    """Jobs whose last row is a failure."""
    return [job for job in jobs if job.name in rows and rows[job.name].status != DONE]


def _run_reason(row: Row, run: Mapping[str, str]) -> str | None:
    if row.status != DONE:
        return FAILED_BEFORE
    return next((text for key, text in RUN_CHANGED.items() if row.identity.get(key) != run[key]), None)


def _input_reason(job: Job, row: Row, renewed: dict[str, Any]) -> str | None:
    """Why the input does not match; where it does under another time, `renewed` gets the row's identity."""
    known = row.identity
    try:
        now = identity_of(job)
        if now["size"] == known.get("size"):
            if now["time"] == known.get("time"):
                return None
            if content_of(job) == known.get("sha256"):
                renewed["identity"] = {**known, **now}
                return None
    except (OSError, ReadError):
        return INPUT_CHANGED  # the job tells what is wrong with it
    return INPUT_CHANGED


def _output_reason(row: Row, tree: OutputTree, output: Path, renewed: dict[str, Any]) -> str | None:
    """Why the outputs do not match; where they do under other times, `renewed` gets the row's outputs."""
    times: dict[str, int] = {}
    for file in row.outputs:
        found = tree.find(output, file["path"])
        if found is None:
            return OUTPUTS_GONE
        size, time = found
        if size != file["bytes"]:
            return OUTPUTS_CHANGED
        if time is not None and time != file.get("time"):
            try:
                if content_hash(output / file["path"]) != file["sha256"]:
                    return OUTPUTS_CHANGED
            except OSError:
                return OUTPUTS_CHANGED
            times[file["path"]] = time
    if times:
        renewed["outputs"] = [{**f, "time": times.get(f["path"], f.get("time"))} for f in row.outputs]
    return None
