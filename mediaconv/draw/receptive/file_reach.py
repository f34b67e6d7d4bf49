"""A receptive field beside one file: how much of it an output reads, and how long that lasts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mediaconv.draw.subject import Fitted
from mediaconv.nn.summary.receptive_field import Cone, Reach
from mediaconv.pipeline import Pipeline


@dataclass(frozen=True)
class FileReach:
    """Along one axis. length: of what the stack gets of the file, in `unit`. rate_hz: of a time axis."""

    name: str
    reach: Reach
    stride: float
    length: int
    unit: str
    rate_hz: float | None

    @classmethod
    def of(cls, found: Fitted, pipeline: Pipeline, cone: Cone) -> FileReach:
        """What was measured, or the formula's where nothing could be."""
        axis = pipeline.axes.index(cone.axis)
        rate = found.rate_hz if axis == 0 else None
        reach = cone.measured or cone.formula
        return cls(found.file.name, reach, cone.stride, found.lengths[axis], pipeline.step_units[axis], rate)

    def words(self) -> str:
        """One line."""
        field = self.reach.receptive_field
        steps = f"all {self.length:,}" if math.isinf(field) else f"{int(field):,} of {self.length:,}"
        told = f"{self.name}: {steps} {self.unit}"
        if self.rate_hz is None:
            return told
        waits = "to the end" if math.isinf(self.reach.latency) else self._time(self.reach.latency)
        reads = "" if math.isinf(field) else f"{self._time(field)} of "
        return (
            f"{told}, {reads}{self._time(self.length)} at {self.rate_hz:g} a second; look-ahead {waits}; an "
            f"output every {self._time(self.stride)}"
        )

    def facts(self) -> dict[str, Any]:
        """The same for programs; null: all of the file, or no time."""
        seconds = self.rate_hz and {
            name: None if math.isinf(n) else n / self.rate_hz
            for name, n in [*vars(self.reach).items(), ("stride", self.stride), ("length", self.length)]
        }
        return {"length": self.length, "unit": self.unit, "rate_hz": self.rate_hz, "seconds": seconds}

    def _time(self, steps: float) -> str:
        assert self.rate_hz is not None
        seconds = steps / self.rate_hz
        return f"{seconds:.4g} s" if seconds >= 1 else f"{1000 * seconds:.4g} ms"
