"""Sums, means, extremes and norms along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, axes_of, operator

_REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "ReduceMean": lambda x, d, k: x.mean(d, keepdim=k),
    "ReduceSum": lambda x, d, k: x.sum(d, keepdim=k),
    "ReduceMax": lambda x, d, k: x.amax(d, keepdim=k),
    "ReduceMin": lambda x, d, k: x.amin(d, keepdim=k),
    "ReduceL1": lambda x, d, k: x.abs().sum(d, keepdim=k),
    "ReduceL2": lambda x, d, k: x.square().sum(d, keepdim=k).sqrt(),
    "ReduceSumSquare": lambda x, d, k: x.square().sum(d, keepdim=k),
    "ReduceLogSum": lambda x, d, k: x.sum(d, keepdim=k).log(),
    "ReduceLogSumExp": lambda x, d, k: torch.logsumexp(x, d, keepdim=k),
}
_ON_SHAPES: dict[str, Any] = {"ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min}


def _reduced(node: Node, x: Any, axes: np.ndarray | None = None) -> Any:
    chosen, keep = axes_of(node, axes, x.ndim), bool(node.get("keepdims", 1))
    if not chosen:
        if node.get("noop_with_empty_axes", 0):
            return x
        chosen = list(range(x.ndim))
    if isinstance(x, np.ndarray):
        if node.kind not in _ON_SHAPES:
            raise node.refuse("of a shape is not computed")
        return np.asarray(_ON_SHAPES[node.kind](x, axis=tuple(chosen), keepdims=keep))
    return _REDUCTIONS[node.kind](x, chosen, keep)


operator(*_REDUCTIONS, host=(1,), on_shapes=True)(_reduced)


@operator("ReduceProd", host=(1,), on_shapes=True)
def product(node: Node, x: Any, axes: np.ndarray | None = None) -> Any:
    chosen, keep = axes_of(node, axes, x.ndim), bool(node.get("keepdims", 1))
    chosen = chosen or list(range(x.ndim))
    if isinstance(x, np.ndarray):
        return np.asarray(np.prod(x, axis=tuple(chosen), keepdims=keep))
    for axis in sorted(chosen, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


@operator("ArgMax", "ArgMin")
def arg_extreme(node: Node, x: Tensor) -> Tensor:
    node.only(select_last_index=0)
    function = torch.argmax if node.kind == "ArgMax" else torch.argmin
    return function(x, node.get("axis", 0), keepdim=bool(node.get("keepdims", 1)))


@operator("CumSum", host=(1,))
def cumulative_sum(node: Node, x: Tensor, axis: np.ndarray) -> Tensor:
    node.only(exclusive=0, reverse=0)
    return x.cumsum(int(axis.item()))
