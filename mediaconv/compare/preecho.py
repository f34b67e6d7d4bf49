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

import numpy as np
import torch
from torch import Tensor, nn

from mediaconv.nn import stream
from mediaconv.nn.streaming import axis_map

UNBOUNDED_REACH = 64
"""Steps either side that are looked at where the stack reads the whole file."""


@dataclass(frozen=True)
class Reach:
    """What must be known of a stack to cut a piece out of its input. Steps of the input, but `stride`."""

    look_back: int
    look_ahead: int
    stride: Fraction

    @classmethod
    def of(cls, module: nn.Module, axis: int = 0) -> Reach:
        """From the formula; an unbounded side counts as `UNBOUNDED_REACH`."""
        found = axis_map(module, axis)
        sides = (UNBOUNDED_REACH if math.isinf(n) else int(n) for n in (found.look_back, found.latency))
        return cls(*sides, found.stride)

    @property
    def receptive_field(self) -> int:
        """Input steps from the first to the last that an output reads."""
        return self.look_back + self.look_ahead + 1


@dataclass(frozen=True)
class Piece:
    """Where a piece of the input around an event lies, in input steps: `start <= event < stop`."""

    start: int
    event: int
    stop: int


def piece_around(event: int, reaches: Sequence[Reach]) -> Piece:
    """The piece that all stacks' reactions to an event need; it starts where every stride has an output."""
    width = max(r.receptive_field for r in reaches)
    grid = math.lcm(*(r.stride.numerator for r in reaches))
    start = max(0, event - width - max(r.look_back for r in reaches) - grid)
    return Piece(start - start % grid, event, event + width + max(r.look_ahead for r in reaches) + grid)


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
    """The piece held still from index `event` on: what was there just before goes on (nothing before: zeros)."""
    held = piece.copy()
    held[event:] = piece[event - 1] if event else 0
    return held


def reaction(
    module: nn.Module,
    normalize: Callable[[Tensor], Tensor],
    data: np.ndarray,
    piece: Piece,
    *,
    width: int,
    axis: int = 0,
    chunk: int = 0,
) -> Reaction:
    """Run a piece with and without its event and measure where the outputs differ.

    data: the input from `piece.start` on, (n, ..., C) channels last, in the range the stack takes; it may be
        shorter than the piece where the file ends.
    width: W, in input steps.
    chunk: steps pushed at a time; 0 takes the whole piece. The event always begins a chunk, so that an output
        that waits for nothing later is computed from the same chunk in both runs.
    """
    event = piece.event - piece.start
    with_event = _run(module, normalize, data, event, axis=axis, chunk=chunk or len(data))
    without = _run(module, normalize, without_event(data, event), event, axis=axis, chunk=chunk or len(data))
    stride = axis_map(module, axis).stride
    times = np.array([piece.start + math.floor(j * stride) for j in range(len(with_event))])
    offsets = times - piece.event
    kept = np.abs(offsets + 0.5) <= width
    energy = ((with_event - without) ** 2).reshape(len(offsets), with_event.shape[1], -1).mean(axis=2)
    return Reaction(piece.event, offsets[kept], energy[kept].T)


def _run(
    module: nn.Module,
    normalize: Callable[[Tensor], Tensor],
    data: np.ndarray,
    event: int,
    *,
    axis: int,
    chunk: int,
) -> np.ndarray:
    """The normalized outputs for one piece, (n, C, ...), in float64."""
    parameter = next(module.parameters(), torch.zeros(0))
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(data, -1, 0)))[None]
    x = x.transpose(2, axis + 2) if axis else x
    x = x.to(parameter.device, parameter.dtype if parameter.is_floating_point() else torch.float32)
    running = stream(module, axis=axis)
    cuts = sorted({*range(0, len(data), chunk), event, len(data)})
    with torch.no_grad():
        parts = [
            running.push(x.narrow(axis + 2, lo, hi - lo)) for lo, hi in zip(cuts, cuts[1:], strict=False)
        ]
        y = normalize(torch.cat([*parts, running.flush()], axis + 2))
    y = y.movedim(axis + 2, 0)[:, 0]
    return y.double().cpu().numpy()


def pre_echo(before: float, after: float) -> float | None:
    """Energy before relative to energy after; None where nothing reacts, or nothing after the event does.

    >>> pre_echo(0.0, 2.0), pre_echo(0.0, 0.0)
    (0.0, None)
    """
    return before / after if after > 0 else None
