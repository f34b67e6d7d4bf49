"""The state of an output folder: what is done, what failed, is missing or stale. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaconv.config import load_config
from mediaconv.errors import UsageError
from mediaconv.run.jobs.identity import run_identity
from mediaconv.run.jobs.plan import Job, job_of
from mediaconv.run.output.folder import RUN_NAME, open_output
from mediaconv.run.output.ownership import check_run_yaml
from mediaconv.run.output.transfer import identity_of
from mediaconv.run.report.formatting import escaped
from mediaconv.run.resume.manifest import read_manifest
from mediaconv.run.resume.rows import Row
from mediaconv.run.resume.survey import ENDED_UNDER, FAILED_BEFORE, NEW, OUTPUTS_CHANGED, OUTPUTS_GONE, survey
from mediaconv.run.runner import survey_run

SHOWN = 20
INPUT_GONE = "its input is no longer there"


@dataclass
class Status:
    """Inputs by their state, each with its reason where it has one.

    done: complete and unchanged. failed: stage and reason of the last run. missing: not run yet, or outputs
    are gone or damaged. stale: done, but of another input, configuration, weights or version, or the input is
    gone. What an earlier run did counts too where the last one's patterns leave it out.
    rows: the last row of every input that has one.
    """

    output: str
    done: list[str] = field(default_factory=list)
    failed: dict[str, Row] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
    rows: Mapping[str, Row] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "output": self.output,
            "counts": self.counts,
            "done": [{"input": name} for name in self.done],
            "failed": [
                {"input": r.input, "stage": r.stage, "reason": r.reason} for r in self.failed.values()
            ],
            "missing": [{"input": name, "reason": reason} for name, reason in self.missing.items()],
            "stale": [{"input": name, "reason": reason} for name, reason in self.stale.items()],
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many inputs are in each state."""
        groups = {"done": self.done, "failed": self.failed, "missing": self.missing, "stale": self.stale}
        return {key: len(group) for key, group in groups.items()}

    def lines(self) -> list[str]:
        """For people."""
        lines = []
        failed = {name: f"{row.stage}: {row.reason}" for name, row in self.failed.items()}
        for key, group in (("failed", failed), ("missing", self.missing), ("stale", self.stale)):
            lines += [f"{key}: {name}: {reason}" for name, reason in list(group.items())[:SHOWN]]
            if len(group) > SHOWN:
                lines.append(f"  ... and {len(group) - SHOWN} more {key}")
        counts = ", ".join(f"{count} {key}" for key, count in self.counts.items())
        return [escaped(line) for line in [*lines, f"{self.output}: {counts}"]]


def _told_output(path: str) -> str:
    """The folder that a configuration writes to, in words; "" where a file is none that can be read."""
    try:
        config = load_config(path)
    except UsageError:
        return ""
    return "" if config.output is None else f": this configuration writes to {config.output}"


def read_status(where: str | Path) -> Status:
    """Compare an output folder with its manifest, its run.yaml and the inputs as they are now.

    Raises UsageError where the folder holds no run.
    """
    where = str(where)
    if Path(where).is_file():
        raise UsageError(f"{where}: is a file; status takes the output folder of a run{_told_output(where)}")
    with open_output(where, write=False) as output:
        if not check_run_yaml(output.folder, read_manifest(output.folder)):
            raise UsageError(
                f"{where}: holds no run (no {RUN_NAME}); give the `output` of a configuration that was run"
            )
        config = load_config(output.folder / RUN_NAME, output=where)
        surveyed = survey_run(config, looking=True)
        known = {job.name for job in surveyed.skipped} | {job.name for job, _ in surveyed.todo}
        others = [
            job_of(surveyed.inputs.root / name, surveyed.inputs, output.folder)
            for name in surveyed.rows.keys() - known
        ]
        there = [job for job in others if _is_there(job)]
        rest = survey(there, surveyed.rows, output, run_identity(config, surveyed.rows))
    status = Status(where, rows=surveyed.rows)
    status.done = sorted(job.name for job in [*surveyed.skipped, *rest.skipped])
    for job, reason in sorted([*surveyed.todo, *rest.todo], key=lambda entry: entry[0].name):
        if reason == FAILED_BEFORE:
            status.failed[job.name] = surveyed.rows[job.name]
        elif reason in (NEW, ENDED_UNDER, OUTPUTS_GONE, OUTPUTS_CHANGED):
            status.missing[job.name] = "not run yet" if reason == NEW else reason
        else:
            status.stale[job.name] = reason
    gone = {job.name for job in others}.difference(job.name for job in there)
    status.stale.update(dict.fromkeys(sorted(gone), INPUT_GONE))
    return status


def _is_there(job: Job) -> bool:
    """Whether a job's input can be asked for; an earlier run took it, the last one's patterns may not."""
    try:
        identity_of(job)
    except OSError:
        return False
    return True
