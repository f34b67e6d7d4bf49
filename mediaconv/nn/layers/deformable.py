"""Deformable convolution in two and three dimensions: every tap reads where a learned offset points.

Offsets along the time axis are bounded by a stated range, and never point ahead when causal, so that the
layer streams exactly. Dai et al. 2017; with modulation, Zhu et al. 2019 (DCNv2).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.geometry import Window
from mediaconv.nn.layers.conv_parameters import ConvParameters
from mediaconv.nn.layers.convolution import CausalConv2d, CausalConv3d, Conv2d, Conv3d
from mediaconv.nn.layers.padding_rules import Ints, Padding, causal_axes, causal_window, standard_windows
from mediaconv.nn.streaming.window import Span, Windowed, pad_by

Range = tuple[int, int] | None
FAR = float(2**30)
"""Offsets beyond this many positions are cut to it: they point out of any input."""


class _Deform(Windowed, ConvParameters):
    """What deformable convolutions share; `offset` is the inner convolution that says where taps read."""

    dims: int
    offset: nn.Module

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        offset_groups: int = 1,
        modulation: bool = False,
        offset_range: int | Sequence[int | None] = 1,
        time_axis: int = 0,
    ) -> None:
        self._make_parameters(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias, "zeros", device, dtype
        )
        self._configure(padding, offset_groups, modulation, offset_range, time_axis)

    def _configure(
        self,
        padding: Padding,
        offset_groups: int,
        modulation: bool,
        offset_range: int | Sequence[int | None],
        time_axis: int,
    ) -> None:
        if offset_groups < 1 or self.in_channels % offset_groups:
            raise ValueError(f"offset_groups: got {offset_groups}, expected a divisor of {self.in_channels}")
        if not 0 <= time_axis < self.dims:
            raise ValueError(f"time_axis: got {time_axis}, expected 0 to {self.dims - 1}")
        self.offset_groups, self.modulation, self.time_axis = offset_groups, modulation, time_axis
        windows = standard_windows(self.kernel_size, self.stride, self.dilation, padding)
        if self.causal:
            causal_axes(time_axis, self.dims, padding)
            w = windows[time_axis]
            windows[time_axis] = causal_window(w.kernel, w.stride, w.dilation, mode="pad")
        self.taps = tuple(windows)
        self.ranges = self._offset_ranges(offset_range)
        self.windows = tuple(_widened(w, r) for w, r in zip(windows, self.ranges, strict=True))
        self.offset = self._offset_layer(padding)
        nn.init.zeros_(self.offset.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]

    def _offset_ranges(self, offset_range: int | Sequence[int | None]) -> tuple[Range, ...]:
        if isinstance(offset_range, int):
            bounds: list[int | None] = [None] * self.dims
            bounds[self.time_axis] = offset_range
        else:
            bounds = list(offset_range)
        if (
            len(bounds) != self.dims
            or bounds[self.time_axis] is None
            or any(b is not None and b < 0 for b in bounds)
        ):
            raise ValueError(
                f"offset_range: got {offset_range}, expected a whole number of at least 0 for the time axis, "
                f"or {self.dims} of them, one per axis (None: not bounded, but not for the time axis)"
            )
        return tuple(
            None if b is None else (-b, 0 if self.causal and axis == self.time_axis else b)
            for axis, b in enumerate(bounds)
        )

    def _offset_layer(self, padding: Padding) -> nn.Module:
        taps = self.weight[0, 0].numel()
        channels = self.offset_groups * taps * (self.dims + self.modulation)
        kinds = {(2, False): Conv2d, (3, False): Conv3d, (2, True): CausalConv2d, (3, True): CausalConv3d}
        more: dict[str, Any] = {"device": self.weight.device, "dtype": self.weight.dtype}
        if self.causal:
            more["time_axis"] = self.time_axis
        return kinds[self.dims, self.causal](
            self.in_channels, channels, self.kernel_size, self.stride, padding, self.dilation, **more
        )

    def needs_whole(self, axis: int) -> bool:
        return self.ranges[axis] is None

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        offsets, gains = self._offsets(x, span)
        source = pad_by(x, self._margins(span))
        n, c, *lengths = source.shape
        per_group = c // self.offset_groups
        flat = source.reshape(n, self.offset_groups, per_group, -1)
        weight = self.weight.flatten(2).reshape(self.groups, -1, c // self.groups, offsets.shape[2])

        def part(k: int, tap: tuple[int, ...]) -> Tensor:
            read = self._read(flat, lengths, x.shape[2:], offsets[:, :, k], tap)
            if gains is not None:
                read = read * gains[:, :, k].reshape(n, self.offset_groups, 1, -1)
            return weight[..., k] @ read.reshape(n, self.groups, c // self.groups, -1)

        taps = itertools.product(*(range(size) for size in self.kernel_size))
        y = reduce(torch.add, itertools.starmap(part, enumerate(taps)))
        y = y.reshape(n, self.out_channels, *offsets.shape[4:])
        return y if self.bias is None else y + self.bias.reshape(-1, *[1] * self.dims)

    def _offsets(self, x: Tensor, span: Span | None) -> tuple[Tensor, Tensor | None]:
        """Offsets (N, groups, taps, dims, ...) and gains (N, groups, taps, ...) of every output.

        The gain of modulation is twice the sigmoid, so that an untrained layer is the plain convolution.
        """
        if span is not None:
            low, high = self._range(span.axis)
            x = x.narrow(span.axis + 2, -low, x.shape[span.axis + 2] - high + low)
        predicted = self.offset.apply_windows(x, span)  # type: ignore[operator]
        n, channels, *lengths = predicted.shape
        groups = self.offset_groups
        taps = channels // groups // (self.dims + self.modulation)
        offsets = predicted[:, : groups * taps * self.dims].reshape(n, groups, taps, self.dims, *lengths)
        if not self.modulation:
            return offsets, None
        return offsets, 2 * torch.sigmoid(predicted[:, groups * taps * self.dims :]).reshape(
            n, groups, taps, *lengths
        )

    def _range(self, axis: int) -> tuple[int, int]:
        return self.ranges[axis] or (0, 0)

    def _margins(self, span: Span | None) -> list[int]:
        """Zeros around the input, in torch's order: what windows reach, or one where nothing bounds them."""
        margins: list[int] = []
        for axis in reversed(range(self.dims)):
            if span is not None and axis == span.axis:
                margins += (0, 0)
            elif self.ranges[axis] is None:
                margins += (1, 1)
            else:
                margins += (self.windows[axis].left, self.windows[axis].right)
        return margins

    def _read(
        self,
        flat: Tensor,
        padded: Sequence[int],
        lengths: Sequence[int],
        offsets: Tensor,
        tap: tuple[int, ...],
    ) -> Tensor:
        """What one tap reads, interpolated: (N, groups, C / groups, outputs).

        flat: the padded input, positions flattened; padded, lengths: of its axes and of the input's.
        offsets: (N, groups, dims, ...).
        """
        n, groups = offsets.shape[:2]
        corners = [
            self._corners(offsets[:, :, axis], axis, tap[axis], lengths[axis]) for axis in range(self.dims)
        ]
        total: Tensor | None = None
        for choice in itertools.product(*corners):
            index = torch.zeros((), dtype=torch.long, device=flat.device)
            share = torch.ones((), dtype=flat.dtype, device=flat.device)
            for (position, weight), size in zip(choice, padded, strict=True):
                index = index * size + position
                share = share * weight
            index = index.reshape(n, groups, 1, -1).expand(-1, -1, flat.shape[2], -1)
            value = flat.gather(3, index) * share.reshape(n, groups, 1, -1)
            total = value if total is None else total + value
        return flat.new_zeros(()) if total is None else total

    def _corners(self, offset: Tensor, axis: int, tap: int, length: int) -> list[tuple[Tensor, Tensor]]:
        """The two positions in the padded input between which one axis interpolates, each with its weight.

        offset: (N, groups, ...). Only the offset's own fraction is a float: positions are integers, so
        that a late chunk is as exact as the first.
        """
        window = self.taps[axis]
        shape = [1] * offset.ndim
        shape[axis + 2] = -1
        starts = torch.arange(offset.shape[axis + 2], device=offset.device) * window.stride
        base = (starts + tap * window.dilation).reshape(shape)
        bounds = self.ranges[axis]
        if bounds is None:
            far = min(FAR, torch.finfo(offset.dtype).max)
            offset = offset.clamp(-far, far)
            whole = offset.detach().floor()
            near = base - window.left + whole.long()
            positions = [near.clamp(-1, length) + 1, (near + 1).clamp(-1, length) + 1]
        else:
            low, high = bounds
            if low == high:
                return [(base.expand(offset.shape), torch.ones_like(offset))]
            offset = offset.clamp(low, high)
            # the last position belongs to the interval before it: nothing past the range is ever read
            whole = offset.detach().floor().clamp(low, high - 1)
            near = base - low + whole.long().clamp(low, high - 1)
            positions = [near, near + 1]
        fraction = offset - whole
        return [(positions[0], 1 - fraction), (positions[1], fraction)]


def _widened(window: Window, bounds: Range) -> Window:
    """The window of all inputs that a tap may read under bounded offsets."""
    if bounds is None or bounds == (0, 0):
        return window
    low, high = bounds
    return Window(window.extent + high - low, window.stride, 1, window.left - low, window.right + high)


class _CausalDeform(_Deform):
    causal = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = "same",
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        offset_groups: int = 1,
        modulation: bool = False,
        offset_range: int | Sequence[int | None] = 1,
        time_axis: int = 0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype,
            offset_groups=offset_groups, modulation=modulation, offset_range=offset_range,
            time_axis=time_axis,
        )  # fmt: skip


class DeformConv2d(_Deform, nn.Conv2d):
    """Deformable convolution of images (bilinear sampling, zeros outside).

    Dai et al. 2017, arXiv 1703.06211; with modulation, Zhu et al. 2019, arXiv 1811.11168 (DCNv2).

    Arguments as torch.nn.Conv2d, and:
    offset_groups: groups of channels with offsets of their own.
    modulation: also learn a gain for each tap, 0 to 2 (twice a sigmoid: 1 before training).
    offset_range: largest offset along `time_axis`, in positions; larger ones are cut to it. Or one
        number for each axis, None where nothing bounds it: a stream along such an axis waits for the end.
    time_axis: the axis whose offsets are bounded.

    Keys of its state: "weight", "bias", and the inner layer's "offset.weight" and "offset.bias", which are
    zero at first: the plain convolution. Channels of `offset`: group, tap, axis; then, with modulation, group
    and tap.

    Shape: (N, C_in, H, W) to (N, C_out, H', W'), lengths as of `Conv2d`.

    >>> layer = DeformConv2d(2, 4, 3, padding=1)
    >>> list(layer(torch.zeros(1, 2, 10, 12)).shape), layer.latency
    ([1, 4, 10, 12], 2)
    """

    dims = 2


class DeformConv3d(_Deform, nn.Conv3d):
    """Deformable convolution of video (trilinear sampling, zeros outside).

    Arguments and keys as `DeformConv2d`.

    Shape: (N, C_in, T, H, W) to (N, C_out, T', H', W'), lengths as of `Conv3d`.

    >>> layer = DeformConv3d(2, 4, 3, padding=1)
    >>> list(layer(torch.zeros(1, 2, 10, 6, 8)).shape), layer.latency
    ([1, 4, 10, 6, 8], 2)
    """

    dims = 3


class CausalDeformConv2d(_CausalDeform, nn.Conv2d):
    """Causal deformable convolution of images (bilinear sampling, zeros outside).

    Arguments and keys as `DeformConv2d`, `padding` "same" by default, and:
    offset_range: as there, and never ahead.
    time_axis: the axis whose offsets are bounded, padded on the left alone.

    Shape: (N, C_in, H, W) to (N, C_out, H', W'), lengths as of `CausalConv2d`.

    >>> layer = CausalDeformConv2d(2, 4, 3)
    >>> list(layer(torch.zeros(1, 2, 10, 12)).shape), layer.latency
    ([1, 4, 10, 12], 0)
    """

    dims = 2


class CausalDeformConv3d(_CausalDeform, nn.Conv3d):
    """Causal deformable convolution of video (trilinear sampling, zeros outside). As `CausalDeformConv2d`.

    Shape: (N, C_in, T, H, W) to (N, C_out, T', H', W'), lengths as of `CausalConv3d`.

    >>> layer = CausalDeformConv3d(2, 4, 3)
    >>> list(layer(torch.zeros(1, 2, 10, 6, 8)).shape), layer.latency
    ([1, 4, 10, 6, 8], 0)
    """

    dims = 3
