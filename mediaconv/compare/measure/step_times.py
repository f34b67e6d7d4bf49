"""When the steps of an input are: by its rate, or by the frames' own times where these differ from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

EVEN_SECONDS = Fraction(3, 2000)
"""Times that differ less from those of the rate are even: containers round to a millisecond."""


class Timeline:
    """The times of an input's steps, in seconds from the first one on.

    rate: steps a second, None where they have no time. times: of each step, where the file tells them.

    >>> film = Timeline(Fraction(25), [Fraction(n, 1000) for n in (0, 40, 120, 160, 240)])
    >>> film.even, float(film.at(4)), film.span_ms(2), film.span_ms(1)
    (False, 0.24, (120.0, 120.0), (40.0, 80.0))
    """

    def __init__(self, rate: Fraction | None, times: Sequence[Fraction] = ()) -> None:
        self._rate = rate
        relative = [t - times[0] for t in times]
        off = rate and any(abs(t - i / rate) >= EVEN_SECONDS for i, t in enumerate(relative))
        self._times = relative if off else []

    @property
    def even(self) -> bool:
        """Whether the rate says it all."""
        return not self._times

    @property
    def times(self) -> list[float] | None:
        """Of each step where they are uneven, otherwise None."""
        return [round(float(t), 6) for t in self._times] or None

    @property
    def mean_step(self) -> Fraction | None:
        """Seconds from one step to the next, on average."""
        if len(self._times) > 1:
            return self._times[-1] / (len(self._times) - 1)
        return 1 / self._rate if self._rate else None

    def at(self, step: Fraction | int) -> Fraction | None:
        """The time of a step, between two in proportion, past the last one by the mean step."""
        mean = self.mean_step
        if mean is None or not self._times:
            return None if mean is None else step * mean
        index = math.floor(step)
        if index >= len(self._times) - 1:
            return self._times[-1] + (step - len(self._times) + 1) * mean
        here = self._times[index]
        return here + (step - index) * (self._times[index + 1] - here)

    def span_ms(self, steps: Fraction | int) -> tuple[float, float] | None:
        """The shortest and the longest time that so many steps last anywhere in the input, in milliseconds.

        A negative number of steps gives the same, negative. None where steps have no time.
        """
        mean = self.mean_step
        if mean is None:
            return None
        count = float(abs(steps))
        starts = np.arange(max(0, len(self._times) - math.ceil(count)))
        if not len(starts):
            least = most = float(1000 * max(steps, -steps) * mean)
        else:
            times = np.array(self._times, float)
            ends = np.interp(starts + count, np.arange(len(times)), times)
            spans = np.round(1000 * (ends - times[starts]), 6)  # to a nanosecond: what floats add is no range
            least, most = float(spans.min()), float(spans.max())
        return (-most, -least) if steps < 0 else (least, most)


def middle(span: tuple[float, float] | None) -> float | None:
    """One number for a span: what lies halfway."""
    return None if span is None else (span[0] + span[1]) / 2


def in_words(span: tuple[float, float]) -> str:
    """A span for a reader, rounded to four digits.

    >>> in_words((40.0, 40.0)), in_words((200.0, 280.0))
    ('40 ms', '200 to 280 ms')
    """
    least, most = (f"{n:,.4g}" for n in span)
    return f"{least} ms" if least == most else f"{least} to {most} ms"
