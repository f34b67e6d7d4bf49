"""The protocol of what runs many jobs: jobs in, outcomes out in any order; closing it stops everything.

An executor never touches the manifest and never decides what is run. Outputs do not depend on which is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from mediaconv.run.jobs.plan import Job
from mediaconv.run.jobs.result import Outcome

Advance = Callable[[int, int | None, float | None], None]
"""Told while a job runs: steps of the stream axis computed, steps in all where known, and the seconds of
media that the computed steps last where the axis is time."""

Perform = Callable[[Job, Advance], Outcome]
"""Runs one job in this process, once. Never raises for what a file or a disk does wrong."""


Outcomes = Generator[Outcome, None, None]
"""One outcome a job, in any order. Closing it early ends all jobs at once, with nothing partial left."""


class Watch:
    """Who is told what the workers do now; this one minds nothing. `worker` counts from 0."""

    def started(self, worker: int, job: Job) -> None:
        """A worker took a job, beside those that it has."""

    def advanced(self, worker: int, steps: int, total: int | None, media_seconds: float | None) -> None:
        """A worker computed a part of its job."""

    def stopped(self, worker: int) -> None:
        """A worker has no job now: they ended, or are to be tried again."""

    def lost(self, job: Job, reason: str) -> None:
        """The worker of a job was lost; the job will be begun once more."""


class Executor(Protocol):
    """Runs jobs."""

    def run(self, jobs: Sequence[Job], watch: Watch) -> Outcomes:
        """Begin. Raises MediaconvError where no worker can be started."""
