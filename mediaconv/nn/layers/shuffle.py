"""Channels to positions and back: pixel shuffle, pixel unshuffle, channel shuffle. Values only move.

The order of channels is torch's, generalised: channel `c * prod(factor) + i`, where i counts the positions
within a block in reading order (frame, row, column).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mediaconv.counted import counted
from mediaconv.nn.geometry import AxisMap, Transposed, Window, whole_factors
from mediaconv.nn.layers.padding_rules import Ints, causal_axes
from mediaconv.nn.streaming.protocol import Pointwise, Stateless, TotalStride
from mediaconv.nn.streaming.window import Span, Windowed, pad


class _PixelShuffle(Stateless, nn.Module):
    """Shi et al. 2016: every `prod(factor)` channels become a block of positions."""

    def __init__(self, upscale_factor: Ints) -> None:
        super().__init__()
        self.upscale_factor = whole_factors(upscale_factor, self.dims, "upscale_factor")

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C * prod(factor), ...) to (N, C, ...'), each length times its factor."""
        self.check_axes(x)
        n, channels, *lengths = x.shape
        c, d = self.output_channels(channels), self.dims
        blocks = x.reshape(n, c, *self.upscale_factor, *lengths)
        order = [0, 1] + [a for axis in range(d) for a in (2 + d + axis, 2 + axis)]
        return blocks.permute(order).reshape(
            n, c, *(length * f for length, f in zip(lengths, self.upscale_factor, strict=True))
        )

    def output_channels(self, channels: int) -> int:
        if channels % math.prod(self.upscale_factor):
            raise ValueError(
                f"got {counted(channels, 'channel')}, a pixel shuffle by {self.upscale_factor} takes "
                f"multiples of {math.prod(self.upscale_factor)}"
            )
        return channels // math.prod(self.upscale_factor)

    def axis_map(self, axis: int) -> AxisMap:
        return Transposed(self.upscale_factor[axis], self.upscale_factor[axis])

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class _PixelUnshuffle(Windowed, TotalStride, nn.Module):
    """Blocks of positions become channels; a last block that is not whole is filled with zeros."""

    def __init__(self, downscale_factor: Ints, *, causal: bool = False, time_axis: Ints = 0) -> None:
        super().__init__()
        self.downscale_factor = whole_factors(downscale_factor, self.dims, "downscale_factor")
        axes = causal_axes(time_axis, self.dims)
        self.causal, self.time_axis = causal, time_axis
        self.windows = tuple(
            Window(f, f, left=f - 1) if causal and axis in axes else Window(f, f, right=f - 1)
            for axis, f in enumerate(self.downscale_factor)
        )

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        x = pad(x, self.windows, skip=None if span is None else span.axis)
        lengths = [length // f * f for length, f in zip(x.shape[2:], self.downscale_factor, strict=True)]
        for axis, length in enumerate(lengths):
            x = x.narrow(axis + 2, 0, length)
        n, c = x.shape[:2]
        pairs = [
            p for length, f in zip(lengths, self.downscale_factor, strict=True) for p in (length // f, f)
        ]
        d = self.dims
        order = [0, 1, *(3 + 2 * a for a in range(d)), *(2 + 2 * a for a in range(d))]
        return x.reshape(n, c, *pairs).permute(order).reshape(n, -1, *pairs[::2])

    def output_channels(self, channels: int) -> int:
        return channels * math.prod(self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class PixelShuffle1d(_PixelShuffle):
    """Every `upscale_factor` channels of sound become consecutive samples.

    Shape: (N, C * factor, T) to (N, C, T * factor).
    """

    dims = 1


class PixelShuffle2d(_PixelShuffle):
    """torch.nn.PixelShuffle, with a factor for each axis.

    Shape: (N, C * fh * fw, H, W) to (N, C, H * fh, W * fw).
    """

    dims = 2


class PixelShuffle3d(_PixelShuffle):
    """Every `ft * fh * fw` channels of film become a block of frames, rows and columns.

    Shape: (N, C * ft * fh * fw, T, H, W) to (N, C, T * ft, H * fh, W * fw).
    """

    dims = 3


class PixelUnshuffle1d(_PixelUnshuffle):
    """Blocks of samples become channels: the inverse of `PixelShuffle1d`.

    A last block that is not whole is filled with zeros, where torch refuses it.
    causal: blocks end at the inputs `j * downscale_factor` along `time_axis` and begin with zeros, so that
        output j reads no input after its own time; otherwise it reads `downscale_factor - 1` ahead.

    Shape: (N, C, T) to (N, C * downscale_factor, T'), `ceil(length / downscale_factor)` along each axis.
    """

    dims = 1


class PixelUnshuffle2d(_PixelUnshuffle):
    """Blocks of rows and columns become channels: the inverse of `PixelShuffle2d`.

    Blocks and `causal` as of `PixelUnshuffle1d`.

    Shape: (N, C, H, W) to (N, C * fh * fw, H', W'), `ceil(length / downscale_factor)` along each axis.
    """

    dims = 2


class PixelUnshuffle3d(_PixelUnshuffle):
    """Blocks of frames, rows and columns become channels: the inverse of `PixelShuffle3d`.

    Blocks and `causal` as of `PixelUnshuffle1d`.

    Shape: (N, C, T, H, W) to (N, C * ft * fh * fw, T', H', W'), `ceil(length / downscale_factor)` along each
        axis.
    """

    dims = 3


class ChannelShuffle(Pointwise, nn.Module):
    """torch.nn.ChannelShuffle for any number of axes (ShuffleNet, Zhang et al. 2018).

    Shape: (N, C, ...) to the same; C a multiple of `groups`.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        if groups < 1:
            raise ValueError(f"groups: got {groups}, expected at least 1")
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to the same."""
        self.output_channels(x.shape[1])
        return torch.transpose(x.unflatten(1, (self.groups, -1)), 1, 2).flatten(1, 2)

    def output_channels(self, channels: int) -> int:
        if channels % self.groups:
            raise ValueError(
                f"got {counted(channels, 'channel')}, a shuffle in {self.groups} groups needs "
                "a multiple of it"
            )
        return channels

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
