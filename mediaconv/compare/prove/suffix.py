"""Change everything after a time and compare everything before it, bit by bit: one run for each cut.

However sparse or small a dependence on later inputs is, the cuts between the two show it. Inputs are loud,
quiet, not finite; lengths grow while time allows. Says what was covered; judges no single layer.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mediaconv.compare.prove.probe import Function, Order, Reads
from mediaconv.compare.prove.rounding import Rounding

FILLS = {
    "noise": 1.0,
    "loud": 1e7,
    "quiet": 1e-30,
    "zero": 0.0,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
}
"""What takes the place of later inputs: noise of a size, or one value."""
NOT_FINITE = ("nan", "inf", "-inf")
MOST_VALUES = 2**21
"""Values of a batch of inputs, one cut each."""
MOST_ROWS = 256
BATCH_SECONDS = 0.2
QUICK = ("noise", "nan", "loud")
"""Fills of long inputs."""
COARSE = 16
"""Cuts of an input that is looked at for leaks from far away."""


@dataclass
class Coverage:
    """What was tried: all kinds of values in place of what comes after each of `positions` cuts.

    cuts: that there are in an input of `steps`. kinds: of values that were tried, of `all_kinds`.
    length: steps of the longest input tried, at some cuts. not_finite: only NaN or infinity showed a leak.
    """

    positions: int = 0
    cuts: int = 0
    steps: int = 0
    length: int = 0
    kinds: int = 0
    all_kinds: int = 0
    not_finite: bool = False

    def as_json(self) -> dict[str, int]:
        """For programs."""
        return {
            "positions": self.positions,
            "of": self.cuts,
            "steps": self.steps,
            "longest": self.length,
            "kinds_of_values": self.kinds,
            "of_kinds": self.all_kinds,
        }


def cover(
    function: Function,
    shape: Sequence[int],
    order: Order,
    reads: Reads,
    *,
    lengths: Sequence[int],
    rounding: Rounding,
    seconds: float,
    finite_only: bool = False,
) -> Coverage:
    """Sweep inputs of growing length; what is found is noted in `reads`.

    shape: (C, ...) of an input that the function takes. lengths: longer ones along the order's first axis.
    finite_only: say of what only NaN or infinity shows that it is there, and no more.
    """
    done = Coverage()
    until = time.monotonic() + seconds
    sweep = _Sweep(function, order, reads, rounding, done, finite_only)
    axis = order.axes[0] + 1
    count = math.prod(shape[a + 1] for a in order.axes)
    cuts = list(_spread(count))
    done.positions = done.cuts = len(cuts)
    done.steps = done.length = shape[axis]
    tries = list(itertools.product(_bases(shape), FILLS))
    done.all_kinds = len(tries)
    for base, fill in tries:
        tried = sweep.run(base, fill, cuts, until)
        if reads.complete(order):
            return done
        if tried < len(cuts) and done.kinds:  # time ran out at a kind of which little was tried
            break
        done.positions, done.kinds = min(done.positions, tried), done.kinds + 1
        if time.monotonic() > until:
            break
    began = time.perf_counter()
    function(base)
    each = (time.perf_counter() - began) / shape[axis]
    lengths = [n for n in lengths if n * each < seconds]
    if time.monotonic() > until:
        return done
    for length in lengths:  # far away first: a few cuts of each length
        longer = [length if a == axis else n for a, n in enumerate(shape)]
        base, count = next(_bases(longer)), count // shape[axis] * length
        for fill in QUICK:
            sweep.run(base, fill, [count * i // COARSE for i in range(1, COARSE)], until)
            if reads.complete(order) or time.monotonic() > until:
                return done
        done.length = length
        count = count // length * shape[axis]
    for length in lengths:  # then every cut
        longer = [length if a == axis else n for a, n in enumerate(shape)]
        base, cuts = next(_bases(longer)), list(_spread(count // shape[axis] * length))
        tried = len(cuts)
        for fill in QUICK:
            tried = min(tried, sweep.run(base, fill, cuts, until))
            if reads.complete(order):
                return done
        if tried > done.positions:
            done.positions, done.cuts, done.steps = tried, len(cuts), length
            done.kinds = done.all_kinds = len(QUICK)
    return done


class _Sweep:
    """Runs cuts in batches, one cut a row; a difference is looked at again in a run of its own."""

    def __init__(
        self,
        function: Function,
        order: Order,
        reads: Reads,
        rounding: Rounding,
        done: Coverage,
        finite_only: bool,
    ) -> None:
        self._function, self._order, self._reads = function, order, reads
        self._rounding, self._done = rounding, done
        self._rows, self._finite_only = MOST_ROWS, finite_only

    @torch.no_grad()
    def run(self, base: Tensor, fill: str, cuts: Sequence[int], until: float) -> int:
        """How many cuts were tried before the time was over; a few at least."""
        sizes = [base.shape[a + 2] for a in self._order.axes]
        other = _other(base, fill)
        try:
            began = time.monotonic()
            whole = self._function(base)
            each = max(1e-5, time.monotonic() - began)
        except (ValueError, RuntimeError):  # a length that it does not take
            return 0
        rows = max(1, min(self._rows, MOST_VALUES // base.numel(), int(BATCH_SECONDS / each)))
        tried = 0
        while tried < len(cuts) and (time.monotonic() < until or not tried):
            part = cuts[tried : tried + rows]
            later = torch.cat([self._later(sizes, cut, base.ndim) for cut in part])
            x = torch.where(later, other, base)
            for row, cut, y in zip(range(len(part)), part, self._outputs(x, whole), strict=True):
                if self._early(y[None], whole, cut, sizes) is not None:
                    self._look(base, x[row : row + 1], cut, sizes)
                    if self._reads.complete(self._order):
                        return tried + row + 1
            tried += len(part)
        return tried

    def _outputs(self, x: Tensor, whole: Tensor) -> Tensor:
        """The outputs of a batch, in one call where the function takes it."""
        if self._rows > 1:
            try:
                y = self._function(x)
                if y.shape == (len(x), *whole.shape[1:]):
                    return y
            except (ValueError, RuntimeError):
                pass
            self._rows = 1
        return torch.cat([self._function(row[None]) for row in x])

    def _look(self, base: Tensor, changed: Tensor, cut: int, sizes: Sequence[int]) -> None:
        """One cut alone: rounding, or an output that reads what comes after it."""
        y, whole = self._function(changed), self._function(base)
        first = self._early(y, whole, cut, sizes)
        if first is None:
            return
        before = [self._before(v, cut, sizes) for v in (y, whole)]
        finite = before[0].isfinite() & before[1].isfinite()
        if not bool((self._rounding.differs(before[0], before[1], y) & finite).any()):
            if self._rounding.seen:
                return  # what mixes all inputs and rounds, such as a transform, hands on what is not finite
            self._done.not_finite = True
            if self._finite_only:
                return
        elif self._rounding.explains(
            before[0], before[1], y, lambda coarse: self._before(coarse, cut, sizes), changed, base
        ):
            return
        at = self._at(cut, sizes)
        self._reads.note("perturbation", tuple(c - f for c, f in zip(at, first, strict=True)))

    def _early(self, y: Tensor, whole: Tensor, cut: int, sizes: Sequence[int]) -> tuple[int, ...] | None:
        """Time of the first output before the cut that differs."""
        before, expected = self._before(y, cut, sizes), self._before(whole, cut, sizes)
        differing = self._rounding.differs(before, expected, y).flatten(1).any(1).nonzero()
        if not len(differing):
            return None
        index = int(differing[0, 0])
        output: list[int] = []
        for axis in reversed(self._order.axes):
            output.insert(0, index % y.shape[axis + 2])
            index //= y.shape[axis + 2]
        return self._order.time(output)

    def _before(self, y: Tensor, cut: int, sizes: Sequence[int]) -> Tensor:
        """The outputs that stand before a cut, in order, first; their channels and other axes after that."""
        lengths = [y.shape[a + 2] for a in self._order.axes]
        if len(lengths) == 1:
            count = min(lengths[0], math.ceil(cut / self._order.strides[0]))
        else:
            at = self._at(cut, sizes)
            count = sum(self._order.time(j) < at for j in itertools.product(*map(range, lengths)))
        moved = y.movedim([a + 2 for a in self._order.axes], list(range(len(lengths))))
        return moved.flatten(0, len(lengths) - 1)[:count]

    def _later(self, sizes: Sequence[int], cut: int, ndim: int) -> Tensor:
        """Where an input is changed, (1, 1, ...)."""
        later = torch.arange(math.prod(sizes)).reshape(*sizes) >= cut
        view = [1] * ndim
        for axis, n in zip(self._order.axes, sizes, strict=True):
            view[axis + 2] = n
        return later.view(view)

    @staticmethod
    def _at(cut: int, sizes: Sequence[int]) -> tuple[int, ...]:
        at: list[int] = []
        for size in reversed(sizes):
            at.insert(0, cut % size)
            cut //= size
        return tuple(at)


def _count(base: Tensor, order: Order) -> int:
    return math.prod(base.shape[a + 2] for a in order.axes)


def _spread(count: int) -> Iterator[int]:
    """Every cut once, the coarse ones first."""
    step, seen = 1 << (count - 1).bit_length(), set[int]()
    while step:
        for cut in range(step, count, step):
            if cut not in seen:
                seen.add(cut)
                yield cut
        step //= 2


def _bases(shape: Sequence[int]) -> Iterator[Tensor]:
    """Inputs before the change: noise, loud noise, noise with some values that are not finite."""
    generator = torch.Generator().manual_seed(6)
    noise = torch.randn((1, *shape), dtype=torch.float64, generator=generator)
    yield noise
    yield 1e7 * noise
    holes = noise.clone()
    flat = holes.view(-1)
    for start, value in ((5, math.nan), (16, math.inf), (27, -math.inf)):
        flat[start::37] = value
    yield holes


def _other(base: Tensor, fill: str) -> Tensor:
    size = FILLS[fill]
    if fill in NOT_FINITE:
        return torch.full_like(base, size)
    generator = torch.Generator().manual_seed(7)
    return size * (torch.rand(base.shape, dtype=base.dtype, generator=generator) - 0.5)
