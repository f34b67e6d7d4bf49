"""One job after another, in this process: no second copy of the libraries, one traceback to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mediaconv.run.executors.protocol import Outcomes, Perform, Watch
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.staging import clear_leftovers


class SerialExecutor:
    """Runs jobs in the caller's thread.

    make: makes the function that runs a job, called before the first one.
    """

    def __init__(self, make: Callable[[], Perform]) -> None:
        self._make = make

    def run(self, jobs: Sequence[Job], watch: Watch) -> Outcomes:
        """Outcomes in the order of the jobs."""
        perform = self._make()
        for job in jobs:
            watch.started(0, job)
            try:
                outcome = perform(job, lambda steps, total, media: watch.advanced(0, steps, total, media))
            except BaseException:
                clear_leftovers(job.target)  # an interrupt may cut off even the cleaning up
                raise
            watch.stopped(0)
            yield outcome
