"""Resize and Upsample, in the forms that torch's interpolation computes; others are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, ints, operator

_MODES = {"linear": {1: "linear", 2: "bilinear", 3: "trilinear"}, "cubic": {2: "bicubic"}}
_REPEATS = {
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
    ("pytorch_half_pixel", "round_prefer_floor"),
    ("pytorch_half_pixel", "round_prefer_ceil"),
    ("tf_half_pixel_for_nn", "floor"),
    ("half_pixel_symmetric", "round_prefer_floor"),
}
"""Forms of nearest in which a whole factor repeats each number: all others shift the picture."""


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
        factors = [_whole_factor(n, own) for n, own in zip(sizes, x.shape, strict=True)]
    assert factors is not None
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
    if mode == "nearest":
        return _nearest(node, x, factors, moved, transform, rounding)
    dims = x.ndim - 2
    if dims not in _MODES.get(mode, {}):
        raise node.refuse(f"mode {mode} over {dims} axes")
    corners = transform == "align_corners"
    if transform not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise node.refuse(f"mode {mode} with coordinates {transform}, expected half_pixel or align_corners")
    if mode == "cubic" and node.get("cubic_coeff_a", -0.75) != -0.75:
        raise node.refuse(f"cubic_coeff_a: got {node.get('cubic_coeff_a')}, expected -0.75")
    if node.get("antialias", 0) and any(f is None or f < 1 for f in factors):
        raise node.refuse("antialias: smoothing before a smaller size is not supported")
    if mode == "cubic":
        node.only(exclude_outside=0)
    how = _MODES[mode][dims]
    if None in factors or corners:
        target = sizes or [_length(n, f) for n, f in zip(x.shape, factors, strict=True)]
        return F.interpolate(x, size=target[2:], mode=how, align_corners=corners)
    scale = [float(f) for f in factors[2:]]
    return F.interpolate(x, scale_factor=scale, mode=how, align_corners=False)


def _length(own: Any, factor: float) -> Any:
    whole = float(factor).is_integer()
    return own * int(factor) if whole else torch.sym_int(own * factor)


def _whole_factor(size: Any, own: Any) -> Any:
    """How many times a size holds another, where that is a whole number for every length; else None."""
    if isinstance(size, int) and isinstance(own, int):
        return size // own if size % own == 0 else None
    quotient = size // own
    if isinstance(quotient, torch.SymInt):
        number = quotient.node.maybe_as_int()
        if number is None:  # a symbol's factor shows at the sizes it was exported with
            hint_size, hint_own = (getattr(getattr(n, "node", None), "hint", n) for n in (size, own))
            number = hint_size // hint_own if hint_own and hint_size % hint_own == 0 else None
            if number is None or bool(size != own * number):
                return None
        return number
    return quotient


def _nearest(
    node: Node, x: Tensor, factors: list[Any], moved: list[int], transform: str, rounding: str
) -> Tensor:
    for axis in moved:
        factor = factors[axis]
        if factor is None:
            raise node.refuse("mode nearest to a size that is no whole multiple of the input's")
        small = 1 / factor if factor < 1 else 0.0
        if factor >= 1 and float(factor).is_integer() and (transform, rounding) in _REPEATS:
            continue
        if small.is_integer() and (transform, rounding) == ("asymmetric", "floor"):
            x = x[(slice(None),) * axis + (slice(None, None, int(small)),)]
            continue
        raise node.refuse(f"mode nearest by {factor} with coordinates {transform} and {rounding}")
    grown = [float(f) if f is not None and f > 1 else 1.0 for f in factors[2:]]
    return F.interpolate(x, scale_factor=grown, mode="nearest") if max(grown) > 1 else x
