"""Convolutions, whose kernel slides over the input: what one output reads along an axis, tap by tap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import mediaconv.nn as mnn
from mediaconv.nn.composed_maps import Whole
from mediaconv.nn.geometry import AxisMap, Transposed, Window
from mediaconv.nn.layers.masks import causal_mask, raster_mask

SLIDING = (
    mnn.Conv1d, mnn.Conv2d, mnn.Conv3d, mnn.CausalConv1d, mnn.CausalConv2d, mnn.CausalConv3d,
    mnn.ConvTranspose1d, mnn.ConvTranspose2d, mnn.ConvTranspose3d,
    mnn.CausalConvTranspose1d, mnn.CausalConvTranspose2d, mnn.CausalConvTranspose3d,
)  # fmt: skip
"""Layers whose fixed kernel slides over the input."""


@dataclass(frozen=True)
class AxisReach:
    """One axis of a layer with its whole kernel, masked taps included.

    left, right: padding (of a transposed layer: outputs cut off). length: inputs. outputs: outputs.
    """

    kernel: int
    stride: int
    dilation: int
    left: int
    right: int
    length: int
    outputs: int
    transposed: bool = False

    def now(self, j: int) -> int:
        """The input at which output j stands."""
        return j // self.stride if self.transposed else j * self.stride

    def taps(self, j: int) -> list[tuple[int, int]]:
        """Tap and input position of all that output j reads; padding included, for a convolution."""
        if not self.transposed:
            start = j * self.stride - self.left
            return [(k, start + k * self.dilation) for k in range(self.kernel)]
        hits = ((k, divmod(j + self.left - k * self.dilation, self.stride)) for k in range(self.kernel))
        return [(k, i) for k, (i, rest) in hits if rest == 0 and 0 <= i < self.length]

    def region(self, outputs: range) -> tuple[int, int]:
        """First and last+1 input position that these outputs read or stand at."""
        if len(outputs) == self.outputs:
            if self.transposed:
                return 0, self.length
            ends = self.now(0), self.now(self.outputs - 1) + 1
            return min(0, -self.left, ends[0]), max(self.length, self.length + self.right, ends[1])
        seen = self.touched(outputs)
        return seen[0], seen[-1] + 1

    def touched(self, outputs: range) -> list[int]:
        """Input positions that these outputs read or stand at."""
        return sorted({s for j in outputs for _, s in self.taps(j)} | {self.now(j) for j in outputs})


def reaches(
    layer: nn.Module, mask: Tensor, lengths: Sequence[int], outputs: Sequence[int]
) -> tuple[AxisReach, ...]:
    """The axes of a layer. The layer's windows are cropped to what a mask leaves; here they are whole."""
    transposed = bool(getattr(layer, "transposed", False))
    along = []
    for axis, (length, count) in enumerate(zip(lengths, outputs, strict=True)):
        others = [d for d in range(mask.ndim) if d != axis]
        kept = (mask.any(dim=others) if others else mask).nonzero()[:, 0]
        kernel = int(layer.kernel_size[axis])  # type: ignore[index]
        before, after = int(kept[0]), kernel - 1 - int(kept[-1])
        along.append(_reach(layer.axis_map(axis), kernel, before, after, length, count, transposed))  # type: ignore[operator]
    return tuple(along)


def _reach(
    window: AxisMap, kernel: int, before: int, after: int, length: int, outputs: int, transposed: bool
) -> AxisReach:
    window = window.inner if isinstance(window, Whole) else window
    if not isinstance(window, Window | Transposed):
        raise TypeError(f"{type(window).__name__} is no sliding window")
    left, right = window.left + before * window.dilation, window.right + after * window.dilation
    return AxisReach(kernel, window.stride, window.dilation, left, right, length, outputs, transposed)


def padded_source(source: int, length: int, mode: str) -> int | None:
    """The input position that padding at `source` repeats; None where it is zero.

    >>> [padded_source(-2, 5, mode) for mode in ("zeros", "replicate", "reflect", "circular")]
    [None, 0, 2, 3]
    """
    if 0 <= source < length:
        return source
    if mode == "replicate":
        return 0 if source < 0 else length - 1
    if mode == "reflect":
        return -source if source < 0 else 2 * (length - 1) - source
    return source % length if mode == "circular" else None


def slides(layer: nn.Module) -> bool:
    """Whether a layer is a convolution that can be drawn sliding."""
    return isinstance(layer, SLIDING)


def is_transposed(layer: nn.Module) -> bool:
    return bool(getattr(layer, "transposed", False))


def tap_mask(layer: nn.Module) -> Tensor:
    """Which taps of a layer's kernel are used, with the kernel's shape; True is used."""
    kernel, dilation = tuple(layer.kernel_size), tuple(layer.dilation)  # type: ignore[arg-type]
    mode = getattr(layer, "mode", None)
    if mode == "mask":
        return causal_mask(kernel, dilation, int(layer.time_axis))  # type: ignore[arg-type]
    if mode == "raster":
        return raster_mask(kernel, dilation, str(layer.raster_type))
    return torch.ones(kernel, dtype=torch.bool)
