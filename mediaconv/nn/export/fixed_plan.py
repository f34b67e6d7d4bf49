"""A captured graph laid out in fixed shape: a chunk's values by slot, and when each comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor, nn

from mediaconv.nn.export.fixed import FixedLayer, Length, Level
from mediaconv.nn.graph.axis_factors import Along, Dims


class NoStepError(ValueError):
    """A node that has no step of fixed shape, with the reason."""


@dataclass(frozen=True)
class Timed:
    """When a slot's values come. level: of a stream, in units of which one step has `count`.

    ready: of a late value the step from which on it is right.
    """

    level: Level | None
    count: int = 0
    ready: int = 0


class Plan:
    """What is known while nodes are laid out: a chunk's values by slot, and when each comes."""

    def __init__(self, values: list[Any], x: Tensor, fix: Callable[..., FixedLayer], length: Length) -> None:
        self.values, self.batch, self.device = values, x.shape[0], x.device
        self.fix, self.input_length = fix, length
        self.times: dict[int, Timed] = {}

    def level(self, slot: int, dims: Dims) -> Level:
        """A stream's level in positions as `dims` have them, which may be finer than when it was made."""
        timed = self.times.get(slot)
        if timed is None or timed.level is None:
            raise NoStepError("it reads a value that only the end of the input tells")
        count = Along.of(dims).length(self.values[slot], self.batch)
        level, times = timed.level, Fraction(count, timed.count)
        first = level.first * times
        if first.denominator != 1:
            raise NoStepError("its paths come apart by a part of a position")
        up, down = times.numerator, times.denominator
        return Level(int(first), count, lambda n: (level.length(n) * up).div(down, rounding_mode="floor"))

    def stream(self, slot: int, value: Tensor, level: Level) -> None:
        self.values[slot], self.times[slot] = value, Timed(level, level.count)

    def ready(self, slots: Any) -> int:
        """The step from which on constants and late values are right."""
        ready = 0
        for slot in slots:
            if self.values[slot] is None:
                raise NoStepError("it reads a value that only the end of the input tells")
            timed = self.times.get(slot)
            ready = max(ready, timed.ready if timed is not None else 0)
        return ready


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
