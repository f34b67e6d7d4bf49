"""What "later" means, and what is known of how far after its own time an output reads. Measures nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")
Function = Callable[[Tensor], Tensor]
MOST_VALUES = 2**21
"""Values of a batch of inputs."""
MOST_ROWS = 256
METHODS = ("gradient", "perturbation")
MULTIPLE = 12
"""Lengths are multiples of it, so that layers that fold 2, 3 or 4 steps into one take them."""


@dataclass(frozen=True)
class Order:
    """What "later" means. axes: one axis is time; several are a reading order (frame, row, column).

    strides: input steps an output step along each of these axes. period: outputs along the first of them
    after which the pattern of what they read repeats itself.
    """

    axes: tuple[int, ...]
    strides: tuple[Fraction, ...]
    period: int = 1

    def time(self, output: Sequence[int]) -> tuple[int, ...]:
        """The input position at which an output stands."""
        return tuple(math.floor(j * s) for j, s in zip(output, self.strides, strict=True))


@dataclass
class Reads:
    """What was found: how far after its own position an output reads, by either method.

    ahead: by method, offset of the latest input read, along the order's axes; zeros or less where nothing
        later is.
    end: whether the first output read the very last input.
    """

    order: Order
    ahead: dict[str, tuple[int, ...] | None] = field(default_factory=lambda: dict.fromkeys(METHODS))
    end: bool = False

    @property
    def latest(self) -> tuple[int, ...] | None:
        """The later of the two methods' findings; None where no output reads anything."""
        return max((a for a in self.ahead.values() if a is not None), default=None)

    @property
    def complete(self) -> bool:
        """Whether anything later is read."""
        return self.latest is not None and self.latest > (0,) * len(self.order.axes)

    def ahead_by(self, method: str) -> tuple[int, ...]:
        """The latest offset that a method found; something before all others where it found none."""
        return self.ahead.get(method) or (-(2**62),) * len(self.order.axes)

    def note(self, method: str, ahead: tuple[int, ...]) -> None:
        """Keep the latest offset; a tuple is later as reading order has it."""
        known = self.ahead.get(method)
        if known is None or ahead > known:
            self.ahead[method] = ahead


def batched(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Parts of a sequence, in order."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
