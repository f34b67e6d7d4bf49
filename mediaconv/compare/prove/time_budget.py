"""Seconds for a search: of the processor, so that a busy machine finds as much, and some times as many by the
clock, after which it is over in any case. And how many calls of a function fit into some.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from mediaconv.compare.prove.reads import Function

BY_THE_CLOCK = 4
SLOW_SECONDS = 0.03
"""Of a call: of a function that takes longer fewer positions are looked at, with one input, on the whole."""
CALLS_SECONDS = 0.6
"""For the calls of such a function."""
FEWEST = 2


class Budget:
    """So many seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.process_time() + seconds
        self._until_at_last = time.monotonic() + BY_THE_CLOCK * seconds

    @property
    def left(self) -> float:
        """Seconds left; 0 where it is over."""
        by_clock = (self._until_at_last - time.monotonic()) / BY_THE_CLOCK
        return max(0.0, min(self._until - time.process_time(), by_clock))

    @property
    def over(self) -> bool:
        return not self.left


def affordable(function: Function, x: Tensor) -> int:
    """How many positions may be looked at, by how long a call takes."""
    seconds_of(function, x)  # the first call takes longer
    each = seconds_of(function, x)
    return max(FEWEST, int(CALLS_SECONDS / each)) if each > SLOW_SECONDS else x.numel()


@torch.no_grad()
def seconds_of(function: Function, x: Tensor) -> float:
    """What a call takes."""
    began = time.process_time()
    function(x)
    return max(1e-6, time.process_time() - began)
