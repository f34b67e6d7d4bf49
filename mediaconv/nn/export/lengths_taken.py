"""For which lengths of an input an exported step holds: a captured model's padding may follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

from torch import nn

from mediaconv.nn.composed_maps import Chain
from mediaconv.nn.graph.capture.length_repeats import UnknownRepeatError
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.streaming.protocol import axis_map, parts_of

LONG, MOST_PERIOD, MOST_TRIED = 2**14, 512, 2**17
"""A length over any usual least one, the longest period that a step tells, and how many lengths are tried."""
_SELDOM = (
    "this model holds for some lengths of its input alone, which repeat after more than "
    f"{MOST_PERIOD} steps or never: its step could not tell for which; stream it in Python, with length="
)
_UNKNOWN = (
    "this model holds for some lengths of its input alone, and they do not follow from {}: its step could "
    "not tell for which; stream it in Python, with length="
)


@dataclass(frozen=True)
class Lengths:
    """Lengths from `least` on whose rest after division by `period` is one of `rests`."""

    period: int
    rests: tuple[int, ...]
    least: int

    def take(self, length: int) -> bool:
        return length >= self.least and length % self.period in self.rests

    def refuse(self, length: int) -> ValueError:
        if self.period == 1:
            return ValueError(
                f"length {length}: the model takes none so short; this step is for lengths from "
                f"{self.least} on"
            )
        rests = " or ".join(map(str, self.rests))
        return ValueError(
            f"length {length}: the model pads, cuts or goes otherwise there; this step is for lengths from "
            f"{self.least} on that leave {rests} when divided by {self.period}: export the model captured "
            "with length= of such an input"
        )


def fits_length(module: nn.Module, length: int) -> bool:
    """Whether all captured models in a stack hold for an input of a length."""
    if isinstance(module, StreamingGraph):
        return module._ways is None or module.goes_same_way(length)
    if isinstance(module, nn.Sequential):
        for layer in module:
            if not fits_length(layer, length):
                return False
            try:
                length = axis_map(layer, 0).output_length(length)
            except ValueError:  # too short for paths that are joined
                return False
        return True
    return all(fits_length(part, length) for _, part in parts_of(module))


def lengths_of(module: nn.Module) -> Lengths | None:
    """The lengths that a stack is for; None for all. Raises ValueError where they follow no short period."""
    if not any(isinstance(part, StreamingGraph) for part in module.modules()):
        return None
    try:
        start, period = _repeats(module)
    except UnknownRepeatError as unknown:
        raise ValueError(_UNKNOWN.format(unknown)) from None
    first = max(start, LONG)
    if first > MOST_TRIED or period > MOST_TRIED:
        raise ValueError(_SELDOM)
    late = [fits_length(module, first + i) for i in range(period)]
    for shorter in (p for p in range(1, MOST_PERIOD + 1) if period % p == 0):
        if any(late) and late == late[shorter:] + late[:shorter]:
            rests = tuple(sorted((first + i) % shorter for i in range(shorter) if late[i]))
            wrong = (n for n in range(first, 0, -1) if n % shorter in rests and not fits_length(module, n))
            least = next(wrong, 0) + 1
            if shorter == 1 and least == 1:
                return None
            return Lengths(shorter, rests, next(n for n in count(least) if n % shorter in rests))
    raise ValueError(_SELDOM)


def _repeats(module: nn.Module) -> tuple[int, int]:
    """From which length on it repeats whether `fits_length`, and after how many steps.

    By what the captures' conditions say: a length at which one fails may be a rare one. Raises
    UnknownRepeatError where they do not tell.
    """
    if isinstance(module, StreamingGraph):
        return module.late_conditions(MOST_TRIED)
    found = []
    if isinstance(module, nn.Sequential):
        for i, layer in enumerate(module):
            start, period = _repeats(layer)
            found.append(_before(list(module)[:i], start, period) if i else (start, period))
    else:
        found = [_repeats(part) for _, part in parts_of(module)]
    return max((s for s, _ in found), default=0), math.lcm(*(p for _, p in found))


def _before(layers: list[nn.Module], start: int, period: int) -> tuple[int, int]:
    """What is said of the lengths after some layers, said of those before them."""
    if (start, period) == (0, 1):
        return start, period
    along = Chain(tuple(axis_map(layer, 0) for layer in layers))
    own = along.input_period
    grown = int(own / along.total_stride)
    first = math.ceil(start * along.total_stride)
    while along.output_length(first) < start:
        first += own
    return first, own * (period // math.gcd(period, grown))
