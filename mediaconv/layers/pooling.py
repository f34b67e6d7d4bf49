"""The pools: `max_pool`, `avg_pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mediaconv.config.problems import Problem
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Flag, Sizes
from mediaconv.layers.keys.padding_keys import Padding, causal_padding_problems
from mediaconv.layers.layer_spec import BuildContext, CausalLayer
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import nn


class _Pool(CausalLayer):
    class_name: ClassVar[str]
    """Of the class in `mediaconv.nn`, without the number of axes."""
    kernel_size: Sizes = Field(description="one number, or one per axis")
    stride: Sizes | None = Field(default=None, description="default: kernel_size")
    padding: Padding = Field(
        default="same",
        description="same (unlike torch's default, 0), valid, a number, or one of these per axis",
    )
    ceil_mode: Flag = Field(default=False, description="keep a last window that is not whole")

    def problems(self, context: ValidationContext) -> list[Problem]:
        problems = super().problems(context)
        how, axes = self.causality(context), self.causal_axes(context)
        return problems + causal_padding_problems(self.padding, how, axes, context, raster_valid=True)

    def build(self, context: BuildContext) -> nn.Module:
        arguments = {key: value for key, value in dict(self).items() if key not in CausalLayer.model_fields}
        if self.causality(context.file):
            arguments["time_axis"] = self.window_axes(context.file)
            return context.nn_class(f"Causal{self.class_name}")(**arguments)
        return context.nn_class(self.class_name)(**arguments)


@register
class MaxPool(_Pool):
    """The largest value of each window."""

    name: ClassVar[str] = "max_pool"
    class_name: ClassVar[str] = "MaxPool"
    dilation: Sizes = Field(default=1, description="one number, or one per axis")


@register
class AvgPool(_Pool):
    """The mean of each window."""

    name: ClassVar[str] = "avg_pool"
    class_name: ClassVar[str] = "AvgPool"
    count_include_pad: Flag = Field(default=True, description="count the padding as values")
