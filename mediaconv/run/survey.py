"""What a run has to do: each input's last row and outputs against what is asked for now. Writes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaconv.errors import ReadError
from mediaconv.run.manifest import DONE, Row
from mediaconv.run.plan import Job
from mediaconv.run.staging import is_unfinished
from mediaconv.run.transfer import content_of, identity_of

NEW, FAILED_BEFORE, OUTPUTS_GONE, OVERWRITE = "new", "failed before", "outputs missing", "--overwrite"
INPUT_CHANGED = "input changed"
RUN_CHANGED = {
    "config": "configuration changed",
    "weights": "weights changed",
    "code": "program's version changed",
}
"""Reasons why an input is run, by the part of its identity that no longer matches."""


@dataclass
class OutputTree:
    """What lies in an output folder, found in one pass.

    sizes: of each folder, the bytes of its files by name. leftovers: what killed runs left behind.
    """

    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    leftovers: list[Path] = field(default_factory=list)

    def holds(self, output: Path, row: Row) -> bool:
        """Whether every file that a row tells of is there with the size it had."""
        root = str(output)
        for file in row.outputs:
            folder, _, name = file["path"].rpartition("/")
            if self.sizes.get(f"{root}/{folder}" if folder else root, {}).get(name) != file["bytes"]:
                return False
        return True


@dataclass(frozen=True)
class Survey:
    """todo: jobs to run, each with its reason. skipped: jobs that are done and still match.

    touched: those of the skipped whose input has another time but the same content, with its identity now.
    """

    todo: list[tuple[Job, str]]
    skipped: list[Job]
    touched: dict[str, dict[str, Any]]


def scan_outputs(output: Path) -> OutputTree:
    """Read an output folder in depth, each folder once; hidden folders and links are not entered."""
    tree = OutputTree()
    waiting = [str(output)]
    while waiting:
        folder = waiting.pop()
        sizes: dict[str, int] = {}
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
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
        tree.sizes[folder] = sizes
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
    touched: dict[str, dict[str, Any]] = {}
    for job in jobs:
        row = rows.get(job.name)
        if row is None or overwrite:
            todo.append((job, OVERWRITE if overwrite else NEW))
            continue
        reason = _run_reason(row, run) or _input_reason(job, row, touched)
        if reason is None and not tree.holds(output, row):
            reason = OUTPUTS_GONE
        if reason is None:
            skipped.append(job)
        else:
            todo.append((job, reason))
    return Survey(todo, skipped, touched)


def failed_jobs(jobs: Iterable[Job], rows: Mapping[str, Row]) -> list[Job]:
    """Jobs whose last row is a failure."""
    return [job for job in jobs if job.name in rows and rows[job.name].status != DONE]


def _run_reason(row: Row, run: Mapping[str, str]) -> str | None:
    if row.status != DONE:
        return FAILED_BEFORE
    return next((text for key, text in RUN_CHANGED.items() if row.identity.get(key) != run[key]), None)


def _input_reason(job: Job, row: Row, touched: dict[str, dict[str, Any]]) -> str | None:
    """Compared by size and time, and where only the time differs by content."""
    known = row.identity
    try:
        now = identity_of(job)
        if now["size"] == known.get("size"):
            if now["time"] == known.get("time"):
                return None
            if content_of(job) == known.get("sha256"):
                touched[job.name] = now
                return None
    except (OSError, ReadError):
        return INPUT_CHANGED  # the job tells what is wrong with it
    return INPUT_CHANGED
