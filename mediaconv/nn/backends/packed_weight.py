"""A convolution's weight in the order that oneDNN computes in, made once and not anew in every call.

For a short input that change of order takes as long as the sums: at 512 channels and 13 rows, half the time.
A captured model's weights are constants of its streams, so that they can be kept. oneDNN has several orders,
and chooses by the size of the input: a weight in another one is changed in every call, which takes 1 to 40 ms
of 512 channels. So each size is asked for, and sizes of one order share a weight. Memory: as much again as
the weights whose inputs are short, for each order; mostly one, seldom more than two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mediaconv.nn.backends.algorithms import MANY_PRODUCTS, convolve, is_ours, is_recorded, onednn_takes
from mediaconv.nn.backends.kept_weights import KeptWeights
from mediaconv.nn.backends.window_product import product_pays, rows_of_weight, window_product

Slides = tuple[list[int], list[int], list[int], int]
"""How a kernel slides: stride, padding and dilation along each axis, and the groups."""
LEAST_SUMS = 3 * 2**19
"""Products of a call below which oneDNN's own preparations take longer than torch's plain loops."""
MOST_OUTPUTS = 2**13
"""Outputs of a channel above which the change of order does not show."""
SIZES = 32
"""Sizes of inputs that are asked for; further ones, of chunks that all differ, take what is there."""


class PackedWeight(KeptWeights):
    """A weight (C', C / groups, ...), and the same in oneDNN's orders once a call can use it."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__([weight])
        self._packed: dict[tuple, dict[tuple, Tensor]] = {}
        self._rows: Tensor | None = None

    def get(self, x: Tensor, slides: Slides) -> Tensor:
        """The packed weight for an input of images or film."""
        key = (*map(tuple, slides[:3]), slides[3])
        sizes = self._packed.get(key)
        if sizes is None:
            sizes = self._packed[key] = {}
        shape = tuple(x.shape)
        packed = sizes.get(shape)
        if packed is None:
            packed = self._of_size(sizes, shape, slides)
        return packed

    def rows(self) -> Tensor:
        """A weight of sound in the order of `window_product`."""
        rows = self._rows
        if rows is None:
            self.note()
            rows = self._rows = rows_of_weight(self._weights[0])
        return rows

    def _of_size(self, sizes: dict[tuple, Tensor], shape: tuple[int, ...], slides: Slides) -> Tensor:
        """The weight for a new size of input: one that is there already, if that has the same order."""
        self.note()
        known = list(sizes.values())
        if len(known) >= SIZES:
            return known[0]
        (weight,) = self._weights
        weight = weight if len(shape) == weight.ndim else weight.unsqueeze(2)
        made = self._reordered(weight, list(shape), slides)
        order = _order(made)
        made = next((other for other in known if torch.equal(_order(other), order)), made)
        sizes[shape] = made
        return made

    def _reordered(self, weight: Tensor, shape: list[int], slides: Slides) -> Tensor:
        stride, padding, dilation, groups = slides
        reorder: Any = getattr(torch._C._nn, f"mkldnn_reorder_conv{len(shape) - 2}d_weight")
        return reorder(weight.to_mkldnn(), padding, stride, dilation, groups, shape)

    def __deepcopy__(self, memo: dict) -> PackedWeight:
        return type(self)(*self._weights)

    def __reduce__(self) -> tuple:
        return type(self), tuple(self._weights)


class PackedTransposedWeight(PackedWeight):
    """The same of a transposed convolution of sound or images: a weight (C, C', ...), in one group."""

    def _reordered(self, weight: Tensor, shape: list[int], slides: Slides) -> Tensor:
        stride, padding, dilation, groups = slides
        reorder = torch.ops.mkldnn._reorder_convolution_transpose_weight
        return reorder(weight, padding, [0, 0], stride, dilation, groups, shape)


def _order(packed: Tensor) -> Tensor:
    """What oneDNN says of a weight's order, as bytes."""
    return torch.ops.mkldnn._get_mkldnn_serialized_md(packed)


def convolve_packed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    packed: PackedWeight,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """`algorithms.convolve` with a weight that is kept. The result may lie with its channels last."""
    if not _is_served(x, weight, bias, groups):
        return convolve(x, weight, bias, stride, padding, dilation, groups)
    if x.ndim == 3 and groups == 1 and not padding[0]:
        reach = (weight.shape[2] - 1) * dilation[0]
        if product_pays(x.shape[0] * ((x.shape[2] - reach - 1) // stride[0] + 1), weight.shape):
            return window_product(x, packed.rows(), bias, stride[0], dilation[0])
    repacked = math.prod(weight.shape[1:]) > MANY_PRODUCTS  # by `convolve`, in every call
    if not _packing_pays(x, weight, stride, 0 if repacked else LEAST_SUMS):
        return convolve(x, weight, bias, stride, padding, dilation, groups)
    images, slides = _as_images(x, stride, padding, dilation, groups)
    kept, (strides, paddings, dilations, _) = packed.get(images, slides), slides
    y = torch.ops.mkldnn._convolution_pointwise.default(
        images, kept, bias, paddings, strides, dilations, groups, "none", [], ""
    )
    return y.squeeze(2) if x.ndim == 3 else y


def transpose_packed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    packed: PackedTransposedWeight | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Transposed convolution with torch's arguments. packed: the weight, where it is kept."""
    if (
        packed is None
        or groups > 1
        or x.ndim == 5
        or not _is_served(x, weight.transpose(0, 1), bias, groups)
        or not _packing_pays(x, weight, [1], LEAST_SUMS)
    ):
        transpose = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[weight.ndim - 3]
        return transpose(x, weight, bias, stride, padding, 0, groups, dilation)
    images, slides = _as_images(x, stride, padding, dilation, groups)
    kept, (strides, paddings, dilations, _) = packed.get(images, slides), slides
    y = torch.ops.mkldnn._convolution_transpose_pointwise.default(
        images, kept, bias, paddings, [0, 0], strides, dilations, groups, "none", [], ""
    )
    return y.squeeze(2) if x.ndim == 3 else y


def _as_images(
    x: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> tuple[Tensor, Slides]:
    """Sound as images of one row, which oneDNN's packed calls take; images and film as they are."""
    if x.ndim > 3:
        return x, (list(stride), list(padding), list(dilation), groups)
    return x.unsqueeze(2), ([1, *stride], [0, *padding], [1, *dilation], groups)


def _is_served(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> bool:
    return is_ours(x, weight, groups) and onednn_takes(x) and not is_recorded(x, weight, bias)


def _packing_pays(x: Tensor, weight: Tensor, stride: Sequence[int], least_sums: int) -> bool:
    outputs = x.shape[0] * math.prod(x.shape[2:]) / math.prod(stride)
    return outputs <= MOST_OUTPUTS and outputs * weight.numel() >= least_sums
