"""First and last input of each output of a period, as arrays: what is read through any chain of layers.

Exact also where outputs read nothing or leave gaps, without sets of indices: of a long kernel only the taps
at its ends are looked at. Knows no layers; `geometry` says what each reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

MOST_LOOKS = 2**26
"""Inputs of the outputs of a period up to which each is looked at."""
NOTHING = 2**60
"""The first input of an output that reads none; the last is its negative."""


class TooManyError(ValueError):
    """More outputs, or inputs of them, than can be looked at one by one."""


def check_count(looks: int) -> None:
    """Raise TooManyError where so many inputs of outputs are not looked at."""
    if looks > MOST_LOOKS:
        raise TooManyError(f"{looks} inputs of outputs, at most {MOST_LOOKS} are looked at")


def end_taps(kernel: int, alike: int) -> list[int]:
    """The taps at both ends of a kernel of which every `alike`-th reads alike: the others read between them.

    >>> end_taps(5, 3), end_taps(9, 2)
    ([0, 1, 2, 3, 4], [0, 1, 7, 8])
    """
    if kernel <= 2 * alike:
        return list(range(kernel))
    return [*range(alike), *range(kernel - alike, kernel)]


@dataclass(frozen=True)
class Spans:
    """First and last input that each output of a period reads; the first is past the last where none.

    stride: input steps an output step.
    """

    stride: Fraction
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def identity(cls) -> Spans:
        """Of the input itself."""
        return cls(Fraction(1), np.zeros(1, np.int64), np.zeros(1, np.int64))

    def repeats(self, steps: int | Fraction) -> int:
        """How often to move by so many outputs until the period begins anew.

        >>> Spans(Fraction(1, 6), np.arange(6), np.arange(6)).repeats(4)
        3
        """
        period = len(self.low)
        return period // math.gcd(period, int(steps))

    def at(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last input of any outputs."""
        block, place = np.divmod(outputs, len(self.low))
        low, high = self.low[place], self.high[place]
        shift = np.where(low <= high, block * int(len(self.low) * self.stride), 0)
        return low + shift, high + shift

    def gathered(self, stride: Fraction, reads: Iterable[np.ndarray]) -> Spans:
        """Behind a map of a stride. reads: what each output of a period reads of these ones."""
        ends = [self.at(read) for read in reads]
        low = np.array([first.min(initial=NOTHING) for first, _ in ends])
        high = np.array([last.max(initial=-NOTHING) for _, last in ends])
        return Spans(self.stride * stride, low, high)

    def through(
        self, stride: Fraction, period: int, taps: Iterable[tuple[np.ndarray, np.ndarray | bool]]
    ) -> Spans:
        """Behind a map of a stride. taps: what a tap of each output reads of these ones, and whether."""
        low, high = np.full(period, NOTHING), np.full(period, -NOTHING)
        for read, valid in taps:
            first, last = self.at(read)
            low = np.minimum(low, np.where(valid, first, NOTHING))
            high = np.maximum(high, np.where(valid, last, -NOTHING))
        return Spans(self.stride * stride, low, high)
