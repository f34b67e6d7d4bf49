"""Whether outputs differ because later inputs are read, or because sums were rounded otherwise.

A transform (FFT) of the whole input changes the last bits of every output when any input changes. Rounding is
small against the type's precision and grows as the precision falls; what is read stays as large as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from mediaconv.compare.prove.precision.arithmetic import KeptPrecise, Survey, ZerosHide, survey, under
from mediaconv.compare.prove.precision.transforms import same_when_steady

DOUBLE = torch.finfo(torch.float64).eps
SMALL = 0.01
"""Relative to the largest output: a larger difference is no rounding."""
GROWS = (10.0, 1e3)
"""How much larger rounding is in the lower of two types, at least; between them lie nine digits."""
ALL = 0.1
"""Relative: rounding that is so large has nowhere to grow."""
LAST_BITS = 16
"""Times the precision: so little a transform may change where, by chance, it changes nothing in float32."""
ROOM = 64
"""Rounding that was seen may come so much larger."""
SAME = 1e-9
"""Relative; of float64. What remains of an input that is cut off is computed in other pieces."""


class Rounding:
    """Judges differences of a function's outputs.

    function: of float64 inputs. coarse: the same in float32, or None. x: an input, by which it is told, once
    it matters, in which precision the function computes.
    exact: take every difference for reading. seen: whether rounding was met.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        coarse: Callable[[Tensor], Tensor] | None,
        x: Tensor,
        *,
        exact: bool = False,
    ) -> None:
        self._function, self._coarse, self._exact = function, coarse, exact
        self._x = x
        self._floors: dict[str, float] = {}
        self._steadied = False

    @cached_property
    def computed(self) -> Survey:
        """How the function computes."""
        return survey(self._function, self._x)

    @property
    def transforms(self) -> bool:
        """Whether rounding of transforms is to be told from reading."""
        return not self._exact and self.computed.transforms

    @property
    def gradients(self) -> float:
        """Gradients so small, relative to the largest, may be rounding: a transform leaves it in each."""
        return 0.0 if self._exact else ROOM * self.computed.precision

    def of_lengths(
        self, difference: float, inputs: Sequence[Tensor], part: Callable[[Tensor], Tensor]
    ) -> bool:
        """Whether a part of the outputs of inputs of two lengths differs by rounding alone.

        difference: relative to the largest.
        """
        if difference <= max(SAME, min(ALL, 1e3 * self.computed.precision)):
            return True
        return self.transforms and self.steady(inputs, part)

    @property
    def seen(self) -> bool:
        return bool(self._floors) or self._steadied

    @property
    def spreads(self) -> bool:
        """Whether what is not finite reaches all outputs: through a transform, or what rounds as one."""
        return not self._exact and (self.seen or self.computed.transforms)

    def differs(self, y: Tensor, expected: Tensor, like: Tensor, kind: str = "") -> Tensor:
        """Where outputs differ by more than the rounding met so far; NaN equals NaN.

        like: all outputs, whose largest value rounding is relative to. kind: of values that the input has.
        """
        differs = (y != expected) & ~(y.isnan() & expected.isnan())
        floor = self._floors.get(kind, 0.0)
        if not floor or not bool(differs.any()):
            return differs
        return differs & ~((y - expected).abs() <= floor * _largest(like))

    def explains(
        self,
        difference: float,
        inputs: tuple[Tensor, Tensor],
        part: Callable[[Tensor], Tensor],
        kind: str = "",
    ) -> bool:
        """Whether the difference of outputs that should be equal is rounding alone.

        difference: relative to the largest. inputs: the changed one and the base. part: takes these outputs
            out of all.
        """
        if self._exact:
            return False
        if self._by_size(difference, inputs, part, kind):
            return True
        steady = self.transforms and self.steady(inputs, part)
        self._steadied |= steady
        return steady

    def steady(
        self, inputs: Sequence[Tensor], part: Callable[[Tensor], Tensor], *, hiding: bool = False
    ) -> bool:
        """Whether outputs of two inputs are the same without the rounding of transforms.

        hiding: whether a zero may hide what it is multiplied by, as `ZerosHide` has it.
        """
        lowered = [KeptPrecise] if self.computed.precision > DOUBLE else []
        return not self._exact and same_when_steady(
            self._function, inputs, part, *lowered, *([ZerosHide] if hiding else [])
        )

    def _by_size(
        self, difference: float, inputs: tuple[Tensor, Tensor], part: Callable[[Tensor], Tensor], kind: str
    ) -> bool:
        """Whether it is small, and grows as the precision falls. If so it is remembered for this kind."""
        lowered = self.computed.precision > DOUBLE
        if not difference or (difference > ALL and not (lowered and self.transforms)):
            return False
        if lowered:  # the module itself asks for a lower type
            made = under(KeptPrecise, self._function, inputs)
            fine = None if made is None else relative_difference(part(made[0]), part(made[1]), louder(*made))
            grows = _grows(fine, difference)
        else:
            grows = _grows(difference, self._in_float32(inputs, part))
        few = difference <= LAST_BITS * self.computed.precision and self.computed.transforms
        if not (grows or few):
            return False
        self._floors[kind] = max(self._floors.get(kind, 0.0), ROOM * difference)
        return True

    def _in_float32(self, inputs: tuple[Tensor, Tensor], part: Callable[[Tensor], Tensor]) -> float | None:
        if self._coarse is None:
            return None
        try:
            y, expected = map(self._coarse, inputs)
            return relative_difference(part(y), part(expected), louder(y, expected))
        except (RuntimeError, ValueError):
            return None


def louder(y: Tensor, expected: Tensor) -> Tensor:
    """The larger sizes of two outputs, by which rounding is measured: either may be the loud one."""
    return torch.fmax(y.abs(), expected.abs())


def _grows(fine: float | None, coarse: float | None) -> bool:
    """Whether a difference is as much larger in the lower type as rounding is."""
    if fine is None or coarse is None or fine > SMALL:
        return False
    least, most = GROWS
    return coarse >= fine * max(least, min(most, ALL / max(fine, DOUBLE)))


def _largest(y: Tensor) -> float:
    finite = y[y.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def relative_difference(y: Tensor, expected: Tensor, like: Tensor) -> float:
    """The largest finite difference, relative to the largest finite value of all outputs `like`."""
    difference = (y - expected).abs()
    difference = difference[difference.isfinite()]
    largest = _largest(like)
    return float(difference.max()) / largest if difference.numel() and largest else 0.0
