"""Channels to positions and back: pixel shuffle, pixel unshuffle, channel shuffle. Values only move.

The order of channels is torch's, generalised: channel `c * prod(factor) + i`, where i counts the positions
within a block in reading order (frame, row, column).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mediaconv.nn.geometry import AxisMap, Transposed, Window, per_axis
from mediaconv.nn.layers.conv import Ints, causal_axes
from mediaconv.nn.streaming.protocol import Pointwise, TotalStride
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import Span, Windowed, pad


class _Factors(nn.Module):
    dims: int

    def __init__(self, factor: Ints) -> None:
        super().__init__()
        self.factor = per_axis(factor, self.dims, "factor")
        if min(self.factor) < 1:
            raise ValueError(f"factor: got {self.factor}, expected whole numbers of at least 1")

    def extra_repr(self) -> str:
        return f"factor={self.factor}"


class _PixelShuffle(TotalStride, _Factors):
    """Shi et al. 2016: every `prod(factor)` channels become a block of positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C * prod(factor), ...) to (N, C, ...'), each length times its factor."""
        self.check_axes(x)
        n, channels, *lengths = x.shape
        c, d = self.output_channels(channels), self.dims
        blocks = x.reshape(n, c, *self.factor, *lengths)
        order = [0, 1] + [a for axis in range(d) for a in (2 + d + axis, 2 + axis)]
        return blocks.permute(order).reshape(
            n, c, *(length * f for length, f in zip(lengths, self.factor, strict=True))
        )

    def output_channels(self, channels: int) -> int:
        if channels % math.prod(self.factor):
            raise ValueError(
                f"got {channels} channels, a pixel shuffle by {self.factor} takes multiples of "
                f"{math.prod(self.factor)}"
            )
        return channels // math.prod(self.factor)

    def axis_map(self, axis: int) -> AxisMap:
        return Transposed(self.factor[axis], self.factor[axis])

    def init_state(self, axis: int) -> State:
        return State()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        return self(x)


class _PixelUnshuffle(Windowed, TotalStride, _Factors):
    """Blocks of positions become channels; a last block that is not whole is filled with zeros."""

    def __init__(self, factor: Ints, *, causal: bool = False, time_axis: Ints = 0) -> None:
        super().__init__(factor)
        axes = causal_axes(time_axis, self.dims)
        self.causal, self.time_axis = causal, time_axis
        self.windows = tuple(
            Window(f, f, left=f - 1) if causal and axis in axes else Window(f, f, right=f - 1)
            for axis, f in enumerate(self.factor)
        )

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        x = pad(x, self.windows, skip=None if span is None else span.axis)
        lengths = [length // f * f for length, f in zip(x.shape[2:], self.factor, strict=True)]
        for axis, length in enumerate(lengths):
            x = x.narrow(axis + 2, 0, length)
        n, c = x.shape[:2]
        pairs = [p for length, f in zip(lengths, self.factor, strict=True) for p in (length // f, f)]
        d = self.dims
        order = [0, 1, *(3 + 2 * a for a in range(d)), *(2 + 2 * a for a in range(d))]
        return x.reshape(n, c, *pairs).permute(order).reshape(n, -1, *pairs[::2])

    def output_channels(self, channels: int) -> int:
        return channels * math.prod(self.factor)


class PixelShuffle1d(_PixelShuffle):
    """Every `factor` channels of sound become consecutive samples.

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


_UNSHUFFLE_DOC = """Blocks of {what} become channels: the inverse of `PixelShuffle{dims}d`.

    A last block that is not whole is filled with zeros, where torch refuses it.
    causal: blocks end at the inputs `j * factor` along `time_axis` and begin with zeros, so that output j
        reads no input after its own time; otherwise it reads `factor - 1` ahead.

    Shape: {shape}, ceil(length / factor) along each axis.
    """


class PixelUnshuffle1d(_PixelUnshuffle):
    __doc__ = _UNSHUFFLE_DOC.format(what="samples", dims=1, shape="(N, C, T) to (N, C * factor, T')")
    dims = 1


class PixelUnshuffle2d(_PixelUnshuffle):
    __doc__ = _UNSHUFFLE_DOC.format(
        what="rows and columns", dims=2, shape="(N, C, H, W) to (N, C * fh * fw, H', W')"
    )
    dims = 2


class PixelUnshuffle3d(_PixelUnshuffle):
    __doc__ = _UNSHUFFLE_DOC.format(
        what="frames, rows and columns", dims=3, shape="(N, C, T, H, W) to (N, C * ft * fh * fw, T', H', W')"
    )
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
                f"got {channels} channels, a shuffle in {self.groups} groups needs a multiple of it"
            )
        return channels

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
