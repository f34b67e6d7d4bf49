"""Every position of a long input at once, for layers with a short memory: changes that stand so far apart
that an output between two of them cannot have read the one before it.

What differs there is looked at again by a cut of its own, so a memory that is longer than it seemed costs
time and no truth. Finds leaks of any sparseness that read some steps ahead; far ones the cuts of `suffix`
find.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mediaconv.compare.prove.function_reads.suffix import Pair, Sweep
from mediaconv.compare.prove.function_reads.time_budget import Budget

NEAR = 64
"""Steps ahead that are looked at, at least; as many as the memory where that is longer."""
WRONG = 3
"""Outputs that differ for what came before them, after which the memory is taken to be longer."""


@torch.no_grad()
def comb(sweep: Sweep, pair: Pair, budget: Budget) -> int:
    """Look at every position. Returns the steps ahead up to which it was done; 0: the memory is too long."""
    axis = sweep.order.axes[0] + 2
    length = pair.base.shape[axis]
    memory = _memory(sweep, pair, axis)
    near = max(NEAR, memory)
    if 2 * (near + memory) > length:
        return 0
    apart = near + memory
    times = _times(sweep, pair.whole.shape[axis], length)
    steps = torch.arange(length)
    wrong = done = 0
    view = [-1 if d == axis else 1 for d in range(pair.base.ndim)]
    rows = sweep.rows_of(pair)
    while done < apart:
        if budget.over:
            return 0
        offsets = range(done, min(done + rows, apart))
        x = torch.cat([torch.where((steps % apart == o).view(view), pair.later, pair.base) for o in offsets])
        y, whole = sweep.outputs(x, pair)
        for i, offset in enumerate(offsets):
            since = torch.where(times < offset, apart, (times - offset) % apart)
            for at in _unexplained(y[i : i + 1], whole[i : i + 1], axis, since > memory):
                cut = int(times[at] - (times[at] - offset) % apart + apart)
                if cut >= length:
                    continue
                sweep.look(pair, sweep.changed(pair, cut), cut)
                if sweep.over:
                    return near
                wrong += 1
                if wrong > WRONG:
                    return 0
        done += len(offsets)
    return near - 1


def _memory(sweep: Sweep, pair: Pair, axis: int) -> int:
    """Steps back that an output reads, as one change near the beginning and one in the middle show it."""
    length, most = pair.base.shape[axis], 0
    for at in (length // 8, length // 2):
        later = torch.arange(length) == at
        view = [-1 if d == axis else 1 for d in range(pair.base.ndim)]
        y = sweep.function(torch.where(later.view(view), pair.later, pair.base))
        times = _times(sweep, y.shape[axis], length)
        differing = _unexplained(y, pair.whole, axis, times >= at)
        most = max(most, *(int(times[j]) - at for j in differing[-1:]), 0)
    return most


def _times(sweep: Sweep, outputs: int, length: int) -> Tensor:
    """The input position at which each output stands."""
    stride = sweep.order.strides[0]
    return torch.arange(outputs) * stride.numerator // stride.denominator


def _unexplained(y: Tensor, whole: Tensor, axis: int, where: Tensor) -> Sequence[int]:
    """Outputs that differ among those asked about; NaN equals NaN."""
    differs = (y != whole) & ~(y.isnan() & whole.isnan())
    along = differs.any(dim=[d for d in range(y.ndim) if d != axis]) & where
    return along.nonzero()[:, 0].tolist() if bool(along.any()) else []
