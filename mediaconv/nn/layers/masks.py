"""Which taps of a kernel a causal layer may use. A mask has the kernel's shape; True is a tap that stays."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mediaconv.nn.geometry import same_padding


def tap_offsets(kernel: Sequence[int], dilation: Sequence[int]) -> list[Tensor]:
    """Per axis, each tap's offset from the output's position under standard padding."""
    return [torch.arange(k) * d - same_padding(k, d)[0] for k, d in zip(kernel, dilation, strict=True)]


def causal_mask(kernel: Sequence[int], dilation: Sequence[int], time_axis: int) -> Tensor:
    """Taps at or before the output's time: tap i stays where `i*dilation <= left`.

    >>> causal_mask([5], [1], 0).int().tolist()
    [1, 1, 1, 0, 0]
    """
    shape = [1] * len(kernel)
    shape[time_axis] = kernel[time_axis]
    past = tap_offsets(kernel, dilation)[time_axis] <= 0
    return past.reshape(shape).expand(*kernel).clone()


def raster_mask(kernel: Sequence[int], dilation: Sequence[int], raster_type: str) -> Tensor:
    """Taps before the output's position in reading order; type B also the position itself.

    Source: PixelRNN/PixelCNN, van den Oord, Kalchbrenner, Kavukcuoglu 2016, section 3.4.

    >>> raster_mask([3, 3], [1, 1], "A").int().tolist()
    [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    """
    before = torch.zeros(tuple(kernel), dtype=torch.bool)
    here = torch.ones(tuple(kernel), dtype=torch.bool)
    for axis, offsets in enumerate(tap_offsets(kernel, dilation)):
        shape = [1] * len(kernel)
        shape[axis] = len(offsets)
        offset = offsets.reshape(shape)
        before |= here & (offset < 0)
        here &= offset == 0
    return before | here if raster_type == "B" else before
