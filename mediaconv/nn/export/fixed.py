"""Layers as steps of fixed shape: every step takes as many inputs and gives as many outputs as the last.

A stream's own step gives what is complete, more at one time and less at another. Here outputs come late by
a number of steps that is known beforehand: the first ones lie before the signal, at negative positions.
Positions outside the signal are made padding at every layer again, since a padding is zero and not the
convolution of zeros. Windows are in `fixed_window`, which layer becomes what in `fixing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mediaconv.nn.layers.containers import MERGES
from mediaconv.nn.streaming.window import Span

DIM = 2
"""The stream axis of a tensor (N, C, T, ...)."""
INSIDE = Span(0, 2**20, None)
"""Windows far from both ends of the signal."""
UNKNOWN_LENGTH = 2**40
"""More than any signal has: its length while it goes on."""

Length = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Level:
    """What passes between two layers in one step.

    first: position of the first one in step 0, at most 0. count: how many a step. length: of the whole signal
        at this level, from that of the input (int64 tensors).
    """

    first: int
    count: int
    length: Length


class Clock(NamedTuple):
    """What all layers of a step are told. steps: taken so far. length: of the input, int64 scalars."""

    steps: Tensor
    length: Tensor


class FixedLayer(nn.Module):
    """One layer, or layers of layers, in steps of fixed shape."""

    out: Level

    def initial(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """An output and the state before the first step, for inputs like `x`."""
        state: dict[str, Tensor] = {}
        clock = Clock(torch.zeros((), dtype=torch.int64), torch.tensor(UNKNOWN_LENGTH))
        self._declare(x, state, "")
        y, _ = self(x, iter(state.values()), clock)
        return torch.zeros_like(y), state

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        """Put this layer's first state into `state`, by name; an output for an input like `x`."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        """Outputs of one step and the state after it; takes its own tensors from `state` in order."""
        raise NotImplementedError


def zeros(x: Tensor, count: int, dim: int = DIM) -> Tensor:
    """Nothing yet: `count` positions like those of `x`."""
    return x.new_zeros(*x.shape[:dim], count, *x.shape[dim + 1 :])


class FixedPointwise(FixedLayer):
    """A layer without state; it may repeat each position `factor` times."""

    def __init__(self, layer: nn.Module, before: Level, factor: int) -> None:
        super().__init__()
        self.layer = layer
        self.out = Level(before.first * factor, before.count * factor, lambda n: before.length(n) * factor)

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        return self.layer(x)

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        return self.layer(x), []


class FixedChain(FixedLayer):
    """Layers one after the other."""

    def __init__(self, names: Sequence[str], layers: Sequence[FixedLayer], out: Level) -> None:
        super().__init__()
        self.names, self.layers, self.out = list(names), nn.ModuleList(layers), out

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        for name, layer in zip(self.names, self.layers, strict=True):
            x = layer._declare(x, state, f"{prefix}{name}.")  # type: ignore[operator]
        return x

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        after: list[Tensor] = []
        for layer in self.layers:
            x, kept = layer(x, state, clock)
            after += kept
        return x, after


class FixedBranches(FixedLayer):
    """Parallel layers; those that come early wait for the latest."""

    def __init__(self, names: Sequence[str], paths: Sequence[FixedLayer], merge: str) -> None:
        super().__init__()
        self.names, self.paths, self.merge = list(names), nn.ModuleList(paths), merge
        first = min(path.out.first for path in paths)
        self.delays = [path.out.first - first for path in paths]
        self.out = Level(first, paths[0].out.count, paths[0].out.length)

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        parts = []
        for name, path, delay in zip(self.names, self.paths, self.delays, strict=True):
            y = path._declare(x, state, f"{prefix}{name}.")  # type: ignore[operator]
            if delay:
                state[f"{prefix}{name}.waiting"] = zeros(y, delay)
            parts.append(y)
        return MERGES[self.merge](parts)

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        parts, after = [], []
        for path, delay in zip(self.paths, self.delays, strict=True):
            y, kept = path(x, state, clock)
            after += kept
            if delay:
                queue = torch.cat([next(state), y], DIM)
                y = queue.narrow(DIM, 0, self.out.count)
                after.append(queue.narrow(DIM, self.out.count, delay))
            parts.append(y)
        return MERGES[self.merge](parts), after
