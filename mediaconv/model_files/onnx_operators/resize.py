"""Resize and Upsample. Forms that torch's interpolation computes go there, others whose weights repeat with a
period to `resize_phases`; what depends on the length in another way is refused.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, ints, operator
from mediaconv.model_files.onnx_operators.resize_phases import Form, resized_axis

_MODES = {"linear": {1: "linear", 2: "bilinear", 3: "trilinear"}, "cubic": {2: "bicubic"}}
_HALF = ("half_pixel", "pytorch_half_pixel")


@operator("Upsample", host=(1,))
def upsample(node: Node, x: Tensor, scales: Any = None) -> Tensor:
    factors = scales.tolist() if scales is not None else node.attributes["scales"]
    return _resized(node, x, factors, None, "asymmetric", "floor")


@operator("Resize", host=(1, 2, 3))
def resize(node: Node, x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
    node.only(keep_aspect_ratio_policy="stretch", extrapolation_value=0.0)
    rank, axes = x.ndim, node.get("axes")
    chosen = [a % rank for a in axes] if axes else list(range(rank))
    factors: list[Any] | None = None
    wanted: list[Any] | None = None
    if sizes is not None and np.asarray(sizes).size:
        wanted = list(x.shape)
        for axis, n in zip(chosen, ints(sizes), strict=True):
            wanted[axis] = n
    elif scales is not None and np.asarray(scales).size:
        factors = [1.0] * rank
        for axis, factor in zip(chosen, np.asarray(scales).tolist(), strict=True):
            factors[axis] = factor
    else:
        raise node.refuse("has neither scales nor sizes")
    transform = node.get("coordinate_transformation_mode", "half_pixel")
    return _resized(node, x, factors, wanted, transform, node.get("nearest_mode", "round_prefer_floor"))


def _resized(
    node: Node, x: Tensor, factors: list[Any] | None, sizes: list[Any] | None, transform: str, rounding: str
) -> Tensor:
    if sizes is not None:
        factors = [_factor(n, own) for n, own in zip(sizes, x.shape, strict=True)]
    assert factors is not None
    if any(factor is not None and not 0 < factor < math.inf for factor in factors):
        raise node.refuse(f"scales: got {factors}, expected numbers above 0")
    moved = [i for i, factor in enumerate(factors) if factor != 1]
    if not moved:
        return x
    if min(moved) < 2 or x.ndim > 5:  # channels last, as TensorFlow has it: work with the axes at the end
        if x.ndim > 5 or len(moved) > 3 or (0 in moved and x.ndim > 3):
            raise node.refuse(f"resizes axes {moved} of {x.ndim}")
        (still,) = [i for i in range(1, x.ndim) if i not in moved][:1] or [1]
        order = [0, still, *(i for i in range(1, x.ndim) if i != still)]
        back = [order.index(i) for i in range(x.ndim)]
        turned = [factors[i] for i in order]
        wanted = None if sizes is None else [sizes[i] for i in order]
        return _resized(node, x.permute(order), turned, wanted, transform, rounding).permute(back)
    mode = node.get("mode", "nearest")
    target = sizes or [_length(n, f) for n, f in zip(x.shape, factors, strict=True)]
    if transform == "pytorch_half_pixel":
        _refuse_single(node, x, target, factors)
    if mode != "nearest" and node.get("antialias", 0) and any(f is None or f < 1 for f in factors):
        raise node.refuse("antialias: smoothing before a smaller size is not supported")
    coefficient, exclude = node.get("cubic_coeff_a", -0.75), bool(node.get("exclude_outside", 0))
    usual = mode == "linear" or (mode == "cubic" and coefficient == -0.75 and not exclude)
    dims = x.ndim - 2
    if usual and dims in _MODES[mode] and transform in (*_HALF, "align_corners"):
        how, corners = _MODES[mode][dims], transform == "align_corners"
        if None in factors or corners:
            return F.interpolate(x, size=target[2:], mode=how, align_corners=corners)
        scale = [_at_least(_ratio(f)) for f in factors[2:]]
        return F.interpolate(x, scale_factor=scale, mode=how, align_corners=False)
    form = Form(mode, transform, rounding, coefficient, exclude)
    repeats = [1.0] * x.ndim
    for axis in moved:
        ratio = None if factors[axis] is None else _ratio(factors[axis])
        if form.repeats(ratio):
            repeats[axis] = float(factors[axis])
        else:
            x = resized_axis(node, x, axis, ratio, target[axis], form)
    return F.interpolate(x, scale_factor=repeats[2:], mode="nearest") if max(repeats) > 1 else x


def _refuse_single(node: Node, x: Tensor, target: list[Any], factors: list[Any]) -> None:
    """Refuse what ONNX computes in another way than torch, whose name this transformation bears."""
    for own, n, factor in zip(x.shape[2:], target[2:], factors[2:], strict=True):
        if (factor is None or factor < 1) and n == 1 and own != 1:
            raise node.refuse("pytorch_half_pixel to a single position, which it takes from the first alone")


def _ratio(factor: Any) -> Fraction:
    """A factor as the fraction that was meant: a file has 0.33333334 for a third."""
    return factor if isinstance(factor, Fraction) else Fraction(factor).limit_denominator(1 << 12)


def _at_least(ratio: Fraction) -> float:
    """A ratio for torch, which rounds a length times it down: 0.7 in 32 bits makes 83 of 120, not 84."""
    scale = float(ratio)
    return scale if scale >= ratio else math.nextafter(scale, math.inf)


def _length(own: Any, factor: Any) -> Any:
    ratio = _ratio(factor)
    return own * ratio.numerator // ratio.denominator


def _factor(size: Any, own: Any) -> Any:
    """How many times a size holds another, or the other it, if that is whole for every length; else None."""
    factor = _whole_factor(size, own)
    if factor is not None and factor != 0:
        return factor
    inverse = _whole_factor(own, size)
    return None if inverse is None or inverse == 0 else Fraction(1, inverse)


def _whole_factor(size: Any, own: Any) -> Any:
    """How many times a size holds another, where that is a whole number for every length; else None."""
    if isinstance(size, int) and isinstance(own, int):
        return size // own if own and size % own == 0 else None
    quotient = size // own
    number = quotient if isinstance(quotient, int) else quotient.node.maybe_as_int()
    if number is None:  # a symbol's factor shows at the sizes it was exported with
        hint_size, hint_own = (getattr(getattr(n, "node", None), "hint", n) for n in (size, own))
        number = hint_size // hint_own if hint_own and hint_size % hint_own == 0 else None
    # a quotient that is known is rounded down: 5 n // 2 holds n twice, and a rest
    return None if number is None or bool(size != own * number) else number
