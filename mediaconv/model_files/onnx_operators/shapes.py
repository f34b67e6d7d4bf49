"""Operators about shapes: they compute with sizes, symbolic ones too, outside the graph of tensors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, check_size, ints, is_symbolic, operator

_FEW = 4096
"""Numbers of a range that may be axes or indices; more are positions, and what is made of them is large."""


@operator("Shape", on_shapes=True)
def shape(node: Node, x: Any) -> np.ndarray:
    sizes = np.array([*x.shape, None], dtype=object)[:-1]
    return sizes[node.get("start", 0) : node.get("end")]


@operator("Size", on_shapes=True)
def size(node: Node, x: Any) -> np.ndarray:
    count: Any = 1
    for n in x.shape:
        count = count * n
    return np.asarray(count, dtype=object)


@operator("ConstantOfShape", host=(0,))
def constant_of_shape(node: Node, sizes: np.ndarray) -> Any:
    value = node.get("value")
    number = value.reshape(-1)[0] if value is not None else np.float32(0)
    dims = ints(sizes)
    check_size(node, dims)
    if len(dims) <= 1 and not is_symbolic(np.asarray(sizes)) and number.dtype.kind in "iub":
        return np.full(dims, number)
    dtype = node.float_type if number.dtype == np.float32 else getattr(torch, str(number.dtype))
    return torch.full(dims, number.item(), dtype=dtype)


@operator("Range", host=(0, 1, 2))
def arange(node: Node, start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> Any:
    values = [v.reshape(-1)[0] for v in (start, limit, delta)]
    plain = [v.item() if isinstance(v, np.generic) else v for v in values]
    if all(isinstance(v, int | float) for v in plain):
        count = int(abs((plain[1] - plain[0]) / (plain[2] or 1)))
        check_size(node, [count])
        if count <= _FEW and all(isinstance(v, int) for v in plain):
            return np.arange(*plain, dtype=np.int64)
    if any(isinstance(v, float) for v in plain):
        return torch.arange(*plain, dtype=node.float_type)
    return torch.arange(*plain)


@operator("Reshape", host=(1,), on_shapes=True)
def reshape(node: Node, x: Any, sizes: np.ndarray) -> Any:
    wanted = ints(sizes)
    if not node.get("allowzero", 0):
        wanted = [x.shape[i] if isinstance(n, int) and n == 0 else n for i, n in enumerate(wanted)]
    return x.reshape(wanted)


@operator("Expand", host=(1,))
def expand(node: Node, x: Tensor, sizes: np.ndarray) -> Tensor:
    wanted = ints(sizes)
    check_size(node, wanted)
    rank = max(len(wanted), x.ndim)
    wanted = [1] * (rank - len(wanted)) + wanted
    own = [1] * (rank - x.ndim) + list(x.shape)
    # either may be 1: ONNX broadcasts both ways
    target = [o if isinstance(w, int) and w == 1 else w for o, w in zip(own, wanted, strict=True)]
    return x.expand(target)


@operator("Tile", host=(1,))
def tile(node: Node, x: Tensor, repeats: np.ndarray) -> Tensor:
    counts = ints(repeats)
    check_size(node, [*counts, *(n for n in x.shape if isinstance(n, int))])
    return x.repeat(counts)


@operator("Unsqueeze", host=(1,), on_shapes=True)
def unsqueeze(node: Node, x: Any, axes: np.ndarray | None = None) -> Any:
    chosen = ints(axes) if axes is not None else list(node.attributes["axes"])
    rank = x.ndim + len(chosen)
    for axis in sorted(a % rank for a in chosen):
        x = np.expand_dims(x, axis) if isinstance(x, np.ndarray) else x.unsqueeze(axis)
    return x


@operator("Squeeze", host=(1,), on_shapes=True)
def squeeze(node: Node, x: Any, axes: np.ndarray | None = None) -> Any:
    chosen = ints(axes) if axes is not None else node.get("axes")
    if chosen is None:
        chosen = [i for i, n in enumerate(x.shape) if isinstance(n, int) and n == 1]
    dims = tuple(a % x.ndim for a in chosen)
    return np.squeeze(x, dims) if isinstance(x, np.ndarray) else x.squeeze(dims)


@operator("Flatten")
def flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    if axis == 1:
        return x.flatten(1)
    if axis == 0:
        return x.reshape(1, -1)
    first: Any = 1
    for n in x.shape[:axis]:
        first = first * n
    return x.reshape(first, -1)


@operator("Gather", on_shapes=True)
def gather(node: Node, x: Any, indices: Any) -> Any:
    axis = node.get("axis", 0)
    if isinstance(x, np.ndarray):
        return np.asarray(np.take(x, np.asarray(indices, dtype=np.int64), axis))
    axis %= x.ndim
    if isinstance(indices, np.ndarray) and indices.ndim == 0:
        return x.select(axis, int(indices))
    if isinstance(indices, np.ndarray):
        numbers = ints(indices)
        steps = {b - a for a, b in pairwise(numbers)}
        if indices.ndim == 1 and len(steps) <= 1 and min(steps or {1}) > 0 and min(numbers) >= 0:
            step = min(steps or {1})
            return x[(slice(None),) * axis + (slice(numbers[0], numbers[-1] + 1, step),)]
        indices = torch.tensor(indices.tolist(), device=x.device, dtype=torch.int64)
    count = x.shape[axis]
    indices = torch.where(indices < 0, indices + count, indices)
    taken = x.index_select(axis, indices.reshape(-1))
    return taken.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


@operator("GatherElements")
def gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    return torch.gather(x, node.get("axis", 0), indices)
