"""What a layer's outputs read of its inputs, along one axis, as integers. No tensors here.

Every layer gives one `AxisMap` an axis; a stack's map is the composition of its layers' (`composed_maps`).
From a map follow output length, stride, receptive field and latency, exactly and for any mixture of strided,
dilated and transposed layers: maps pass on the ends of what is read, and sets of indices where ends are not
enough.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from mediaconv.nn.spans import Spans, TooManyError, check_count, end_taps

MOST_PHASES = 2**21
"""Outputs of a period up to which each is looked at."""
WHOLE = math.inf
"""Latency and receptive field of a layer that needs the whole input before its first output."""


class AxisMap(ABC):
    """Which inputs an output reads along one axis, for a signal without ends."""

    @property
    @abstractmethod
    def total_stride(self) -> Fraction:
        """Input steps an output step: 2 after a stride of 2, 1/2 after doubling."""

    @property
    def period(self) -> int:
        """Outputs after which the pattern of reads repeats itself, moved along."""
        return self.total_stride.denominator

    @property
    def input_period(self) -> int:
        """Least number of inputs to move a signal by so that its outputs move along unchanged."""
        return self.total_stride.numerator

    @abstractmethod
    def output_length(self, length: int) -> int:
        """Output length for an input of `length` steps."""

    @abstractmethod
    def reads(self, outputs: np.ndarray) -> np.ndarray:
        """Indices of the inputs read by these outputs: sorted, unique; negative ones lie in the padding."""

    @property
    def whole(self) -> bool:
        """True where the first output may read the last input, however long the input is."""
        return False

    @property
    def past(self) -> bool:
        """True where an output reads all that came before it, by a state (a recurrence), too."""
        return False

    @property
    def reflects(self) -> bool:
        """True where what is read before the signal's beginning is its mirror image, which lies ahead."""
        return False

    def first_reads(self, outputs: np.ndarray) -> np.ndarray:
        """As `reads`, for a signal that begins at 0: what a mirrored padding stands for, no other padding."""
        read = self.reads(outputs)
        return read[read >= 0]

    @property
    def latency(self) -> int | float:
        """Inputs after an output's own time (output j stands at input floor(j * total_stride)) that it reads.

        0 is causal; `WHOLE` where everything is read.
        """
        if self.whole:
            return WHOLE
        ahead = int(self._offsets[1].max())
        return max(0, ahead, self._ahead_at_start()) if self.reflects else max(0, ahead)

    def _ahead_at_start(self) -> int:
        """The same of the outputs that read before the signal's beginning."""
        ahead = 0
        for j in range(math.ceil(self.window_lookback / self.total_stride)):
            read = self.first_reads(np.array([j]))
            ahead = max(ahead, int(read[-1]) - math.floor(j * self.total_stride)) if len(read) else ahead
        return ahead

    @property
    def lookback(self) -> int | float:
        """Inputs before an output's own time that it reads."""
        return WHOLE if self.past else self.window_lookback

    @property
    def window_lookback(self) -> int | float:
        """`lookback` without the past that a state stands for."""
        return WHOLE if self.whole else max(0, -int(self._offsets[0].min()))

    @property
    def receptive_field(self) -> int | float:
        """Largest distance from the first to the last input that one output reads, both counted."""
        return WHOLE if self.past else self.window_field

    @property
    def window_field(self) -> int | float:
        """`receptive_field` without the past that a state stands for."""
        if self.whole:
            return WHOLE
        low, high = self._offsets
        return int((high - low).max()) + 1

    @property
    def monotone(self) -> bool:
        """True where every output reads something, and none begins or ends before an earlier one does."""
        return False

    def ends(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last input that the outputs from `low` to `high` read, elementwise; of a monotone map."""
        raise NotImplementedError

    @cached_property
    def _offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last input of each output of a period, from the output's own time on; 0 and -1: none.

        Of a map with too many phases to look at each: one pair that holds them all.
        """
        try:
            spans = self.all_spans()
        except TooManyError:
            least, most = self.bounds()
            return np.array([math.ceil(least)]), np.array([math.floor(most + 1 - Fraction(1, self.period))])
        low, high = spans.low, spans.high
        now = np.zeros(1, np.int64)  # one output a period: its stride may be over 64 bits
        if len(low) > 1:
            now = np.arange(len(low)) * self.total_stride.numerator // self.total_stride.denominator
        some = low <= high
        if not some.any():
            return np.array([0]), np.array([-1])
        return (low - now)[some], (high - now)[some]

    def all_spans(self) -> Spans:
        """First and last input of each output of a period. Raises ValueError where these are too many."""
        if not self.monotone:
            return self.spans(Spans.identity())
        if self.period > MOST_PHASES:
            raise TooManyError
        if self.period == 1:  # plain integers: long stacks have thousands of these
            low, high = self.ends(0, 0)  # type: ignore[arg-type]
            return Spans(self.total_stride, np.array([low]), np.array([high]))
        outputs = np.arange(self.period)
        return Spans(self.total_stride, *self.ends(outputs, outputs))

    def spans(self, before: Spans) -> Spans:
        """First and last input of each output of a period, behind a map whose spans are `before`.

        Unlike `ends` also for outputs that read nothing or leave gaps. Raises ValueError where these are
        too many to look at.
        """
        period = self.period * before.repeats(self.period * self.total_stride)
        check_count(period)
        reads = [self.reads(np.array([j])) for j in range(self.period)]
        moved = int(self.period * self.total_stride)
        every = (reads[j % self.period] + j // self.period * moved for j in range(period))
        return before.gathered(self.total_stride, every)

    def bounds(self) -> tuple[Fraction, Fraction]:
        """What output j reads lies between these numbers, counted from `j * total_stride`."""
        spans = self.all_spans()
        some = spans.low <= spans.high
        if not some.any():
            return Fraction(0), Fraction(-1)
        outputs = np.arange(len(some), dtype=np.int64)[some]
        above, below = self.total_stride.numerator, self.total_stride.denominator
        return (
            Fraction(int((spans.low[some] * below - outputs * above).min()), below),
            Fraction(int((spans.high[some] * below - outputs * above).max()), below),
        )


def _lesser(a: int, b: int) -> int:
    """The smaller number without a branch, so that it holds for each length where an exported one is free."""
    return (a + b - abs(a - b)) // 2


@dataclass(frozen=True)
class Window(AxisMap):
    """A sliding window: output j reads inputs `j*stride - left + i*dilation`, i = 0 ... kernel-1.

    left, right: padding at the ends; negative where inputs at an end are not used.
    ceil: count a last window that starts inside the input or its left padding but ends past the right one
        (torch's `ceil_mode`).
    mirrored: the padding is the signal's mirror image, without its first value (torch's "reflect").
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    left: int = 0
    right: int = 0
    ceil: bool = False
    mirrored: bool = False

    @property
    def extent(self) -> int:
        """The effective kernel `e = (kernel-1) * dilation + 1`."""
        return (self.kernel - 1) * self.dilation + 1

    @cached_property
    def total_stride(self) -> Fraction:
        return Fraction(self.stride)

    def output_length(self, length: int) -> int:
        room = length + self.left + self.right - self.extent
        if length == 0 or (room < 0 and not self.ceil):
            return 0
        if not self.ceil:
            return room // self.stride + 1
        # rounded up without a negative number, where there are windows: traced divisions do not floor
        count = max(0, (room + 2 * self.stride - 1) // self.stride)
        begin = max(0, (length + self.left + self.stride - 1) // self.stride)  # not in the right padding
        return count - _lesser(1, -_lesser(0, begin - count))

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        starts = outputs * self.stride - self.left
        return union_of_windows(starts, self.kernel, self.dilation)

    @property
    def monotone(self) -> bool:
        return True

    def ends(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return low * self.stride - self.left, high * self.stride - self.left + self.extent - 1

    def spans(self, before: Spans) -> Spans:
        period = before.repeats(self.stride)
        taps = end_taps(self.kernel, before.repeats(self.dilation))
        check_count(period * len(taps))
        starts = np.arange(period) * self.stride - self.left
        return before.through(self.total_stride, period, ((starts + k * self.dilation, True) for k in taps))

    @property
    def reflects(self) -> bool:
        return self.mirrored and self.left > 0

    def first_reads(self, outputs: np.ndarray) -> np.ndarray:
        return np.unique(abs(self.reads(outputs))) if self.mirrored else super().first_reads(outputs)


@dataclass(frozen=True)
class Transposed(AxisMap):
    """A transposed window: input i adds to outputs `i*stride + k*dilation - left`, k = 0 ... kernel-1.

    left, right: outputs cut off at the ends of the full length `(n-1)*stride + extent`; a negative `right`
    appends outputs that read nothing (torch's `output_padding`).
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    left: int = 0
    right: int = 0

    @property
    def extent(self) -> int:
        """The effective kernel `e = (kernel-1) * dilation + 1`."""
        return (self.kernel - 1) * self.dilation + 1

    @cached_property
    def total_stride(self) -> Fraction:
        return Fraction(1, self.stride)

    @property
    def period(self) -> int:
        return self.stride

    def output_length(self, length: int) -> int:
        if length == 0:
            return 0
        return max(0, (length - 1) * self.stride + self.extent - self.left - self.right)

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        hit = (outputs + self.left)[:, None] - np.arange(self.kernel)[None, :] * self.dilation
        return np.unique(hit[hit % self.stride == 0] // self.stride)

    @property
    def monotone(self) -> bool:
        return self.dilation == 1 and self.kernel >= self.stride

    def ends(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -((self.kernel - 1 - low - self.left) // self.stride), (high + self.left) // self.stride

    def bounds(self) -> tuple[Fraction, Fraction]:
        return Fraction(self.left + 1 - self.extent, self.stride), Fraction(self.left, self.stride)

    def spans(self, before: Spans) -> Spans:
        period = self.stride * before.repeats(1)
        common = math.gcd(self.stride, self.dilation)
        alike = self.stride // common * before.repeats(self.dilation // common)
        taps = end_taps(self.kernel, alike)
        check_count(period * len(taps))
        outputs = np.arange(period) + self.left
        hits = (outputs - k * self.dilation for k in taps)
        return before.through(
            self.total_stride, period, ((hit // self.stride, hit % self.stride == 0) for hit in hits)
        )


@dataclass(frozen=True)
class Interpolated(AxisMap):
    """Linear interpolation to `scale` times the length, ends held.

    Output j lies at input `(j + 1/2) / scale - 1/2` (torch's `align_corners=False`); causal, on the line from
    the previous input to the current one `j // scale`, which the last of its `scale` outputs reaches.
    """

    scale: int
    causal: bool = False

    @cached_property
    def total_stride(self) -> Fraction:
        return Fraction(1, self.scale)

    def output_length(self, length: int) -> int:
        return length * self.scale

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        if self.causal:
            now, phase = outputs // self.scale, outputs % self.scale
            return np.union1d(now, now[phase < self.scale - 1] - 1)
        doubled = 2 * outputs + 1 - self.scale
        first = doubled // (2 * self.scale)
        return np.union1d(first, first[doubled % (2 * self.scale) > 0] + 1)

    @property
    def monotone(self) -> bool:
        return True

    def ends(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.causal:
            return (low + 1) // self.scale - 1, high // self.scale
        return (2 * low + 1 - self.scale) // (2 * self.scale), -(
            (self.scale - 1 - 2 * high) // (2 * self.scale)
        )

    def spans(self, before: Spans) -> Spans:
        period = self.scale * before.repeats(1)
        check_count(period)
        low, high = self.ends(np.arange(period), np.arange(period))
        return before.through(self.total_stride, period, ((read, True) for read in (low, high)))


def union_of_windows(starts: np.ndarray, kernel: int, dilation: int) -> np.ndarray:
    """All indices `start + i*dilation`, sorted and unique; quick where the windows touch."""
    if not len(starts):
        return starts
    if dilation == 1 and (len(starts) == 1 or int(np.diff(starts).max()) <= kernel):
        return np.arange(starts[0], starts[-1] + kernel)
    return np.unique(starts[:, None] + np.arange(kernel)[None, :] * dilation)


def whole_number(number: Fraction) -> int | Fraction:
    """The same number, an int where it is whole."""
    return int(number) if number.denominator == 1 else number


def same_padding(kernel: int, dilation: int) -> tuple[int, int]:
    """Left and right padding of a standard layer: `(e-1)//2` and the rest; `ceil(n/stride)` outputs."""
    extent = (kernel - 1) * dilation + 1
    left = (extent - 1) // 2
    return left, extent - 1 - left


def whole_factors(factor: int | Sequence[int], dims: int, name: str) -> tuple[int, ...]:
    """One factor for each axis. Raises ValueError below 1."""
    factors = per_axis(factor, dims, name)
    if min(factors) < 1:
        raise ValueError(f"{name}: got {factors}, expected whole numbers of at least 1")
    return factors


def per_axis(value: int | Sequence[int], dims: int, name: str) -> tuple[int, ...]:
    """One number for each of `dims` axes. Raises ValueError for a sequence of another length."""
    if isinstance(value, int):
        return (value,) * dims
    numbers = tuple(value)
    if len(numbers) != dims:
        raise ValueError(
            f"{name}: got {len(numbers)} numbers {numbers}, expected one or {dims}, one per axis"
        )
    return numbers
