"""Well-known kernels by name, for standard and causal layers, and how they fill a convolution's weight.

Signs follow torch's convolution, which is a cross-correlation: sobel x is positive where brightness rises to
the right, motion is x[t] - x[t - lag]. Under a causal mode the output's own position is the last tap that may
be used, and what a kernel takes from the future is left out:

- the low, high and band pass are designed for the taps that may be used, and delay by half of them;
- a kernel without negative numbers is scaled, so that its sum stays what it was;
- sobel and prewitt answer a steady slope as before, and what does not change along their axis with 0;
- any other gives the weight it lost to the output's own position, so that its sum stays what it was.

Under raster of type A the place of the output's own position is taken by the last position before it, and
the derivative along the rows of pictures answers what changes along the columns too.

The options are those of `filters.options`, the numbers those of `filters.formulas`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mediaconv.config.section import parse_options
from mediaconv.config.validation_context import ValidationContext
from mediaconv.errors import UsageError
from mediaconv.layers.filters import filter_keys as specs
from mediaconv.layers.filters import formulas
from mediaconv.layers.filters.filter_keys import AXES_OF, Kernel
from mediaconv.layers.filters.formulas import Axis, Formula, Size
from mediaconv.nn.geometry import same_padding
from mediaconv.nn.layers.masks import raster_mask

MODES = ("none", "pad", "mask", "raster")
MOST_TAPS = 2**24
"""Largest kernel, in taps, that is made at all."""


@dataclass(frozen=True)
class KernelRule:
    """One kernel: its options, its default size, its numbers.

    spec: the options' names, defaults and checks.
    delays: it is designed for the taps that a causal layer may use, instead of losing its future half.
    separable: it is a product of one profile an axis; under raster each loses its future half by itself.
    """

    spec: type[Kernel]
    formula: Formula
    size: Size = formulas.everywhere
    delays: bool = False
    separable: bool = False


KERNELS: dict[str, KernelRule] = {
    rule.spec.name: rule
    for rule in (
        KernelRule(specs.Identity, formulas.identity),
        KernelRule(specs.Box, formulas.box),
        KernelRule(specs.Gaussian, formulas.gaussian, formulas.of_gaussian),  # type: ignore[arg-type]
        KernelRule(specs.Sharpen, formulas.sharpen, formulas.in_frames),  # type: ignore[arg-type]
        KernelRule(specs.Laplacian, formulas.laplacian, formulas.in_frames),
        KernelRule(specs.Sobel, formulas.sobel, formulas.of_derivative, separable=True),  # type: ignore[arg-type]
        KernelRule(specs.Prewitt, formulas.prewitt, formulas.of_derivative, separable=True),  # type: ignore[arg-type]
        KernelRule(specs.Gabor, formulas.gabor, formulas.of_gabor),  # type: ignore[arg-type]
        KernelRule(specs.Motion, formulas.motion, formulas.of_motion),  # type: ignore[arg-type]
        KernelRule(specs.Emboss, formulas.emboss, formulas.in_frames),
        KernelRule(specs.LowPass, formulas.fir, formulas.of_fir, delays=True),  # type: ignore[arg-type]
        KernelRule(specs.HighPass, formulas.fir, formulas.of_fir, delays=True),  # type: ignore[arg-type]
        KernelRule(specs.BandPass, formulas.fir, formulas.of_fir, delays=True),  # type: ignore[arg-type]
    )
}


def parse_kernel(name: str, options: Mapping[str, Any] | None = None) -> Kernel:
    """The kernel of that name with its options checked. Raises UsageError, all problems in it."""
    return parse_options(name, options, specs.KERNELS, "kernel", key="kernel")


def filter_count(kernel: Kernel) -> int:
    """How many filters a kernel has: one, or of a gabor bank one an orientation."""
    return kernel.orientations if isinstance(kernel, specs.Gabor) else 1


def kernel_size(kernel: Kernel, dims: int) -> tuple[int, ...]:
    """The default kernel_size, taps per axis in torch's order; the same in every causal mode.

    >>> kernel_size(parse_kernel("sobel", {"axis": "x"}), 3)
    (1, 3, 3)
    """
    check_dims(kernel, dims)
    return KERNELS[kernel.name].size(kernel, dims)


def check_dims(kernel: Kernel, dims: int) -> None:
    """Raise UsageError where a kernel, or its axis, does not exist in so many dimensions."""
    if problems := kernel.problems(ValidationContext(axes=AXES_OF[dims])):
        lines = [".".join(["kernel", kernel.name, *map(str, p.location)]) + f": {p.text}" for p in problems]
        raise UsageError("\n".join(lines).replace("this pipeline's is", "this is"))


def make_kernel(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    dims: int,
    kernel_size: Sequence[int] | None = None,
    rate_hz: float | None = None,
    mode: str = "none",
    time_axis: int = 0,
    raster_type: str = "B",
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """The filters of a well-known kernel, for torch's convolution. Shape: (filters, *kernel_size).

    options: those of the kernel; `mix` is accepted and changes nothing here.
    dims: 1 sound (t), 2 pictures (y, x), 3 film (t, y, x).
    kernel_size: taps per axis; default: the kernel's own.
    rate_hz: taps a second (the rate at the layer's input, divided by its dilation), for cut-offs in Hz.
    mode: the layer's causal mode: none, pad, mask or raster (of `raster_type` A or B); what it does to a
        kernel is told at the top of this module.
    time_axis: the causal axis of pad and mask.
    Raises UsageError: an unknown name or option, a size that does not fit, a cut-off above half the rate.

    >>> make_kernel("sobel", {"axis": "y"}, dims=2)[0].int().tolist()
    [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    >>> make_kernel("motion", dims=1, mode="pad")[0].int().tolist()
    [0, -1, 1]
    """
    kernel = parse_kernel(name, options)
    check_dims(kernel, dims)
    size = tuple(KERNELS[name].size(kernel, dims) if kernel_size is None else kernel_size)
    if mode not in MODES:
        raise UsageError(f"mode: got {mode!r}, expected one of {', '.join(MODES)}")
    if len(size) != dims or min(size) < 1:
        raise UsageError(f"kernel_size: got {list(size)}, expected {dims} integers >= 1, one per axis")
    if filter_count(kernel) * math.prod(size) > MOST_TAPS:
        raise UsageError(
            f"{name}: got a kernel of {' x '.join(map(str, size))} taps, at most {MOST_TAPS} are made"
        )
    try:
        numbers = _numbers(kernel, size, rate_hz, mode, time_axis, raster_type)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not np.isfinite(numbers).all():
        raise UsageError(f"{name}: these options give numbers that are not finite: {kernel.chosen_options}")
    return torch.from_numpy(numbers).to(dtype)


def _numbers(
    kernel: Kernel, size: tuple[int, ...], rate_hz: float | None, mode: str, time_axis: int, raster_type: str
) -> np.ndarray:
    rule = KERNELS[kernel.name]
    modes = [mode if axis == time_axis else "none" for axis in range(len(size))]
    if mode == "raster":
        modes = ["mask" if rule.separable else "none"] * len(size)
    axes = [
        _axis(name, taps, how, rule.delays)
        for name, taps, how in zip(AXES_OF[len(size)], size, modes, strict=True)
    ]
    grid = rule.formula(kernel, axes, rate_hz)
    kept = tuple(slice(0, axis.kept) for axis in axes)
    visible = np.zeros(grid.shape[1:], dtype=bool)
    visible[kept] = True
    out = np.zeros((len(grid), *size))
    out[(slice(None), *kept)] = _without_future(grid, visible, tuple(axis.centre for axis in axes))[
        (slice(None), *kept)
    ]
    if mode != "raster":
        return out
    visible = raster_mask(size, [1] * len(size), raster_type).numpy()
    if not visible.any():
        raise ValueError(f"{kernel.name}: every tap of kernel_size {list(size)} is masked; use a larger one")
    return _without_future(out, visible, tuple(np.argwhere(visible)[-1]))


def _axis(name: str, size: int, mode: str, delays: bool) -> Axis:
    if mode in ("none", "raster"):
        return Axis(name, size, grid=size, kept=size)
    kept = size if mode == "pad" else same_padding(size, 1)[0] + 1
    return Axis(name, size, grid=kept if delays else 2 * kept - 1, kept=kept)


def _without_future(grid: np.ndarray, visible: np.ndarray, here: tuple[int, ...]) -> np.ndarray:
    """Only the visible taps, the sum of each filter as it was. here: the output's own position."""
    if visible.all():
        return grid
    out = np.where(visible, grid, 0.0)
    for cut, whole in zip(out, grid, strict=True):
        if (whole >= 0).all() and cut.sum() > 0:
            cut *= whole.sum() / cut.sum()
        else:
            cut[here] += np.where(visible, 0.0, whole).sum()
    return out


def fill(weight_shape: Sequence[int], kernel: Tensor, groups: int = 1) -> Tensor:
    """The weight of a convolution that applies a bank of filters.

    Shape: kernel (F, *k), to weight (out, in/groups, *k). Of a layer, or of each of its groups, with `n`
    input channels and `m` outputs: m = n*F gives every channel by itself, one after another (groups = in: it
    is depthwise); m = F gives each filter's mean over the channels.
    Raises UsageError naming the counts that fit.
    """
    out, into, *size = weight_shape
    filters = kernel.shape[0]
    if tuple(size) != tuple(kernel.shape[1:]):
        raise UsageError(f"kernel_size: got {size}, but the kernel has {list(kernel.shape[1:])} taps")
    weight = kernel.new_zeros(tuple(weight_shape)).unflatten(0, (groups, out // groups))
    if out == groups * into * filters:
        for channel in range(into):
            weight[:, channel * filters : (channel + 1) * filters, channel] = kernel
    elif out == groups * filters:
        weight[:] = (kernel / into).unsqueeze(1)
    else:
        each, mean = groups * into * filters, groups * filters
        bank = f"{filters} filters" if filters > 1 else "one filter"
        raise UsageError(
            f"out_channels: got {out}, but {bank} over {groups * into} channels in {groups} "
            f"group{'s' if groups > 1 else ''} fit {each} (each channel by itself) or {mean} (their mean)"
        )
    return weight.flatten(0, 1)


@torch.no_grad()
def fill_kernel(conv: nn.modules.conv._ConvNd, kernel: Kernel, *, rate_hz: float | None = None) -> None:
    """Set the weight of a convolution of `mediaconv.nn` to a kernel, as its size and causal mode want it.

    conv: a standard or causal convolution, 1D to 3D; its bias stays as it is.
    rate_hz: steps of the stream axis a second at the layer's input.
    Raises UsageError where size, dims or channel counts do not fit.
    """
    bank = make_kernel(
        kernel.name,
        kernel.chosen_options,
        dims=len(conv.kernel_size),
        kernel_size=conv.kernel_size,
        rate_hz=None if rate_hz is None else rate_hz / conv.dilation[0],
        mode=getattr(conv, "mode", "none"),
        time_axis=getattr(conv, "time_axis", 0),
        raster_type=getattr(conv, "raster_type", "B"),
    )
    conv.weight.copy_(fill(conv.weight.shape, bank, conv.groups))
