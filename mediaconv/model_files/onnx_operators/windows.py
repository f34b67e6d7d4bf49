"""Convolution, transposed convolution and pooling."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaconv.model_files.onnx_operators.node import Node, operator

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AUTO = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _axes(node: Node, x: Tensor) -> int:
    dims = x.ndim - 2
    if dims not in _CONV:
        raise node.refuse(f"got an input of {x.ndim} axes, expected 3, 4 or 5")
    return dims


def _lists(node: Node, dims: int, kernel: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations and effective kernel sizes."""
    stride = list(node.get("strides") or [1] * dims)
    dilation = list(node.get("dilations") or [1] * dims)
    return stride, dilation, [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]


def _auto_pad(node: Node) -> str:
    auto = node.get("auto_pad", "NOTSET") or "NOTSET"
    if auto not in _AUTO:
        raise node.refuse(f"auto_pad: got {auto!r}, expected one of {', '.join(_AUTO)}")
    return str(auto)


def _kernel(node: Node, weight: Tensor) -> list[int]:
    """Kernel sizes: the weight's, which a node may state again."""
    sizes = list(weight.shape[2:])
    if list(node.get("kernel_shape") or sizes) != sizes:
        raise node.refuse(f"kernel_shape: got {node.get('kernel_shape')}, and a weight of {sizes}")
    return sizes


def _pads(node: Node, x: Tensor, stride: list[int], extent: list[int]) -> tuple[list[Any], list[Any]]:
    """Padding before and after, per axis; that of SAME depends on the length under a stride."""
    dims, auto = len(stride), _auto_pad(node)
    if auto == "NOTSET":
        pads = list(node.get("pads") or [0] * 2 * dims)
        return pads[:dims], pads[dims:]
    if auto == "VALID":
        return [0] * dims, [0] * dims
    upper = auto == "SAME_UPPER"
    pairs = [_same(n, s, e, upper=upper) for n, s, e in zip(x.shape[2:], stride, extent, strict=True)]
    return [left for left, _ in pairs], [right for _, right in pairs]


def _same(size: Any, stride: int, extent: int, *, upper: bool) -> tuple[Any, Any]:
    """Padding before and after for an output of `ceil(size / stride)`; after, less than nothing cuts what no
    window reads, so that sizes stay plain quotients of the input's.
    """
    if stride == 1 or extent == 1:
        total: Any = extent - 1 if stride == 1 else 0
    else:
        total = ((size + stride - 1) // stride - 1) * stride + extent - size
    padded = total if extent >= stride else torch.sym_max(total, 0)
    left = padded // 2 if upper else (padded + 1) // 2
    return left, total - left


def _pad_list(before: list[Any], after: list[Any]) -> list[Any]:
    """As F.pad takes it: the last axis first."""
    return [n for pair in reversed(list(zip(before, after, strict=True))) for n in pair]


def _symmetric(before: list[Any], after: list[Any]) -> bool:
    plain = all(isinstance(n, int) for n in [*before, *after])
    return plain and before == after and min(before) >= 0


@operator("Conv")
def conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    dims = _axes(node, x)
    stride, dilation, extent = _lists(node, dims, _kernel(node, weight))
    before, after = _pads(node, x, stride, extent)
    padding = before
    if not _symmetric(before, after):
        x, padding = F.pad(x, _pad_list(before, after)), [0] * dims
    return _CONV[dims](x, weight, bias, stride, padding, dilation, node.get("group", 1))


@operator("ConvTranspose")
def conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    dims = _axes(node, x)
    stride, dilation, extent = _lists(node, dims, _kernel(node, weight))
    extra = list(node.get("output_padding") or [0] * dims)
    pads = list(node.get("pads") or [0] * 2 * dims)
    auto = _auto_pad(node)
    if node.get("output_shape"):
        total = _trimmed_to(node, x, stride, extra, extent)
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = small + large if auto == "SAME_UPPER" else large + small
    elif auto.startswith("SAME"):
        total = [max(e + o - s, 0) for e, o, s in zip(extent, extra, stride, strict=True)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = small + large if auto == "SAME_UPPER" else large + small
    before, after = pads[:dims], pads[dims:]
    padding = before if _symmetric(before, after) else [0] * dims
    y = _TRANSPOSED[dims](x, weight, bias, stride, padding, extra, node.get("group", 1), dilation)
    if padding != before or before != after:
        y = F.pad(y, _pad_list([-n for n in before], [-n for n in after]))
    return y


def _trimmed_to(node: Node, x: Tensor, stride: list[int], extra: list[int], extent: list[int]) -> list[int]:
    """What is cut away so that the output has the lengths that `output_shape` states."""
    total = []
    wanted = list(node.attributes["output_shape"])[-len(stride) :]
    for size, n, s, o, e in zip(x.shape[2:], wanted, stride, extra, extent, strict=True):
        if not isinstance(size, int):
            raise node.refuse("output_shape fixes the length: export with pads or auto_pad")
        total.append(s * (size - 1) + o + e - n)
    if min(total) < 0:
        raise node.refuse(f"output_shape: got {wanted}, which is more than the kernel reaches")
    return total


@operator("MaxPool")
def max_pool(node: Node, x: Tensor) -> Tensor:
    dims, kernel = _axes(node, x), list(node.attributes["kernel_shape"])
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.refuse("its indices are used, which are not computed here")
    stride, dilation, extent = _lists(node, dims, kernel)
    padding, ahead = _pool_padding(node, x, kernel, stride, extent)
    if ahead is not None:
        x = F.pad(x, ahead, value=-math.inf)
    return _MAX[dims](x, kernel, stride, padding, dilation, ceil_mode=bool(node.get("ceil_mode", 0)))


@operator("AveragePool")
def average_pool(node: Node, x: Tensor) -> Tensor:
    dims, kernel = _axes(node, x), list(node.attributes["kernel_shape"])
    stride, dilation, extent = _lists(node, dims, kernel)
    if max(dilation) > 1:
        raise node.refuse(f"dilations: got {dilation}, expected ones")
    if node.get("auto_pad", "").startswith("SAME") and any(
        s > e for s, e in zip(stride, extent, strict=True)
    ):
        raise node.refuse("auto_pad SAME with a stride over the kernel, which runtimes cut in different ways")
    counted, ceil = bool(node.get("count_include_pad", 0)), bool(node.get("ceil_mode", 0))
    padding, ahead = _pool_padding(node, x, kernel, stride, extent)
    if ahead is None:
        return _AVG[dims](x, kernel, stride, padding, ceil, counted)
    if any(padding):  # one kind of padding, for it is counted or not as a whole
        before, after = _pads(node, x, stride, extent)
        padding, ahead = [0] * dims, _pad_list(before, after)
    y = _AVG[dims](F.pad(x, ahead), kernel, stride, padding, ceil)
    return y if counted else y / _AVG[dims](F.pad(torch.ones_like(x), ahead), kernel, stride, padding, ceil)


def _pool_padding(
    node: Node, x: Tensor, kernel: list[int], stride: list[int], extent: list[int]
) -> tuple[list[int], list[Any] | None]:
    """What a pool of torch pads itself, alike on both sides and at most half a kernel, and what is padded
    ahead of it, as F.pad takes it; None for nothing.
    """
    if extent != kernel and node.get("auto_pad", "").startswith("SAME"):
        raise node.refuse("auto_pad SAME with dilations, which runtimes pad in different ways: export pads")
    before, after = _pads(node, x, stride, extent)
    if _symmetric(before, after) and all(2 * n <= k for n, k in zip(before, kernel, strict=True)):
        return before, None
    if node.get("ceil_mode", 0):
        # torch drops a last window that begins in its own padding, not one that begins in what came ahead
        for n, e, s in zip(after, extent, stride, strict=True):
            if not isinstance(n, int) or n > max(e - s, 0):
                raise node.refuse(f"ceil_mode with padding {n} after, expected at most {max(e - s, 0)}")
    return [0] * len(kernel), _pad_list(before, after)


@operator("GlobalAveragePool")
def global_average_pool(node: Node, x: Tensor) -> Tensor:
    return x.mean(dim=list(range(2, x.ndim)), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(node: Node, x: Tensor) -> Tensor:
    return x.amax(dim=list(range(2, x.ndim)), keepdim=True)
