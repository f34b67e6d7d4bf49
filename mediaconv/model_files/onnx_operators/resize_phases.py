"""Resize along one axis by a ratio p/q: output p i + r reads inputs q i + j with weights that r alone tells.

Computed from shifted slices, so that it holds for any length and streams; edges are repeated, as ONNX has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node

_MOST_TERMS = 512
"""Phases times taps: past it a ratio is no ratio that anybody chose."""
_MOST_REPEATS = 2**13
"""Of one position: a file that states more would take time and memory without end."""


@dataclass(frozen=True)
class Form:
    """mode, coordinate transformation, rounding and coefficient: ONNX's words and numbers.

    exclude: whether taps past the edges count for nothing, instead of repeating the edge.
    """

    mode: str
    transform: str
    rounding: str
    coefficient: float
    exclude: bool

    def coordinate(self, position: int, ratio: Fraction) -> Fraction | None:
        """Where in the input an output lies; None where that depends on the length."""
        half = Fraction(1, 2)
        if self.transform in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
            return (position + half) / ratio - half
        if self.transform == "asymmetric":
            return position / ratio
        if self.transform == "tf_half_pixel_for_nn":
            return (position + half) / ratio
        return None

    def taps(self, at: Fraction) -> dict[int, float]:
        """Weights of inputs by their position, for an output that lies at a coordinate."""
        if self.mode == "nearest":
            return {self._rounded(at): 1.0}
        first = math.floor(at)
        x = float(at - first)
        if self.mode == "linear":
            return {i: w for i, w in ((first, 1 - x), (first + 1, x)) if w}
        weights = {first + i: _cubic(x - i, self.coefficient) for i in (-1, 0, 1, 2)}
        return {i: w for i, w in weights.items() if w}

    def repeats(self, ratio: Fraction | None) -> bool:
        """Whether each input is repeated so many times and no more is done."""
        if self.mode != "nearest" or ratio is None or ratio.denominator > 1 or ratio > _MOST_REPEATS:
            return False
        lie = [self.coordinate(r, ratio) for r in range(ratio.numerator)]
        return all(at is not None and self.taps(at) == {0: 1.0} for at in lie)

    def _rounded(self, at: Fraction) -> int:
        if self.rounding == "floor":
            return math.floor(at)
        if self.rounding == "ceil":
            return math.ceil(at)
        half = Fraction(1, 2)
        return math.ceil(at - half) if self.rounding == "round_prefer_floor" else math.floor(at + half)


def _cubic(x: float, a: float) -> float:
    """The cubic kernel of coefficient `a` at a distance."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def resized_axis(node: Node, x: Tensor, axis: int, ratio: Fraction | None, size: Any, form: Form) -> Tensor:
    """`x` with `size` positions along an axis, `ratio` times as many. Refuses what depends on the length."""
    what = f"mode {form.mode} with coordinates {form.transform}"
    if form.mode == "nearest":
        what += f" and {form.rounding}"
    if ratio is None:
        raise node.refuse(f"{what} to a size that is no whole multiple or part of the input's")
    if ratio.numerator > _MOST_TERMS:
        raise node.refuse(f"{what} by {ratio}, expected a ratio of small whole numbers")
    phases = [form.coordinate(r, ratio) for r in range(ratio.numerator)]
    if form.mode not in ("nearest", "linear", "cubic") or None in phases:
        raise node.refuse(f"{what} by {ratio}: its weights depend on the length")
    if form.transform == "half_pixel_symmetric" and ratio.denominator > 1:
        raise node.refuse(f"{what} by {ratio}: its weights depend on the length, for it may be rounded")
    taps = [form.taps(at) for at in phases if at is not None]
    if sum(map(len, taps)) > _MOST_TERMS:
        raise node.refuse(f"{what} by {ratio}, expected a ratio of small whole numbers")
    return _combined(x, axis, taps, ratio.denominator, size, form.exclude)


def _combined(
    x: Tensor, axis: int, taps: list[dict[int, float]], step: int, size: Any, exclude: bool
) -> Tensor:
    before = max(0, -min(min(t) for t in taps))
    # a part of a period at the end has outputs too
    after = max(max(t) for t in taps) if len(taps) > 1 else max(0, max(taps[0]) + 1 - step)
    width = step + before + after
    more = 0 if len(taps) == 1 else step - 1
    padded = _extended(x, axis, before, after + more, repeat=not exclude)
    counted = _extended(torch.ones_like(x), axis, before, after + more, repeat=False) if exclude else None
    phases = []
    for tap in taps:
        places = {offset + before: weight for offset, weight in tap.items()}
        y = _weighted(padded, axis, places, step, width)
        phases.append(y if counted is None else y / _weighted(counted, axis, places, step, width))
    if len(phases) == 1:
        return phases[0]
    joined = torch.stack(phases, axis + 1).flatten(axis, axis + 1)
    return joined if step == 1 else joined.narrow(axis, 0, size)


def _extended(x: Tensor, axis: int, before: int, after: int, *, repeat: bool) -> Tensor:
    """`x` with its edges repeated, or zeros, at both ends of an axis."""
    parts = [x]
    count = x.shape[axis]
    if before:
        edge = x.narrow(axis, 0, 1)
        edge = edge if repeat else torch.zeros_like(edge)
        parts.insert(0, torch.cat([edge] * before, axis))
    if after:
        edge = x.narrow(axis, count - 1, 1)
        edge = edge if repeat else torch.zeros_like(edge)
        parts.append(torch.cat([edge] * after, axis))
    return torch.cat(parts, axis) if len(parts) > 1 else x


def _weighted(x: Tensor, axis: int, places: dict[int, float], step: int, width: int) -> Tensor:
    """The weighted sum of places in windows of `width`, `step` apart."""
    windows = x.unfold(axis, width, step) if step > 1 else None
    total: Tensor | None = None
    for place, weight in places.items():
        if windows is None:
            part = x.narrow(axis, place, x.shape[axis] - width + 1)
        else:
            part = windows.select(-1, place)
        part = part if weight == 1 else part * weight
        total = part if total is None else total + part
    assert total is not None
    return total
