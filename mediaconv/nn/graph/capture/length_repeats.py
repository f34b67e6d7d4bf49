"""After how many steps a size, or a condition on one, repeats with the input's length: by its expression.

Lengths that are tried one by one show nothing of a condition that is met seldom, at multiples of 5,000 or
past 100,000. What is no sum, division, remainder, minimum or comparison of whole numbers is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy
from torch.utils._sympy import functions

_WHOLE = (functions.CeilToInt, functions.FloorToInt, sympy.floor, sympy.ceiling)
_DIVIDED = (functions.FloorDiv, functions.CleanDiv)
_EXACT_QUOTIENT = (functions.IntTrueDiv, functions.FloatTrueDiv)
_REMAINDER = (functions.Mod, functions.PythonMod, sympy.Mod)
_SAME = (functions.ToFloat, functions.Identity)
_LEAST, _MOST = (functions.Min, sympy.Min), (functions.Max, sympy.Max)
_MOST_PARTS = 2**20
"""The largest denominator of a factor that is written as a float."""


class UnknownRepeatError(ValueError):
    """An expression of which it is not known how it repeats."""


@dataclass(frozen=True)
class Repeat:
    """A size that grows by `slope * period` every `period` from `start` on.

    It lies within `bound` of `slope` times its symbol there. Of a condition, slope and bound are zero.
    """

    slope: Fraction = Fraction(0)
    bound: Fraction = Fraction(0)
    period: int = 1
    start: int = 0


def repeat_of(expr: Any, symbol: sympy.Symbol) -> Repeat:
    """How an expression of a symbol repeats, all of whose values are at least 0.

    Raises UnknownRepeatError where the expression does not tell.
    """
    if expr in (True, False, sympy.true, sympy.false):
        return Repeat()
    if isinstance(expr, int | float | sympy.Number):
        return Repeat(bound=abs(_number(expr)))
    if expr == symbol:
        return Repeat(slope=Fraction(1))
    parts = [] if not isinstance(expr, sympy.Basic) else list(expr.args)
    for kinds, rule in _RULES:
        if isinstance(expr, kinds):
            return rule(parts, symbol)
    raise UnknownRepeatError(str(expr))


def _number(value: Any) -> Fraction:
    number = Fraction(int(value.p), int(value.q)) if isinstance(value, sympy.Rational) else None
    if number is None:
        if not math.isfinite(float(value)):
            raise UnknownRepeatError(str(value))
        number = Fraction(float(value))
    if number.denominator > _MOST_PARTS:
        raise UnknownRepeatError(str(value))
    return number


def _sum(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    all_ = [repeat_of(part, symbol) for part in parts]
    return Repeat(
        sum((r.slope for r in all_), Fraction(0)), sum((r.bound for r in all_), Fraction(0)), *_common(all_)
    )


def _common(all_: list[Repeat]) -> tuple[int, int]:
    return math.lcm(*(r.period for r in all_)), max((r.start for r in all_), default=0)


def _product(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    """Of numbers and one expression, or of several that do not grow."""
    factor = Fraction(1)
    rest = []
    for part in parts:
        if isinstance(part, sympy.Number):
            factor *= _number(part)
        else:
            rest.append(repeat_of(part, symbol))
    if len(rest) == 1:
        one = rest[0]
        return Repeat(one.slope * factor, one.bound * abs(factor), one.period, one.start)
    if any(r.slope for r in rest):
        raise UnknownRepeatError("a product of lengths")
    bound = abs(factor) * math.prod(r.bound for r in rest)
    return Repeat(Fraction(0), Fraction(bound), *_common(rest))


def _power(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    base, exponent = repeat_of(parts[0], symbol), parts[1]
    if base.slope or not (isinstance(exponent, sympy.Integer) and int(exponent) >= 0):
        raise UnknownRepeatError("a power of a length")
    return Repeat(Fraction(0), base.bound ** int(exponent), base.period, base.start)


def _whole(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    """Rounded to a whole number."""
    one = repeat_of(parts[0], symbol)
    return Repeat(one.slope, one.bound + 1, _until_whole(one.period, one.slope), one.start)


def _until_whole(period: int, slope: Fraction) -> int:
    """The multiple of a period in which a slope grows by a whole number."""
    return period * (period * slope).denominator


def _truncated(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    """Without what is behind the point: up or down by the sign, which a slope decides from some length on."""
    one = repeat_of(parts[0], symbol)
    start = one.start if not one.slope else max(one.start, math.floor(one.bound / abs(one.slope)) + 1)
    return Repeat(one.slope, one.bound + 1, _until_whole(one.period, one.slope), start)


def _rounded(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    """To the nearest, a half to the even one of two: the same again after an even number."""
    one = repeat_of(parts[0], symbol)
    return Repeat(one.slope, one.bound + 1, _until_whole(one.period, one.slope / 2), one.start)


def _quotient(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    one, by = repeat_of(parts[0], symbol), parts[1]
    if not isinstance(by, sympy.Number) or not _number(by):
        raise UnknownRepeatError("a quotient of lengths")
    divisor = _number(by)
    return Repeat(one.slope / divisor, one.bound / abs(divisor), one.period, one.start)


def _divided(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    """Divided and rounded down."""
    if (start := _outgrown(parts, symbol)) is not None:
        return Repeat(start=start)
    one = _quotient(parts, symbol)
    return Repeat(one.slope, one.bound + 1, _until_whole(one.period, one.slope), one.start)


def _remainder(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    if (start := _outgrown(parts, symbol)) is not None:
        one = repeat_of(parts[0], symbol)
        return Repeat(one.slope, one.bound, one.period, start)
    one = _divided(parts, symbol)
    return Repeat(Fraction(0), abs(_number(parts[1])), one.period, one.start)


def _outgrown(parts: list[Any], symbol: sympy.Symbol) -> int | None:
    """From where on a divisor that grows faster is larger than what it divides, of no sign; None if never."""
    if isinstance(parts[1], sympy.Number):
        return None
    one, by = (repeat_of(part, symbol) for part in parts)
    if one.slope < 0 or by.slope <= one.slope:
        return None
    if one.slope:
        return max(_parted(one, by), math.floor(one.bound / one.slope) + 1)
    return _parted(one, by) if isinstance(parts[0], sympy.Number) and parts[0] >= 0 else None


def _extreme(better: Callable[[Fraction, Fraction], bool]) -> Callable[[list[Any], sympy.Symbol], Repeat]:
    """The least or the most: of what grows at another rate, one is so from some length on."""

    def rule(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
        found = repeat_of(parts[0], symbol)
        for part in parts[1:]:
            other = repeat_of(part, symbol)
            start = _parted(found, other)
            if found.slope == other.slope:
                bound = max(found.bound, other.bound)
                period = math.lcm(found.period, other.period)
                found = Repeat(found.slope, bound, period, start)
            else:
                chosen = found if better(found.slope, other.slope) else other
                found = Repeat(chosen.slope, chosen.bound, chosen.period, start)
        return found

    return rule


def _parted(a: Repeat, b: Repeat) -> int:
    """From where on the one that grows faster is certain to be the larger; of equals, where both repeat."""
    start = max(a.start, b.start)
    if a.slope == b.slope:
        return start
    return max(start, math.floor((a.bound + b.bound) / abs(a.slope - b.slope)) + 1)


def _compared(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    a, b = (repeat_of(part, symbol) for part in parts)
    period = math.lcm(a.period, b.period) if a.slope == b.slope else 1
    return Repeat(period=period, start=_parted(a, b))


def _together(parts: list[Any], symbol: sympy.Symbol) -> Repeat:
    period, start = _common([repeat_of(part, symbol) for part in parts])
    return Repeat(period=period, start=start)


_RULES: tuple[tuple[Any, Callable[[list[Any], sympy.Symbol], Repeat]], ...] = (
    (_SAME, lambda parts, symbol: repeat_of(parts[0], symbol)),
    (_DIVIDED, _divided),
    (_EXACT_QUOTIENT, _quotient),
    (_REMAINDER, _remainder),
    (_WHOLE, _whole),
    (functions.TruncToInt, _truncated),
    (functions.RoundToInt, _rounded),
    (_LEAST, _extreme(lambda a, b: a < b)),
    (_MOST, _extreme(lambda a, b: a > b)),
    (sympy.Add, _sum),
    (sympy.Mul, _product),
    ((sympy.Pow, functions.PowByNatural), _power),
    (sympy.core.relational.Relational, _compared),
    ((sympy.And, sympy.Or, sympy.Not), _together),
)
