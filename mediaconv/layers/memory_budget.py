"""What a stack will hold in memory, told from shapes before anything is made; too much is refused by layer.

A lower bound, of one step of the input at a time: weights, what each stream keeps, and the largest layer's
input and output. A chunk of more steps is chosen to fit (`mediaconv.compute.chunking`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from torch import nn

from mediaconv.errors import UsageError
from mediaconv.machine import memory_bytes
from mediaconv.nn.composed_maps import Chain
from mediaconv.nn.geometry import AxisMap, Window
from mediaconv.nn.streaming.protocol import axis_map, output_channels

FLOAT_BYTES = 4
MOST_STRIDE = 2**40
"""No input is as long; receptive fields are counted in 64 bits."""
DRAWN_BYTES = 12
"""Of a weight while it is drawn, in float64 and once more in float32."""
JOINED = 2
"""A layer's input is also held joined to what the stream keeps."""
FILE_BYTES = 2**14
"""Of each output channel at least: its writer and buffers."""
SHARE = 0.5
"""Of the machine's memory that one job may take unless `limits.max_memory` says otherwise."""


@dataclass(frozen=True)
class Signal:
    """What lies between two layers.

    total: length along the stream axis; None where only the end tells.
    across: lengths along the other axes, at least 1. known: which of them are an input's; of the others there
        is what one step of the input becomes, at which branches need not fit.
    steps: along the stream axis, for one step of the input.
    strides: input steps a step, along each axis; left out: 1.
    """

    channels: int
    total: int | None
    across: tuple[int, ...]
    known: tuple[bool, ...]
    steps: int = 1
    strides: tuple[Fraction, ...] = ()

    @classmethod
    def of(cls, channels: int, shape: Sequence[int | None]) -> Signal:
        """Of an input; a length that is not known is None, and counts as 1."""
        known = tuple(n is not None for n in shape[1:])
        return cls(channels, shape[0], tuple(n or 1 for n in shape[1:]), known)

    @property
    def values(self) -> int:
        """Of the steps alone."""
        return self.channels * self.steps * math.prod(self.across)

    def after(self, module: nn.Module) -> Signal:
        """What a module makes of it. Raises ValueError where it does not fit."""
        maps = along, *rest = [axis_map(module, axis) for axis in range(1 + len(self.across))]
        before = self.strides or (Fraction(1),) * len(maps)
        strides = tuple(s * m.total_stride for s, m in zip(before, maps, strict=True))
        if any(max(s.numerator, s.denominator) > MOST_STRIDE for s in strides):
            what = " x ".join(map(str, strides))
            raise ValueError(
                f"with the layers before it a total stride of {what}, expected at most {MOST_STRIDE}"
            )
        total = None if self.total is None else along.output_length(self.total)
        across = tuple(
            max(1, m.output_length(n) if known else math.ceil(n / m.total_stride))
            for m, n, known in zip(rest, self.across, self.known, strict=True)
        )
        steps = max(1, math.ceil(self.steps / along.total_stride))
        return Signal(output_channels(module, self.channels), total, across, self.known, steps, strides)


@dataclass
class MemoryBudget:
    """Bytes that a stack may hold, and those that the layers so far hold.

    limit: default: half of the machine's.
    """

    limit: int = field(default_factory=lambda: int(memory_bytes() * SHARE))
    held: int = 0

    def add_weights(self, count: int, path: str) -> None:
        """Take the weights of a layer. Raises UsageError naming it."""
        self._check(count * DRAWN_BYTES, path, "its weights")
        self.held += count * FLOAT_BYTES

    def add_layer(self, module: nn.Module, signal: Signal, path: str) -> None:
        """Take a layer and what its stream keeps. Raises UsageError naming it."""
        along, *rest = (axis_map(module, axis) for axis in range(1 + len(signal.across)))
        lengths = (n + _padding(m) for m, n in zip(rest, signal.across, strict=True))
        across = signal.channels * math.prod(lengths)
        kept = (signal.total or 0) if along.whole else _kept(along)
        if signal.total is not None:
            kept = min(kept, signal.total + _padding(along))
        joined = (kept + signal.steps) * across * FLOAT_BYTES
        self._check(JOINED * joined + signal.after(module).values * FLOAT_BYTES, path, "its input and output")
        self.held += kept * across * FLOAT_BYTES

    def add_outputs(self, signal: Signal) -> None:
        """Take the files of the output. Raises UsageError."""
        self._check(signal.channels * FILE_BYTES, "stack", f"an output of {signal.channels} channels")

    def _check(self, count: int, path: str, what: str) -> None:
        if self.held + count > self.limit:
            raise UsageError(
                f"{path}: needs at least {_size(self.held + count)} of memory for {what}, "
                f"more than limits.max_memory: {_size(self.limit)}"
            )


def _padding(reads: AxisMap) -> int:
    """Values added along an axis before the window is applied."""
    if isinstance(reads, Chain):
        return sum(map(_padding, reads.maps))
    return max(0, reads.left) + max(0, reads.right) if isinstance(reads, Window) else 0


def _kept(reads: AxisMap) -> int:
    """Inputs that a stream keeps for the windows to come."""
    if isinstance(reads, Chain):
        return sum(map(_kept, reads.maps))
    return reads.extent - 1 if isinstance(reads, Window) else 0


def _size(count: int) -> str:
    return f"{count / 2**30:,.2f} GiB"
