"""Which cuts of which inputs are tried, within some seconds, and what is said of that: lengths grow while
time allows, with loud, quiet, whole and not finite values. `suffix` and `comb` do the looking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mediaconv.compare.prove.function_reads.comb import comb
from mediaconv.compare.prove.function_reads.probe import by_cutting
from mediaconv.compare.prove.function_reads.reads import Function, Reads
from mediaconv.compare.prove.function_reads.suffix import Pair, Sweep, spread
from mediaconv.compare.prove.function_reads.time_budget import Budget
from mediaconv.compare.prove.function_reads.tried_values import BASES, FILLS, QUICK_FILLS, base_values
from mediaconv.compare.prove.precision.rounding import Rounding

COARSE = 16
"""Cuts of an input that is looked at for leaks from far away."""
FEW_CALLS = 60
"""A call that takes longer than this part of the time is one of an input that is too large."""
WIDE_SHARE = 4
"""Part of the time for inputs with longer other axes."""
KINDS = (
    *(("noise", fill) for fill in FILLS),
    *((base, "noise") for base in BASES[1:]),
    *((base, fill) for base in BASES[1:] for fill in FILLS if fill != "noise"),
)
"""What comes before and after a cut, the commonest first."""
LONG_KINDS = (
    *(("noise", fill) for fill in QUICK_FILLS),
    *((base, "noise") for base in ("loud", "wide", "marks", "silence")),
)


@dataclass
class Coverage:
    """What was tried: all kinds of values in place of what comes after each of `positions` cuts.

    cuts: that there are in an input of `steps`. kinds: of values that were tried, of `all_kinds`.
    near, near_steps: reads of so many steps ahead were looked for at every position of an input so long.
    length: steps of the longest input tried, at some cuts. side: of the widest, on its other axes; 0: none.
    not_finite: only NaN or infinity showed a leak.
    hidden: zeros hide it from all that is finite.
    """

    positions: int = 0
    cuts: int = 0
    steps: int = 0
    near: int = 0
    near_steps: int = 0
    length: int = 0
    side: int = 0
    kinds: int = 0
    all_kinds: int = 0
    not_finite: bool = False
    hidden: bool = False

    def as_json(self) -> dict[str, int]:
        """For programs."""
        return {
            "positions": self.positions,
            "of": self.cuts,
            "steps": self.steps,
            "near": self.near,
            "near_steps": self.near_steps,
            "longest": self.length,
            "widest": self.side,
            "kinds_of_values": self.kinds,
            "of_kinds": self.all_kinds,
        }


def cover(
    function: Function,
    shape: Sequence[int],
    reads: Reads,
    *,
    lengths: Sequence[int],
    wider: Sequence[Sequence[int]] = (),
    rounding: Rounding,
    seconds: float,
    finite_only: bool = False,
) -> Coverage:
    """Sweep inputs of growing length; what is found is noted in `reads`.

    shape: (C, ...) of an input that the function takes. lengths: longer ones along the order's first axis;
        the first alone tells how long a call takes. wider: shapes with longer other axes.
    finite_only: say of what only NaN or infinity shows that it is there, and no more.
    """
    covering = _Covering(Sweep(function, reads, rounding, finite_only=finite_only), shape, seconds)
    covering.short()
    covering.wide(wider)
    affordable = covering.affordable(lengths)
    for stage in (covering.other_lengths, covering.far, covering.near, covering.every):
        if not covering.over:
            stage(affordable)
    done = covering.done
    done.not_finite, done.hidden = covering.sweep.not_finite, covering.sweep.hidden
    return done


class _Covering:
    """The stages, the likeliest finds first."""

    def __init__(self, sweep: Sweep, shape: Sequence[int], seconds: float) -> None:
        self.sweep, self._shape, self._seconds = sweep, shape, seconds
        self._budget = Budget(seconds)
        self._axis = sweep.order.axes[0] + 1
        self._count = math.prod(shape[a + 1] for a in sweep.order.axes)
        self.done = Coverage(steps=shape[self._axis], length=shape[self._axis], all_kinds=len(KINDS))

    @property
    def over(self) -> bool:
        return self.sweep.over or self._budget.over

    def short(self) -> None:
        """Every cut of the shortest input, with all kinds of values."""
        cuts = list(spread(self._count))
        self.done.positions = self.done.cuts = len(cuts)
        budget = Budget(max(self._seconds / 2, 0.05))
        for base, fill in KINDS:
            pair = self.sweep.pair(self._shape, base, fill)
            if pair is None:
                return
            tried = self.sweep.run(pair, cuts, budget)
            if self.sweep.over or (tried < len(cuts) and self.done.kinds):
                return  # found, or the time ran out at a kind of which little was tried
            self.done.positions, self.done.kinds = min(self.done.positions, tried), self.done.kinds + 1
            if budget.over:
                return

    def wide(self, shapes: Sequence[Sequence[int]]) -> None:
        """Some cuts of inputs with longer other axes: a leak may be at one row or column alone."""
        budget = Budget(self._budget.left / WIDE_SHARE)
        for shape in shapes:
            side = max(n for a, n in enumerate(shape) if a not in (0, self._axis))
            if side > self.done.side and not (self.over or budget.over) and self._wide(shape, budget):
                self.done.side = side

    def _wide(self, shape: Sequence[int], budget: Budget) -> bool:
        """Whether all kinds of values were tried."""
        for base, fill in LONG_KINDS[:3]:
            pair = self.sweep.pair(shape, base, fill)
            if pair is None or pair.seconds > self._seconds / FEW_CALLS:
                return False
            self.sweep.run(pair, list(spread(self._cuts(shape))), budget)
            if self.over:
                return False
        return True

    def _cuts(self, shape: Sequence[int]) -> int:
        return math.prod(shape[a + 1] for a in self.sweep.order.axes)

    def affordable(self, lengths: Sequence[int]) -> list[int]:
        """The lengths of which some inputs can be tried in the time, where it may grow as their square."""
        chosen: list[int] = []
        if len(lengths) < 2:
            return chosen
        known, pair = self._taken(lengths[0])
        for length in lengths[1:]:
            if self.over or pair is None or pair.seconds * (length / known) ** 2 > self._seconds:
                break
            known, pair = self._taken(length)
            if pair is None or pair.seconds > self._seconds / FEW_CALLS:
                break
            chosen.append(known)
        return chosen

    def _taken(self, length: int) -> tuple[int, Pair | None]:
        """An input of a length, or of the next multiple of the short one's below it if the function takes no
        other; None for the input where it takes neither."""
        steps = self._shape[self._axis]
        for taken in dict.fromkeys((length, length // steps * steps)):
            pair = self.sweep.pair(self._longer(taken), "noise", "noise")
            if pair is not None:
                return taken, pair
        return length, None

    def other_lengths(self, lengths: Sequence[int]) -> None:
        """Whether the first outputs are the same for longer inputs, of odd and even lengths."""
        steps = self._shape[self._axis]
        for length in (steps, *lengths):
            cuts = dict.fromkeys((length - 1, length - 2, length // 2, steps))
            by_cutting(
                self.sweep.function,
                base_values("noise", self._longer(length)),
                self.sweep.reads,
                [n for n in cuts if 0 < n < length],
                self.sweep.rounding,
            )
            if self.over:
                return

    def far(self, lengths: Sequence[int]) -> None:
        """A few cuts of each length."""
        for length in lengths:
            count = self._count // self._shape[self._axis] * length
            cuts = [count * i // COARSE for i in range(1, COARSE)]
            for base, fill in LONG_KINDS[:3]:
                pair = self.sweep.pair(self._longer(length), base, fill)
                if pair is not None:
                    self.sweep.run(pair, cuts, self._budget, furthest=True)
                if self.over:
                    return
            self.done.length = length

    def near(self, lengths: Sequence[int]) -> None:
        """Every position at once, for what has a short memory."""
        if len(self.sweep.order.axes) > 1:
            return
        for length in lengths:
            for i, (base, fill) in enumerate(LONG_KINDS):
                pair = self.sweep.pair(self._longer(length), base, fill)
                near = 0 if pair is None else comb(self.sweep, pair, self._budget)
                if self.sweep.over or (not near and not i):
                    return
                if near and not i:
                    self.done.near, self.done.near_steps = near, length
                if self._budget.over:
                    return

    def every(self, lengths: Sequence[int]) -> None:
        """Every cut of each length."""
        for length in lengths:
            cuts = list(spread(self._count // self._shape[self._axis] * length))
            tried, kinds = len(cuts), 0
            for base, fill in LONG_KINDS:
                pair = self.sweep.pair(self._longer(length), base, fill)
                if pair is None:
                    return
                came = self.sweep.run(pair, cuts, self._budget)
                if self.sweep.over:
                    return
                if came < len(cuts) and kinds:
                    break
                tried, kinds = min(tried, came), kinds + 1
            if tried > self.done.positions:
                self.done.positions, self.done.cuts, self.done.steps = tried, len(cuts), length
                self.done.kinds, self.done.all_kinds = kinds, len(LONG_KINDS)
            if self._budget.over:
                return

    def _longer(self, length: int) -> list[int]:
        return [length if a == self._axis else n for a, n in enumerate(self._shape)]
