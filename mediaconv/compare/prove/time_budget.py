"""Seconds for a search: of the processor, so that a busy machine finds as much, and some times as many by the
clock, after which it is over in any case.
"""

from __future__ import annotations

import time

BY_THE_CLOCK = 4


class Budget:
    """So many seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.process_time() + seconds
        self._until_at_last = time.monotonic() + BY_THE_CLOCK * seconds

    @property
    def left(self) -> float:
        """Seconds left; 0 where it is over."""
        by_clock = (self._until_at_last - time.monotonic()) / BY_THE_CLOCK
        return max(0.0, min(self._until - time.process_time(), by_clock))

    @property
    def over(self) -> bool:
        return not self.left
