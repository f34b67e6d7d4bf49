"""The times of outputs: output j carries the time of input `j * stride`, between two inputs in proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


class OutputClock:
    """Turns input times, as they are read, into output times, as they are written.

    stride: input steps an output step.
    step_seconds: distance of two inputs, used where only one is known.

    >>> clock = OutputClock(Fraction(2), Fraction(1, 25))
    >>> clock.push([Fraction(i, 25) for i in range(5)])
    >>> [float(t) for t in clock.take(3)]
    [0.0, 0.08, 0.16]
    """

    def __init__(self, stride: Fraction, step_seconds: Fraction) -> None:
        self._stride = stride
        self._step = step_seconds
        self._times: list[Fraction] = []
        self._first = 0
        self._emitted = 0

    def push(self, times: Sequence[Fraction]) -> None:
        """Times of the next inputs, in seconds."""
        self._times.extend(times)

    def take(self, count: int) -> list[Fraction]:
        """Times of the next `count` outputs, in seconds."""
        times = [self._at((self._emitted + j) * self._stride) for j in range(count)]
        self._emitted += count
        self._forget(math.floor(self._emitted * self._stride) - 1)
        return times

    def _at(self, position: Fraction) -> Fraction:
        index = math.floor(position)
        here = self._input(index)
        rest = position - index
        return here + rest * (self._input(index + 1) - here) if rest else here

    def _input(self, index: int) -> Fraction:
        """Time of an input; past the last one known, steps of the last distance are added."""
        known = self._first + len(self._times)
        if index < known:
            return self._times[max(0, index - self._first)]
        last = self._times[-1] if self._times else Fraction(0)
        step = self._times[-1] - self._times[-2] if len(self._times) > 1 else self._step
        return last + (index - known + 1) * step

    def _forget(self, until: int) -> None:
        drop = min(max(0, until - self._first), max(0, len(self._times) - 2))
        del self._times[:drop]
        self._first += drop
