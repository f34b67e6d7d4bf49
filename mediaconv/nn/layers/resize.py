"""Upsampling by whole factors: nearest and linear, exact across chunk seams. Weights are fixed.

Linear phases are computed from the factor alone, never from an absolute position, so that the last second
of an hour is as exact as the first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mediaconv.nn.geometry import AxisMap, Interpolated, Transposed, Window, whole_factors
from mediaconv.nn.layers.padding_rules import Ints, causal_axes
from mediaconv.nn.streaming.protocol import Stateless, TotalStride
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import Span, Windowed, pad, window_state

MODES = ("nearest", "linear")


class _Upsample(Windowed, TotalStride, nn.Module):
    padding_mode = "replicate"

    def __init__(
        self, scale_factor: Ints, mode: str = "nearest", *, causal: bool = False, time_axis: Ints = 0
    ) -> None:
        super().__init__()
        self.scale_factor = whole_factors(scale_factor, self.dims, "scale_factor")
        if mode not in MODES:
            raise ValueError(f"mode: got {mode!r}, expected one of {', '.join(MODES)}")
        axes = causal_axes(time_axis, self.dims)
        self.mode, self.causal, self.time_axis = mode, causal, time_axis
        self._causal_axes = [causal and axis in axes for axis in range(self.dims)]
        self.windows = tuple(
            Window(1) if s == 1 or mode == "nearest" else Window(2, left=1, right=0 if c else 1)
            for s, c in zip(self.scale_factor, self._causal_axes, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to (N, C, ...'), each length times its factor."""
        self.check_axes(x)
        return self.apply_windows(x, None)

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        if 0 in x.shape:
            return x.new_empty(self.output_shape(x.shape))
        if self.mode == "nearest":
            for axis, scale in enumerate(self.scale_factor):
                x = x if scale == 1 else x.repeat_interleave(scale, axis + 2)
            return x
        skip = None if span is None else span.axis
        lengths = x.shape
        x = pad(x, self.windows, "replicate", skip=skip)
        for axis, scale in enumerate(self.scale_factor):
            if scale > 1:
                where = Span(axis, 0, lengths[axis + 2]) if span is None or axis != skip else span
                count = x.shape[axis + 2] - 1
                x = interpolate(x, axis + 2, scale, causal=self._causal_axes[axis])
                begin, end = self._ends(where, count)
                x = x.narrow(axis + 2, begin, end - begin)
        return x

    def _ends(self, span: Span, count: int) -> tuple[int, int]:
        """First and last output between the neighbours of `count` windows that lie in the signal.

        A standard layer's first outputs lie before its first input, and as many as make it up after its last.
        """
        scale = self.scale_factor[span.axis]
        if self._causal_axes[span.axis]:
            return 0, count * scale
        last = span.length is not None and span.first + count == span.length + 1
        return (scale // 2 if span.first == 0 else 0), count * scale - (scale - scale // 2 if last else 0)

    def outputs_of(self, span: Span, count: int) -> int:
        begin, end = self._ends(span, count)
        return end - begin

    def axis_map(self, axis: int) -> AxisMap:
        scale = self.scale_factor[axis]
        if scale == 1 or self.mode == "nearest":
            return Transposed(scale, scale)
        return Interpolated(scale, self._causal_axes[axis])

    def init_state(self, axis: int) -> State:
        return State() if self.windows[axis].kernel == 1 else window_state()

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        if self.windows[axis].kernel == 1:
            return self.apply_windows(x, None)
        return super().step(x, state, axis=axis, last=last)

    def extra_repr(self) -> str:
        causal = f", causal along axis {self.time_axis}" if self.causal else ""
        return f"scale_factor={self.scale_factor}, mode={self.mode}{causal}"


def interpolate(x: Tensor, dim: int, scale: int, *, causal: bool) -> Tensor:
    """`scale` points between each of n + 1 neighbours and the next along one axis: n * scale outputs.

    Points lie evenly; the last is the next neighbour itself where the layer is causal or the scale is odd,
    else they lie midway (see `geometry.Interpolated`).
    """
    offset = 1.0 if causal or scale % 2 else 0.5
    shape = [1] * (x.ndim + 1)
    shape[dim + 1] = -1
    weight = ((torch.arange(scale, device=x.device, dtype=torch.float64) + offset) / scale).reshape(shape)
    count = x.shape[dim] - 1
    near, far = (x.narrow(dim, start, count).unsqueeze(dim + 1) for start in (0, 1))
    return (near * (1 - weight).to(x.dtype) + far * weight.to(x.dtype)).flatten(dim, dim + 1)


class UpsampleNearest(Stateless, nn.Module):
    """Every axis repeated `scale_factor` times, however many axes there are (torch.nn.Upsample does not say).

    Shape: (N, C, ...) to (N, C, ...'), each length times `scale_factor`.
    """

    def __init__(self, scale_factor: int) -> None:
        super().__init__()
        self.scale_factor = scale_factor

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to (N, C, ...')."""
        for dim in range(2, x.ndim):
            x = x.repeat_interleave(self.scale_factor, dim)
        return x

    def axis_map(self, axis: int) -> AxisMap:
        return Transposed(self.scale_factor, self.scale_factor)

    def extra_repr(self) -> str:
        return f"scale_factor={self.scale_factor}"


class Upsample1d(_Upsample):
    """Sound upsampled by a whole factor, nearest or linear (`align_corners=False`, as torch's interpolate).

    causal: linear runs from the previous input to the current one, which the last of each
        `scale_factor` outputs reaches (the first input is held at the start); nearest is causal as it is.

    Shape: (N, C, T) to (N, C, T * scale_factor).
    """

    dims = 1


class Upsample2d(_Upsample):
    """Images upsampled by whole factors, nearest or linear (bilinear); `scale_factor` is a number or (H, W).

    causal, time_axis: as `Upsample1d`, along one axis or several.

    Shape: (N, C, H, W) to (N, C, H * fh, W * fw).
    """

    dims = 2


class Upsample3d(_Upsample):
    """Film upsampled by whole factors, nearest or linear (trilinear); `scale_factor` is a number or
    (T, H, W).

    causal, time_axis: as `Upsample1d`, along one axis or several.

    Shape: (N, C, T, H, W) to (N, C, T * ft, H * fh, W * fw).
    """

    dims = 3
