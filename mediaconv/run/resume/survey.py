"""What a run has to do: each input's last row and outputs against what is asked for now. Writes nothing.

Files are compared by size and time, and by content where only the time differs: a folder may be copied, and
an output that was damaged, or that a killed run of another configuration put there, is found.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mediaconv.errors import ReadError
from mediaconv.lazy_lists import Picked
from mediaconv.run.jobs.discover import Listing
from mediaconv.run.jobs.identity import content_hash, input_identity
from mediaconv.run.jobs.plan import Job, Plan, job_names
from mediaconv.run.output.folder import Found, Output
from mediaconv.run.output.transfer import content_of, identity_of
from mediaconv.run.resume.fingerprint import mark, run_mark
from mediaconv.run.resume.rows import BEGUN, DONE, Row, Rows

NEW, FAILED_BEFORE, OVERWRITE = "new", "failed before", "--overwrite"
ENDED_UNDER = "the program ended under it"
INPUT_CHANGED, OUTPUTS_GONE, OUTPUTS_CHANGED = "input changed", "outputs missing", "outputs changed"
RUN_CHANGED = {
    "config": "configuration changed",
    "weights": "weights changed",
    "code": "program's version changed",
}
"""Reasons why an input is run, by the part of its identity that no longer matches."""


@dataclass(frozen=True)
class Survey:
    """todo: jobs to run, each with its reason. skipped: jobs that are done and still match.

    renewed: rows of those of the skipped whose input or outputs have another time but the same content, with
        the times that they have now.
    not_failed: with --retry-failed, the jobs that it leaves for another run.
    inputs: what was found in the input, and what of it is left out.
    rows: the last row of every input that has one.
    closed: those of the skipped whose folder nothing came into after their outputs (`Output.find_all`).
    """

    todo: list[tuple[Job, str]]
    skipped: Sequence[Job] = field(default_factory=list)
    renewed: list[Row] = field(default_factory=list)
    not_failed: list[Job] = field(default_factory=list)
    inputs: Listing = field(default_factory=lambda: Listing(Path(), []))
    rows: Mapping[str, Row] = field(default_factory=dict, repr=False)
    closed: Container[str] = frozenset()


class Closed(Container[str]):
    """The inputs with rows but for the `others`: of a million nearly all are closed, and few are kept."""

    def __init__(self, rows: Container[str]) -> None:
        self._rows = rows
        self.others: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self._rows and name not in self.others


def survey(
    jobs: Sequence[Job],
    rows: Mapping[str, Row],
    output: Output,
    run: Mapping[str, str],
    *,
    overwrite: bool = False,
) -> Survey:
    """Compare every job with its last row.

    run: what all jobs have in common (identity.run_identity). overwrite: nothing is skipped.
    """
    todo: list[tuple[Job, str]] = []
    skipped, renewed = Picked(jobs), list[Row]()
    closed, known = Closed(rows), 0
    fingerprint = rows.fingerprint if isinstance(rows, Rows) and not overwrite else _none
    common = run_mark(run.get("config"), run.get("weights"), run.get("code"))
    names = job_names(jobs)
    for place, name in enumerate(names):
        kept = fingerprint(name)
        found = _unchanged(jobs, place, name, *kept, output, common) if kept is not None else None
        if found is not None:
            known += 1
            skipped.add(place)
            if not found[2]:
                closed.others.add(name)
            continue
        job, row = jobs[place], rows.get(name)
        if row is not None:
            known += 1
            closed.others.add(name)
        if row is None or overwrite:
            todo.append((job, OVERWRITE if overwrite else NEW))
            continue
        now: dict[str, Any] = {}
        reason = _run_reason(row, run) or _input_reason(job, row, now) or _output_reason(row, output, now)
        if reason is not None:
            todo.append((job, reason))
            continue
        skipped.add(place)
        if now:
            renewed.append(replace(row, **now))
    if known < len(rows):
        closed.others.update(set(rows).difference(names))
    return Survey(todo, skipped, renewed, rows=rows, closed=closed)


def _none(name: str) -> None:
    """Rows that keep no fingerprints."""


def _unchanged(
    jobs: Sequence[Job], place: int, name: str, outputs: Sequence[str], known: int, output: Output, run: int
) -> Found | None:
    """The outputs, where input and outputs are to size and time what the row says; else the row must tell."""
    try:
        now = input_identity(jobs.input_at(place)) if isinstance(jobs, Plan) else identity_of(jobs[place])
    except (OSError, ReadError):
        return None
    found = output.find_all(f"{name}/", outputs)
    if found is None or mark(run, now["size"], now["time"], found[0], found[1]) != known:
        return None
    return found


def survey_failed(jobs: Iterable[Job], rows: Mapping[str, Row]) -> Survey:
    """What `--retry-failed` does: the jobs whose last row is a failure."""
    failed = Survey([], rows=rows)
    for job in jobs:
        if job.name in rows and rows[job.name].status != DONE:
            failed.todo.append((job, FAILED_BEFORE))
        else:
            failed.not_failed.append(job)
    return failed


def _run_reason(row: Row, run: Mapping[str, str]) -> str | None:
    if row.status != DONE:
        return ENDED_UNDER if row.status == BEGUN else FAILED_BEFORE
    for key, text in RUN_CHANGED.items():
        if row.identity.get(key) != run[key]:
            return text
    return None


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


def _output_reason(row: Row, output: Output, renewed: dict[str, Any]) -> str | None:
    """Why the outputs do not match; where they do under other times, `renewed` gets the row's outputs."""
    times: dict[str, int] = {}
    for file in row.outputs:
        stored = output.find(file["path"])
        if stored is None:
            return OUTPUTS_GONE
        size, time = stored
        if size != file["bytes"]:
            return OUTPUTS_CHANGED
        if time is not None and time != file.get("time"):
            try:
                if content_hash(output.folder / file["path"]) != file["sha256"]:
                    return OUTPUTS_CHANGED
            except OSError:
                return OUTPUTS_CHANGED
            times[file["path"]] = time
    if times:
        renewed["outputs"] = [{**f, "time": times.get(f["path"], f.get("time"))} for f in row.outputs]
    return None
