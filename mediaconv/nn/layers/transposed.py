"""Transposed convolution, standard and causal, in one, two and three dimensions: overlap-add, bias once.

Parameters have torch's names and shapes. A causal layer cuts its overhang off the end of the time axis, so
that output j reads inputs up to j // stride.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mediaconv.nn.backends.packed_weight import PackedTransposedWeight, transpose_packed
from mediaconv.nn.geometry import AxisMap, Transposed
from mediaconv.nn.layers.conv_parameters import ConvParameters
from mediaconv.nn.layers.padding_rules import Ints, Padding, causal_axes
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import pad_by


class _ConvTranspose(ConvParameters):
    """What all transposed convolutions share: the cut along each axis, overlap-add in steps."""

    maps: tuple[Transposed, ...]
    packed: PackedTransposedWeight | None = None
    """The weight as a captured model keeps it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode: got {padding_mode!r}, a transposed convolution takes 'zeros'")
        self._make_parameters(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias, padding_mode, device,
            dtype, transposed=True, output_padding=output_padding,
        )  # fmt: skip
        self.maps = tuple(
            standard_cut(self.kernel_size, self.stride, self.dilation, padding, self.output_padding)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C_in, ...) to (N, C_out, ...')."""
        self.check_axes(x)
        if 0 in self.output_shape(x.shape):
            return self.empty_output(x)
        appended = any(m.right < 0 for m in self.maps)
        y = self._cut(x, None if appended else self.bias)
        return self._add_bias(y) if appended else y

    def _cut(self, x: Tensor, bias: Tensor | None, skip: int | None = None) -> Tensor:
        """Transposed convolution, cut along every axis but `skip`; outputs that read nothing are zero."""
        inner = [0 if axis == skip else max(0, min(m.left, m.right)) for axis, m in enumerate(self.maps)]
        settings = (self.stride, inner, self.dilation, self.groups)
        y = transpose_packed(x, self.weight, bias, self.packed, *settings)
        amounts: list[int] = []
        for axis in reversed(range(self.dims)):
            m = self.maps[axis]
            amounts += (0, 0) if axis == skip else (inner[axis] - m.left, inner[axis] - m.right)
        return pad_by(y, amounts) if any(amounts) else y

    def _add_bias(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias.reshape(-1, *[1] * self.dims)

    def axis_map(self, axis: int) -> AxisMap:
        return self.maps[axis]

    def init_state(self, axis: int) -> State:
        return State(received=0, begin=0)

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        """Add this chunk's share to the sums that wait; `begin` is where they start in the uncut output."""
        dim, m, counts = axis + 2, self.maps[axis], state.counts
        sums = self._add_chunk(x, state, axis)
        length = m.output_length(counts["received"])
        end = m.left + length if last else min(counts["received"] * m.stride, m.left + length)
        if sums is None or 0 in sums.shape[:dim] + sums.shape[dim + 1 :]:
            state.tensors["sums"] = sums
            complete = max(0, end - max(counts["begin"], m.left))
            counts["begin"] = max(counts["begin"], end)
            return self.empty_output(x, axis, complete)
        begin = min(max(counts["begin"], m.left), counts["begin"] + sums.shape[dim])
        ready = max(0, end - begin)
        skipped = begin - counts["begin"]
        if last:
            sums = pad_by(sums, self._along(axis, max(0, skipped + ready - sums.shape[dim])))
        y = self._add_bias(sums.narrow(dim, skipped, ready))
        rest = sums.shape[dim] - skipped - ready
        state.tensors["sums"] = sums.narrow(dim, skipped + ready, rest).clone()
        counts["begin"] = begin + ready
        return y

    def _add_chunk(self, x: Tensor, state: State, axis: int) -> Tensor | None:
        """The sums that wait and this chunk's share, one tensor from `begin` on; None before any input."""
        dim, m, counts = axis + 2, self.maps[axis], state.counts
        waiting = state.tensors.get("sums")
        count = x.shape[dim]
        if count == 0:
            return waiting
        gap = counts["received"] * m.stride - counts["begin"]
        counts["received"] += count
        if 0 in self.output_shape(x.shape)[2:dim] + self.output_shape(x.shape)[dim + 1 :]:
            return self.empty_output(x, axis, max(0, counts["received"] * m.stride - counts["begin"]))
        share = self._cut(x, None, skip=axis)
        short = max(0, m.stride - m.extent)
        if gap > 0 or short:
            share = pad_by(share, self._along(axis, short, max(0, gap)))
        elif gap < 0:
            share = share.narrow(dim, -gap, max(0, share.shape[dim] + gap))
        if waiting is not None and waiting.shape[dim]:
            share.narrow(dim, 0, waiting.shape[dim]).add_(waiting)
        return share

    def _along(self, axis: int, right: int, left: int = 0) -> list[int]:
        amounts = [0] * (2 * self.dims)
        amounts[2 * (self.dims - 1 - axis)] = left
        amounts[2 * (self.dims - 1 - axis) + 1] = right
        return amounts


def standard_cut(
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Padding,
    output_padding: Sequence[int],
) -> list[Transposed]:
    """Maps of a standard layer. padding: outputs cut at both ends, or "same" (T * stride), per axis."""
    dims = len(kernel)
    each: Sequence[int | str] = [padding] * dims if isinstance(padding, str | int) else list(padding)
    if len(each) != dims:
        raise ValueError(f"padding: got {len(each)} entries, expected one or {dims}, one per axis")
    maps = []
    for k, s, d, p, extra in zip(kernel, stride, dilation, each, output_padding, strict=True):
        if min(k, s, d) < 1:
            raise ValueError(f"kernel_size {k}, stride {s}, dilation {d}: expected at least 1")
        overhang = (k - 1) * d + 1 - s
        if p == "same":
            if extra:
                raise ValueError(f"output_padding: got {extra} with padding 'same', expected 0")
            left = max(0, overhang // 2)
            maps.append(Transposed(k, s, d, left, overhang - left))
        elif isinstance(p, str) or p < 0:
            raise ValueError(f"padding: got {p!r}, expected 'same', a number of at least 0, or one per axis")
        elif not 0 <= extra < max(s, d):
            raise ValueError(
                f"output_padding: got {extra}, expected at least 0 and less than stride {s} or dilation {d}"
            )
        else:
            maps.append(Transposed(k, s, d, p, p - extra))
    return maps


class _CausalConvTranspose(_ConvTranspose):
    causal = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = "same",
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        time_axis: Ints = 0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding,
            groups, bias, dilation, padding_mode, device, dtype,
        )  # fmt: skip
        self.time_axis = time_axis
        maps = list(self.maps)
        for axis in causal_axes(time_axis, self.dims, padding):
            m = maps[axis]
            maps[axis] = Transposed(m.kernel, m.stride, m.dilation, 0, m.extent - m.stride)
        self.maps = tuple(maps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, causal"


class ConvTranspose1d(_ConvTranspose, nn.ConvTranspose1d):  # type: ignore[misc]
    """Transposed convolution of audio: torch.nn.ConvTranspose1d's arguments, weights and values.

    padding: outputs cut at both ends, or "same": `length * stride` outputs, the overhang cut evenly, the odd
        one on the right.

    Shape: (N, C_in, T) to (N, C_out, T'). Along each axis `length * stride` with "same", else
    `(length - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1`, as
    torch.nn.ConvTranspose1d says.

    >>> list(ConvTranspose1d(2, 4, 4, stride=2, padding="same")(torch.zeros(1, 2, 10)).shape)
    [1, 4, 20]
    """

    dims = 1


class ConvTranspose2d(_ConvTranspose, nn.ConvTranspose2d):  # type: ignore[misc]
    """Transposed convolution of images: torch.nn.ConvTranspose2d's arguments, weights and values.

    padding: as of `ConvTranspose1d`.

    Shape: (N, C_in, H, W) to (N, C_out, H', W'). Along each axis `length * stride` with "same", else
    `(length - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1`, as
    torch.nn.ConvTranspose2d says.

    >>> list(ConvTranspose2d(2, 4, 4, stride=2, padding="same")(torch.zeros(1, 2, 10, 12)).shape)
    [1, 4, 20, 24]
    """

    dims = 2


class ConvTranspose3d(_ConvTranspose, nn.ConvTranspose3d):  # type: ignore[misc]
    """Transposed convolution of video: torch.nn.ConvTranspose3d's arguments, weights and values.

    padding: as of `ConvTranspose1d`.

    Shape: (N, C_in, T, H, W) to (N, C_out, T', H', W'). Along each axis `length * stride` with "same", else
    `(length - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1`, as
    torch.nn.ConvTranspose3d says.

    >>> list(ConvTranspose3d(2, 4, 4, stride=2, padding="same")(torch.zeros(1, 2, 10, 6, 8)).shape)
    [1, 4, 20, 12, 16]
    """

    dims = 3


class CausalConvTranspose1d(_CausalConvTranspose, nn.ConvTranspose1d):  # type: ignore[misc]
    """Causal transposed convolution of audio: output j reads inputs up to `j // stride`.

    Arguments as torch.nn.ConvTranspose1d, `padding` "same" by default, and:
    time_axis: the causal axis, whose overhang is cut off its end; the others follow `padding`.

    Shape: (N, C_in, T) to (N, C_out, T'), `length * stride` along the causal axis.

    >>> layer = CausalConvTranspose1d(2, 4, 4, stride=2)
    >>> layer.latency, layer.lookback
    (0, 1)
    """

    dims = 1


class CausalConvTranspose2d(_CausalConvTranspose, nn.ConvTranspose2d):  # type: ignore[misc]
    """Causal transposed convolution of images: output j reads inputs up to `j // stride`.

    Arguments as torch.nn.ConvTranspose2d, `padding` "same" by default, and:
    time_axis: the causal axis, or axes, whose overhang is cut off its end; the others follow `padding`.

    Shape: (N, C_in, H, W) to (N, C_out, H', W'), `length * stride` along the causal axis.

    >>> layer = CausalConvTranspose2d(2, 4, 4, stride=2)
    >>> layer.latency, layer.lookback
    (0, 1)
    """

    dims = 2


class CausalConvTranspose3d(_CausalConvTranspose, nn.ConvTranspose3d):  # type: ignore[misc]
    """Causal transposed convolution of video: output j reads inputs up to `j // stride`.

    Arguments as torch.nn.ConvTranspose3d, `padding` and `time_axis` as of `CausalConvTranspose2d`.

    Shape: (N, C_in, T, H, W) to (N, C_out, T', H', W'), `length * stride` along the causal axis.

    >>> layer = CausalConvTranspose3d(2, 4, 4, stride=2)
    >>> layer.latency, layer.lookback
    (0, 1)
    """

    dims = 3
