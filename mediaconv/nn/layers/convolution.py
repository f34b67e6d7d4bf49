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
from mediaconv.nn.geometry import AxisMap, Whole, Window, per_axis, same_padding
from mediaconv.nn.layers.masks import causal_mask, raster_mask
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import Span, Windowed, pad, step_whole

Ints = int | Sequence[int]
Padding = str | int | Sequence[int | str]

MODES = ("pad", "mask", "raster")
ALIGNMENTS = ("strict", "block")


class _Conv(Windowed, nn.modules.conv._ConvNd):
    """What all convolutions share: windows per axis, masked and cropped weight, forward and step."""

    dims: int
    _mask: Tensor | None

    def _torch_init(self, *args: Any) -> None:
        super().__init__(*args)

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

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        skip = None if span is None else span.axis
        padding = [0] * self.dims
        if skip is None or self.dims > 1:
            others = [(axis, w) for axis, w in enumerate(self.windows) if axis != skip]
            if self.padding_mode == "zeros" and all(w.left == w.right >= 0 for _, w in others):
                for axis, w in others:
                    padding[axis] = w.left
            else:
                x = pad(x, self.windows, self.padding_mode, skip=skip)
        arguments = (self.bias, self.stride, padding, self.dilation, self.groups)
        return convolve(x, self._used_weight(), *arguments, packs=span is not None)

    def _wraps(self, axis: int) -> bool:
        window = self.windows[axis]
        return self.padding_mode == "circular" and (window.left > 0 or window.right > 0)

    def axis_map(self, axis: int) -> AxisMap:
        return Whole(self.windows[axis]) if self._wraps(axis) else self.windows[axis]

    def output_channels(self, channels: int) -> int:
        if channels != self.in_channels:
            raise ValueError(f"got {channels} channels, this layer takes {self.in_channels}")
        return self.out_channels

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        if self.padding_mode != "circular" or not self._wraps(axis):
            return Windowed.step(self, x, state, axis=axis, last=last)
        y = step_whole(x, state, self.forward, axis=axis, last=last)
        return self.empty_output(x, axis) if y is None else y


def standard_windows(
    kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], padding: Padding
) -> list[Window]:
    """Windows of a standard layer.

    padding: "same" (left `(e-1)//2`, right the rest, with any stride), "valid", a number, or one of these
    per axis.
    """
    dims = len(kernel)
    each: Sequence[int | str] = [padding] * dims if isinstance(padding, str | int) else list(padding)
    if len(each) != dims:
        raise ValueError(f"padding: got {len(each)} entries, expected one or {dims}, one per axis")
    windows = []
    for k, s, d, p in zip(kernel, stride, dilation, each, strict=True):
        if p == "same":
            left, right = same_padding(k, d)
        elif p == "valid":
            left = right = 0
        elif isinstance(p, str):
            raise ValueError(
                f"padding: got {p!r}, expected 'same', 'valid', a number, or one of these per axis"
            )
        else:
            left = right = p
        if min(k, s, d) < 1 or left < 0:
            raise ValueError(
                f"kernel_size {k}, stride {s}, dilation {d}: expected at least 1; padding {left}: at least 0"
            )
        windows.append(Window(k, s, d, left, right))
    return windows


def causal_window(kernel: int, stride: int, dilation: int, *, mode: str, alignment: str = "strict") -> Window:
    """The window along the causal axis, before masking: `pad`, or `mask` with its standard padding.

    alignment: `strict` (output j sees inputs <= j*stride) or `block` (<= j*stride + stride - 1).
    """
    if alignment not in ALIGNMENTS:
        raise ValueError(f"alignment: got {alignment!r}, expected one of {', '.join(ALIGNMENTS)}")
    extent = (kernel - 1) * dilation + 1
    if mode != "pad":
        return Window(kernel, stride, dilation, *same_padding(kernel, dilation))
    if alignment == "block":
        return Window(kernel, stride, dilation, extent - stride, stride - 1)
    return Window(kernel, stride, dilation, extent - 1, 0)


class _Standard(_Conv):
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
        kernel = per_axis(kernel_size, self.dims, "kernel_size")
        steps = per_axis(stride, self.dims, "stride")
        dilations = per_axis(dilation, self.dims, "dilation")
        self._torch_init(
            in_channels, out_channels, kernel, steps, 0, dilations, groups, bias, padding_mode, device, dtype
        )
        self._configure(standard_windows(kernel, steps, dilations, padding), None)


class _Causal(_Conv):
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
        kernel = per_axis(kernel_size, self.dims, "kernel_size")
        steps = per_axis(stride, self.dims, "stride")
        dilations = per_axis(dilation, self.dims, "dilation")
        self._torch_init(
            in_channels, out_channels, kernel, steps, 0, dilations, groups, bias, padding_mode, device, dtype
        )
        self.mode, self.time_axis, self.alignment, self.raster_type = mode, time_axis, alignment, raster_type
        windows = standard_windows(kernel, steps, dilations, padding)
        mask = None
        if mode == "raster":
            mask = raster_mask(kernel, dilations, raster_type)
        else:
            window = causal_window(
                kernel[time_axis], steps[time_axis], dilations[time_axis], mode=mode, alignment=alignment
            )
            windows[time_axis] = window
            if mode == "mask":
                mask = causal_mask(kernel, dilations, time_axis)
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


def causal_axes(time_axis: Ints, dims: int, padding: Padding = "same") -> tuple[int, ...]:
    """The causal axes, checked. Raises ValueError where one is not there or its padding is a number."""
    axes = (time_axis,) if isinstance(time_axis, int) else tuple(time_axis)
    each = [padding] * dims if isinstance(padding, str | int) else list(padding)
    for axis in axes:
        if not 0 <= axis < dims:
            raise ValueError(f"time_axis: got {time_axis}, expected 0 to {dims - 1}")
        if len(each) == dims and not isinstance(each[axis], str):
            raise ValueError(
                f"padding: got {each[axis]!r} on causal axis {axis}, whose padding follows from the kernel; "
                "use 'same'"
            )
    return axes


class Conv1d(_Standard, nn.Conv1d):
    """Standard convolution of sound; torch's arguments, and `padding="same"` with a stride.

    Shape: (N, C_in, T) to (N, C_out, T').
    """

    dims = 1


class Conv2d(_Standard, nn.Conv2d):
    """Standard convolution of images; torch's arguments, and `padding="same"` with a stride.

    Shape: (N, C_in, H, W) to (N, C_out, H', W').
    """

    dims = 2


class Conv3d(_Standard, nn.Conv3d):
    """Standard convolution of film; torch's arguments, and `padding="same"` with a stride.

    Shape: (N, C_in, T, H, W) to (N, C_out, T', H', W').
    """

    dims = 3


_CAUSAL_DOC = """Causal convolution: no output reads an input after its own time.

    Arguments as torch.nn.{name}, and:
    mode: `pad` (left padding e-1; WaveNet, van den Oord et al. 2016), `mask` (standard padding, future taps
        zero){raster}.
    time_axis: the causal axis of `pad` and `mask`; the others are padded by `padding`.
    alignment: `strict` (output j sees inputs <= j*stride) or `block` (<= j*stride + stride - 1), for `pad`.
    padding_mode: zeros, or replicate but for raster; what copies later positions is refused.

    Shape: {shape}, output length ceil(length / stride) along the causal axis.
    """
_RASTER_DOC = (
    ", `raster` (taps after the position in reading order zero;\n"
    "        PixelCNN, van den Oord et al. 2016) with raster_type `A` (without the position itself) or `B`"
)


class CausalConv1d(_Causal, nn.Conv1d):
    __doc__ = _CAUSAL_DOC.format(name="Conv1d", raster="", shape="(N, C_in, T) to (N, C_out, T')")
    dims = 1


class CausalConv2d(_Causal, nn.Conv2d):
    __doc__ = _CAUSAL_DOC.format(
        name="Conv2d", raster=_RASTER_DOC, shape="(N, C_in, H, W) to (N, C_out, H', W')"
    )
    dims = 2


class CausalConv3d(_Causal, nn.Conv3d):
    __doc__ = _CAUSAL_DOC.format(
        name="Conv3d", raster=_RASTER_DOC, shape="(N, C_in, T, H, W) to (N, C_out, T', H', W')"
    )
    dims = 3
