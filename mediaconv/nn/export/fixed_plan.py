"""A captured graph laid out in fixed shape: a chunk's values by slot, and when each comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor, nn

from mediaconv.nn.export.fixed import FixedLayer, Length, Level
from mediaconv.nn.graph.axis_factors import Along, Dims

ONLY_END = "it reads a value that only the end of the input tells"


class NoStepError(ValueError):
    """A node that has no step of fixed shape, with the reason."""


@dataclass(frozen=True)
class Timed:
    """When a slot's values come. level: of a stream, in units of which one step has `count`.

    ready: of a late value the step from which on it is right.
    ends: streams whose last positions a late value is made of; it is right once they have come.
    """

    level: Level | None
    count: int = 0
    ready: int = 0
    ends: tuple[Level, ...] = ()


class Plan:
    """What is known while nodes are laid out: a chunk's values by slot, and when each comes."""

    def __init__(self, values: list[Any], x: Tensor, fix: Callable[..., FixedLayer], length: Length) -> None:
        self.values, self.batch, self.device = values, x.shape[0], x.device
        self.fix, self.input_length = fix, length
        self.times: dict[int, Timed] = {}

    def level(self, slot: int, dims: Dims) -> Level:
        """A stream's level in positions as `dims` have them, which may be finer than when it was made."""
        return self.level_along(slot, Along.of(dims))

    def level_along(self, slot: int, along: Along) -> Level:
        """As `level`, of dimensions in which the stream has been found."""
        timed = self.times.get(slot)
        if timed is None or timed.level is None:
            raise NoStepError(ONLY_END)
        count = along.length(self.values[slot], self.batch)
        level, times = timed.level, Fraction(count, timed.count)
        first = level.first * times
        if first.denominator != 1:
            raise NoStepError("its paths come apart by a part of a position")
        up, down = times.numerator, times.denominator
        return Level(int(first), count, lambda n: (level.length(n) * up).div(down, rounding_mode="floor"))

    def stream(self, slot: int, value: Tensor, level: Level) -> None:
        self.values[slot], self.times[slot] = value, Timed(level, level.count)

    def ready(self, slots: Iterable[int]) -> int:
        """The step from which on constants and late values are right."""
        ready, ends = self.late(slots)
        if ends:
            raise NoStepError(ONLY_END)
        return ready

    def late(self, slots: Iterable[int]) -> tuple[int, tuple[Level, ...]]:
        """As `ready`, and the streams whose end the values wait for."""
        ready, ends = 0, tuple[Level, ...]()
        for slot in slots:
            if self.values[slot] is None:
                raise NoStepError(ONLY_END)
            timed = self.times.get(slot, Timed(None))
            ready, ends = max(ready, timed.ready), ends + timed.ends
        return ready, ends


class Constants(nn.Module):
    """Slots that are the same in every step, as buffers, so that exports take them along."""

    def __init__(self, values: list[Any]) -> None:
        super().__init__()
        self.values = [None if isinstance(v, Tensor) else v for v in values]
        for slot, value in enumerate(values):
            if isinstance(value, Tensor):
                self.register_buffer(f"slot{slot}", value.detach())

    def forward(self) -> list[Any]:
        """A fresh list of all slots."""
        return [getattr(self, f"slot{i}", value) for i, value in enumerate(self.values)]
