"""One figure of ours beside what it is compared with, its goal and its limit; and how both are timed.

Processor time (user and system, of all processes) and the least of several runs in turn: both are nearly the
same on a busy machine, which seconds by the clock are not. What only the clock shows has a goal and no limit.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

TURNS = 3
COLUMNS = ("work", "by", "ours, ms", "compared with", "ms", "ratio", "goal", "met", "limit")


@dataclass(frozen=True)
class Ratio:
    """Milliseconds of ours and of what it is compared with.

    limit: of the ratio; over it is a fault. goal: of the ratio; most: of ours, in ms. by: what they are.
    """

    work: str
    ours: float
    other: str
    others: float
    limit: float = math.inf
    goal: float | None = None
    most: float | None = None
    by: str = "processor"

    @property
    def value(self) -> float:
        """How many times as long ours takes; infinite, so over every limit, where a time is not above 0.

        Times are differences of two runs, which another program's load can spoil.
        """
        return self.ours / self.others if min(self.ours, self.others) > 0 else math.inf

    @property
    def met(self) -> bool:
        """Whether ours is within its goals."""
        within = math.isfinite(self.value) and (self.goal is None or self.value <= self.goal)
        return within and (self.most is None or self.ours <= self.most)

    def cells(self) -> list[str]:
        """A row of a table of `COLUMNS`."""
        ours, others = (f"{ms:,.0f}" if abs(ms) >= 100 else f"{ms:.3g}" for ms in (self.ours, self.others))
        goals = [f"ratio {self.goal:.2f}"] if self.goal is not None else []
        goals += [f"{self.most:g} ms"] if self.most is not None else []
        met = ("yes" if self.met else "**no**") if goals else ""
        limit = f"{self.limit:g}" if math.isfinite(self.limit) else ""
        named = [self.work, self.by, ours, self.other, others, f"{self.value:.2f}"]
        return [*named, ", ".join(goals), met, limit]


class Spent(NamedTuple):
    """Milliseconds of processor time, of this process and its children, and by the clock."""

    processor: float
    clock: float


def spent(act: Callable[[], object]) -> Spent:
    """What one run takes."""

    def used() -> float:
        own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime

    began, used_before = time.perf_counter(), used()
    act()
    return Spent((used() - used_before) * 1000, (time.perf_counter() - began) * 1000)


def least(*acts: Callable[[], object], turns: int = TURNS) -> list[Spent]:
    """The least processor time and the least time by the clock of each, in turn with the others."""
    times = [[spent(act) for act in acts] for _ in range(turns)]
    return [
        Spent(min(run.processor for run in column), min(run.clock for run in column))
        for column in zip(*times, strict=True)
    ]
