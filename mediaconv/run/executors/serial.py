"""One job after another, in this process: no second copy of the libraries, one traceback to read.

It does not protect from what ends a process (a codec's crash, too much memory): that ends the program. A job
under which that has happened is run in a process of its own, after all others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from mediaconv.run.executors.executor import Outcomes, Perform, Watch
from mediaconv.run.executors.process import ProcessExecutor
from mediaconv.run.jobs.plan import Job
from mediaconv.run.output.staging import clear_leftovers

CAUTION = "serial: a crash inside a decoder or a plug-in ends this program too; executor: process outlives it"


class SerialExecutor:
    """Runs jobs in the caller's thread.

    make: makes the function that runs a job, called before the first one.
    can_isolate: whether a job may be run in another process, which does not see `memory://`.
    """

    def __init__(self, make: Callable[[], Perform], *, can_isolate: bool = True) -> None:
        self._make, self._can_isolate = make, can_isolate
        self.suspects: Collection[str] = ()
        """Names of the jobs under which an earlier program ended."""

    def run(self, jobs: Sequence[Job], watch: Watch) -> Outcomes:
        """Outcomes in the order of the jobs, suspects last."""
        suspects = [job for job in jobs if self._can_isolate and job.name in self.suspects]
        if others := [job for job in jobs if job not in suspects] if suspects else jobs:
            yield from self._run_here(others, watch)
        if suspects:
            yield from ProcessExecutor(self._make, workers=1).run(suspects, watch)

    def _run_here(self, jobs: Sequence[Job], watch: Watch) -> Outcomes:
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
