"""Which torch call computes a convolution fastest: the one place that chooses. Results are equal.

On a CPU, torch computes a conv3d of few frames many times slower than one of many (its choice of library goes
by the input's size), and few channels slowly at any depth. Folding the frames of a window into channels makes
it a conv2d, which has no such cliff: at 1280x720 with 3 channels in and 4 out, 15 ms a frame against 155 for
chunks of one to four frames and 34 for sixteen (two cores).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

FRAME = 32 * 32
"""Pixels below which a frame is too small for folding to pay."""
FEW_CHANNELS = 4
"""Input channels up to which folding wins at any depth."""
SLOW_BELOW = 20480
"""Batch x channels x frames x rows up to which torch takes its slow path for conv3d on a CPU."""


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolution with torch's arguments, in one, two or three dimensions."""
    if x.ndim == 3:
        return F.conv1d(x, weight, bias, stride, padding, dilation, groups)
    if x.ndim == 4:
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    if _folding_pays(x, padding):
        return folded_conv3d(x, weight, bias, stride, padding, dilation, groups)
    return F.conv3d(x, weight, bias, stride, padding, dilation, groups)


def _folding_pays(x: Tensor, padding: Sequence[int]) -> bool:
    n, c, t, h, w = x.shape
    if x.device.type != "cpu" or padding[0] or h * w < FRAME:
        return False
    return c <= FEW_CHANNELS or n * c * t * h <= SLOW_BELOW


def folded_conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """conv3d without padding in time: for each output frame a conv2d over its input frames as channels."""
    n, c, t, h, w = x.shape
    depth = weight.shape[2]
    reach = (depth - 1) * dilation[0] + 1
    flat = weight.flatten(1, 2).contiguous(memory_format=torch.channels_last)

    def frame(start: int) -> Tensor:
        taken = x[:, :, start : start + reach : dilation[0]].reshape(n, c * depth, h, w)
        window = taken.contiguous(memory_format=torch.channels_last)
        return F.conv2d(window, flat, bias, stride[1:], padding[1:], dilation[1:], groups)

    starts = range(0, t - reach + 1, stride[0])
    first = frame(0)
    if len(starts) == 1:
        return first.unsqueeze(2)
    if torch.is_grad_enabled() and first.requires_grad:
        return torch.stack([first, *map(frame, starts[1:])], 2)
    # written straight into their places: a second copy of all frames would cost a third of the time
    shape = (n, first.shape[1], len(starts), *first.shape[2:])
    y = torch.empty(shape, dtype=first.dtype, device=x.device, memory_format=torch.channels_last_3d)
    y[:, :, 0] = first
    for j, start in enumerate(starts[1:], 1):
        y[:, :, j] = frame(start)
    return y
