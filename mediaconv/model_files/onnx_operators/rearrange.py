"""Operators that move, cut, join and pad what is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, check_size, ints, operator

_FAR = 2**31 - 1
"""From this number on an end means "all", as files have it; a smaller one is a place."""
_FAR_BACK = 10**9
"""The same of the first end of an axis that is reversed: as many steps are not held in a memory."""


@operator("Transpose", on_shapes=True)
def transpose(node: Node, x: Any) -> Any:
    order = node.get("perm") or list(range(x.ndim))[::-1]
    return x.transpose(order) if isinstance(x, np.ndarray) else x.permute(order)


@operator("Concat", on_shapes=True)
def concat(node: Node, *values: Any) -> Any:
    axis = node.attributes["axis"]
    if all(isinstance(v, np.ndarray) for v in values):
        return np.concatenate(values, axis)
    return torch.cat(values, axis)


@operator("Slice", host=(1, 2, 3, 4), on_shapes=True)
def cut(node: Node, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    firsts, lasts = ints(starts), ints(ends)
    chosen = ints(axes) if axes is not None else list(range(len(firsts)))
    strides = ints(steps) if steps is not None else [1] * len(firsts)
    for first, last, axis, step in zip(firsts, lasts, chosen, strides, strict=True):
        x = _cut_axis(node, x, first, last, axis % x.ndim, step)
    return x


def _cut_axis(node: Node, x: Any, first: Any, last: Any, axis: int, step: int) -> Any:
    before = (slice(None),) * axis
    far = isinstance(last, int) and last >= _FAR
    if isinstance(x, np.ndarray):
        end = None if far or (step < 0 and isinstance(last, int) and last <= -_FAR) else last
        return x[(*before, slice(first, end, step))]
    if step > 0:
        first = 0 if isinstance(first, int) and first <= -_FAR else first
        return x[(*before, slice(first, None if far else last, step))]
    whole = isinstance(first, int) and (first == -1 or first >= _FAR_BACK)
    if not whole or not isinstance(last, int) or last > -_FAR_BACK:
        raise node.refuse(f"a negative step from {first} to {last}: only a whole axis is reversed")
    return x.flip(axis)[(*before, slice(None, None, -step))]


@operator("Split", host=(1,), on_shapes=True)
def split(node: Node, x: Any, sizes: Any = None) -> Any:
    axis = node.get("axis", 0) % x.ndim
    parts = ints(sizes) if sizes is not None else node.get("split")
    if not parts:
        count = node.get("num_outputs") or len(node.outputs)
        each = (x.shape[axis] + count - 1) // count
        if isinstance(x, Tensor):
            return tuple(x.split(each, axis))
        parts = [each] * (count - 1) + [x.shape[axis] - each * (count - 1)]
    if isinstance(x, np.ndarray):
        return tuple(np.split(x, np.cumsum(parts)[:-1], axis))
    return tuple(x.split(parts, axis))


@operator("Pad", host=(1, 2, 3), on_shapes=True)
def pad(node: Node, x: Any, pads: Any, value: Any = None, axes: Any = None) -> Any:
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}.get(
        node.get("mode", "constant"), ""
    )
    if not mode:
        raise node.refuse(f"mode: got {node.get('mode')!r}, expected constant, reflect, edge or wrap")
    amounts = ints(pads)
    chosen = [a % x.ndim for a in ints(axes)] if axes is not None else list(range(x.ndim))
    half = len(amounts) // 2
    sides: dict[int, tuple[Any, Any]] = {}
    for axis, before, after in zip(chosen, amounts[:half], amounts[half:], strict=True):
        if not (isinstance(before, int) and isinstance(after, int) and before == after == 0):
            sides[axis] = before, after
    if not sides:
        return x
    check_size(node, [max(n for n in (0, *amounts) if isinstance(n, int))])
    if isinstance(x, np.ndarray):  # sizes
        if mode != "constant":
            raise node.refuse(f"mode: got {node.get('mode')!r} for sizes, expected constant")
        filler = 0 if value is None else np.asarray(value).reshape(-1)[0].item()
        return np.pad(x, [sides.get(axis, (0, 0)) for axis in range(x.ndim)], constant_values=filler)
    if mode == "constant" or min(sides) >= 2:
        first = min(sides) if mode == "constant" else 2
        order = [n for axis in range(x.ndim - 1, first - 1, -1) for n in sides.get(axis, (0, 0))]
        number = 0.0 if value is None else value.reshape(-1)[0].item()
        return F.pad(x, order, mode, number if mode == "constant" else None)
    for axis, side in sides.items():
        moved = x.movedim(axis, -1)
        padded = F.pad(moved.reshape(1, -1, moved.shape[-1]), list(side), mode)
        x = padded.reshape([*moved.shape[:-1], padded.shape[-1]]).movedim(-1, axis)
    return x


@operator("DepthToSpace")
def depth_to_space(node: Node, x: Tensor) -> Tensor:
    block = node.attributes["blocksize"]
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, channels, rows, columns = x.shape
    y = x.reshape(n, block, block, channels // block**2, rows, columns).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, channels // block**2, rows * block, columns * block)


@operator("SpaceToDepth")
def space_to_depth(node: Node, x: Tensor) -> Tensor:
    block = node.attributes["blocksize"]
    n, channels, rows, columns = x.shape
    y = x.reshape(n, channels, rows // block, block, columns // block, block).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, channels * block**2, rows // block, columns // block)


@operator("Trilu", host=(1,))
def triangle(node: Node, x: Tensor, diagonal: Any = None) -> Tensor:
    k = 0 if diagonal is None else int(diagonal.item())
    return torch.triu(x, k) if node.get("upper", 1) else torch.tril(x, k)
