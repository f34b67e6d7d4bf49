"""Pre-echo: how much of the reaction to an event comes before the event.

What an output does before an event cannot be told from the output alone, because something always goes on
there. So the input is run twice through the stack: as it is, and *without the event*, held still from the
event on. The difference is the reaction:

    R(j) = |y(j) - y'(j)|²       mean over the pixels of a channel, y after normalization
    pre-echo = sum of R(j) for W outputs before the event / sum of R(j) for W outputs from the event on

Output j is before the event at input step t where `j * stride < t`. W is the receptive field of the larger
of the stacks compared, in outputs. A causal stack has R = 0 before every event, exactly, whatever the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mediaconv.engine.conversion import Step
from mediaconv.nn.streaming.protocol import axis_map

if TYPE_CHECKING:
    from torch import nn

UNBOUNDED_MARGIN = 64
"""Steps either side that are looked at where the stack reads the whole file."""


@dataclass(frozen=True)
class Margins:
    """What must be known of a stack to cut a piece out of its input. Steps of the input, but `stride`."""

    lookback: int
    lookahead: int
    stride: Fraction

    @classmethod
    def of(cls, module: nn.Module, axis: int = 0) -> Margins:
        """From the formula; an unbounded side counts as `UNBOUNDED_MARGIN`."""
        along = axis_map(module, axis)
        back, ahead = (UNBOUNDED_MARGIN if math.isinf(n) else int(n) for n in (along.lookback, along.latency))
        return cls(back, ahead, along.total_stride)

    @property
    def receptive_field(self) -> int:
        """Input steps from the first to the last that an output reads."""
        return self.lookback + self.lookahead + 1


@dataclass(frozen=True)
class Piece:
    """Where a piece of the input around an event lies, in input steps: `start <= event < stop`."""

    start: int
    event: int
    stop: int


def piece_around(event: int, margins: Sequence[Margins]) -> Piece:
    """The piece that all stacks' reactions to an event need; it starts where every stride has an output."""
    width = max(m.receptive_field for m in margins)
    grid = math.lcm(*(m.stride.numerator for m in margins))
    start = max(0, event - width - max(m.lookback for m in margins) - grid)
    return Piece(start - start % grid, event, event + width + max(m.lookahead for m in margins) + grid)


@dataclass(frozen=True)
class Reaction:
    """The reaction of one stack to one event.

    offsets: input steps from the event to each output. Shape: (outputs,)
    energy: R of each output, per channel. Shape: (channels, outputs)
    """

    event: int
    offsets: np.ndarray
    energy: np.ndarray

    @property
    def before(self) -> np.ndarray:
        """Energy before the event, per channel."""
        return self.energy[:, self.offsets < 0].sum(axis=1)

    @property
    def after(self) -> np.ndarray:
        """Energy from the event on, per channel."""
        return self.energy[:, self.offsets >= 0].sum(axis=1)


def without_event(piece: np.ndarray, event: int) -> np.ndarray:
    """The piece held still from index `event` on: what was there just before goes on."""
    held = piece.copy()
    held[event:] = piece[event - 1] if event else 0
    return held


def reaction(
    make_step: Callable[[], Step],
    data: np.ndarray,
    piece: Piece,
    *,
    stride: Fraction,
    width: int,
    chunk: int = 0,
    axis: int = 0,
) -> Reaction:
    """Run a piece with and without its event and measure where the outputs differ.

    make_step: a fresh pass through stack and normalizer, from raw samples to floats (C', n, ...).
    data: the raw input from `piece.start` on, (n, ..., C); shorter than the piece where the file ends.
    stride: input steps an output. width: W, in input steps.
    chunk: steps pushed at a time; 0 takes the whole piece. The event always begins a chunk, so that an output
        that waits for nothing later is computed from the same chunk in both runs.
    axis: of `data` and of the outputs' axes, which is time; the piece is cut along it, and it is the axis of
        chunks only where it is 0.
    """
    event = piece.event - piece.start
    cuts = sorted({*range(0, len(data), chunk or len(data)), len(data), *(() if axis else (event,))})
    other = without_event(data.swapaxes(0, axis), event).swapaxes(0, axis)
    with_event = _run(make_step(), data, cuts).swapaxes(1, axis + 1)
    without = _run(make_step(), other, cuts).swapaxes(1, axis + 1)
    count = with_event.shape[1]
    offsets = np.array([math.floor(j * stride) for j in range(count)]) + piece.start - piece.event
    kept = np.abs(offsets + 0.5) <= width
    difference = (with_event - without).astype(np.float64) ** 2
    energy = difference.reshape(*difference.shape[:2], -1).mean(axis=2)
    return Reaction(piece.event, offsets[kept], energy[:, kept])


def _run(step: Step, data: np.ndarray, cuts: Sequence[int]) -> np.ndarray:
    """The outputs for one piece, (C', n, ...), its chunks between the cuts."""
    parts = [step.push(data[lo:hi]) for lo, hi in pairwise(cuts)]
    return np.concatenate([*parts, step.flush()], axis=1)


def pre_echo(before: float, after: float) -> float | None:
    """Energy before relative to energy after; None where nothing reacts, or nothing after the event does.

    >>> pre_echo(0.0, 2.0), pre_echo(0.0, 0.0)
    (0.0, None)
    """
    return before / after if after > 0 else None
