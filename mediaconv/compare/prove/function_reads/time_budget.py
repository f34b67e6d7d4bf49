"""Seconds for a search: of the processor, so that a busy machine finds as much, and some times as many by the
clock, after which it is over in any case. And how many calls of a function fit into some.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from mediaconv.compare.prove.function_reads.reads import MOST_ROWS, MOST_VALUES, Function

BY_THE_CLOCK = 4
SLOW_SECONDS = 0.03
"""Of a call: of a function that takes longer fewer positions are looked at, with one input, on the whole."""
STRUCTURE_SECONDS = 0.005
"""Of a call: of a function that takes longer hardly any are, where its structure proves it."""
BATCH_SECONDS = 0.2
"""For a batch: what takes long may take much memory too, more than its input shows."""
CALLS_SECONDS = 0.6
"""For the calls of such a function."""
FEWEST = 2
TOGETHER = 8


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


def batch_rows(function: Function, x: Tensor) -> int:
    """How many inputs may be called at once."""
    return max(1, min(MOST_ROWS, MOST_VALUES // x.numel(), int(BATCH_SECONDS / seconds_each(function, x))))


def seconds_each(function: Function, x: Tensor) -> float:
    """What a call takes for an input alone, or for one of some together: memory that is fresh costs more."""
    alone = min(seconds_of(function, x) for _ in range(3))  # the first call takes longer
    if alone > STRUCTURE_SECONDS:
        return alone
    try:
        rows = x.expand(TOGETHER, *x.shape[1:])
        return max(alone, min(seconds_of(function, rows) for _ in range(2)) / TOGETHER)
    except (RuntimeError, ValueError):
        return alone


@torch.no_grad()
def seconds_of(function: Function, x: Tensor) -> float:
    """What a call takes."""
    began = time.process_time()
    function(x)
    return max(1e-6, time.process_time() - began)
