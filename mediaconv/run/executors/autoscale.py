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
        self._first: list[float] = []
        self._later: list[float] = []

    def started(self, seconds: float) -> None:
        """A worker became ready, so long after it was begun."""
        self._start_seconds = seconds

    def ended(self, seconds: float, *, first: bool) -> None:
        """A job ended; whether it was its worker's first."""
        (self._first if first else self._later).append(seconds)

    def is_worth_another(self, *, waiting: int, workers: int, running: Sequence[tuple[float, bool]]) -> bool:
        """Whether the jobs that wait are worth one more start.

        running: of each job under way its seconds so far, and whether it is its worker's first.
        """
        if self._start_seconds is None:
            return False
        start = self._start_seconds
        so_far = [max(0.0, seconds - start) if first else seconds for seconds, first in running]
        first, later = _mean(self._first), _mean(self._later)
        warm_up = min(start, max(0.0, first - later))
        job_seconds = max([later if self._later else first - warm_up, *so_far])
        return job_seconds * waiting / workers > WORTH_STARTS * (start + warm_up)


def _mean(seconds: Sequence[float]) -> float:
    return sum(seconds) / len(seconds) if seconds else 0.0
