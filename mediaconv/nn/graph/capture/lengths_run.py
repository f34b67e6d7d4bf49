"""The lengths at which a module itself runs, where it refuses some that its capture takes.

A check that a module leaves out while it is traced (`if not torch.compiler.is_compiling()`) is no condition
of the capture, and a stream would give values where the module raises. The lengths are found by trying.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy
from torch.utils._sympy.functions import Mod

from mediaconv.nn.graph.symbols import AxisSize

_TRIED, _MOST_PERIOD = 129, 64
"""Lengths from the example's on that are tried, and the longest period that is found among them."""


@dataclass(frozen=True)
class RunLengths:
    """Lengths from `least` on, up to `most`, that leave `rest` when divided by `period`."""

    period: int
    rest: int
    least: int
    most: int | None = None

    def conditions(self, size: AxisSize) -> list[sympy.Basic]:
        """The same as conditions on a size of the stream axis."""
        if size.symbol is None:
            return []
        length = size.factor * size.symbol + size.offset
        met = [sympy.Eq(Mod(length, self.period), self.rest)] if self.period > 1 else []
        return [*met, sympy.Ge(length, self.least), *self.ends(size)]

    def ends(self, size: AxisSize) -> list[sympy.Basic]:
        """The condition that an input is not too long; none where any length is taken."""
        if size.symbol is None or self.most is None:
            return []
        return [sympy.Le(size.factor * size.symbol + size.offset, self.most)]


def lengths_run(
    runs: Callable[[int], bool], taken: Callable[[int], bool], length: int, *, later: bool
) -> RunLengths | None:
    """The lengths at which a module runs, one of which is `length`; None where they follow no short period.

    runs: tries a length. taken: whether the capture takes one; others are not tried. later: whether it
    refuses longer ones than `length`, and not short ones alone.
    """
    found = {n: runs(n) for n in range(length, length + (_TRIED if later else 2)) if taken(n)}
    most = None
    period = _period(found, length)
    if period is None and later:  # there may be an end
        before = {n: runs(n) for n in range(max(1, length - _MOST_PERIOD), length) if taken(n)}
        ran = [n for n, does in {**before, **found}.items() if does]
        first, most = min(ran), max(ran)
        period = _period({n: n in ran for n in {**before, **found} if first <= n <= most}, length)
        longer = period is not None and any(n > most and (n - length) % period == 0 for n in found)
        period = period if longer and most - first >= (period or 0) else None
    if period is None:
        return None
    rest = length % period
    shorter = [n for n in range(rest or period, length, period) if taken(n)]
    return RunLengths(period, rest, _least(runs, [*shorter, length]), most)


def _period(found: Mapping[int, bool], length: int) -> int | None:
    """The period in which lengths run, one of which is `length`."""
    for period in range(1, _MOST_PERIOD + 1):
        if all(ran == ((n - length) % period == 0) for n, ran in found.items()):
            return period
    return None


def _least(runs: Callable[[int], bool], lengths: list[int]) -> int:
    """The first of some lengths at which a module runs, as it does at all after that one."""
    low, high = 0, len(lengths) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if runs(lengths[middle]) else (middle + 1, high)
    return lengths[high]
