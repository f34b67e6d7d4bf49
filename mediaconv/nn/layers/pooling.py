"""Maximum and average over windows, standard and causal, in one, two and three dimensions.

Arguments are torch's; a causal form pads the whole window to the left of its time axis. Nothing is learned.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaconv.nn.geometry import per_axis
from mediaconv.nn.layers.padding_rules import Ints, Padding, causal_axes, causal_window, standard_windows
from mediaconv.nn.streaming.window import Span, Windowed, pad


class _Pool(Windowed, nn.Module):
    """What all pooling shares: windows per axis, padding with `fill`, and `_reduce` over unpadded windows."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def _configure(
        self, kernel_size: Ints, stride: Ints | None, padding: Padding, dilation: Ints, ceil_mode: bool
    ) -> None:
        self.kernel_size = per_axis(kernel_size, self.dims, "kernel_size")
        self.stride = self.kernel_size if stride is None else per_axis(stride, self.dims, "stride")
        self.dilation = per_axis(dilation, self.dims, "dilation")
        self.padding = padding
        self.ceil_mode = ceil_mode
        windows = standard_windows(self.kernel_size, self.stride, self.dilation, padding)
        self.windows = tuple(replace(w, ceil=ceil_mode) for w in windows)

    def _make_causal(self, time_axis: Ints) -> None:
        self.time_axis = time_axis
        windows = list(self.windows)
        for axis in causal_axes(time_axis, self.dims, self.padding):
            w = windows[axis]
            windows[axis] = replace(causal_window(w.kernel, w.stride, w.dilation, mode="pad"), ceil=w.ceil)
        self.windows = tuple(windows)

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        padded = pad(x, self.windows, value=self.fill, skip=None if span is None else span.axis)
        return self._reduce(padded, x, span)

    def _reduce(self, padded: Tensor, x: Tensor, span: Span | None) -> Tensor:
        """All windows of a padded input; `x` is what it was before."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"


class _MaxPool(_Pool):
    fill = float("-inf")

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        if return_indices:
            raise ValueError(
                "return_indices: got True; indices into the whole input cannot stream, use False"
            )
        self._configure(kernel_size, stride, padding, dilation, ceil_mode)

    def _reduce(self, padded: Tensor, x: Tensor, span: Span | None) -> Tensor:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.dims - 1]
        return pool(padded, self.kernel_size, self.stride, 0, self.dilation)


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        if divisor_override is not None and divisor_override == 0:
            raise ValueError("divisor_override: got 0, expected a number other than zero")
        self._configure(kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def _reduce(self, padded: Tensor, x: Tensor, span: Span | None) -> Tensor:
        if torch.onnx.is_in_onnx_export():  # ONNX knows no divisor
            means = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[self.dims - 1]
            total = means(padded, self.kernel_size, self.stride) * math.prod(self.kernel_size)
        elif self.dims == 1:
            flat, kernel, stride = padded.unsqueeze(2), (1, *self.kernel_size), (1, *self.stride)
            total = F.avg_pool2d(flat, kernel, stride, divisor_override=1).squeeze(2)
        else:
            pool = F.avg_pool2d if self.dims == 2 else F.avg_pool3d
            total = pool(padded, self.kernel_size, self.stride, divisor_override=1)
        return self._divided(total, x, span)

    def _divided(self, total: Tensor, x: Tensor, span: Span | None) -> Tensor:
        """Sums of windows over what each counts; `x` is the input before its padding."""
        if self.divisor_override is not None:
            return total / self.divisor_override
        divisor: Tensor | int = 1
        for axis in range(self.dims):
            where = Span(axis, 0, x.shape[axis + 2]) if span is None or span.axis != axis else span
            divisor = divisor * self._counts(where, total.shape[axis + 2], x)
        return total / divisor

    def _counts(self, span: Span, count: int, like: Tensor) -> Tensor | int:
        """Inputs that each window counts along one axis: the kernel where no window reaches past an end."""
        axis, first, length, _ = span
        window = self.windows[axis]
        low = -window.left if self.count_include_pad else 0
        high = None if length is None else length + (window.right if self.count_include_pad else 0)
        begin = first * window.stride - window.left
        end = begin + (count - 1) * window.stride + window.kernel
        # exported, lengths are free: what holds for one of them is not asked
        exported = torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
        if begin >= low and (high is None or (not exported and end <= high)):
            return window.kernel
        starts = begin + torch.arange(count, device=like.device) * window.stride
        ends = starts + window.kernel if high is None else (starts + window.kernel).clamp(max=high)
        counts = (ends - starts.clamp(min=low)).clamp(min=1).to(like.dtype)
        return counts.reshape([-1 if d == axis else 1 for d in range(self.dims)])


class _CausalMaxPool(_MaxPool):
    causal = True

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = "same",
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        time_axis: Ints = 0,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        self._make_causal(time_axis)


class _CausalAvgPool(_AvgPool):
    causal = True

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = "same",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        time_axis: Ints = 0,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        self._make_causal(time_axis)


class MaxPool1d(_MaxPool):
    """Maximum over windows of audio: torch.nn.MaxPool1d's arguments and values.

    padding: numbers as torch takes them (0 by default), or "same" with any stride: `ceil(length / stride)`
        outputs. One for all axes, or one for each.

    Shape: (N, C, T) to (N, C, T').

    >>> list(MaxPool1d(3, stride=2, padding="same")(torch.zeros(1, 2, 10)).shape)
    [1, 2, 5]
    """

    dims = 1


class MaxPool2d(_MaxPool):
    """Maximum over windows of images: torch.nn.MaxPool2d's arguments and values.

    padding: as of `MaxPool1d`.

    Shape: (N, C, H, W) to (N, C, H', W').

    >>> list(MaxPool2d(3, stride=2, padding="same")(torch.zeros(1, 2, 10, 12)).shape)
    [1, 2, 5, 6]
    """

    dims = 2


class MaxPool3d(_MaxPool):
    """Maximum over windows of video: torch.nn.MaxPool3d's arguments and values.

    padding: as of `MaxPool1d`.

    Shape: (N, C, T, H, W) to (N, C, T', H', W').

    >>> list(MaxPool3d(3, stride=2, padding="same")(torch.zeros(1, 2, 10, 6, 8)).shape)
    [1, 2, 5, 3, 4]
    """

    dims = 3


class AvgPool1d(_AvgPool):
    """Average over windows of audio: torch.nn.AvgPool1d's arguments and values.

    padding: numbers as torch takes them (0 by default), or "same" with any stride: `ceil(length / stride)`
        outputs. One for all axes, or one for each.

    Shape: (N, C, T) to (N, C, T').

    >>> list(AvgPool1d(3, stride=2, padding="same")(torch.zeros(1, 2, 10)).shape)
    [1, 2, 5]
    """

    dims = 1


class AvgPool2d(_AvgPool):
    """Average over windows of images: torch.nn.AvgPool2d's arguments and values.

    padding: as of `AvgPool1d`.

    Shape: (N, C, H, W) to (N, C, H', W').

    >>> list(AvgPool2d(3, stride=2, padding="same")(torch.zeros(1, 2, 10, 12)).shape)
    [1, 2, 5, 6]
    """

    dims = 2


class AvgPool3d(_AvgPool):
    """Average over windows of video: torch.nn.AvgPool3d's arguments and values.

    padding: as of `AvgPool1d`.

    Shape: (N, C, T, H, W) to (N, C, T', H', W').

    >>> list(AvgPool3d(3, stride=2, padding="same")(torch.zeros(1, 2, 10, 6, 8)).shape)
    [1, 2, 5, 3, 4]
    """

    dims = 3


class CausalMaxPool1d(_CausalMaxPool):
    """Causal maximum over windows of audio: no output reads an input after its own time.

    Arguments as torch.nn.MaxPool1d, `padding` "same" by default, and:
    time_axis: the causal axis, padded by `(kernel_size - 1) * dilation` on the left alone;
        the others follow `padding`.

    Shape: (N, C, T) to (N, C, T'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalMaxPool1d(3, stride=2)
    >>> layer.latency, list(layer(torch.zeros(1, 2, 10)).shape)
    (0, [1, 2, 5])
    """

    dims = 1


class CausalMaxPool2d(_CausalMaxPool):
    """Causal maximum over windows of images: no output reads an input after its own time.

    Arguments as torch.nn.MaxPool2d, `padding` "same" by default, and:
    time_axis: the causal axis, or axes, padded by `(kernel_size - 1) * dilation` on the left alone;
        the others follow `padding`.

    Shape: (N, C, H, W) to (N, C, H', W'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalMaxPool2d(3, stride=2)
    >>> layer.latency, list(layer(torch.zeros(1, 2, 10, 12)).shape)
    (0, [1, 2, 5, 6])
    """

    dims = 2


class CausalMaxPool3d(_CausalMaxPool):
    """Causal maximum over windows of video: no output reads an input after its own time.

    Arguments as torch.nn.MaxPool3d, `padding` and `time_axis` as of `CausalMaxPool2d`.

    Shape: (N, C, T, H, W) to (N, C, T', H', W'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalMaxPool3d(3, stride=2)
    >>> layer.latency, list(layer(torch.zeros(1, 2, 10, 6, 8)).shape)
    (0, [1, 2, 5, 3, 4])
    """

    dims = 3


class CausalAvgPool1d(_CausalAvgPool):
    """Causal average over windows of audio: no output reads an input after its own time.

    Arguments as torch.nn.AvgPool1d, `padding` "same" by default, and:
    time_axis: the causal axis, padded by `kernel_size - 1` on the left alone;
        the others follow `padding`.

    Shape: (N, C, T) to (N, C, T'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalAvgPool1d(3, stride=2)
    >>> layer.latency, list(layer(torch.zeros(1, 2, 10)).shape)
    (0, [1, 2, 5])
    """

    dims = 1


class CausalAvgPool2d(_CausalAvgPool):
    """Causal average over windows of images: no output reads an input after its own time.

    Arguments as torch.nn.AvgPool2d, `padding` "same" by default, and:
    time_axis: the causal axis, or axes, padded by `kernel_size - 1` on the left alone;
        the others follow `padding`.

    Shape: (N, C, H, W) to (N, C, H', W'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalAvgPool2d(3, stride=2)
    >>> layer.latency, list(layer(torch.zeros(1, 2, 10, 12)).shape)
    (0, [1, 2, 5, 6])
    """

    dims = 2


class CausalAvgPool3d(_CausalAvgPool):
    """Causal average over windows of video: no output reads an input after its own time.

    Arguments as torch.nn.AvgPool3d, `padding` and `time_axis` as of `CausalAvgPool2d`.

    Shape: (N, C, T, H, W) to (N, C, T', H', W'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalAvgPool3d(3, stride=2)
    >>> layer.latency, list(layer(torch.zeros(1, 2, 10, 6, 8)).shape)
    (0, [1, 2, 5, 3, 4])
    """

    dims = 3
