"""The numbers of the well-known kernels, in numpy. Which options there are is in `options`.

A formula fills a grid of taps that is symmetric about the output's own position. What a causal layer makes of
it, and how it gets into a layer's weight, is in `mediaconv.layers.filters.fill`. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from mediaconv.layers.filters import filter_keys as specs
from mediaconv.layers.filters.filter_keys import AXES_OF, Kernel


@dataclass(frozen=True)
class Axis:
    """One axis of a kernel.

    name: x (columns), y (rows) or t (time).
    size: taps of the layer's kernel.
    grid: taps of the formula's grid: `size`, or of a causal axis the taps a layer may use and their mirror
        image in the future.
    kept: how many of the grid's taps a layer may use, from the first.
    """

    name: str
    size: int
    grid: int
    kept: int

    @property
    def centre(self) -> int:
        """The tap of the grid at the output's own position (of an even grid, the one before the middle)."""
        return (self.grid - 1) // 2

    @property
    def offsets(self) -> np.ndarray:
        """Each tap's distance from the middle of the grid."""
        return centred(self.grid)


Axes = Sequence[Axis]
Fir = specs.LowPass | specs.HighPass | specs.BandPass
Formula = Callable[[Kernel, Axes, float | None], np.ndarray]
"""From options, axes and taps a second (for those in Hz) to filters, shape (F, *grid). Raises ValueError."""
Size = Callable[[Kernel, int], tuple[int, ...]]
"""From options and number of axes to the default kernel_size."""


def centred(count: int) -> np.ndarray:
    """Distances from the middle: -1, 0, 1 for three."""
    return np.arange(count) - (count - 1) / 2


def identity(spec: Kernel, axes: Axes, rate_hz: float | None) -> np.ndarray:
    out = np.zeros([1, *(axis.grid for axis in axes)])
    out[_here(axes)] = 1
    return out


def box(spec: Kernel, axes: Axes, rate_hz: float | None) -> np.ndarray:
    return _outer([np.full(axis.grid, 1 / axis.grid) for axis in axes])


def gaussian(spec: specs.Gaussian, axes: Axes, rate_hz: float | None) -> np.ndarray:
    with np.errstate(over="ignore"):  # far outside a tiny sigma: exp(-inf) is the right 0
        profiles = [np.exp(-0.5 * np.square(axis.offsets / spec.sigma)) for axis in axes]
    if not all(profile.sum() > 0 for profile in profiles):
        raise ValueError(
            f"gaussian: sigma: got {spec.sigma:g}, too small for an even kernel_size; use an odd one"
        )
    return _outer([profile / profile.sum() for profile in profiles])


def laplacian(spec: Kernel, axes: Axes, rate_hz: float | None) -> np.ndarray:
    """1, -2, 1 along each axis, added; an axis of one tap takes no part."""
    out = np.zeros([1, *(axis.grid for axis in axes)])
    here = _here(axes)
    used = [i for i, axis in enumerate(axes) if axis.grid > 1]
    if not used:
        raise ValueError(f"{spec.name}: got a kernel of one tap, expected 3 or more along an axis")
    for i in used:
        _check_three(spec, axes[i])
        out[here] -= 2
        for side in (-1, 1):
            beside = list(here)
            beside[i + 1] += side
            out[tuple(beside)] += 1
    return out


def sharpen(spec: specs.Sharpen, axes: Axes, rate_hz: float | None) -> np.ndarray:
    return identity(spec, axes, rate_hz) - spec.amount * laplacian(spec, axes, rate_hz)


def emboss(spec: Kernel, axes: Axes, rate_hz: float | None) -> np.ndarray:
    """Brighter where the picture rises towards the lower right."""
    for axis in axes[-2:]:
        _check_three(spec, axis)
    out = np.zeros([1, *(axis.grid for axis in axes)])
    row, column = axes[-2].centre, axes[-1].centre
    _frame(out, axes)[0, row - 1 : row + 2, column - 1 : column + 2] = [
        [-2, -1, 0],
        [-1, 1, 1],
        [0, 1, 2],
    ]
    return out


def sobel(spec: specs.Sobel, axes: Axes, rate_hz: float | None) -> np.ndarray:
    return _derivative(spec, axes, slope=_binomial_slope, smooth=_binomial)


def prewitt(spec: specs.Prewitt, axes: Axes, rate_hz: float | None) -> np.ndarray:
    return _derivative(spec, axes, slope=_linear_slope, smooth=np.ones)


def gabor(spec: specs.Gabor, axes: Axes, rate_hz: float | None) -> np.ndarray:
    """Filter k is a wave that runs at the angle k*pi/orientations from x towards y, under a Gaussian."""
    y, x = np.meshgrid(axes[-2].offsets, axes[-1].offsets, indexing="ij")
    angles = np.arange(spec.orientations)[:, None, None] * (math.pi / spec.orientations)
    along = x * np.cos(angles) + y * np.sin(angles)
    across = y * np.cos(angles) - x * np.sin(angles)
    envelope = np.exp(-(np.square(along) + np.square(spec.gamma * across)) / (2 * spec.sigma**2))
    out = np.zeros([spec.orientations, *(axis.grid for axis in axes)])
    _frame(out, axes)[:] = envelope * np.cos(2 * math.pi * along / spec.wavelength + spec.phase)
    return out


def motion(spec: specs.Motion, axes: Axes, rate_hz: float | None) -> np.ndarray:
    """x[t] - x[t - lag]."""
    out = identity(spec, axes, rate_hz)
    before = list(_here(axes))
    before[1] -= spec.lag
    if before[1] < 0:
        raise ValueError(
            f"motion: lag: got {spec.lag}, but kernel_size {axes[0].size} along t has {axes[0].centre} "
            f"taps before the present; a kernel_size of {2 * spec.lag + 1} always has enough"
        )
    out[tuple(before)] = -1
    return out


def fir(
    spec: specs.LowPass | specs.HighPass | specs.BandPass, axes: Axes, rate_hz: float | None
) -> np.ndarray:
    """Windowed sinc (Hamming) of an odd number of taps, so that it delays by whole samples.

    An even number of taps has a zero at the end.
    """
    from scipy.signal import firwin  # here because it takes half a second to import

    if rate_hz is None:
        raise ValueError(f"{spec.name}: a cut-off in Hz needs the rate of the sound, and none is known")
    cutoff = spec.band if isinstance(spec, specs.BandPass) else spec.cutoff_hz
    highest = cutoff if isinstance(cutoff, float) else cutoff[1]
    if highest >= rate_hz / 2:
        raise ValueError(
            f"{spec.name}: got a cut-off of {highest:g} Hz, expected less than half the rate: "
            f"{rate_hz / 2:g} Hz here (a dilation divides the rate)"
        )
    (axis,) = axes
    odd = axis.grid - (axis.grid + 1) % 2
    if odd < 3:
        raise ValueError(f"{spec.name}: got {axis.grid} taps that may be used, expected 3 or more")
    out = np.zeros((1, axis.grid))
    out[0, :odd] = firwin(odd, cutoff, fs=rate_hz, pass_zero=isinstance(spec, specs.LowPass))
    return out


def _derivative(
    spec: specs.Sobel | specs.Prewitt,
    axes: Axes,
    *,
    slope: Callable[[int], np.ndarray],
    smooth: Callable[[int], np.ndarray],
) -> np.ndarray:
    """A slope along one axis, smoothed along the others; what does not change along the axis gives 0."""
    along = derivative_axis(spec, len(axes))
    profiles = []
    for axis in axes:
        if axis.name == along and axis.kept < 2:
            raise ValueError(
                f"{spec.name}: kernel_size along {along}: got {axis.size}, of which {axis.kept} may be used, "
                "expected 2 or more (3 under causal mask)"
            )
        profiles.append(_past(slope, axis, power=1) if axis.name == along else _past(smooth, axis, power=0))
    return _outer(profiles)


def _past(shape: Callable[[int], np.ndarray], axis: Axis, *, power: int) -> np.ndarray:
    """A profile without its future taps, that of a slope (`power` 1) with the sum 0 restored at the present.

    Scaled, so that it answers a steady level (or slope) as the standard profile of the layer's size does.
    """
    profile = shape(axis.grid)
    if axis.kept == axis.grid:
        return profile
    profile[axis.kept :] = 0
    if power == 1:
        profile[axis.kept - 1] -= profile.sum()
    wanted = (shape(axis.size) * centred(axis.size) ** power).sum()
    return profile * (wanted / (profile * axis.offsets**power).sum())


def derivative_axis(spec: specs.Sobel | specs.Prewitt, dims: int) -> str:
    """The axis that a derivative runs along: x unless it is given, of sound t."""
    return spec.axis or AXES_OF[dims][-1]


def _binomial(count: int) -> np.ndarray:
    """1, 2, 1 and its like."""
    return np.array([math.comb(count - 1, i) for i in range(count)], dtype=np.float64)


def _binomial_slope(count: int) -> np.ndarray:
    """-1, 0, 1; for five taps -1, -2, 0, 2, 1: the difference of binomials."""
    return np.convolve([-1.0, 1.0], _binomial(count - 1)) if count > 1 else np.zeros(1)


def _linear_slope(count: int) -> np.ndarray:
    """-1, 0, 1; for five taps -2, -1, 0, 1, 2: the slope of the line of least squares."""
    return centred(count) * (1 if count % 2 else 2)


def _outer(profiles: Sequence[np.ndarray]) -> np.ndarray:
    return reduce(np.multiply.outer, profiles)[None]


def _here(axes: Axes) -> tuple[int, ...]:
    """Where filter 0 has the output's own position."""
    return (0, *(axis.centre for axis in axes))


def _frame(out: np.ndarray, axes: Axes) -> np.ndarray:
    """Rows and columns of a picture kernel, of film those of the present frame: a view (F, rows, columns)."""
    return out if len(axes) == 2 else out[:, axes[0].centre]


def _check_three(spec: Kernel, axis: Axis) -> None:
    if axis.grid < 3:
        raise ValueError(
            f"{spec.name}: kernel_size along {axis.name}: got {axis.size}, "
            f"expected 3 or more{'' if spec.name == 'emboss' else ', or 1 to leave the axis out'}"
        )


def everywhere(spec: Kernel, dims: int) -> tuple[int, ...]:
    """Three taps along every axis."""
    return (3,) * dims


def in_frames(spec: Kernel, dims: int) -> tuple[int, ...]:
    """Three taps along rows and columns, each frame of a film by itself; of sound along time."""
    return (1, 3, 3) if dims == 3 else (3,) * dims


def of_derivative(spec: Kernel, dims: int) -> tuple[int, ...]:
    """As pictures; along time too where the derivative runs along time."""
    return (3,) * dims if derivative_axis(spec, dims) == "t" else in_frames(spec, dims)  # type: ignore[arg-type]


def of_gaussian(spec: specs.Gaussian, dims: int) -> tuple[int, ...]:
    """Four standard deviations to each side."""
    return (2 * math.floor(4 * spec.sigma + 0.5) + 1,) * dims


def of_gabor(spec: specs.Gabor, dims: int) -> tuple[int, ...]:
    """Two and a half standard deviations of the longer side of the envelope, in each frame."""
    side = 2 * math.ceil(2.5 * spec.sigma * max(1.0, 1 / spec.gamma)) + 1
    return (1, side, side) if dims == 3 else (side,) * dims


def of_motion(spec: specs.Motion, dims: int) -> tuple[int, ...]:
    """So that a standard layer, whose present is its middle tap, reaches back by the lag."""
    return (2 * spec.lag + 1, *(1,) * (dims - 1))


def of_fir(spec: Fir, dims: int) -> tuple[int, ...]:
    return (spec.taps,)
