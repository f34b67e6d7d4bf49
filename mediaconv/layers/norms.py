"""The normalization layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from mediaconv.config.problems import Problem
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Count, Flag, Positive
from mediaconv.layers.layer_spec import BuildContext, LayerSpec
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


class _Norm(LayerSpec):
    eps: Positive = Field(default=1e-5, description="added to the variance")
    affine: Flag = Field(default=True, description="whether there is a weight and a bias per channel")


@register
class BatchNorm(_Norm):
    """torch's BatchNormNd in evaluation: stored mean and variance per channel."""

    name: ClassVar[str] = "batch_norm"

    def build(self, context: BuildContext) -> nn.Module:
        return context.nn_class("BatchNorm")(context.channels, eps=self.eps, affine=self.affine)


@register
class LayerNorm(_Norm):
    """Mean 0 and variance 1 over the channels of each position."""

    name: ClassVar[str] = "layer_norm"

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv.nn import ChannelLayerNorm

        return ChannelLayerNorm(context.channels, eps=self.eps, affine=self.affine)


@register
class RmsNorm(_Norm):
    """Root mean square 1 over the channels of each position."""

    name: ClassVar[str] = "rms_norm"
    eps: Positive | None = Field(  # type: ignore[assignment]
        default=None,
        description="added to the mean square; default: the smallest step of the type, as torch's",
    )

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv.nn import RMSNorm

        return RMSNorm(context.channels, eps=self.eps, affine=self.affine)


class _PoolingNorm(_Norm):
    """A norm that takes its mean over all positions: it needs the whole file."""

    def problems(self, context: ValidationContext) -> list[Problem]:
        if not context.causal or not context.refuse_leaks:
            return []
        reason = (
            "it takes its mean over the whole file, the future too; use layer_norm, rms_norm, batch_norm, "
            "or group_norm: {over: frame}"
        )
        return [Problem((), f"got {self.name} in a causal stack: {reason}")]


@register
class GroupNorm(_PoolingNorm):
    """Mean 0 and variance 1 over each group of channels and all positions, or those of a frame."""

    name: ClassVar[str] = "group_norm"
    num_groups: Count = Field(description="number of groups")
    over: Literal["all", "frame"] = Field(
        default="all",
        description="which positions share a mean: all of the file, or of each frame (step of time)",
    )

    def problems(self, context: ValidationContext) -> list[Problem]:
        if self.over == "all":
            return super().problems(context)
        if context.dims == 2 and context.causal.mode not in ("pad", "mask"):
            text = "got frame, expected all: of an image no axis is time, but under causal pad or mask"
            return [Problem(("over",), text)]
        return []

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv.nn import FrameGroupNorm, GroupNorm

        if self.over == "frame":
            time_axis = context.file.time_axis
            return FrameGroupNorm(self.num_groups, context.channels, self.eps, self.affine, time_axis)
        return GroupNorm(self.num_groups, context.channels, eps=self.eps, affine=self.affine)


@register
class InstanceNorm(_PoolingNorm):
    """Mean 0 and variance 1 over all positions of each channel."""

    name: ClassVar[str] = "instance_norm"
    affine: Flag = Field(default=False, description="whether there is a weight and a bias per channel")

    def build(self, context: BuildContext) -> nn.Module:
        return context.nn_class("InstanceNorm")(context.channels, eps=self.eps, affine=self.affine)
