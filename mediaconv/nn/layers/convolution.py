"""Standard and causal convolution in one, two and three dimensions: one windowed mechanism.

A standard and a causal layer differ in their windows and in which taps are masked, nothing else.
Parameters have torch's names and shapes, so weights move both ways with `strict=True`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.backends.algorithms import convolve
from mediaconv.nn.geometry import Window
from mediaconv.nn.layers.conv_parameters import ConvParameters
from mediaconv.nn.layers.masks import causal_mask, raster_mask
from mediaconv.nn.layers.padding_rules import Ints, Padding, causal_axes, causal_window, standard_windows
from mediaconv.nn.streaming.window import Span, Windowed, pad

MODES = ("pad", "mask", "raster")


class _Conv(Windowed, ConvParameters):
    """What all convolutions share: windows per axis, masked and cropped weight, forward and step."""

    dims: int
    _mask: Tensor | None

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
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._make_parameters(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self._configure(standard_windows(self.kernel_size, self.stride, self.dilation, padding), None)

    def _configure(self, windows: Sequence[Window], mask: Tensor | None) -> None:
        """Set the windows, cropped to the taps that a mask leaves along each axis."""
        windows = [replace(w, mirrored=self.padding_mode == "reflect") for w in windows]
        self._taps = [slice(0, w.kernel) for w in windows]
        self._register_mask(mask)
        if mask is None:
            self.windows = tuple(windows)
            return
        cropped = []
        for axis, w in enumerate(windows):
            others = [d for d in range(mask.ndim) if d != axis]
            kept = (mask.any(dim=others) if others else mask).nonzero()[:, 0]
            if not len(kept):
                raise ValueError(
                    "every tap is masked: raster type A with a kernel of 1 sees nothing; "
                    "use type B or a larger kernel"
                )
            first, last = int(kept[0]), int(kept[-1])
            self._taps[axis] = slice(first, last + 1)
            d = w.dilation
            cropped.append(
                replace(
                    w,
                    kernel=last + 1 - first,
                    left=w.left - first * d,
                    right=w.right - (w.kernel - 1 - last) * d,
                )
            )
        self.windows = tuple(cropped)
        with torch.no_grad():
            self.weight.masked_fill_(~mask, 0)

    def _register_mask(self, mask: Tensor | None) -> None:
        nn.Module.register_buffer(self, "_mask", mask, persistent=False)  # type: ignore[arg-type]
        self._masked = mask is not None  # plain, and so quicker to ask in every step than a buffer

    def masked_weight(self) -> Tensor:
        """The weight as it is used: masked taps zero, whatever the parameter holds. Shape as `weight`."""
        return self.weight if self._mask is None else self.weight.masked_fill(~self._mask, 0)

    def _used_weight(self) -> Tensor:
        if not self._masked:
            return self.weight
        return self.masked_weight()[(slice(None), slice(None), *self._taps)]

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        key = prefix + "weight"
        incoming = state_dict.get(key)
        if self._mask is not None and incoming is not None and incoming.shape == self.weight.shape:
            state_dict = {**state_dict, key: incoming.masked_fill(~self._mask.to(incoming.device), 0)}
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[misc]

    def takes_before(self, axis: int) -> bool:
        return self.dims == 3 and axis == 0

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        skip, before = (None, None) if span is None else (span.axis, span.before)
        padding = [0] * self.dims
        if skip is None or self.dims > 1:
            others = [(axis, w) for axis, w in enumerate(self.windows) if axis != skip]
            if self.padding_mode == "zeros" and all(w.left == w.right >= 0 for _, w in others):
                for axis, w in others:
                    padding[axis] = w.left
            else:
                x = pad(x, self.windows, self.padding_mode, skip=skip)
                before = before if before is None else pad(before, self.windows, self.padding_mode, skip=skip)
        arguments = (self.bias, self.stride, padding, self.dilation, self.groups)
        return convolve(x, self._used_weight(), *arguments, packs=span is not None, before=before)

    def needs_whole(self, axis: int) -> bool:
        window = self.windows[axis]
        return self.padding_mode == "circular" and (window.left > 0 or window.right > 0)


class _CausalConv(_Conv):
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
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        mode: str = "pad",
        time_axis: int = 0,
        alignment: str = "strict",
        raster_type: str = "B",
    ) -> None:
        _check_causal(self.dims, padding, padding_mode, mode, time_axis, alignment, raster_type)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip
        self.mode, self.time_axis, self.alignment, self.raster_type = mode, time_axis, alignment, raster_type
        windows = list(self.windows)
        mask = None
        if mode == "raster":
            mask = raster_mask(self.kernel_size, self.dilation, raster_type)
        else:
            w = windows[time_axis]
            windows[time_axis] = causal_window(w.kernel, w.stride, w.dilation, mode=mode, alignment=alignment)
            if mode == "mask":
                mask = causal_mask(self.kernel_size, self.dilation, time_axis)
        self._configure(windows, None if mask is None else mask.to(self.weight.device))

    def extra_repr(self) -> str:
        kind = f"raster {self.raster_type}" if self.mode == "raster" else self.mode
        return f"{super().extra_repr()}, causal={kind}"  # type: ignore[misc]


def _check_causal(
    dims: int,
    padding: Padding,
    padding_mode: str,
    mode: str,
    time_axis: int,
    alignment: str,
    raster_type: str,
) -> None:
    if mode not in MODES:
        raise ValueError(f"mode: got {mode!r}, expected one of {', '.join(MODES)}")
    if mode == "raster" and dims == 1:
        raise ValueError("mode raster needs a reading order of two axes or more; in 1D use mode='mask'")
    if raster_type not in ("A", "B"):
        raise ValueError(f"raster_type: got {raster_type!r}, expected 'A' or 'B'")
    if alignment == "block" and mode != "pad":
        raise ValueError("alignment block is defined for mode pad alone")
    if padding_mode in ("reflect", "circular"):
        allowed = "zeros" if mode == "raster" else "zeros or replicate"
        raise ValueError(
            f"padding_mode {padding_mode} reads the future at the start of a causal layer; use {allowed}"
        )
    if mode == "raster" and padding_mode != "zeros":
        raise ValueError(
            f"padding_mode: got {padding_mode!r}; above the first row it copies that row, of which mode "
            "raster would read later columns: use zeros"
        )
    causal_axes(time_axis, dims, padding)
    if mode == "raster" and not (
        padding == "same" or (not isinstance(padding, str | int) and set(padding) == {"same"})
    ):
        raise ValueError(f"padding: got {padding!r}; mode raster is causal along every axis, use 'same'")


class Conv1d(_Conv, nn.Conv1d):
    """Standard convolution of audio: torch.nn.Conv1d's arguments, weights and values.

    padding: numbers as torch takes them (0 by default), "valid", or "same" with any stride: of the effective
        kernel `e = (kernel_size - 1) * dilation + 1` it pads `(e - 1) // 2` before and the rest after.
        One for all axes, or one for each.
    padding_mode: zeros, reflect, replicate or circular (a stream along a circular axis waits for the end).

    Shape: (N, C_in, T) to (N, C_out, T'). Along each axis `ceil(length / stride)` with "same", else
    `floor((length + 2 * padding - e) / stride) + 1`, as torch.nn.Conv1d says.

    >>> list(Conv1d(2, 4, 5, stride=2, padding="same")(torch.zeros(1, 2, 10)).shape)
    [1, 4, 5]
    """

    dims = 1


class Conv2d(_Conv, nn.Conv2d):
    """Standard convolution of images: torch.nn.Conv2d's arguments, weights and values.

    padding, padding_mode: as of `Conv1d`.

    Shape: (N, C_in, H, W) to (N, C_out, H', W'). Along each axis `ceil(length / stride)` with "same", else
    `floor((length + 2 * padding - e) / stride) + 1`, as torch.nn.Conv2d says.

    >>> list(Conv2d(2, 4, (3, 5), stride=2, padding="same")(torch.zeros(1, 2, 10, 12)).shape)
    [1, 4, 5, 6]
    """

    dims = 2


class Conv3d(_Conv, nn.Conv3d):
    """Standard convolution of video: torch.nn.Conv3d's arguments, weights and values.

    padding, padding_mode: as of `Conv1d`.

    Shape: (N, C_in, T, H, W) to (N, C_out, T', H', W'). Along each axis `ceil(length / stride)` with "same",
    else `floor((length + 2 * padding - e) / stride) + 1`, as torch.nn.Conv3d says.

    >>> list(Conv3d(2, 4, (3, 5, 5), stride=2, padding="same")(torch.zeros(1, 2, 10, 6, 8)).shape)
    [1, 4, 5, 3, 4]
    """

    dims = 3


class CausalConv1d(_CausalConv, nn.Conv1d):
    """Causal convolution of audio: no output reads an input after its own time.

    Arguments as torch.nn.Conv1d, `padding` "same" by default, and:
    mode: `pad` (the whole effective kernel but one to the left; WaveNet, van den Oord et al. 2016,
        arXiv 1609.03499) or `mask` (padded as a standard layer, future taps zero).
    time_axis: the causal axis.
    alignment: `strict` (output j reads inputs up to `j * stride`) or `block` (up to
        `j * stride + stride - 1`), for `pad`.
    padding_mode: zeros or replicate; what copies later positions is refused.

    Shape: (N, C_in, T) to (N, C_out, T'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalConv1d(2, 4, 3)
    >>> layer.latency, layer.lookback, list(layer(torch.zeros(1, 2, 10)).shape)
    (0, 2, [1, 4, 10])
    """

    dims = 1


class CausalConv2d(_CausalConv, nn.Conv2d):
    """Causal convolution of images: no output reads an input after its own time.

    Arguments as torch.nn.Conv2d, `padding` "same" by default, and:
    mode: `pad` (the whole effective kernel but one to the left; WaveNet, van den Oord et al. 2016,
        arXiv 1609.03499), `mask` (padded as a standard layer, future taps zero), or `raster` (taps after the
        position in reading order are zero; PixelCNN, van den Oord et al. 2016, arXiv 1601.06759).
    time_axis: the causal axis of `pad` and `mask`; the others are padded by `padding`.
    alignment: `strict` (output j reads inputs up to `j * stride`) or `block` (up to
        `j * stride + stride - 1`), for `pad`.
    raster_type: `A` (without the position itself) or `B` (with it), for `raster`.
    padding_mode: zeros, or replicate but for raster; what copies later positions is refused.

    Shape: (N, C_in, H, W) to (N, C_out, H', W'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalConv2d(2, 4, 3)
    >>> layer.latency, layer.lookback, list(layer(torch.zeros(1, 2, 10, 12)).shape)
    (0, 2, [1, 4, 10, 12])
    """

    dims = 2


class CausalConv3d(_CausalConv, nn.Conv3d):
    """Causal convolution of video: no output reads an input after its own time.

    Arguments as torch.nn.Conv3d, and those of `CausalConv2d`.

    Shape: (N, C_in, T, H, W) to (N, C_out, T', H', W'), `ceil(length / stride)` along the causal axis.

    >>> layer = CausalConv3d(2, 4, 3)
    >>> layer.latency, layer.lookback, list(layer(torch.zeros(1, 2, 10, 6, 8)).shape)
    (0, 2, [1, 4, 10, 6, 8])
    """

    dims = 3
