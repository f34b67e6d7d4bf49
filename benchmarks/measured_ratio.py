"""One figure of ours beside what it is compared with, its goal and its limit; and how both are timed.

Processor time (user and system, of all processes) and the least of several runs in turn: both are nearly the
same on a busy machine, which seconds by the clock are not. What only the clock shows has a goal and no limit.
"""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

TURNS = 3
DIFFERENCES = 5
"""Turns where what is told is the difference of two runs."""
UNTOLD = "cannot be told"
COLUMNS = ("work", "by", "ours, ms", "compared with", "ms", "ratio", "goal", "met", "limit")


@dataclass(frozen=True)
class Ratio:
    """Milliseconds of ours and of what it is compared with; NaN where `further` could not tell them.

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
        """How many times as long ours takes; NaN, which is over no limit, where that cannot be told."""
        return self.ours / self.others

    def _is_untold(self) -> bool:
        return math.isnan(self.ours) or (self.goal is not None and math.isnan(self.others))

    @property
    def met(self) -> bool:
        """Whether ours is within its goals."""
        within = self.goal is None or self.value <= self.goal
        return within and (self.most is None or self.ours <= self.most)

    def cells(self) -> list[str]:
        """A row of a table of `COLUMNS`."""
        ours, others = _milliseconds(self.ours), _milliseconds(self.others)
        goals = [f"ratio {self.goal:.2f}"] if self.goal is not None else []
        goals += [f"{self.most:g} ms"] if self.most is not None else []
        met = ("yes" if self.met else "**no**") if goals and not self._is_untold() else ""
        limit = f"{self.limit:g}" if math.isfinite(self.limit) else ""
        ratio = UNTOLD if math.isnan(self.value) else f"{self.value:.2f}"
        named = [self.work, self.by, ours, self.other, others, ratio]
        return [*named, ", ".join(goals), met, limit]


def _milliseconds(ms: float) -> str:
    if math.isnan(ms):
        return UNTOLD
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"


class Spent(NamedTuple):
    """Milliseconds of processor time, of this process and its children, and by the clock."""

    processor: float
    clock: float


Twice = tuple[Sequence[Spent], Sequence[Spent]]
"""Runs with few things and runs with more, in the same turns."""


def spent(act: Callable[[], object]) -> Spent:
    """What one run takes."""

    def used() -> float:
        own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime

    began, used_before = time.perf_counter(), used()
    act()
    return Spent((used() - used_before) * 1000, (time.perf_counter() - began) * 1000)


def in_turn(*acts: Callable[[], object], turns: int = TURNS) -> list[list[Spent]]:
    """What each of them takes in each turn."""
    return [
        list(column) for column in zip(*([spent(act) for act in acts] for _ in range(turns)), strict=True)
    ]


def least_of(runs: Sequence[Spent]) -> Spent:
    """The least processor time and the least time by the clock."""
    return Spent(min(run.processor for run in runs), min(run.clock for run in runs))


def least(*acts: Callable[[], object], turns: int = TURNS) -> list[Spent]:
    """The same of each, in turn with the others."""
    return [least_of(runs) for runs in in_turn(*acts, turns=turns)]


def further(short: Sequence[Spent], long: Sequence[Spent], more: float) -> Spent:
    """What each thing takes that a long run has `more` of than a short one in the same turn.

    NaN where that cannot be told.
    """
    each = _each((short, long), more)
    return Spent(told([one.processor for one in each]), told([one.clock for one in each]))


def further_beside(ours: Twice, others: Twice, more: float) -> tuple[Spent, Spent]:
    """What each further thing takes in two kinds of a run, both of the turn whose ratio is the middle one.

    What slows a turn down slows both: their ratio scatters less than either. An odd number of turns.
    """
    pairs = list(zip(_each(ours, more), _each(others, more), strict=True))
    processor = _middle([(one.processor, other.processor) for one, other in pairs])
    clock = _middle([(one.clock, other.clock) for one, other in pairs])
    return Spent(processor[0], clock[0]), Spent(processor[1], clock[1])


def _each(runs: Twice, more: float) -> list[Spent]:
    return [
        Spent((many.processor - few.processor) / more, (many.clock - few.clock) / more)
        for few, many in zip(*runs, strict=True)
    ]


def _middle(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]


def told(differences: Sequence[float]) -> float:
    """The median of differences; NaN where it is not above twice what they typically differ from it by."""
    median = statistics.median(differences)
    scatter = statistics.median(abs(difference - median) for difference in differences)
    return median if median > 2 * scatter else math.nan
