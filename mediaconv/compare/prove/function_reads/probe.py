"""Which inputs an output really reads, measured on a module by gradient and by perturbation.

Both methods look at the function alone, never at what a layer says of itself. A dependence that either finds
is a dependence: gradients vanish where a maximum or a dead unit hides an input, and a small change drowns in
rounding where a gradient does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from mediaconv.compare.prove.function_reads.gradient import Where, by_gradient
from mediaconv.compare.prove.function_reads.reads import MULTIPLE, Function, Order, Reads, batched
from mediaconv.compare.prove.function_reads.time_budget import FEWEST, affordable, batch_rows
from mediaconv.compare.prove.precision.rounding import SAME, Rounding, relative_difference
from mediaconv.errors import UsageError
from mediaconv.nn.summary.receptive_field import read_along

STEPS = 4
"""Positions at each end that are looked at one by one."""
EVERY = 128
"""Of an input of so many steps every position is tried: a leak may be at any one of them."""
CHANGES = ((1.0, False), (1e3, False), (1e3, True), (-1e3, True))
"""Size of a change, and whether everything later changes with it."""
LONG = 2048
"""Inputs of more steps are slow: fewer of their positions are tried."""
MOST_AROUND = 32


def measure(
    functions: Sequence[Function],
    inputs: Sequence[Tensor],
    order: Order,
    seams: Sequence[int],
    rounding: Rounding,
) -> Reads:
    """Both methods over every function and input. inputs: (1, C, ...), all of one shape.

    functions: the module on the whole, then other ways to call it, which the first input is enough for.
    Where nothing later is read and inputs are short, every position is tried, not only those that matter.
    """
    reads = Reads(order)
    scaled = [math.floor(seam / order.strides[0]) for seam in seams]
    period = math.ceil(order.period * order.strides[0])
    tried = [*((functions[0], x) for x in inputs), *((function, inputs[0]) for function in functions[1:])]
    for function, x in tried:
        sizes = [x.shape[a + 2] for a in order.axes]
        most = affordable(function, x)
        where = partial(_matter, seams=scaled, period=order.period, most=most)
        by_gradient(function, x, reads, where, rounding)
        changes = CHANGES if most > FEWEST else CHANGES[2:3]
        by_perturbation(function, x, reads, _matter(sizes, seams, period, most), rounding, changes)
    if reads.complete:
        return reads
    length = inputs[0].shape[order.axes[0] + 2]
    if len(order.axes) == 1 and length <= min(EVERY, affordable(functions[0], inputs[0])):
        every: Where = lambda sizes: ((j,) for j in range(sizes[0]))  # noqa: E731
        by_gradient(functions[0], inputs[0], reads, every, rounding)
        for x in inputs:
            sources = ((s,) for s in range(length))
            by_perturbation(functions[0], x, reads, sources, rounding, CHANGES[2:3])
    for function, x in tried if not reads.complete else ():
        half = length // 2
        cuts = dict.fromkeys((half // MULTIPLE * MULTIPLE or half, half))
        by_cutting(function, x, reads, cuts, rounding)
    return reads


def _matter(sizes: Sequence[int], seams: Sequence[int], period: int, most: int) -> list[tuple[int, ...]]:
    """So many of the positions that matter, evenly taken, the first and the last among them."""
    every = list(positions(sizes, seams, period))
    if len(every) <= most:
        return every
    return [every[i * (len(every) - 1) // (most - 1)] for i in range(most)]


def glance(function: Function, x: Tensor, reads: Reads, rounding: Rounding) -> None:
    """A few looks at a long input: what the first outputs read, and which outputs the last inputs reach."""
    sizes = [x.shape[a + 2] for a in reads.order.axes]
    ends = (tuple(n // 2 for n in sizes), tuple(n - 1 for n in sizes))
    first: Where = lambda sizes: ((0,) * len(sizes), tuple(n // 2 for n in sizes))  # noqa: E731
    by_gradient(function, x, reads, first, rounding)
    by_perturbation(function, x, reads, ends, rounding, CHANGES[2:3])


@torch.no_grad()
def by_perturbation(
    function: Function,
    x: Tensor,
    reads: Reads,
    sources: Iterable[tuple[int, ...]],
    rounding: Rounding,
    changes: Sequence[tuple[float, bool]] = CHANGES,
) -> None:
    """Change some input positions, and everything from them on: which is the earliest output that changes?

    Raises UsageError where the same input gives other outputs.
    """
    base, order = function(x), reads.order
    if not torch.equal(base.nan_to_num(), function(x).nan_to_num()):
        raise UsageError("the stack gives other outputs for the same input: nothing can be told of it")
    last = tuple(x.shape[a + 2] - 1 for a in order.axes)
    tries = [(source, *change) for source in sources for change in changes]
    rows = batch_rows(function, x)
    for part in batched(tries, rows):
        changed = torch.cat([_change(x, order.axes, *one) for one in part])
        y, expected = _rows(function, changed, x, base)
        firsts = [
            _first_changed(y[i : i + 1], expected[i : i + 1], order, rounding, one[1])
            for i, one in enumerate(part)
        ]
        offsets = [_steps_between(one[0], first) for one, first in zip(part, firsts, strict=True)]
        for i in sorted(range(len(part)), key=lambda i: offsets[i] or (-(2**62),), reverse=True):
            source, size, _ = part[i]
            offset, first = offsets[i], firsts[i]
            reaches = source == last and first is not None and not any(first)
            if offset is None or (offset <= reads.ahead_by("perturbation") and not reaches):
                continue
            if offset > (0,) * len(offset):  # alone: a batch may round otherwise
                first = _first_alone(function, x, changed[i : i + 1], base, order, rounding, source, size)
                offset = _steps_between(source, first)
            if offset is not None and first is not None:
                reads.note("perturbation", offset)
                reads.end |= source == last and not any(first)


def _rows(function: Function, rows: Tensor, x: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs of a batch, in one call where the function takes it, and those of the input as it is.

    The latter in a batch too: in another place of a batch sums may be rounded otherwise.
    """
    if len(rows) > 1:
        try:
            y = function(rows)
            if y.shape == (len(rows), *base.shape[1:]):
                return y, function(x.expand_as(rows).contiguous())
        except (ValueError, RuntimeError):
            pass
    return torch.cat([function(row[None]) for row in rows]), base.expand(len(rows), *base.shape[1:])


def _first_changed(
    y: Tensor, base: Tensor, order: Order, rounding: Rounding, size: float
) -> tuple[int, ...] | None:
    """Time of the first output that differs."""
    differing = read_along(rounding.differs(y, base, y, f"by {size}"), order.axes).nonzero()
    return order.time([int(v) for v in differing[0]]) if len(differing) else None


def _first_alone(
    function: Function,
    x: Tensor,
    changed: Tensor,
    base: Tensor,
    order: Order,
    rounding: Rounding,
    source: Sequence[int],
    size: float,
) -> tuple[int, ...] | None:
    """Time of the first output that one change reaches, rounding aside."""
    y = function(changed)
    first = _first_changed(y, base, order, rounding, size)
    dim, early = order.axes[0] + 2, math.ceil(source[0] / order.strides[0])
    if first is not None and first[0] < source[0]:
        part = partial(torch.narrow, dim=dim, start=0, length=min(early, y.shape[dim]))
        difference = relative_difference(part(y), part(base), y)
        if rounding.explains(difference, (changed, x), part, f"by {size}"):
            y = torch.cat([part(base), y.narrow(dim, *_rest(early, y.shape[dim]))], dim)
            return _first_changed(y, base, order, rounding, size)
    return first


def _rest(start: int, length: int) -> tuple[int, int]:
    """Where the rest begins, and how long it is."""
    return min(start, length), max(0, length - start)


def _steps_between(source: Sequence[int], first: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if first is None else tuple(s - f for s, f in zip(source, first, strict=True))


@torch.no_grad()
def by_cutting(function: Function, x: Tensor, reads: Reads, cuts: Iterable[int], rounding: Rounding) -> None:
    """Leave what comes after a cut out: which is the earliest output that another length changes?"""
    order = reads.order
    axis = order.axes[0] + 2
    base = function(x)
    for cut in cuts:
        try:
            kept = function(x.narrow(axis, 0, cut))
        except (ValueError, RuntimeError):  # a length that it does not take
            continue
        count = min(kept.shape[axis], math.ceil(cut / order.strides[0]))
        whole, kept = (y.narrow(axis, 0, min(count, y.shape[axis])).nan_to_num() for y in (base, kept))
        if whole.shape != kept.shape:
            return
        largest = float(whole.abs().max()) if count else 0.0
        differs = (whole - kept).abs() / (largest or 1.0)
        changed_at = read_along(differs > SAME, order.axes).nonzero()
        part = partial(torch.narrow, dim=axis, start=0, length=whole.shape[axis])
        if len(changed_at) and not rounding.of_lengths(
            float(differs.max()), (x, x.narrow(axis, 0, cut)), part
        ):
            first = order.time([int(v) for v in changed_at[0]])
            reads.note("perturbation", (cut - first[0], *(0 for _ in first[1:])))
            reads.end |= first[0] == 0
            return


def positions(sizes: Sequence[int], seams: Sequence[int], period: int = 1) -> Iterator[tuple[int, ...]]:
    """The positions that matter: the first, the last, those around seams, a period in the middle.

    Along several axes a grid of the first, the last and two in the middle of each.
    """
    each = [_axis_positions(n, seams if i == 0 else (), period) for i, n in enumerate(sizes)]
    if len(each) == 1:
        yield from ((j,) for j in each[0])
        return
    rest = [_few(p) for p in each]
    grid = torch.cartesian_prod(*(torch.tensor(p) for p in rest)) if all(rest) else torch.zeros(0, len(rest))
    yield from (tuple(int(v) for v in row) for row in grid)


def _axis_positions(size: int, seams: Sequence[int], period: int) -> list[int]:
    ends = STEPS if size <= LONG else STEPS // 2
    around = min(MOST_AROUND, max(ends // 2, -(-period // 2)))
    middle = size // 2
    wanted = {*range(ends), *range(size - ends, size), *range(middle - around, middle + around + 1)}
    wanted |= {s + d for s in seams for d in (-1, 0)}
    wanted |= {2**i for i in range(2, 24, 1 if size <= LONG else 4)}
    return sorted(j for j in wanted if 0 <= j < size)


def _few(positions: list[int]) -> list[int]:
    """First, second, two in the middle, last but one and last."""
    middle = len(positions) // 2
    return sorted(
        {positions[i] for i in (0, 1, middle, middle + 1, -2, -1) if -len(positions) <= i < len(positions)}
    )


def _change(x: Tensor, axes: Sequence[int], source: Sequence[int], size: float, from_on: bool) -> Tensor:
    """The input with other numbers at a position, or at it and everything later in the order."""
    shape = [x.shape[a + 2] for a in axes]
    later = torch.zeros(shape, dtype=torch.bool)
    if from_on:
        flat = later.view(-1)
        index = 0
        for s, n in zip(source, shape, strict=True):
            index = index * n + s
        flat[index:] = True
    else:
        later[tuple(source)] = True
    view = [1] * x.ndim
    for axis, n in zip(axes, shape, strict=True):
        view[axis + 2] = n
    noise = (torch.rand(x.shape, dtype=x.dtype, generator=_generator(2)) + 0.5) * size
    return torch.where(later.view(view), x + noise, x)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
