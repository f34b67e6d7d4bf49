"""Transposed convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mediaconv.config.problems import Problem
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Paddings
from mediaconv.layers.convolution import ConvKeys, stated_by
from mediaconv.layers.layer_spec import BuildContext
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


@register
class ConvTranspose(ConvKeys):
    """Transposed convolution: torch's ConvTransposeNd; `padding: same` gives `stride` times the length."""

    model_config = stated_by("weight")
    name: ClassVar[str] = "conv_transpose"
    has_alignments: ClassVar[bool] = False
    out_axis: ClassVar[int] = 1
    output_padding: Paddings = Field(default=0, description="added to the length at the end, per axis")

    def problems(self, context: ValidationContext) -> list[Problem]:
        problems = super().problems(context)
        if self.padding_mode == "replicate" or (self.padding_mode != "zeros" and not self.causality(context)):
            text = f"got {self.padding_mode}, expected zeros: a transposed layer has no other"
            problems.append(Problem(("padding_mode",), text))
        return problems

    def build(self, context: BuildContext) -> nn.Module:
        arguments = self.arguments(context) | {"output_padding": self.output_padding}
        if self.causality(context.file):
            arguments["time_axis"] = self.window_axes(context.file)
            return context.nn_class("CausalConvTranspose")(**arguments)
        return context.nn_class("ConvTranspose")(**arguments)
