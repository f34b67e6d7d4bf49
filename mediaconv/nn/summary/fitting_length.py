"""Which lengths of an axis a stack takes: whole blocks for a reshape, and enough to give something.

Runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

import mediaconv.nn as mnn
from mediaconv.nn.composed_maps import Chain
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import Streamable, axis_map

MOST_TRIED = 2**16


def fitting_length(stack: nn.Module, axis: int, length: int) -> int:
    """The next length, from `length` on, at which every reshape of a stack gets whole blocks, and a capture
    that is for some lengths alone one of them.

    The same length where there is none, so that the reshape says why.

    >>> from mediaconv.nn import Conv1d, Reshape, Sequential
    >>> blocks = Reshape("n c (t k) -> n (c k) t", {"k": 7}, in_channels=1)
    >>> fitting_length(Sequential(Conv1d(1, 1, 3), blocks), 0, 64)
    65
    """
    met = list(_blocks(stack, axis, Chain()))
    if not met:
        return length
    period = axis_map(stack, axis).input_period
    tried = range(length, length + min(period, MOST_TRIED))
    return next((n for n in tried if all(_whole(before, takes, n) for before, takes in met)), length)


def least_length(along: AxisMap) -> int | None:
    """The fewest steps of which something is left; None where there is none up to MOST_TRIED.

    >>> from mediaconv.nn import Conv1d
    >>> least_length(Conv1d(1, 1, 9).axis_map(0))
    9
    """
    long = next((1 << k for k in range(MOST_TRIED.bit_length()) if _gives(along, 1 << k)), None)
    if long is None:
        return None
    short = long // 2  # gives nothing
    while long - short > 1:
        middle = (short + long) // 2
        short, long = (short, middle) if _gives(along, middle) else (middle, long)
    return long


def _gives(along: AxisMap, length: int) -> bool:
    try:
        return along.output_length(length) > 0
    except ValueError:  # a length that it does not take
        return False


def _whole(before: AxisMap, takes: Callable[[int], bool], length: int) -> bool:
    try:
        return takes(before.output_length(length))
    except ValueError:  # branches before it give other lengths than each other
        return False


def _blocks(module: nn.Module, axis: int, before: Chain) -> Iterator[tuple[AxisMap, Any]]:
    """What each reshape, and each capture for some lengths alone, takes; the map from the input to it."""
    if isinstance(module, mnn.Reshape):
        block = module.windows[axis].stride
        yield before, lambda n: n % block == 0
    if axis == 0 and getattr(module, "follows_length", False):
        yield before, module.takes
    for _, part in module.parts() if isinstance(module, Streamable) else ():
        yield from _blocks(part, axis, before)
        if not isinstance(module, mnn.Branches):
            before = Chain((*before.maps, axis_map(part, axis)))
