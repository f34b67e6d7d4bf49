"""Whether outputs differ because later inputs are read, or because sums were rounded otherwise.

A transform (FFT) of the whole input changes the last bits of every output when any input changes. Rounding is
small against the type's precision and grows as the precision falls; what is read stays as large as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

SMALL = 1e-9
"""Relative to the largest output: a larger difference in float64 is no rounding."""
GROWS = 1e3
"""How much larger rounding is in float32, at least; between the types lie nine digits."""
ROOM = 64
"""Rounding that was seen may come so much larger."""


class Rounding:
    """Judges differences of float64 outputs. coarse: the same function in float32, or None.

    seen: whether rounding was met. exact: take every difference for reading.
    """

    def __init__(self, coarse: Callable[[Tensor], Tensor] | None, *, exact: bool = False) -> None:
        self._coarse, self._exact = coarse, exact
        self._floor = 0.0

    @property
    def gradients(self) -> float:
        """Gradients so small, relative to the largest, may be rounding: a transform leaves it in each."""
        return 0.0 if self._exact else 1e-14

    @property
    def seen(self) -> bool:
        return self._floor > 0

    def differs(self, y: Tensor, expected: Tensor, like: Tensor) -> Tensor:
        """Where outputs differ by more than the rounding met so far; NaN equals NaN.

        like: all outputs, whose largest value rounding is relative to.
        """
        differs = (y != expected) & ~(y.isnan() & expected.isnan())
        if not self._floor or not bool(differs.any()):
            return differs
        return differs & ~((y - expected).abs() <= self._floor * _largest(like))

    def explains(
        self,
        y: Tensor,
        expected: Tensor,
        like: Tensor,
        part: Callable[[Tensor], Tensor],
        changed: Tensor,
        base: Tensor,
    ) -> bool:
        """Whether the difference of outputs that should be equal is rounding alone.

        y, expected: these outputs, of the changed input and of the base. part: takes them out of all outputs.
        """
        relative = _relative(y, expected, like)
        if self._exact or self._coarse is None or not 0 < relative <= SMALL:
            return False
        try:
            whole = self._coarse(changed)
            coarse = _relative(part(whole), part(self._coarse(base)), whole)
        except (RuntimeError, ValueError):
            return False
        if coarse < GROWS * relative:
            return False
        self._floor = max(self._floor, ROOM * relative)
        return True


def _largest(y: Tensor) -> float:
    finite = y[y.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _relative(y: Tensor, expected: Tensor, like: Tensor) -> float:
    difference = (y - expected).abs()
    difference = difference[difference.isfinite()]
    largest = _largest(like)
    return float(difference.max()) / largest if difference.numel() and largest else 0.0
