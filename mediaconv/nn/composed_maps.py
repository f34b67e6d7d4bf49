"""Maps made of other maps: one after the other, side by side, or of everything. No tensors here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce

import numpy as np

from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.spans import Spans, check_count


class Handed(AxisMap):
    """A map that differs from another, `inner`, in what outputs read and in nothing else."""

    inner: AxisMap

    @property
    def total_stride(self) -> Fraction:
        return self.inner.total_stride

    @property
    def period(self) -> int:
        return self.inner.period

    @property
    def input_period(self) -> int:
        return self.inner.input_period

    def output_length(self, length: int) -> int:
        return self.inner.output_length(length)


@dataclass(frozen=True)
class Whole(Handed):
    """Every output reads every input (a norm over time, circular padding)."""

    inner: AxisMap

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        return self.inner.reads(outputs)

    def spans(self, before: Spans) -> Spans:
        return self.inner.spans(before)

    @property
    def whole(self) -> bool:
        return True


@dataclass(frozen=True)
class Composed(AxisMap):
    """A map made of others: it has what all of them have, or one of them."""

    maps: tuple[AxisMap, ...] = ()

    @property
    def monotone(self) -> bool:
        return all(m.monotone for m in self.maps)

    @property
    def reflects(self) -> bool:
        return any(m.reflects for m in self.maps)

    @property
    def whole(self) -> bool:
        return any(m.whole for m in self.maps)

    @property
    def past(self) -> bool:
        return any(m.past for m in self.maps)


@dataclass(frozen=True)
class Chain(Composed):
    """Maps one after the other, the first nearest to the input. Empty: the identity."""

    @cached_property
    def total_stride(self) -> Fraction:
        strides = [m.total_stride for m in self.maps]
        return Fraction(math.prod(s.numerator for s in strides), math.prod(s.denominator for s in strides))

    @cached_property
    def period(self) -> int:
        """A multiple of the true one: all upsampling factors' product."""
        return math.prod(m.period for m in self.maps)

    @property
    def input_period(self) -> int:
        period = 1
        for m in reversed(self.maps):
            period = math.lcm(m.input_period, (period * m.total_stride).numerator)
        return period

    def output_length(self, length: int) -> int:
        for m in self.maps:
            length = m.output_length(length)
        return length

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        for m in reversed(self.maps):
            outputs = m.reads(outputs)
        return outputs

    def ends(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for m in reversed(self.maps):
            low, high = m.ends(low, high)
        return low, high

    def spans(self, before: Spans) -> Spans:
        return reduce(lambda spans, m: m.spans(spans), self.maps, before)

    def bounds(self) -> tuple[Fraction, Fraction]:
        low = high = Fraction(0)
        for m in reversed(self.maps):
            first, last = m.bounds()
            low, high = low * m.total_stride + first, high * m.total_stride + last
        return low, high

    def first_reads(self, outputs: np.ndarray) -> np.ndarray:
        for m in reversed(self.maps):
            outputs = m.first_reads(outputs)
        return outputs


@dataclass(frozen=True)
class Parallel(Composed):
    """Branches over the same input whose outputs lie side by side. All have one stride."""

    def __post_init__(self) -> None:
        strides = [m.total_stride for m in self.maps]
        if len(set(strides)) > 1:
            raise ValueError(
                f"branches with strides {', '.join(map(str, strides))} cannot be merged: "
                "give each branch the same total stride (a strided block needs a strided shortcut)"
            )

    @property
    def total_stride(self) -> Fraction:
        return self.maps[0].total_stride

    @property
    def period(self) -> int:
        return math.lcm(*(m.period for m in self.maps))

    @property
    def input_period(self) -> int:
        return math.lcm(*(m.input_period for m in self.maps))

    def output_length(self, length: int) -> int:
        lengths = [m.output_length(length) for m in self.maps]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"branches give lengths {lengths} for an input of {length}: they cannot be merged"
            )
        return lengths[0]

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        return np.unique(np.concatenate([m.reads(outputs) for m in self.maps]))

    def ends(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lows, highs = zip(*(m.ends(low, high) for m in self.maps), strict=True)
        return reduce(np.minimum, lows), reduce(np.maximum, highs)

    def spans(self, before: Spans) -> Spans:
        each = [m.spans(before) for m in self.maps]
        period = math.lcm(*(len(taps.low) for taps in each))
        check_count(period)
        lows, highs = zip(*(taps.at(np.arange(period)) for taps in each), strict=True)
        return Spans(each[0].stride, reduce(np.minimum, lows), reduce(np.maximum, highs))

    def bounds(self) -> tuple[Fraction, Fraction]:
        lows, highs = zip(*(m.bounds() for m in self.maps), strict=True)
        return min(lows), max(highs)

    def first_reads(self, outputs: np.ndarray) -> np.ndarray:
        return np.unique(np.concatenate([m.first_reads(outputs) for m in self.maps]))


IDENTITY = Chain()
