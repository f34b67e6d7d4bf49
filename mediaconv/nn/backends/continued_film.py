"""conv3d of film that is channels last and continues film before it, without joining the two.

Their join would be a copy of the whole chunk. Only the windows that begin in what came before are computed
from a join, of few frames; all outputs are written to one tensor. `algorithms` chooses the film.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mediaconv.nn.backends.large_pages import empty
from mediaconv.nn.backends.memory_layout import join, memory_format


def continued_conv3d(
    before: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """conv3d by oneDNN of the frames of `before` and `x`, without padding in time: the bits of their join's.

    Shape: (N, C, T, H, W), channels last, as is the output.
    """
    weight = weight.contiguous(memory_format=torch.channels_last_3d)
    arguments = (padding, stride, dilation, groups)
    earlier, frames = before.shape[2], before.shape[2] + x.shape[2]
    lengths = zip((frames, *x.shape[3:]), padding, weight.shape[2:], dilation, stride, strict=True)
    count, height, width = ((n + 2 * p - (k - 1) * d - 1) // s + 1 for n, p, k, d, s in lengths)
    begun = math.ceil(earlier / stride[0])
    if begun >= count or x.shape[0] > 1 or not _writes_into():
        return torch.mkldnn_convolution(_channels_last(join((before, x), 2, x)), weight, bias, *arguments)
    y = empty((1, weight.shape[0], count, height, width), x.dtype, torch.channels_last_3d)
    reach = (weight.shape[2] - 1) * dilation[0] + 1
    first = join((before, x[:, :, : (begun - 1) * stride[0] + reach - earlier]), 2, x)
    for part, place in ((first, y[:, :, :begun]), (x[:, :, begun * stride[0] - earlier :], y[:, :, begun:])):
        # oneDNN adds to the values that are there, a zero: torch has no way to have them overwritten
        torch.ops.mkldnn._convolution_pointwise_.binary(
            place.zero_(), _channels_last(part), weight, bias, *arguments, "add", 1.0, None, [], None
        )
    return y


def _writes_into() -> bool:
    """Whether this torch can add a convolution to a tensor in place."""
    return hasattr(torch.ops.mkldnn, "_convolution_pointwise_")


def _channels_last(x: Tensor) -> Tensor:
    return (
        x
        if memory_format(x) == torch.channels_last_3d
        else x.contiguous(memory_format=torch.channels_last_3d)
    )
