"""The lengths at which a module goes the way that was captured: the conditions that its export relied on.

What is padded or cut in front may follow from the length: there each of its phases is a capture of its own.
`if x.shape[2] % 2: x = pad(x)` is captured as the example takes it. Each way that conditions tell apart is
tried at a length or two; those that differ from the module are refused at the end of a stream, by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from mediaconv.nn.graph.capture.length_repeats import UnknownRepeatError, repeat_of
from mediaconv.nn.graph.symbols import AxisSize, depends, evaluate, source

MOST_WAYS = 24
"""Ways that are tried; of those past it, lengths are refused."""
MOST_NUMBERS = 2**23
"""Of an input that is tried because it is long."""
LONG, MOST_PERIOD, MOST_RESTS = 1024, 128, 4
"""Lengths are described from this one on, by a period and so many rests at most."""
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
        return not all(self._met([number], shape, n) for n in range(start, start + period))

    def may_fail_past(self, number: int, shape: Sequence[int], length: int, *, unknown: bool = True) -> bool:
        """Whether an input as long as that or longer may not meet a condition. unknown: if none tells."""
        try:
            start, period = self.repeats(number, shape)
        except UnknownRepeatError:
            return unknown
        end = max(start, length) + period
        return end - length > MOST_TRIED or not all(self._met([number], shape, n) for n in range(length, end))

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
        if not all(self._met([number], shape, n) for n in range(length, length + 65)):
            return False
        return not self.may_fail_past(number, shape, length, unknown=False)

    def describe(self, numbers: Collection[int], shape: Sequence[int]) -> str:
        """The lengths that meet conditions: `3 n + 1` where they repeat, `up to 20000` where longer ones do
        not, else the conditions of a size T.
        """
        most = self.longest(numbers, shape)
        if most is not None:
            return f"up to {most}"
        first = max(shape[self.dim], LONG)
        met = [self._met(numbers, shape, n) for n in range(first, first + 2 * MOST_PERIOD)]
        if all(met):
            if any(self.may_fail_past(i, shape, first) for i in numbers):
                return self._seldom_broken(numbers, shape)
            failing = (n for n in range(first) if not self._met(numbers, shape, n))
            return f"{1 + max(failing, default=0)} or more"
        for period in range(2, MOST_PERIOD + 1):
            if met[:-period] == met[period:]:
                rests = sorted((first + i) % period for i in range(period) if met[i])
                if len(rests) > MOST_RESTS and set(numbers) & self.phase_numbers:
                    rests = [shape[self.dim] % period]
                if 0 < len(rests) <= MOST_RESTS:
                    return _multiples(period, rests)
                break
        return self._seldom_broken(numbers, shape)

    def longest(self, numbers: Collection[int], shape: Sequence[int]) -> int | None:
        """The longest length that meets conditions, where all from that of `shape` to it do; else None."""
        lower, upper = shape[self.dim], _ENDLESS
        if any(self._met(numbers, shape, n) for n in range(upper, upper + MOST_PERIOD)):
            return None
        first = lower
        while upper - lower > 1:
            middle = (lower + upper) // 2
            lower, upper = (middle, upper) if self._met(numbers, shape, middle) else (lower, middle)
        within = {*range(first, min(first + LONG, upper)), *range(max(first, upper - LONG), upper)}
        if not all(self._met(numbers, shape, n) for n in within):
            return None
        return None if any(self._met(numbers, shape, n) for n in range(upper, upper + LONG)) else lower

    def _seldom_broken(self, numbers: Collection[int], shape: Sequence[int]) -> str:
        """The lengths that meet conditions which few do not: `all but 5000 n`, else in symbols."""
        try:
            spans = [self.repeats(i, shape) for i in numbers]
        except UnknownRepeatError:
            return self._in_symbols(numbers)
        start, period = max(s for s, _ in spans), math.lcm(*(p for _, p in spans))
        if start > LONG or period > MOST_TRIED:
            return self._in_symbols(numbers)
        first = -(-max(start, LONG) // period) * period
        rests = [n - first for n in range(first, first + period) if not self._met(numbers, shape, n)]
        if len(rests) > MOST_RESTS:
            return self._in_symbols(numbers)
        return "all but " + _multiples(period, rests)

    def _in_symbols(self, numbers: Collection[int]) -> str:
        symbol = str(self.sizes[self.dim].symbol)
        return "T with " + " and ".join(sorted({source(self.all[i]).replace(symbol, "T") for i in numbers}))

    def _met(self, numbers: Collection[int], shape: Sequence[int], length: int) -> bool:
        values = self._values([length if d == self.dim else n for d, n in enumerate(shape)])
        return all(self._holds(self.all[i], values) for i in numbers)


def _multiples(period: int, rests: Iterable[int]) -> str:
    """Lengths of such rests, in words."""
    return " or ".join(f"{period} n + {rest}" if rest else f"{period} n" for rest in rests)


@dataclass(frozen=True)
class Ways:
    """What was tried: sets of broken conditions at which a capture held, and those at which it did not."""

    good: frozenset[frozenset[int]] = frozenset()
    bad: frozenset[int] = frozenset()

    def take(self, broken: frozenset[int]) -> bool:
        """Whether a capture holds where these conditions are broken."""
        return not broken or broken in self.good or broken <= frozenset().union(*self.good) - self.bad


def _past_the_longest(conditions: Conditions, shape: Sequence[int]) -> set[int]:
    """Lengths past those that a condition allows at most. torch chooses an algorithm by an input's size: then
    the values are the same.
    """
    batch, lengths = conditions.sizes[0].symbol, set()
    for i in conditions.along - conditions.phase_numbers:
        longest = conditions.longest([i], shape)
        if longest is not None:
            # two items stand for any number of them: as many steps of one item
            first = (longest + 1) * (2 if batch in conditions.all[i].free_symbols else 1)
            lengths |= {first, first + first // 8 + 1}  # a slice's end just past the last step cuts nothing
    return {n for n in lengths if n * math.prod(shape) <= MOST_NUMBERS * shape[conditions.dim]}


def tried_ways(conditions: Conditions, shape: Sequence[int], agrees: Callable[[int], bool]) -> Ways:
    """Run lengths that break conditions.

    agrees: whether a capture gives what the module gives at a length; False also where the module fails.
    """
    length = shape[conditions.dim]
    ways: dict[frozenset[int], list[int]] = {}
    phases = conditions.phase_numbers  # at another phase another capture holds
    usual = {*range(1, 65), *range(length, length + 65), 3 * length, 8 * length, 8 * length + 1}
    past = _past_the_longest(conditions, shape)
    for n in sorted(usual | past):
        broken = conditions.broken([n if d == conditions.dim else s for d, s in enumerate(shape)])
        if broken and not broken & phases:
            ways.setdefault(broken, []).append(n)
    good: set[frozenset[int]] = set()
    failed: list[frozenset[int]] = []
    for broken, lengths in sorted(ways.items(), key=lambda way: len(way[0]))[:MOST_WAYS]:
        tried = {lengths[0], lengths[len(lengths) // 2], min(lengths, key=lambda n: abs(n - length))}
        tried = {n for n in tried if n <= 2 * length + 64} or {lengths[0], lengths[-1]}
        tried |= past.intersection(lengths)
        if any(n * math.prod(shape) > MOST_NUMBERS * length for n in tried):
            continue  # not known to hold
        if all(agrees(n) for n in sorted(tried)):
            good.add(broken)
        else:
            failed.append(broken)
    harmless = frozenset().union(*good)  # broken in a way that agreed: another condition made these ways fail
    bad = [broken - harmless or broken for broken in failed]
    return Ways(frozenset(good), frozenset().union(phases, *bad))
