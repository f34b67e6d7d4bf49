"""How fast work goes now: by the last half minute, not by a start that loads libraries or one long file."""

from __future__ import annotations

import time
from collections import deque

WINDOW_SECONDS = 30.0
LEAST_SECONDS = 2.0
"""An estimate needs so long a window."""


class MovingRate:
    """Amounts done, as they are told, in any unit.

    >>> rate = MovingRate()
    >>> for second in range(5):
    ...     rate.add(10.0 * second, now=float(second))
    >>> rate.remaining(100.0)
    6.0
    """

    def __init__(self) -> None:
        self._reports: deque[tuple[float, float]] = deque()

    def add(self, done: float, *, now: float | None = None) -> None:
        """So much is done by now. One more than WINDOW_SECONDS old is kept."""
        now = time.monotonic() if now is None else now
        self._reports.append((now, done))
        while len(self._reports) > 2 and now - self._reports[1][0] >= WINDOW_SECONDS:
            self._reports.popleft()

    def remaining(self, total: float) -> float | None:
        """Seconds until `total` is done; None before it can be told."""
        if len(self._reports) < 2:
            return None
        (began, first), (now, done) = self._reports[0], self._reports[-1]
        if now - began < LEAST_SECONDS or done <= first or done >= total:
            return None
        return (total - done) * (now - began) / (done - first)
