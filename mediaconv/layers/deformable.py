"""Deformable convolution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mediaconv.config.problems import Problem
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Flag, Natural
from mediaconv.layers.convolution import ConvKeys, stated_by
from mediaconv.layers.layer_spec import BuildContext
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class DeformConv(ConvKeys):
    """Deformable convolution: every tap reads at a learned offset (Dai et al. 2017)."""

    model_config = stated_by("weight")
    name: ClassVar[str] = "deform_conv"
    dims: ClassVar[tuple[int, ...]] = (2, 3)
    has_alignments: ClassVar[bool] = False
    offset_range: Natural = Field(
        default=1, description="largest offset along the stream axis (rows, frames), so that it streams"
    )
    modulation: Flag = Field(
        default=False, description="weigh every tap by a learned factor too (Zhu et al. 2019)"
    )

    def problems(self, context: ValidationContext) -> list[Problem]:
        problems = super().problems(context)
        how = self.causality(context)
        if how.mode in ("mask", "raster"):
            text = f"got {how.mode}, expected pad or false: taps that move cannot be masked by their place"
            problems.append(Problem(("causal",) if self.causal is not None else (), text))
        return problems

    def weight_count(self, context: BuildContext) -> int:
        """The kernel's, and those of the convolution that finds its offsets."""
        from mediaconv.nn.geometry import per_axis

        taps = math.prod(per_axis(self.kernel_size or 1, context.dims, "kernel_size"))
        offsets = taps * (context.dims + self.modulation) * context.channels * taps
        return super().weight_count(context) + offsets

    def build(self, context: BuildContext) -> nn.Module:
        arguments = self.arguments(context)
        if arguments.pop("padding_mode") != "zeros":
            raise ValueError(
                f"padding_mode: got {self.padding_mode}, expected zeros: taps outside read nothing"
            )
        arguments |= {"offset_range": self.offset_range, "modulation": self.modulation}
        how = self.causality(context.file)
        if not how:
            return context.nn_class("DeformConv")(**arguments)
        if how.mode != "pad":
            raise ValueError(
                f"causal: got {how.mode}, expected pad: a deformable layer has no fixed taps to mask"
            )
        return context.nn_class("CausalDeformConv")(**arguments, time_axis=self.time_axis)
