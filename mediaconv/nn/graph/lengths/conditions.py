"""The conditions on lengths that a module's export relied on: under them it goes the way that was captured.

What padding or a cut in front follows from, where it follows from the length, is among them: its phases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import sympy

from mediaconv.nn.graph.capture.length_repeats import UnknownRepeatError, repeat_of
from mediaconv.nn.graph.symbols import AxisSize, depends, evaluate

LONG, MOST_PERIOD = 1024, 128
"""Lengths are described from this one on, by a period of so many steps at most."""
MOST_TRIED = 2**14
"""Lengths at which a condition is tried in order to describe it, where it repeats after so many."""
MOST_PHASES = 2048
"""The longest period in which padding that follows from the length may repeat."""
_ENDLESS = 2**62
"""A length past all others."""


class Conditions:
    """Conditions on the sizes of an input along `dim`, by number. sizes: of all its dimensions.

    phases: sizes that must be these numbers; `phase_numbers` are those of their conditions.
    """

    def __init__(
        self,
        expressions: Iterable[object],
        sizes: Sequence[AxisSize],
        dim: int,
        phases: Mapping[sympy.Expr, int] | None = None,
    ) -> None:
        self.sizes, self.dim, self.phases = sizes, dim, dict(phases or {})
        known = {s.symbol for s in sizes if s.symbol is not None}
        self.all: list[sympy.Basic] = [
            e
            for e in dict.fromkeys(expressions)
            if isinstance(e, sympy.Basic) and e.free_symbols and e.free_symbols <= known
        ]
        count = len(self.all)
        self.all += [sympy.Eq(e, n, evaluate=False) for e, n in self.phases.items()]
        self.phase_numbers = frozenset(range(count, len(self.all)))
        symbol = sizes[dim].symbol
        along = [] if symbol is None else [i for i, e in enumerate(self.all) if depends(e, symbol)]
        self.along = frozenset(along)

    def period(self, shape: Sequence[int]) -> int | None:
        """After how many steps all that depends on the length repeats, None where it does not."""
        dim = self.dim
        if self.sizes[dim].symbol is None:
            return None
        first = max(shape[dim], LONG)
        rows = []
        parts = [self.all[i] for i in self.along if i not in self.phase_numbers]
        for n in range(first, first + 2 * MOST_PHASES):
            values = self._values([n if d == dim else s for d, s in enumerate(shape)])
            sizes = [int(evaluate(e, values)) for e in self.phases]
            rows.append([*sizes, *(self._holds(e, values) for e in parts)])
        table = np.array(rows, dtype=np.int64)
        for period in range(1, MOST_PHASES + 1):
            if np.array_equal(table[:-period], table[period:]):
                return period
        return None

    def repeats(self, number: int, shape: Sequence[int]) -> tuple[int, int]:
        """From which length on a condition repeats, and after how many steps. Raises UnknownRepeatError."""
        size, values = self.sizes[self.dim], self._values(shape)
        expr, symbol = self.all[number], size.symbol
        if symbol is None or not depends(expr, symbol):
            return 0, 1
        others = {s: sympy.Integer(values[str(s)]) for s in expr.free_symbols if s != symbol}
        found = repeat_of(expr.xreplace(others) if others else expr, symbol)
        return found.start * size.factor + size.offset, found.period * size.factor

    def fails_late(self, number: int, shape: Sequence[int], most: int) -> bool:
        """Whether a condition is not met at some lengths however long inputs are.

        Raises UnknownRepeatError where that takes more than `most` lengths to tell.
        """
        start, period = self.repeats(number, shape)
        if period > most:
            raise UnknownRepeatError(f"{self.all[number]} repeats after {period} steps")
        return not all(self.met([number], shape, n) for n in range(start, start + period))

    def may_fail_past(self, number: int, shape: Sequence[int], length: int, *, unknown: bool = True) -> bool:
        """Whether an input as long as that or longer may not meet a condition. unknown: if none tells."""
        try:
            start, period = self.repeats(number, shape)
        except UnknownRepeatError:
            return unknown
        end = max(start, length) + period
        return end - length > MOST_TRIED or not all(self.met([number], shape, n) for n in range(length, end))

    def _holds(self, expr: sympy.Basic, values: dict[str, int]) -> bool:
        """Whether a condition is met; not where it has no value, as a division by a size of zero."""
        try:
            return bool(evaluate(expr, values))
        except (ArithmeticError, TypeError, ValueError, NameError, AttributeError):
            return False

    def _values(self, shape: Sequence[int]) -> dict[str, int]:
        values = {}
        for d, (size, length) in enumerate(zip(self.sizes, shape, strict=True)):
            if (
                size.symbol is not None
            ):  # of a batch, two stand for any: one item broadcasts as any number does
                values[str(size.symbol)] = 2 if d == 0 else (length - size.offset) // size.factor
        return values

    def broken(self, shape: Sequence[int]) -> frozenset[int]:
        """Numbers of the conditions on the stream axis that an input's shape does not meet."""
        values = self._values(shape)
        return frozenset(i for i in self.along if not self._holds(self.all[i], values))

    def others_hold(self, shape: Sequence[int]) -> bool:
        """Whether the conditions on the other axes' sizes alone are met."""
        here = {self.sizes[self.dim].symbol, self.sizes[0].symbol}
        values = self._values(shape)
        return all(self._holds(e, values) for e in self.all if not e.free_symbols & here)

    def about_ends(self, number: int, shape: Sequence[int]) -> bool:
        """Whether short inputs alone break a condition, as that of a window which needs so many steps."""
        length = shape[self.dim]
        if not all(self.met([number], shape, n) for n in range(length, length + 65)):
            return False
        return not self.may_fail_past(number, shape, length, unknown=False)

    def longest(self, numbers: Collection[int], shape: Sequence[int]) -> int | None:
        """The longest length that meets conditions, where all from that of `shape` to it do; else None."""
        lower, upper = shape[self.dim], _ENDLESS
        if any(self.met(numbers, shape, n) for n in range(upper, upper + MOST_PERIOD)):
            return None
        first = lower
        while upper - lower > 1:
            middle = (lower + upper) // 2
            lower, upper = (middle, upper) if self.met(numbers, shape, middle) else (lower, middle)
        within = {*range(first, min(first + LONG, upper)), *range(max(first, upper - LONG), upper)}
        if not all(self.met(numbers, shape, n) for n in within):
            return None
        return None if any(self.met(numbers, shape, n) for n in range(upper, upper + LONG)) else lower

    def met(self, numbers: Collection[int], shape: Sequence[int], length: int) -> bool:
        """Whether a length along the axis meets conditions."""
        values = self._values([length if d == self.dim else n for d, n in enumerate(shape)])
        return all(self._holds(self.all[i], values) for i in numbers)
