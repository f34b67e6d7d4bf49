"""`--dry-run`: what a run would do, and about how long it would take and how much it would write.

The estimate comes from earlier files of the same output folder, or from a short trial of one input in a
temporary folder. Nothing is written to the output folder.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mediaconv.config import RunConfig
from mediaconv.errors import MediaconvError
from mediaconv.pipeline import find
from mediaconv.run.choose import choose_executor
from mediaconv.run.manifest import DONE, Row, read_manifest
from mediaconv.run.output import open_output
from mediaconv.run.plan import Job
from mediaconv.run.runner import RESUME, Selection, survey_run
from mediaconv.run.survey import Survey
from mediaconv.run.transfer import identity_of, localized
from mediaconv.run.wording import counted, duration, size

TRIAL_SECONDS = 3.0
SHOWN = 20


@dataclass(frozen=True)
class Forecast:
    """A run that was not done.

    found: what is run and why, what is skipped. seconds, bytes: of all that is run, about; None where no
    input could be tried. basis: what the estimate comes from.
    """

    found: Survey
    output: str
    workers: int
    seconds: float | None
    bytes: int | None
    basis: str

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "output": self.output,
            "run": [_told(job, reason) for job, reason in self.found.todo],
            "skip": [_told(job, "done and unchanged") for job in self.found.skipped],
            "workers": self.workers,
            "estimate": {"seconds": self.seconds, "bytes": self.bytes, "basis": self.basis},
        }

    def lines(self) -> list[str]:
        """For people."""
        found = [f"{job.origin} -> {job.destination}/  ({reason})" for job, reason in self.found.todo]
        if len(self.found.skipped) > SHOWN:
            found.append(f"{counted(len(self.found.skipped), 'file')} skipped (done and unchanged)")
        else:
            found += [f"{job.origin}: skipped (done and unchanged)" for job in self.found.skipped]
        total = f"{counted(len(self.found.todo), 'file')} to run, {len(self.found.skipped)} skipped"
        if self.seconds is not None and self.bytes is not None:
            total += (
                f"; about {size(self.bytes)} and {duration(self.seconds)} "
                f"with {counted(self.workers, 'worker')} (from {self.basis})"
            )
        elif self.found.todo:
            total += f"; no estimate: {self.basis}"
        return [*found, total, "nothing was run (--dry-run)"]


def forecast(config: RunConfig, selection: Selection = RESUME) -> Forecast:
    """Look, and try one input. Raises UsageError as a run would."""
    found = survey_run(config, selection)
    jobs = [job for job, _ in found.todo]
    if not jobs:
        return Forecast(found, config.output, 0, 0.0, 0, "nothing is left to do")
    _, workers = choose_executor(config, len(jobs))
    with open_output(config.output, write=False) as output:
        rows = [row for row in read_manifest(output.folder).values() if row.status == DONE]
    weights = {job.name: _bytes(job) for job in jobs}
    try:
        rate = _from_rows(rows) or _from_trial(config, jobs, weights)
    except (MediaconvError, OSError) as error:
        return Forecast(found, config.output, workers, None, None, str(error))
    total = sum(weights.values())
    seconds = round(rate.seconds * total / workers, 1)
    return Forecast(found, config.output, workers, seconds, round(rate.bytes * total), rate.basis)


@dataclass(frozen=True)
class _Rate:
    """What a byte of input costs."""

    seconds: float
    bytes: float
    basis: str


def _from_rows(rows: Sequence[Row]) -> _Rate | None:
    """From files that are done, where there are any."""
    weight = sum(row.identity.get("size", 0) for row in rows)
    if not weight:
        return None
    written = sum(file["bytes"] for row in rows for file in row.outputs)
    spent = sum(row.seconds for row in rows)
    return _Rate(spent / weight, written / weight, f"{counted(len(rows), 'file')} done before")


class _EnoughError(Exception):
    """The trial has lasted long enough."""


def _from_trial(config: RunConfig, jobs: Sequence[Job], weights: dict[str, int]) -> _Rate:
    """From the input of middle size, as far as it comes in `TRIAL_SECONDS`. Raises what the job raises."""
    from mediaconv.run.engine import run_job
    from mediaconv.run.models import Models

    pipeline = find(config.pipeline)
    models = Models(config, pipeline)
    job = sorted(jobs, key=lambda job: weights[job.name])[len(jobs) // 2]
    weight = max(1, weights[job.name])
    with tempfile.TemporaryDirectory(prefix="mediaconv-") as folder:
        trial = replace(job, target=Path(folder) / "trial", target_url="")
        fraction, began = 1.0, time.monotonic()

        def advance(steps: int, total: int | None, media_seconds: float | None) -> None:
            nonlocal fraction
            fraction = steps / total if total else 1.0
            if time.monotonic() - began > TRIAL_SECONDS and fraction < 1:
                raise _EnoughError(str(_written(Path(folder))))

        try:
            with localized(trial) as local:
                run_job(local, config, pipeline, models, progress=advance)
            written = _written(Path(folder))
        except MediaconvError as error:
            if not isinstance(error.__cause__, _EnoughError):
                raise
            written = int(str(error.__cause__))
        spent = time.monotonic() - began
    per_byte = 1 / (max(fraction, 1e-9) * weight)
    return _Rate(spent * per_byte, written * per_byte, f"a trial of {job.name}")


def _written(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _bytes(job: Job) -> int:
    try:
        return int(identity_of(job)["size"])
    except OSError:
        return 0


def _told(job: Job, reason: str) -> dict[str, str]:
    return {"input": job.origin, "outputs": job.destination, "reason": reason}
