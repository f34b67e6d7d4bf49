"""The names under a convolution's `kernel`: well-known kernels and their options, without their numbers.

A kernel is applied to every input channel by itself, and with `mix: true` to their mean. Each has a size of
its own, which the layer's `kernel_size` replaces. On film the picture kernels (sharpen, laplacian, sobel,
prewitt, emboss, gabor) take one frame unless told otherwise: `kernel_size` 1 x 3 x 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mediaconv.config.problems import Problem, shown, wrong
from mediaconv.config.section import Named, named, registry
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Count, Flag, Number, Positive, each, integer, number
from mediaconv.config.values import Rule as _Rule

Axis = Literal["x", "y", "t"]
AXES_OF = {1: ("t",), 2: ("y", "x"), 3: ("t", "y", "x")}
"""Names of the axes in torch's order, by how many there are."""


class Kernel(Named):
    """A well-known kernel."""

    dims: ClassVar[Sequence[int]] = (1, 2, 3)
    mix: Flag = Field(default=False, description="apply to the mean of the channels, not to each by itself")

    def problems(self, context: ValidationContext) -> list[Problem]:
        """What does not fit the pipeline's axes."""
        dims = context.dims
        if dims is None or dims in self.dims:
            return []
        fitting = " or ".join(f"{d}D" for d in self.dims)
        return [Problem((), f"got {self.name}, which is a kernel in {fitting}; this pipeline's is {dims}D")]


class Identity(Kernel):
    """One tap of 1 in the middle: what goes in comes out."""

    name: ClassVar[str] = "identity"


class Box(Kernel):
    """The mean of the window."""

    name: ClassVar[str] = "box"


class Gaussian(Kernel):
    """A Gaussian blur; it sums to 1."""

    name: ClassVar[str] = "gaussian"
    sigma: Positive = Field(default=1.0, description="standard deviation in samples, rows or frames")


class Sharpen(Kernel):
    """The input plus `amount` times what a Laplacian finds; of film within each frame (1 x 3 x 3)."""

    name: ClassVar[str] = "sharpen"
    amount: Number = 1.0


class Laplacian(Kernel):
    """The second derivative, summed over the axes; of film within each frame (1 x 3 x 3)."""

    name: ClassVar[str] = "laplacian"


class _Derivative(Kernel):
    axis: Axis | None = Field(default=None, description="x, y or t (time); default x, of sound t")

    def problems(self, context: ValidationContext) -> list[Problem]:
        problems = super().problems(context)
        allowed = AXES_OF.get(context.dims or 0, ())
        if allowed and self.axis is not None and self.axis not in allowed:
            problems.append(
                Problem(("axis",), f"got {shown(self.axis)}, expected {' or '.join(sorted(allowed))}")
            )
        return problems


class Sobel(_Derivative):
    """Derivative along one axis, smoothed 1-2-1 along the others; of film by default 1 x 3 x 3,
    along t 3 x 3 x 3.
    """

    name: ClassVar[str] = "sobel"


class Prewitt(_Derivative):
    """Derivative along one axis, smoothed 1-1-1 along the others; of film by default 1 x 3 x 3,
    along t 3 x 3 x 3.
    """

    name: ClassVar[str] = "prewitt"


class Gabor(Kernel):
    """A bank of Gabor filters over rows and columns of a frame: one output channel an orientation."""

    name: ClassVar[str] = "gabor"
    dims: ClassVar[Sequence[int]] = (2, 3)
    orientations: Count = Field(default=4, description="filters, evenly turned through half a circle")
    wavelength: Positive = Field(default=4.0, description="pixels a wave")
    sigma: Positive = Field(default=2.0, description="standard deviation of the envelope in pixels")
    gamma: Positive = Field(default=1.0, description="width of the envelope across to that along the wave")
    phase: Number = Field(default=0.0, description="radians at the centre; 0 is even")


class Motion(Kernel):
    """This frame minus the one `lag` before it."""

    name: ClassVar[str] = "motion"
    dims: ClassVar[Sequence[int]] = (1, 3)
    lag: Count = Field(default=1, description="frames or samples between the two")


class Emboss(Kernel):
    """A relief lit from the upper left; of film within each frame (1 x 3 x 3)."""

    name: ClassVar[str] = "emboss"
    dims: ClassVar[Sequence[int]] = (2, 3)


class FirKernel(Kernel):
    dims: ClassVar[Sequence[int]] = (1,)
    taps: Annotated[int, integer(3)] = Field(
        default=101, description="length of the filter in samples, unless kernel_size states it"
    )


class LowPass(FirKernel):
    """A windowed-sinc FIR that keeps what lies below the cut-off."""

    name: ClassVar[str] = "low_pass"
    cutoff_hz: Positive = Field(description="cut-off in Hz")


class HighPass(FirKernel):
    """A windowed-sinc FIR that keeps what lies above the cut-off."""

    name: ClassVar[str] = "high_pass"
    cutoff_hz: Positive = Field(description="cut-off in Hz")


def _check_band(value: object, context: ValidationContext | None) -> tuple[float, float]:
    words = "[low, high] in Hz with 0 < low < high"
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise wrong(value, words)
    low, high = each(value, number(above=0).check, context)
    if low >= high:
        raise wrong(value, words)
    return low, high


_BAND = _Rule(
    _check_band,
    {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 2},
)


class BandPass(FirKernel):
    """A windowed-sinc FIR that keeps what lies in the band."""

    name: ClassVar[str] = "band_pass"
    band: Annotated[tuple[float, float], _BAND] = Field(description="low and high cut-off in Hz")


KERNELS: dict[str, type[Kernel]] = registry(
    Identity,
    Box,
    Gaussian,
    Sharpen,
    Laplacian,
    Sobel,
    Prewitt,
    Gabor,
    Motion,
    Emboss,
    LowPass,
    HighPass,
    BandPass,
)
KernelField = Annotated[Kernel, named(KERNELS, "kernel")]
