"""Which inputs an output really reads, measured on a module by gradient and by perturbation.

Both methods look at the function alone, never at what a layer says of itself. A dependence that either finds
is a dependence: gradients vanish where a maximum or a dead unit hides an input, and a small change drowns in
rounding where a gradient does not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from mediaconv.compare.prove.rounding import Rounding
from mediaconv.errors import UsageError
from mediaconv.nn.summary.receptive_field import read_along, read_positions

Function = Callable[[Tensor], Tensor]
Where = Callable[[Sequence[int]], Iterable[tuple[int, ...]]]
"""Positions to look at, given the sizes along the order's axes."""
METHODS = ("gradient", "perturbation")
STEPS = 4
"""Positions at each end that are looked at one by one."""
EVERY = 128
"""Of an input of so many steps every position is tried: a leak may be at any one of them."""
CHANGES = ((1.0, False), (1e3, False), (1e3, True), (-1e3, True))
"""Size of a change, and whether everything later changes with it."""
ROUNDING = 1e-9
"""Relative; of float64. What remains of an input that is cut off is computed in other pieces."""
MULTIPLE = 12
"""Lengths are multiples of it, so that layers that fold 2, 3 or 4 steps into one take them."""
LONG = 2048
"""Inputs of more steps are slow: fewer of their positions are tried."""
MOST_AROUND = 32
SLOW_SECONDS = 0.03
"""Of a call: of a function that takes longer fewer positions are looked at, with one input, on the whole."""
CALLS_SECONDS = 0.6
"""For the calls of such a function."""
FEWEST = 2


@dataclass(frozen=True)
class Order:
    """What "later" means. axes: one axis is time; several are a reading order (frame, row, column).

    strides: input steps an output step along each of these axes. period: outputs along the first of them
    after which the pattern of what they read repeats itself.
    """

    axes: tuple[int, ...]
    strides: tuple[Fraction, ...]
    period: int = 1

    def time(self, output: Sequence[int]) -> tuple[int, ...]:
        """The input position at which an output stands."""
        return tuple(math.floor(j * s) for j, s in zip(output, self.strides, strict=True))


@dataclass
class Reads:
    """What was found: how far after its own position an output reads, by either method.

    ahead: offset of the latest input read, along the order's axes; zeros or less where nothing later is.
    end: whether the first output read the very last input.
    """

    ahead: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    end: bool = False

    @property
    def latest(self) -> tuple[int, ...] | None:
        """The later of the two methods' findings; None where no output reads anything."""
        return max((a for a in self.ahead.values() if a is not None), default=None)

    def complete(self, order: Order) -> bool:
        """Whether anything later is read."""
        return self.latest is not None and self.latest > (0,) * len(order.axes)

    def note(self, method: str, ahead: tuple[int, ...]) -> None:
        """Keep the latest offset; a tuple is later as reading order has it."""
        known = self.ahead.get(method)
        if known is None or ahead > known:
            self.ahead[method] = ahead


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
    reads = Reads(ahead=dict.fromkeys(METHODS))
    scaled = [math.floor(seam / order.strides[0]) for seam in seams]
    period = math.ceil(order.period * order.strides[0])
    tried = [*((functions[0], x) for x in inputs), *((function, inputs[0]) for function in functions[1:])]
    for function, x in tried:
        sizes = [x.shape[a + 2] for a in order.axes]
        most = affordable(function, x)
        by_gradient(
            function,
            x,
            order,
            reads,
            partial(_matter, seams=scaled, period=order.period, most=most),
            rounding,
        )
        changes = CHANGES if most > FEWEST else CHANGES[2:3]
        by_perturbation(function, x, order, reads, _matter(sizes, seams, period, most), rounding, changes)
    if reads.complete(order):
        return reads
    length = inputs[0].shape[order.axes[0] + 2]
    if len(order.axes) == 1 and length <= min(EVERY, affordable(functions[0], inputs[0])):
        by_gradient(
            functions[0], inputs[0], order, reads, lambda sizes: ((j,) for j in range(sizes[0])), rounding
        )
        for x in inputs:
            sources = ((s,) for s in range(length))
            by_perturbation(functions[0], x, order, reads, sources, rounding, CHANGES[2:3])
    for function, x in tried if not reads.complete(order) else ():
        by_cutting(function, x, order, reads)
    return reads


def affordable(function: Function, x: Tensor) -> int:
    """How many positions may be looked at, by how long a call takes."""
    seconds_of(function, x)  # the first call takes longer
    each = seconds_of(function, x)
    return max(FEWEST, int(CALLS_SECONDS / each)) if each > SLOW_SECONDS else x.numel()


@torch.no_grad()
def seconds_of(function: Function, x: Tensor) -> float:
    """What a call takes."""
    began = time.perf_counter()
    function(x)
    return max(1e-6, time.perf_counter() - began)


def _matter(sizes: Sequence[int], seams: Sequence[int], period: int, most: int) -> list[tuple[int, ...]]:
    """So many of the positions that matter, evenly taken, the first and the last among them."""
    every = list(positions(sizes, seams, period))
    if len(every) <= most:
        return every
    return [every[i * (len(every) - 1) // (most - 1)] for i in range(most)]


def glance(function: Function, x: Tensor, order: Order, reads: Reads, rounding: Rounding) -> None:
    """A few looks at a long input: what the first outputs read, and which outputs the last inputs reach."""
    sizes = [x.shape[a + 2] for a in order.axes]
    ends = (tuple(n // 2 for n in sizes), tuple(n - 1 for n in sizes))
    if seconds_of(function, x) <= SLOW_SECONDS:  # of a long recurrence gradients take many times a call
        by_gradient(
            function,
            x,
            order,
            reads,
            lambda sizes: ((0,) * len(sizes), tuple(n // 2 for n in sizes)),
            rounding,
        )
    by_perturbation(function, x, order, reads, ends, rounding, CHANGES[2:3])


def by_gradient(
    function: Function, x: Tensor, order: Order, reads: Reads, where: Where, rounding: Rounding
) -> None:
    """For each of some output positions: the latest input with a gradient that is not zero."""
    x = x.detach().clone().requires_grad_(True)
    y = function(x)
    if not y.requires_grad or not y.numel():
        return
    weights = torch.rand(y.shape, dtype=y.dtype, generator=_generator(1)) + 0.5
    for output in where([y.shape[a + 2] for a in order.axes]):
        target = _at(y * weights, order.axes, output)
        (touched,) = read_positions(target, [x], order.axes, rounded=rounding.gradients)
        if len(touched):
            now = order.time(output)
            offsets = [tuple(int(v) - n for v, n in zip(row, now, strict=True)) for row in touched]
            reads.note("gradient", max(offsets))
            if not any(output):
                reads.end |= int(touched[-1][0]) == x.shape[order.axes[0] + 2] - 1


@torch.no_grad()
def by_perturbation(
    function: Function,
    x: Tensor,
    order: Order,
    reads: Reads,
    sources: Iterable[tuple[int, ...]],
    rounding: Rounding,
    changes: Sequence[tuple[float, bool]] = CHANGES,
) -> None:
    """Change some input positions, and everything from them on: which is the earliest output that changes?

    Raises UsageError where the same input gives other outputs.
    """
    base = function(x)
    if not torch.equal(base.nan_to_num(), function(x).nan_to_num()):
        raise UsageError("the stack gives other outputs for the same input: nothing can be told of it")
    end = tuple(x.shape[a + 2] - 1 for a in order.axes)
    for source in sources:
        for size, from_on in changes:
            other = _change(x, order.axes, source, size, from_on)
            changed = function(other)
            changed_at = read_along(rounding.differs(changed, base, changed), order.axes).nonzero()
            early = math.ceil(source[0] / order.strides[0])
            if len(changed_at) and int(changed_at[0][0]) < early:
                dim = order.axes[0] + 2
                part = partial(torch.narrow, dim=dim, start=0, length=min(early, changed.shape[dim]))
                if rounding.explains(part(changed), part(base), changed, part, other, x):
                    changed_at = read_along(rounding.differs(changed, base, changed), order.axes).nonzero()
            if len(changed_at):
                first = order.time([int(v) for v in changed_at[0]])
                reads.note("perturbation", tuple(s - f for s, f in zip(source, first, strict=True)))
                reads.end |= source == end and not any(first)


@torch.no_grad()
def by_cutting(function: Function, x: Tensor, order: Order, reads: Reads) -> None:
    """Leave the later half out: which is the earliest output that another length changes?"""
    axis = order.axes[0] + 2
    half = x.shape[axis] // 2
    base = function(x)
    for cut in dict.fromkeys((half // MULTIPLE * MULTIPLE or half, half)):
        try:
            kept = function(x.narrow(axis, 0, cut))
        except (ValueError, RuntimeError):  # a length that it does not take
            continue
        count = min(kept.shape[axis], math.ceil(cut / order.strides[0]))
        whole, kept = (y.narrow(axis, 0, count).nan_to_num() for y in (base, kept))
        if whole.shape != kept.shape:
            return
        differs = (whole - kept).abs() > ROUNDING * float(whole.abs().max()) if count else whole != kept
        changed_at = read_along(differs, order.axes).nonzero()
        if len(changed_at):
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


def _at(y: Tensor, axes: Sequence[int], output: Sequence[int]) -> Tensor:
    """The part of an output at a position along some axes."""
    index: list[slice | int] = [slice(None)] * y.ndim
    for axis, j in zip(axes, output, strict=True):
        index[axis + 2] = j
    return y[tuple(index)]


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
