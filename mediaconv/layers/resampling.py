"""Upsampling without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from mediaconv.config.values import Sizes
from mediaconv.layers.layer_spec import BuildContext, CausalLayer
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class Upsample(CausalLayer):
    """More steps along each axis, by nearest neighbour or linear interpolation."""

    name: ClassVar[str] = "upsample"
    scale_factor: Sizes = Field(description="whole factor, or one per axis")
    mode: Literal["nearest", "linear"] = "nearest"

    def build(self, context: BuildContext) -> nn.Module:
        file = context.file
        return context.nn_class("Upsample")(
            self.scale_factor, self.mode, causal=bool(self.causality(file)), time_axis=self.window_axes(file)
        )
