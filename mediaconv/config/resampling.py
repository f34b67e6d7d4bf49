"""The layers that change the grid without weights: pools, upsampling, shuffles, reshape."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mediaconv.config.layer import CausalLayer, LayerSpec
from mediaconv.config.padding import Padding, causal_padding_problems
from mediaconv.config.problems import Problem, wrong
from mediaconv.config.setting import Setting
from mediaconv.config.values import Count, Flag, Rule, Sizes, integer, mapping_of


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
    scale: Sizes = Field(description="whole factor, or one per axis")
    mode: Literal["nearest", "linear"] = "nearest"


class PixelShuffle(LayerSpec):
    """Channels to positions (Shi et al. 2016), in any dimension."""

    name: ClassVar[str] = "pixel_shuffle"
    factor: Sizes = Field(description="factor, or one per axis")


class PixelUnshuffle(LayerSpec):
    """Positions to channels: the reverse of pixel_shuffle."""

    name: ClassVar[str] = "pixel_unshuffle"
    factor: Sizes = Field(description="factor, or one per axis")


class ChannelShuffle(LayerSpec):
    """Channels of the groups interleaved (Zhang et al. 2018)."""

    name: ClassVar[str] = "channel_shuffle"
    groups: Count = Field(description="number of groups")


def _check_pattern(value: Any, setting: Setting | None) -> str:
    if not isinstance(value, str) or value.count("->") != 1:
        raise wrong(value, "an einops pattern, such as 'n (c k) t -> n c (t k)'")
    return value


class Reshape(LayerSpec):
    """einops' rearrange, by a pattern with the batch first."""

    name: ClassVar[str] = "reshape"
    pattern: Annotated[str, Rule(_check_pattern, {"type": "string", "pattern": "->"})] = Field(
        description="einops pattern, such as 'n (c k) t -> n c (t k)'"
    )
    sizes: Annotated[
        dict[str, int], mapping_of(integer(1), "a mapping from names of the pattern to sizes")
    ] = Field(default_factory=dict, description="sizes of the pattern's names")
