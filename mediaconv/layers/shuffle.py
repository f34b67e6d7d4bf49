"""The layers that move values between channels and positions: `pixel_shuffle` and its like."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mediaconv.config.values import Count, Sizes
from mediaconv.layers.layer_spec import BuildContext, CausalLayer, LayerSpec
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class PixelShuffle(LayerSpec):
    """Channels to positions (Shi et al. 2016), in any dimension."""

    name: ClassVar[str] = "pixel_shuffle"
    upscale_factor: Sizes = Field(description="factor, or one per axis")

    def build(self, context: BuildContext) -> nn.Module:
        return context.nn_class("PixelShuffle")(self.upscale_factor)


@register
class PixelUnshuffle(CausalLayer):
    """Positions to channels: the reverse of pixel_shuffle. Causal, a block ends at its output's position."""

    name: ClassVar[str] = "pixel_unshuffle"
    downscale_factor: Sizes = Field(description="factor, or one per axis")

    def build(self, context: BuildContext) -> nn.Module:
        file = context.file
        return context.nn_class("PixelUnshuffle")(
            self.downscale_factor, causal=bool(self.causality(file)), time_axis=self.window_axes(file)
        )


@register
class ChannelShuffle(LayerSpec):
    """Channels of the groups interleaved (Zhang et al. 2018)."""

    name: ClassVar[str] = "channel_shuffle"
    groups: Count = Field(description="number of groups")

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv import nn as streaming

        return streaming.ChannelShuffle(self.groups)
