"""Which inputs an output reads by its gradient, rounding aside. `probe` decides which outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from itertools import repeat

import torch
from torch import Tensor

from mediaconv.compare.prove.function_reads.reads import Function, Order, Reads, batched
from mediaconv.compare.prove.function_reads.time_budget import batch_rows
from mediaconv.compare.prove.precision.rounding import Rounding
from mediaconv.compare.prove.precision.transforms import Steady
from mediaconv.nn.summary.receptive_field import read_along

Where = Callable[[Sequence[int]], Iterable[tuple[int, ...]]]
"""Positions to look at, given the sizes along the order's axes."""
PLAIN = 1e-14
"""Of the largest gradient: what is smaller may be rounding, at the first look."""


def by_gradient(function: Function, x: Tensor, reads: Reads, where: Where, rounding: Rounding) -> None:
    """For each of some output positions: the latest input with a gradient that is not zero."""
    order = reads.order
    with torch.no_grad():
        outputs = list(where([function(x).shape[a + 2] for a in order.axes]))
    if not outputs:
        return
    rows = batch_rows(function, x)
    for part in batched(outputs, rows):
        touched = _touched(function, x, order, part, PLAIN)
        if touched is None:
            return
        found = sorted(
            zip(map(_last_offset, touched, part, repeat(order)), part, touched, strict=True),
            reverse=True,
            key=_offset,
        )
        for offset, output, positions in found:
            if offset is None or (offset <= reads.ahead_by("gradient") and any(output)):
                continue
            if offset > (0,) * len(offset) or not any(output):
                alone = _alone(function, x, order, output, rounding)
                positions = alone if alone is not None else positions
                offset = _last_offset(positions, output, order)
                if offset is None:
                    continue
            reads.note("gradient", offset)
            if not any(output):
                reads.end |= int(positions[-1][0]) == x.shape[order.axes[0] + 2] - 1


def _offset(found: tuple[tuple[int, ...] | None, tuple[int, ...], Tensor]) -> tuple[int, ...]:
    return found[0] or (-(2**62),)


def _last_offset(positions: Tensor, output: Sequence[int], order: Order) -> tuple[int, ...] | None:
    """How far after its own time an output reads."""
    if not len(positions):
        return None
    now = order.time(output)
    return max(tuple(int(v) - n for v, n in zip(row, now, strict=True)) for row in positions[-1:])


def _touched(
    function: Function, x: Tensor, order: Order, outputs: Sequence[tuple[int, ...]], rounded: float
) -> list[Tensor] | None:
    """The positions whose gradient is not zero, for each of the outputs; None where there is no gradient.

    One row of a batch for each, where the function takes batches. rounded: gradients so small, relative to
    the largest, count as none.
    """
    gradient = _gradients(function, x, order, outputs)
    if gradient is None:
        return None
    read = gradient.abs() > rounded * gradient.abs().max()
    return [read_along(row[None], order.axes).nonzero() for row in read]


def _alone(
    function: Function, x: Tensor, order: Order, output: tuple[int, ...], rounding: Rounding
) -> Tensor | None:
    """The positions that an output reads, without what rounding leaves in the gradients of later ones."""
    with Steady() if rounding.transforms else nullcontext():  # gradients come back through transforms too
        touched = _touched(function, x, order, [output], rounding.gradients)
    return None if touched is None else touched[0]


def _gradients(
    function: Function, x: Tensor, order: Order, outputs: Sequence[tuple[int, ...]]
) -> Tensor | None:
    """Of each of some outputs, a row each, (len(outputs), C, ...); None where there is no gradient."""
    rows = x.detach().repeat(len(outputs), *[1] * (x.ndim - 1)).requires_grad_(True)
    try:
        y = function(rows)
        if len(y) != len(outputs):
            raise ValueError("not a batch")
    except (ValueError, RuntimeError):
        if len(outputs) == 1:
            raise
        each = [_gradients(function, x, order, [output]) for output in outputs]
        return torch.cat([g for g in each if g is not None]) if None not in each else None
    if not y.requires_grad or not y.numel():
        return None
    weights = torch.rand(y.shape[1:], dtype=y.dtype, generator=torch.Generator().manual_seed(1)) + 0.5
    target = sum(_at(row[None] * weights, order.axes, j).sum() for row, j in zip(y, outputs, strict=True))
    assert isinstance(target, Tensor)
    (gradient,) = torch.autograd.grad(target, [rows], allow_unused=True)
    return torch.zeros_like(rows) if gradient is None else gradient


def _at(y: Tensor, axes: Sequence[int], output: Sequence[int]) -> Tensor:
    """The part of an output at a position along some axes."""
    index: list[slice | int] = [slice(None)] * y.ndim
    for axis, j in zip(axes, output, strict=True):
        index[axis + 2] = j
    return y[tuple(index)]
