"""Change everything after a time and compare everything before it, bit by bit: one run for each cut.

However sparse or small a dependence on later inputs is, the cuts between the two show it. Runs cuts and notes
what they show; which cuts of which inputs are tried, `coverage` decides.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mediaconv.compare.prove.function_reads.reads import MOST_ROWS, MOST_VALUES, Function, Reads
from mediaconv.compare.prove.function_reads.time_budget import BATCH_SECONDS, Budget
from mediaconv.compare.prove.function_reads.tried_values import base_values, later_values
from mediaconv.compare.prove.precision.arithmetic import ZerosHide, under
from mediaconv.compare.prove.precision.rounding import Rounding, louder, relative_difference


@dataclass(frozen=True)
class Pair:
    """An input, what becomes of it after a cut, and the outputs of the input as it is."""

    base: Tensor
    later: Tensor
    whole: Tensor
    kind: str
    seconds: float
    in_batches: dict[int, Tensor] = field(default_factory=dict)


class Sweep:
    """Runs cuts in batches, one cut a row; a difference is looked at again in a run of its own.

    finite_only: note of what only NaN or infinity shows that it is there, and no more.
    not_finite: whether there was such. hidden: whether a zero hides all of it while values are finite.
    """

    def __init__(
        self,
        function: Function,
        reads: Reads,
        rounding: Rounding,
        *,
        finite_only: bool = False,
    ) -> None:
        self.function, self.order, self.reads = function, reads.order, reads
        self.rounding, self._finite_only = rounding, finite_only
        self._rows = MOST_ROWS
        self.not_finite = self.hidden = False

    @property
    def over(self) -> bool:
        """Whether a later input was found to be read: nothing more is to be tried."""
        return self.reads.complete

    @torch.no_grad()
    def pair(self, shape: Sequence[int], base: str, fill: str) -> Pair | None:
        """shape: (C, ...). base, fill: kinds of values. None where the function does not take the length."""
        x = base_values(base, shape)
        try:
            began = time.process_time()
            whole = self.function(x)
            seconds = max(1e-5, time.process_time() - began)
        except (ValueError, RuntimeError):
            return None
        return Pair(x, later_values(fill, shape), whole, f"{base}, {fill}, {shape}", seconds)

    @torch.no_grad()
    def run(self, pair: Pair, cuts: Sequence[int], budget: Budget, *, furthest: bool = False) -> int:
        """How many cuts were tried before the time was over; a few at least.

        furthest: go on where a leak was found, for how far it reads.
        """
        tried = 0
        while tried < len(cuts) and not (tried and budget.over):
            part = cuts[tried : tried + self.rows_of(pair)]
            x = torch.cat([self.changed(pair, cut) for cut in part])
            y, whole = self.outputs(x, pair)
            for i, (row, cut) in enumerate(zip(x, part, strict=True)):
                if self._may_differ(y[i : i + 1], whole[i : i + 1], pair, cut):
                    self.look(pair, row[None], cut)
                    if self.over and not furthest:
                        return tried
            tried += len(part)
        return tried

    def rows_of(self, pair: Pair) -> int:
        """Inputs of a batch."""
        return max(1, min(self._rows, MOST_VALUES // pair.base.numel(), int(BATCH_SECONDS / pair.seconds)))

    def outputs(self, x: Tensor, pair: Pair) -> tuple[Tensor, Tensor]:
        """The outputs of a batch, in one call where the function takes it, and those of the base.

        The latter in a batch too, where that makes a difference: sums may be rounded otherwise there.
        """
        expected = pair.whole.expand(len(x), *pair.whole.shape[1:])
        if self._rows > 1:
            try:
                y = self.function(x)
                if y.shape == expected.shape:
                    if len(x) not in pair.in_batches:
                        whole = self.function(pair.base.expand_as(x).contiguous())
                        pair.in_batches[len(x)] = expected if _same(whole, expected) else whole
                    return y, pair.in_batches[len(x)]
            except (ValueError, RuntimeError):
                pass
            self._rows = 1
        return torch.cat([self.function(row[None]) for row in x]), expected

    @torch.no_grad()
    def look(self, pair: Pair, changed: Tensor, cut: int) -> None:
        """One cut alone: rounding, or an output that reads what comes after it."""
        sizes = [changed.shape[a + 2] for a in self.order.axes]

        def before(v: Tensor) -> Tensor:
            return self._before(v, cut, sizes)

        y, whole = self.function(changed), self.function(pair.base)
        first = self._early(y, whole, cut, sizes, pair.kind)
        if first is None:
            return
        shown, expected = before(y), before(whole)
        finite = shown.isfinite() & expected.isfinite()
        like = louder(y, whole)
        if not bool((self.rounding.differs(shown, expected, like, pair.kind) & finite).any()):
            if self.rounding.spreads and self._handed_on(before, changed, pair.base):
                return
            self.not_finite = True
            if self._finite_only or self._hides(before, changed, pair.base):
                return
        elif self.rounding.spreads and not bool(changed.isfinite().all()):
            if self._handed_on(before, changed, pair.base):
                return  # a module may make something finite of it
        else:
            difference = relative_difference(shown, expected, like)
            if self.rounding.explains(difference, (changed, pair.base), before, pair.kind):
                return
        self.reads.note("perturbation", tuple(c - f for c, f in zip(_at(cut, sizes), first, strict=True)))

    def _handed_on(self, before: Callable[[Tensor], Tensor], changed: Tensor, base: Tensor) -> bool:
        """Whether nothing differs but for what is not finite, which a transform hands on to all outputs.

        Of what only rounds like a transform it cannot be told, and is taken to be so.
        """
        if not self.rounding.computed.transforms:
            return True
        return self.rounding.steady((changed, base), before, hiding=True)

    def _hides(self, before: Callable[[Tensor], Tensor], changed: Tensor, base: Tensor) -> bool:
        """Whether nothing differs where zeros hide what they are multiplied by."""
        made = under(ZerosHide, self.function, (changed, base))
        if made is None:
            return False
        y, whole = (before(v) for v in made)
        hidden = torch.equal(y.nan_to_num(math.e), whole.nan_to_num(math.e))
        self.hidden |= hidden
        return hidden

    def changed(self, pair: Pair, cut: int) -> Tensor:
        """The input with what comes after a cut replaced."""
        if len(self.order.axes) > 1:
            sizes = [pair.base.shape[a + 2] for a in self.order.axes]
            return torch.where(self._later(sizes, cut, pair.base.ndim), pair.later, pair.base)
        axis = self.order.axes[0] + 2
        length = pair.base.shape[axis]
        return torch.cat([pair.base.narrow(axis, 0, cut), pair.later.narrow(axis, cut, length - cut)], axis)

    def _may_differ(self, y: Tensor, whole: Tensor, pair: Pair, cut: int) -> bool:
        """Whether any bit of the outputs before a cut differs, by a quick look."""
        if len(self.order.axes) == 1:
            axis = self.order.axes[0] + 2
            count = min(y.shape[axis], math.ceil(cut / self.order.strides[0]))
            if _same(y.narrow(axis, 0, count), whole.narrow(axis, 0, count)):
                return False
        sizes = [pair.base.shape[a + 2] for a in self.order.axes]
        return self._early(y, whole, cut, sizes, pair.kind) is not None

    def _early(
        self, y: Tensor, whole: Tensor, cut: int, sizes: Sequence[int], kind: str
    ) -> tuple[int, ...] | None:
        """Time of the first output before the cut that differs."""
        before, expected = self._before(y, cut, sizes), self._before(whole, cut, sizes)
        differing = (
            self.rounding.differs(before, expected, louder(y, whole), kind).flatten(1).any(1).nonzero()
        )
        if not len(differing):
            return None
        lengths = [y.shape[axis + 2] for axis in self.order.axes]
        return self.order.time(_at(int(differing[0, 0]), lengths))

    def _before(self, y: Tensor, cut: int, sizes: Sequence[int]) -> Tensor:
        """The outputs that stand before a cut, in order, first; their channels and other axes after that."""
        lengths = [y.shape[a + 2] for a in self.order.axes]
        if len(lengths) == 1:
            count = min(lengths[0], math.ceil(cut / self.order.strides[0]))
        else:
            at = _at(cut, sizes)
            count = sum(self.order.time(j) < at for j in itertools.product(*map(range, lengths)))
        moved = y.movedim([a + 2 for a in self.order.axes], list(range(len(lengths))))
        return moved.flatten(0, len(lengths) - 1)[:count]

    def _later(self, sizes: Sequence[int], cut: int, ndim: int) -> Tensor:
        """Where an input is changed, (1, 1, ...)."""
        later = torch.arange(math.prod(sizes)).reshape(*sizes) >= cut
        view = [1] * ndim
        for axis, n in zip(self.order.axes, sizes, strict=True):
            view[axis + 2] = n
        return later.view(view)


def _same(y: Tensor, expected: Tensor) -> bool:
    """Whether two tensors have the same bits, or at least the same numbers."""
    if y.dtype == expected.dtype == torch.float64:
        return torch.equal(y.view(torch.int64), expected.view(torch.int64))
    return torch.equal(y, expected)


def _at(index: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """The position of an index in order."""
    at: list[int] = []
    for size in reversed(sizes):
        at.insert(0, index % size)
        index //= size
    return tuple(at)


def spread(count: int) -> Iterator[int]:
    """Every cut once, the coarse ones first."""
    step, seen = 1 << (count - 1).bit_length(), set[int]()
    while step:
        for cut in range(step, count, step):
            if cut not in seen:
                seen.add(cut)
                yield cut
        step //= 2
