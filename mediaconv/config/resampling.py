"""The layers that change the grid without weights: pools, upsampling, shuffles, reshape."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mediaconv.config.layer import CausalLayer, LayerSpec
from mediaconv.config.padding import Padding, causal_padding_problems
from mediaconv.config.problems import Problem, wrong
from mediaconv.config.setting import Setting
from mediaconv.config.values import Count, Flag, Rule, Sizes, integer, mapping_of
from mediaconv.pattern import EXAMPLE, parse_pattern


class _Pool(CausalLayer):
    kernel_size: Sizes = Field(description="one number, or one per axis")
    stride: Sizes | None = Field(default=None, description="default: kernel_size")
    padding: Padding = Field(default="same", description="same, valid, a number, or one of these per axis")
    ceil_mode: Flag = Field(default=False, description="keep a last window that is not whole")

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        how, axes = self.causality(setting), self.causal_axes(setting)
        return found + causal_padding_problems(self.padding, how, axes, setting, raster_valid=True)


class MaxPool(_Pool):
    """The largest value of each window."""

    name: ClassVar[str] = "max_pool"
    dilation: Sizes = Field(default=1, description="one number, or one per axis")


class AvgPool(_Pool):
    """The mean of each window."""

    name: ClassVar[str] = "avg_pool"
    count_include_pad: Flag = Field(default=True, description="count the padding as values")


class Upsample(CausalLayer):
    """More steps along each axis, by nearest neighbour or linear interpolation."""

    name: ClassVar[str] = "upsample"
    scale_factor: Sizes = Field(description="whole factor, or one per axis")
    mode: Literal["nearest", "linear"] = "nearest"


class PixelShuffle(LayerSpec):
    """Channels to positions (Shi et al. 2016), in any dimension."""

    name: ClassVar[str] = "pixel_shuffle"
    upscale_factor: Sizes = Field(description="factor, or one per axis")


class PixelUnshuffle(CausalLayer):
    """Positions to channels: the reverse of pixel_shuffle. Causal, a block ends at its output's position."""

    name: ClassVar[str] = "pixel_unshuffle"
    downscale_factor: Sizes = Field(description="factor, or one per axis")


class ChannelShuffle(LayerSpec):
    """Channels of the groups interleaved (Zhang et al. 2018)."""

    name: ClassVar[str] = "channel_shuffle"
    groups: Count = Field(description="number of groups")


def _check_pattern(value: Any, setting: Setting | None) -> str:
    if not isinstance(value, str) or value.count("->") != 1:
        raise wrong(value, f"an einops pattern, such as {EXAMPLE}")
    return value


class Reshape(LayerSpec):
    """einops' rearrange: parts of fixed size move between the channels and the axes."""

    name: ClassVar[str] = "reshape"
    decisive: ClassVar[frozenset[str]] = frozenset({"pattern", "sizes"})
    pattern: Annotated[str, Rule(_check_pattern, {"type": "string", "pattern": "->"})] = Field(
        description="einops pattern with the batch first, such as 'n (c k) t -> n c (t k)'"
    )
    sizes: Annotated[
        dict[str, int], mapping_of(integer(1), "a mapping from names of the pattern to sizes")
    ] = Field(default_factory=dict, description="sizes of the pattern's names")

    def problems(self, setting: Setting) -> list[Problem]:
        found = super().problems(setting)
        try:
            pattern = parse_pattern(self.pattern, self.sizes, setting.axes)
        except ValueError as error:
            told, _, text = str(error).partition("sizes: ")
            place, words = ("sizes", text) if not told else ("pattern", str(error))
            return [*found, Problem((place,) if place in self.model_fields_set else (), words)]
        for axis in _file_causal_axes(setting):
            if axis < pattern.dims and pattern.looks_ahead(axis):
                group = f"({' '.join(pattern.left[axis + 2])}) along {setting.axes[axis]}"
                text = f"takes {group} apart: {_ahead(setting)}; use a conv with that kernel_size and stride"
                found.append(Problem(("pattern",), text))
        return found


def _file_causal_axes(setting: Setting) -> tuple[int, ...]:
    """Axes along which no layer of the file may see what comes later, unless it says so itself."""
    if setting.causal.mode == "raster":
        return tuple(range(setting.dims or 0))
    return (setting.time_axis,) if setting.causal and setting.dims else ()


def _ahead(setting: Setting) -> str:
    return f"it reads later positions of a block, which causal {setting.causal.mode} forbids"
