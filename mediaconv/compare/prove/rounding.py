"""Whether outputs differ because later inputs are read, or because sums were rounded otherwise.

A transform (FFT) of the whole input changes the last bits of every output when any input changes. Rounding is
small against the type's precision and grows as the precision falls; what is read stays as large as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from mediaconv.compare.prove.arithmetic import KeptPrecise, Survey, survey, under

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

    @cached_property
    def computed(self) -> Survey:
        """How the function computes."""
        return survey(self._function, self._x)

    @property
    def gradients(self) -> float:
        """Gradients so small, relative to the largest, may be rounding: a transform leaves it in each."""
        return 0.0 if self._exact else ROOM * self.computed.precision

    def of_lengths(self, difference: float) -> bool:
        """Whether outputs of inputs of two lengths differ, relative to the largest, by rounding alone."""
        return difference <= SAME or difference <= min(ALL, 1e3 * self.computed.precision)

    @property
    def seen(self) -> bool:
        return bool(self._floors)

    @property
    def spreads(self) -> bool:
        """Whether what is not finite reaches all outputs: through a transform, or what rounds as one."""
        return not self._exact and (self.seen or self.computed.transforms)

    def explains_gradient(
        self, later: float, later_in_float32: Callable[[Callable[[Tensor], Tensor]], float]
    ) -> bool:
        """Whether a gradient of later inputs, relative to the largest, is what a transform leaves in each."""
        if self._exact or self._coarse is None or later > SMALL or not self.computed.transforms:
            return False
        return _grows(later, later_in_float32(self._coarse))

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
        y: Tensor,
        expected: Tensor,
        like: Tensor,
        part: Callable[[Tensor], Tensor],
        changed: Tensor,
        base: Tensor,
        kind: str = "",
    ) -> bool:
        """Whether the difference of outputs that should be equal is rounding alone.

        y, expected: these outputs, of the changed input and of the base. part: takes them out of all outputs.
        """
        relative = _relative(y, expected, like)
        if self._exact or not 0 < relative <= ALL:
            return False
        lowered = self.computed.precision > DOUBLE
        if lowered:  # the module itself asks for a lower type
            made = under(KeptPrecise, self._function, (changed, base))
            fine = None if made is None else _relative(part(made[0]), part(made[1]), louder(*made))
            grows = _grows(fine, relative)
        else:
            grows = _grows(relative, self._in_float32(part, changed, base))
        few = relative <= LAST_BITS * self.computed.precision and self.computed.transforms
        if not (grows or few):
            return False
        self._floors[kind] = max(self._floors.get(kind, 0.0), ROOM * relative)
        return True

    def _in_float32(self, part: Callable[[Tensor], Tensor], changed: Tensor, base: Tensor) -> float | None:
        if self._coarse is None:
            return None
        try:
            y, expected = self._coarse(changed), self._coarse(base)
            return _relative(part(y), part(expected), louder(y, expected))
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


def _relative(y: Tensor, expected: Tensor, like: Tensor) -> float:
    difference = (y - expected).abs()
    difference = difference[difference.isfinite()]
    largest = _largest(like)
    return float(difference.max()) / largest if difference.numel() and largest else 0.0
