"""`--dry-run`: what a run would do, and about how long it would take and how much it would write.

Nothing is written to the output folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mediaconv.config import RunConfig
from mediaconv.counted import counted
from mediaconv.errors import MediaconvError, UsageError
from mediaconv.run.executors.autoscale import WORTH_STARTS
from mediaconv.run.executors.select_executor import select_executor
from mediaconv.run.jobs.estimate import rate_of_rows, rate_of_trial
from mediaconv.run.jobs.identity import run_identity
from mediaconv.run.jobs.perform import is_unfit
from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.rehearsal import misfits
from mediaconv.run.output.transfer import identity_of
from mediaconv.run.report.formatting import duration, escaped, size
from mediaconv.run.resume.survey import Survey
from mediaconv.run.runner import RESUME, Selection, survey_run

SHOWN = 20
NOT_FAILED = "did not fail: --retry-failed leaves it"


@dataclass(frozen=True)
class Forecast:
    """A run that was not done.

    survey: what is run and why, what is skipped, what is no input. seconds, bytes: of all that is run, about;
        None where no input could be tried. basis: what the estimate comes from.
    faults: inputs, of the first ones, that the stack does not take, and why.
    """

    survey: Survey
    output: str
    workers: int
    seconds: float | None
    bytes: int | None
    basis: str
    faults: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "output": self.output,
            "run": [
                {**_as_row(job, reason), "replaces": list(job.replaces)} for job, reason in self.survey.todo
            ],
            "skip": [_as_row(job, reason) for job, reason in self._skipped()],
            "left_out": [
                {"input": entry.path, "reason": entry.reason} for entry in self.survey.inputs.left_out
            ],
            "faults": [_as_fault(fault) for fault in self.faults],
            "workers": self.workers,
            "estimate": {"seconds": self.seconds, "bytes": self.bytes, "basis": self.basis},
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = [
            f"{job.origin} -> {job.destination}/  ({reason}"
            + (f"; replaces {', '.join(job.replaces)})" if job.replaces else ")")
            for job, reason in self.survey.todo
        ]
        skipped = self._skipped()
        lines += _grouped("skipped", [(job.origin, reason) for job, reason in skipped])
        lines += _grouped("left out", [(entry.path, entry.reason) for entry in self.survey.inputs.left_out])
        lines += [f"{path}: would fail: {reason}" for path, reason in self.faults]
        total = f"{counted(len(self.survey.todo), 'file')} to run, {len(skipped)} skipped"
        if self.survey.inputs.left_out:
            total += f", {len(self.survey.inputs.left_out)} left out"
        if self.seconds is not None and self.bytes is not None and self.survey.todo:
            total += (
                f"; about {size(self.bytes)} and {duration(self.seconds)} "
                f"with {counted(self.workers, 'worker')} (from {self.basis})"
            )
        elif self.survey.todo:
            total += f"; no estimate: {self.basis}"
        return [escaped(line) for line in [*lines, total, "nothing was run (--dry-run)"]]

    def _skipped(self) -> list[tuple[Job, str]]:
        done = [(job, "done and unchanged") for job in self.survey.skipped]
        return [*done, *((job, NOT_FAILED) for job in self.survey.not_failed)]


def _grouped(what: str, entries: Sequence[tuple[str, str]]) -> list[str]:
    """A line an entry; of many with one reason the first ones and their number."""
    groups: dict[str, list[str]] = {}
    for path, reason in entries:
        groups.setdefault(reason, []).append(path)
    lines = []
    for reason, paths in groups.items():
        lines += [f"{path}: {what} ({reason})" for path in paths[:SHOWN]]
        if len(paths) > SHOWN:
            lines.append(f"  ... and {len(paths) - SHOWN} more {what} ({reason}), all with --json")
    return lines


def forecast(config: RunConfig, selection: Selection = RESUME) -> Forecast:
    """Look, and try one input. Raises UsageError as a run would, and where the stack fits none of them."""
    survey = survey_run(config, selection)
    jobs = [job for job, _ in survey.todo]
    if not jobs:
        return Forecast(survey, config.output, 0, 0.0, 0, "nothing is left to do")
    _, workers = select_executor(config, jobs)
    weights = {job.name: _bytes(job) for job in jobs}
    unfit = _unfit(config, jobs)
    faults = tuple((job.origin, unfit[job.name]) for job in jobs if job.name in unfit)
    fitting = [job for job in jobs if job.name not in unfit]
    try:
        rate = rate_of_rows(survey.rows.values(), run_identity(config)) or rate_of_trial(
            config, fitting, weights
        )
    except (MediaconvError, OSError) as error:
        if is_unfit(error):
            raise UsageError(config.placed(str(error))) from error
        return Forecast(survey, config.output, workers, None, None, str(error), faults)
    total = sum(weights.values())
    work = rate.seconds * total
    if isinstance(config.workers, str) and config.executor != "ray":
        workers = workers if work > WORTH_STARTS * rate.start_seconds else 1
    seconds = round(rate.start_seconds + work / workers, 1)
    return Forecast(survey, config.output, workers, seconds, round(rate.bytes * total), rate.basis, faults)


def _unfit(config: RunConfig, jobs: Sequence[Job]) -> dict[str, str]:
    """Why jobs, of those whose inputs lie here, would fail on channels, rate or length, as `validate` tells.

    Raises UsageError where the stack takes none of them.
    """
    local = {job.input: job.name for job in jobs if not job.input_url}
    try:
        found = misfits(config, list(local))
    except UsageError as error:
        raise UsageError(config.placed(str(error))) from error
    except (MediaconvError, OSError):  # told by the trial, or by the run
        return {}
    return {local[path]: str(error) for path, error in found.items()}


def _bytes(job: Job) -> int:
    try:
        return int(identity_of(job)["size"])
    except OSError:
        return 0


def _as_fault(fault: tuple[str, str]) -> dict[str, str]:
    path, reason = fault
    return {"input": path, "reason": reason}


def _as_row(job: Job, reason: str) -> dict[str, str]:
    return {"input": job.origin, "outputs": job.destination, "reason": reason}
