"""Whether one more worker is worth its start, told from what the workers and jobs so far took."""

from __future__ import annotations

from collections.abc import Sequence

WORTH_STARTS = 2.0
"""A further worker is started where the work that waits takes longer than this many starts."""


class Autoscale:
    """What is known of a run's workers and jobs, in seconds.

    A worker's first job also loads and compiles what it needs: of its time, what it took beyond a later job,
    but no more than the worker's start took, belongs to the start.

    >>> autoscale = Autoscale()
    >>> autoscale.started(4.0)
    >>> autoscale.ended(1.5, first=True)
    >>> autoscale.is_worth_another(waiting=499, workers=1, running=[(0.01, False)])
    False
    >>> autoscale.ended(0.1, first=False)
    >>> autoscale.is_worth_another(waiting=498, workers=1, running=[])
    True
    """

    def __init__(self) -> None:
        self._start_seconds: float | None = None
        self._first, self._later = _Mean(), _Mean()

    def started(self, seconds: float) -> None:
        """A worker became ready, so long after it was begun."""
        self._start_seconds = seconds

    def ended(self, seconds: float, *, first: bool) -> None:
        """A job ended; whether it was its worker's first."""
        (self._first if first else self._later).add(seconds)

    def is_worth_another(self, *, waiting: int, workers: int, running: Sequence[tuple[float, bool]]) -> bool:
        """Whether the jobs that wait are worth one more start.

        running: of each job under way its seconds so far, and whether it is its worker's first.
        """
        if self._start_seconds is None:
            return False
        start = self._start_seconds
        so_far = [max(0.0, seconds - start) if first else seconds for seconds, first in running]
        first, later = self._first.seconds, self._later.seconds
        warm_up = min(start, max(0.0, first - later))
        job_seconds = max([later if self._later.count else first - warm_up, *so_far])
        return job_seconds * waiting / workers > WORTH_STARTS * (start + warm_up)


class _Mean:
    """Of as many jobs as there are, without keeping each."""

    def __init__(self) -> None:
        self.count, self._sum = 0, 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self._sum += seconds

    @property
    def seconds(self) -> float:
        """0 where there is none."""
        return self._sum / self.count if self.count else 0.0
