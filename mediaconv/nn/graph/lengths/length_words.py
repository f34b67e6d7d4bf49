"""The lengths that meet conditions, in words: `6 n from 20 to 500`."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from mediaconv.nn.graph.capture.length_repeats import UnknownRepeatError
from mediaconv.nn.graph.lengths.conditions import LONG, MOST_PERIOD, MOST_TRIED, Conditions
from mediaconv.nn.graph.symbols import source

MOST_RESTS = 4
"""Lengths are described by so many rests of a period at most."""


def described(conditions: Conditions, numbers: Collection[int], shape: Sequence[int]) -> str:
    """The lengths that meet all of these conditions: which repeat (`3 n + 1`, `all but 5000 n`), from which
    one on and up to which; else the conditions of a size T.
    """
    least, most, others = _bounds(conditions, numbers, shape)
    words = _repeated(conditions, others, shape) if others else ""
    if words.startswith("T with"):
        return _in_symbols(conditions, numbers)
    if not words:
        return (
            f"up to {most}" if least is None else f"{least} or more" if most is None else f"{least} to {most}"
        )
    if least is None or not any(conditions.met(others, shape, n) for n in range(1, least)):
        return words if most is None else f"{words} up to {most}"
    return f"{words} from {least} on" if most is None else f"{words} from {least} to {most}"


def _bounds(
    conditions: Conditions, numbers: Collection[int], shape: Sequence[int]
) -> tuple[int | None, int | None, list[int]]:
    """The least and the longest length, of conditions that are bounds alone, and the other conditions."""
    least: int | None = None
    most: int | None = None
    others = []
    for i in numbers:
        upper = conditions.longest([i], shape)
        if upper is not None:
            most = upper if most is None else min(most, upper)
        elif (lower := _least(conditions, i, shape)) is not None:
            least = lower if least is None else max(least, lower)
        else:
            others.append(i)
    return least, most, others


def _least(conditions: Conditions, number: int, shape: Sequence[int]) -> int | None:
    """From which length on a condition is met, None where one that is longer does not."""
    first = max(shape[conditions.dim], LONG)
    if not all(conditions.met([number], shape, n) for n in range(first, first + 2 * MOST_PERIOD)):
        return None
    if conditions.may_fail_past(number, shape, first):
        return None
    failing = (n for n in range(first) if not conditions.met([number], shape, n))
    return 1 + max(failing, default=0)


def _repeated(conditions: Conditions, numbers: Sequence[int], shape: Sequence[int]) -> str:
    """Lengths that meet conditions which long ones may break, too."""
    first = max(shape[conditions.dim], LONG)
    met = [conditions.met(numbers, shape, n) for n in range(first, first + 2 * MOST_PERIOD)]
    for period in range(2, MOST_PERIOD + 1):
        if met[:-period] == met[period:] and not all(met):
            rests = sorted((first + i) % period for i in range(period) if met[i])
            if len(rests) > MOST_RESTS and set(numbers) & conditions.phase_numbers:
                rests = [shape[conditions.dim] % period]
            if 0 < len(rests) <= MOST_RESTS:
                return _multiples(period, rests)
            break
    return _seldom_broken(conditions, numbers, shape)


def _seldom_broken(conditions: Conditions, numbers: Collection[int], shape: Sequence[int]) -> str:
    """The lengths that meet conditions which few do not, `all but 5000 n`, or which few do, `6 or 8`; else in
    symbols.
    """
    try:
        spans = [conditions.repeats(i, shape) for i in numbers]
    except UnknownRepeatError:
        return _in_symbols(conditions, numbers)
    start, period = max(s for s, _ in spans), math.lcm(*(p for _, p in spans))
    if start > LONG or period > MOST_TRIED:
        return _in_symbols(conditions, numbers)
    first = -(-max(start, LONG) // period) * period
    rests = [n - first for n in range(first, first + period) if not conditions.met(numbers, shape, n)]
    if len(rests) == period:
        few = [n for n in range(1, first) if conditions.met(numbers, shape, n)]
        return " or ".join(map(str, few)) if 0 < len(few) <= MOST_RESTS else _in_symbols(conditions, numbers)
    if len(rests) > MOST_RESTS:
        return _in_symbols(conditions, numbers)
    return "all but " + _multiples(period, rests)


def _in_symbols(conditions: Conditions, numbers: Collection[int]) -> str:
    symbol = str(conditions.sizes[conditions.dim].symbol)
    return "T with " + " and ".join(sorted({source(conditions.all[i]).replace(symbol, "T") for i in numbers}))


def _multiples(period: int, rests: Iterable[int]) -> str:
    """Lengths of such rests, in words."""
    return " or ".join(f"{period} n + {rest}" if rest else f"{period} n" for rest in rests)
