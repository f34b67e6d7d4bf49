"""Which ways of a module a capture holds for, found by running lengths that break the conditions of it.

`if x.shape[2] % 2: x = pad(x)` is captured as the example takes it. Each way that conditions tell apart is
tried at a length or two; those that differ from the module are refused at the end of a stream, by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mediaconv.nn.graph.lengths.conditions import Conditions

MOST_WAYS = 24
"""Ways that are tried; of those past it, lengths are refused."""
MOST_NUMBERS = 2**23
"""Of an input that is tried because it is long."""


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
